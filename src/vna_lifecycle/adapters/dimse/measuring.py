"""Measuring an archive: times, the rate of one retrieval, and how many retrievals it bears side by side."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final

from attrs import field, frozen

from vna_lifecycle.adapters.dimse.calling import USUAL_ASSOCIATIONS, Caller
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveError, DicomRefused
from vna_lifecycle.model.counting import measured_text
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, Observation

_TIMES: Final = 4
"""How often each association is used for what is measured."""

_SECONDS: Final = 30.0
_BYTES: Final = 512 << 20
"""What retrievals side by side may take, about: a larger or slower object is not retrieved so often."""

_MOST: Final = 8
"""Associations until which an archive is tried, where the settings do not say how many it may be."""

_GAIN: Final = 1.1
"""How many times more must be had in a second over twice the associations, to be worth more than the usual ones."""

_KEPT: Final = 0.8
"""The share of what is had in a second that more associations must keep, or the archive is slowed by them."""


class Stopwatch:
    """How long a ``with`` statement takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._begun = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._begun

    @property
    def milliseconds(self) -> str:
        """In thousandths of a second, to two digits."""
        return measured_text(self.seconds * 1000)


@frozen
class Aside:
    """A spool for what is only looked at."""

    folder: Path
    numbers: Iterator[int] = field(factory=itertools.count)

    def new_file(self, size: int | None = None) -> Path:
        """Its next path."""
        return self.folder / f"{next(self.numbers)}.dcm"


@frozen(kw_only=True)
class Sample:
    """An object that was retrieved: its bytes, and how long that took."""

    study: StudyRef
    record: InstanceRecord
    size: int
    seconds: float


def served(
    caller: Caller, reader: Reader, study: StudyRef, record: InstanceRecord
) -> Generator[Observation, None, Sample | None]:
    """Fetch one object twice: how it is encoded, how quickly it comes, and whether it is the same both times.

    Returns what was retrieved; None where it cannot be had.
    """
    with TemporaryDirectory(dir=caller.site.workspace) as folder:
        spool = Aside(Path(folder))
        files: list[Path] = []
        watch = Stopwatch()
        for _ in range(2):
            with watch:
                item = next(iter(list(reader.fetch(study, [record], spool))), None)
            if not isinstance(item, Fetched):
                why = item.message if item is not None else "nothing came"
                yield Observation(name="two-retrievals", value=f"an object cannot be retrieved: {why}")
                return None
            files.append(item.path)
        size = files[0].stat().st_size
        try:
            yield Observation(name="served-as", value=scan_file(files[0]).transfer_syntax)
            alike = dataset_sha256(files[0])[0] == dataset_sha256(files[1])[0]
        except DicomRefused as refusal:
            yield Observation(name="two-retrievals", value=f"what is served is not readable: {refusal.code}")
            return None
        rate = f"{measured_text(size / watch.seconds / 1e6)} MB/s, measured with one object of {size} bytes"
        yield Observation(name="transfer-rate", value=rate)
        yield Observation(name="two-retrievals", value="the same bytes" if alike else "other bytes each time")
        return Sample(study=study, record=record, size=size, seconds=watch.seconds)


@frozen(kw_only=True)
class Bearing:
    """How many associations an archive bears: up to ``best`` it does not slow; of ``refused`` it refuses some."""

    best: int
    refused: int | None = None


def retrievals(caller: Caller, reader: Reader, sample: Sample) -> Bearing | None:
    """How many associations it bears that retrieve an object, over and over, at the same time.

    None where that would take too many bytes or too long, or does not work even over one.
    """
    rounds = 4 * (caller.settings.associations or _MOST)  # over 1, 2, 4 and more, and any of them twice
    seconds = max(sample.seconds, 0.001)
    times = min(_TIMES, int(_BYTES / (rounds * max(sample.size, 1))), int(_SECONDS / (_TIMES * seconds)))
    if not times:
        return None
    with TemporaryDirectory(dir=caller.site.workspace) as folder:
        spool = Aside(Path(folder))

        def retrieve() -> None:
            (item,) = reader.fetch(sample.study, [sample.record], spool)
            if not isinstance(item, Fetched):
                raise ArchiveError(item.message, transient=item.transient)
            item.path.unlink()

        found = side_by_side(caller, retrieve, times=times)
    return None if found.refused == 1 else found


def side_by_side(caller: Caller, act: Callable[[], None], *, times: int = _TIMES) -> Bearing:
    """Open more and more associations, as many as the settings allow, and act over all of them at the same time.

    More than usual are taken only where more is had in a second, and none are tried any more after a while.
    """
    most = caller.settings.associations or _MOST
    before, begun = caller.slots.most, time.monotonic()

    def rate_with(count: int) -> float | None:
        return _held_rate(caller, count, act, times) if time.monotonic() - begun < _SECONDS else None

    caller.slots.most = max(most, before)
    try:
        return bearing(most, rate_with)
    finally:
        caller.slots.most = before


def bearing(most: int, rate_with: Callable[[int], float | None]) -> Bearing:
    """What the rates, or refusals, with 1, 2, 4 and more associations show, until ``most`` or there is no rate."""
    best, highest, count = 1, 0.0, 1
    while True:
        try:
            rate = rate_with(count)
            wanted = highest * (_GAIN if count > USUAL_ASSOCIATIONS else _KEPT)
            if rate is not None and rate < wanted:  # this may have been one bad moment
                rate = max(rate, rate_with(count) or 0.0)
        except ArchiveError:
            return Bearing(best=best, refused=count)
        if rate is None or rate < wanted:
            break
        best, highest = count, max(rate, highest)
        if count == most:
            break
        count = min(count * 2, most)
    return Bearing(best=best)


def _held_rate(caller: Caller, count: int, act: Callable[[], None], times: int) -> float:
    """How often in a second it is acted over so many associations.

    Raises:
        ArchiveError: not so many are accepted, or it cannot be acted over so many.
    """
    with ExitStack() as held:  # all at once: quick answers would let fewer associations do for many questions
        for _ in range(count):
            held.enter_context(caller.questions())
    begun = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(act) for _ in range(count * times)]:
            done.result()
    return count * times / (time.monotonic() - begun)
