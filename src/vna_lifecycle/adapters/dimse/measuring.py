"""Measuring an archive: times, the rate of one retrieval, and how many retrievals it bears side by side."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final

from attrs import field, frozen

from vna_lifecycle.adapters.dimse.calling import USUAL_ASSOCIATIONS, Caller
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveError, DicomRefused
from vna_lifecycle.model.counting import counted, measured_text
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Availability, InstanceRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Observation

_TIMES: Final = 4
"""How often each association is used for what is measured."""

_SECONDS: Final = 30.0
_BYTES: Final = 512 << 20
"""What retrievals side by side may take, about: larger or slower objects are not retrieved so often."""

_FEW: Final = 2
"""Objects of a study of which none is asked for without the others."""

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
class Piece:
    """What is retrieved at a time: one object of a study, or all of a study that has hardly more."""

    study: StudyRef
    records: tuple[InstanceRecord, ...]

    @property
    def at_hand(self) -> bool:
        """Whether no robot has to bring it, as far as the archive says."""
        return all(one.availability in (Availability.ONLINE, Availability.UNKNOWN) for one in self.records)


def served(caller: Caller, reader: Reader, piece: Piece) -> Generator[Observation, None, bool]:
    """Fetch a piece twice: how it is encoded, how quickly it comes, and whether it is the same both times.

    Returns whether it can be had.
    """
    with TemporaryDirectory(dir=caller.site.workspace) as folder:
        spool = Aside(Path(folder))
        files: list[Path] = []
        items: list[Fetched | FetchFailure] = []
        watch = Stopwatch()
        for _ in range(2):
            with watch:
                items = list(reader.fetch(piece.study, piece.records, spool))
            item = next((one for one in items if one.record == piece.records[0]), None)
            if not isinstance(item, Fetched):
                why = item.message if item is not None else "nothing came"
                yield Observation(name="two-retrievals", value=f"an object cannot be retrieved: {why}")
                return False
            files.append(item.path)
        sizes = [one.path.stat().st_size for one in items if isinstance(one, Fetched)]
        try:
            yield Observation(name="served-as", value=scan_file(files[0]).transfer_syntax)
            alike = dataset_sha256(files[0])[0] == dataset_sha256(files[1])[0]
        except DicomRefused as refusal:
            yield Observation(name="two-retrievals", value=f"what is served is not readable: {refusal.code}")
            return False
        of = "one object" if len(sizes) == 1 else counted(len(sizes), "object")
        rate = f"{measured_text(sum(sizes) / watch.seconds / 1e6)} MB/s, measured with {of} of {sum(sizes)} bytes"
        yield Observation(name="transfer-rate", value=rate)
        yield Observation(name="two-retrievals", value="the same bytes" if alike else "other bytes each time")
        return True


@frozen(kw_only=True)
class Bearing:
    """How many associations an archive bears: up to ``best`` it does not slow; of ``refused`` it refuses some.

    ``cut``: there was no time to try more.
    """

    best: int
    refused: int | None = None
    cut: bool = False


def pieces(caller: Caller, reader: Reader, studies: Iterable[tuple[StudyRef, int]]) -> list[Piece]:
    """Different ones for as many associations as are tried; fewer where these studies have no more.

    Never the same twice: where an archive does not tell which retrieval an object is of, nobody could tell them apart.
    Each study comes with how many objects it is said to have; where that is little or not known it comes as a whole.
    """
    found: list[Piece] = []
    for study, told in studies:
        records = tuple(reader.list_instances(study))
        each = [(record,) for record in records] if told > _FEW else [records] if records else []
        found += [Piece(study=study, records=one) for one in each]
        if len(found) >= most(caller):
            break
    return found[: most(caller)]


def retrievals(caller: Caller, reader: Reader, wanted: Sequence[Piece]) -> Bearing | None:
    """How many associations it bears that retrieve at the same time, each other pieces, and these over and over.

    Each piece is retrieved once before, so that none has to be brought from slower media while it is measured. None
    where too few of them are at hand, where they would take too many bytes or too long, or cannot be had.
    """
    wanted = [piece for piece in wanted if piece.at_hand]
    if len(wanted) < min(most(caller), USUAL_ASSOCIATIONS):
        return None
    with TemporaryDirectory(dir=caller.site.workspace) as folder:
        spool = Aside(Path(folder))
        size, watch = 0, Stopwatch()
        try:
            with watch:
                begun = time.monotonic()
                for piece in wanted:
                    size += _retrieved(reader, piece, spool)
                    if size > _BYTES / 8 or time.monotonic() - begun > _SECONDS / 2:
                        return None
        except ArchiveError:
            return None
        rounds = size * 4  # as many over the most associations as over fewer, and any of them twice
        times = min(_TIMES, int(_BYTES / max(rounds, 1)), int(_SECONDS / (2 * max(watch.seconds, 0.001)) + 1))
        free: SimpleQueue[Piece] = SimpleQueue()
        for piece in wanted:
            free.put(piece)

        def retrieve() -> None:
            piece = free.get()
            try:
                _retrieved(reader, piece, spool)
            finally:
                free.put(piece)

        at_most = min(most(caller), len(wanted))
        found = side_by_side(caller, retrieve, at_most=at_most, times=times, seconds=_SECONDS)
    unsure = found.refused == 1 or (found.cut and found.best < USUAL_ASSOCIATIONS)
    return None if unsure else found


def _retrieved(reader: Reader, piece: Piece, spool: Aside) -> int:
    """Retrieve a piece and throw it away; how many bytes it had.

    Raises:
        ArchiveError: something of it does not come.
    """
    size = 0
    for item in reader.fetch(piece.study, piece.records, spool):
        if not isinstance(item, Fetched):
            raise ArchiveError(item.message, transient=item.transient)
        size += item.path.stat().st_size
        item.path.unlink()
    return size


def most(caller: Caller) -> int:
    """How many associations are tried at the most."""
    return caller.settings.associations or _MOST


def side_by_side(
    caller: Caller, act: Callable[[], None], *, at_most: int, times: int = _TIMES, seconds: float = math.inf
) -> Bearing:
    """Open more and more associations, until ``at_most``, and act over all of them at the same time.

    More than usual are taken only where more is had in a second. After so many ``seconds`` no more are tried.
    """
    before, begun = caller.slots.most, time.monotonic()

    def rate_with(count: int) -> float | None:
        return _held_rate(caller, count, act, times) if time.monotonic() - begun < seconds else None

    caller.slots.most = max(at_most, before)
    try:
        return bearing(at_most, rate_with)
    finally:
        caller.slots.most = before


def bearing(at_most: int, rate_with: Callable[[int], float | None]) -> Bearing:
    """What the rates, or refusals, with 1, 2, 4 and more associations show, until ``at_most`` or there is no rate."""
    best, highest, count = 1, 0.0, 1
    while True:
        try:
            rate = rate_with(count)
            wanted = highest * (_GAIN if count > USUAL_ASSOCIATIONS else _KEPT)
            if rate is not None and rate < wanted:  # this may have been one bad moment
                rate = max(rate, rate_with(count) or 0.0)
        except ArchiveError:
            return Bearing(best=best, refused=count)
        if rate is None:
            return Bearing(best=best, cut=True)
        if rate < wanted:
            break
        best, highest = count, max(rate, highest)
        if count == at_most:
            break
        count = min(count * 2, at_most)
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
