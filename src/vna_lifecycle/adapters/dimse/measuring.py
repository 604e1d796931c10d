"""Measuring an archive: times, the rate of one retrieval, and how many associations it bears side by side."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
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
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, Observation

_QUESTIONS: Final = 4
_MOST: Final = 8
"""Associations until which an archive is tried, where the settings do not say how many it may be."""

_GAIN: Final = 1.1
"""How many times more questions a second twice the associations must answer, to be worth more than the usual ones."""

_KEPT: Final = 0.8
"""The share of questions a second that more associations must keep, or the archive is slowed by them."""


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
        return f"{self.seconds * 1000:.2g}"


@frozen
class Aside:
    """A spool for what is only looked at."""

    folder: Path
    numbers: Iterator[int] = field(factory=itertools.count)

    def new_file(self, size: int | None = None) -> Path:
        """Its next path."""
        return self.folder / f"{next(self.numbers)}.dcm"


def served(caller: Caller, reader: Reader, study: StudyRef, record: InstanceRecord) -> Iterator[Observation]:
    """Fetch one object twice: how it is encoded, how quickly it comes, and whether it is the same both times."""
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
                return
            files.append(item.path)
        size = files[0].stat().st_size
        try:
            yield Observation(name="served-as", value=scan_file(files[0]).transfer_syntax)
            alike = dataset_sha256(files[0])[0] == dataset_sha256(files[1])[0]
        except DicomRefused as refusal:
            yield Observation(name="two-retrievals", value=f"what is served is not readable: {refusal.code}")
            return
        rate = f"{size / watch.seconds / 1e6:.2g} MB/s, measured with one object of {size} bytes"
        yield Observation(name="transfer-rate", value=rate)
        yield Observation(name="two-retrievals", value="the same bytes" if alike else "other bytes each time")


@frozen(kw_only=True)
class Bearing:
    """How many associations an archive bears: up to ``best`` it does not slow; of ``refused`` it refuses some."""

    best: int
    refused: int | None = None


def side_by_side(caller: Caller, question: Callable[[], None]) -> Bearing:
    """Open more and more associations, as many as the settings allow, and ask over all of them at the same time.

    More than usual are taken only where they answer more questions a second.
    """
    most = caller.settings.associations or _MOST
    before = caller.slots.most
    caller.slots.most = max(most, before)
    try:
        return bearing(most, lambda count: _held_rate(caller, count, question))
    finally:
        caller.slots.most = before


def bearing(most: int, rate_with: Callable[[int], float]) -> Bearing:
    """What the rates, or refusals, with 1, 2, 4 and more associations show, until ``most``."""
    best, highest, count = 1, 0.0, 1
    while True:
        try:
            rate = rate_with(count)
            wanted = highest * (_GAIN if count > USUAL_ASSOCIATIONS else _KEPT)
            if rate < wanted:  # this may have been one bad moment
                rate = max(rate, rate_with(count))
        except ArchiveError:
            return Bearing(best=best, refused=count)
        if rate < wanted:
            break
        best, highest = count, max(rate, highest)
        if count == most:
            break
        count = min(count * 2, most)
    return Bearing(best=best)


def _held_rate(caller: Caller, count: int, question: Callable[[], None]) -> float:
    """Questions a second over so many associations.

    Raises:
        ArchiveError: not so many are accepted.
    """
    with ExitStack() as held:  # all at once: quick answers would let fewer associations do for many questions
        for _ in range(count):
            held.enter_context(caller.questions())
    return _rate(count, question)


def _rate(count: int, question: Callable[[], None]) -> float:
    begun = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        for answer in [pool.submit(question) for _ in range(count * _QUESTIONS)]:
            answer.result()
    return count * _QUESTIONS / (time.monotonic() - begun)
