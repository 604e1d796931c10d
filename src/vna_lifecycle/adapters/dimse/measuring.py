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

from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveError, DicomRefused
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, Observation

_QUESTIONS: Final = 4
_GAIN: Final = 1.1
"""How many times more questions a second twice the associations must answer, to be worth it."""


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


def side_by_side(caller: Caller, question: Callable[[], None]) -> str:
    """How many associations the archive bears, of those that the settings allow, and up to how many it gets quicker."""
    most = caller.settings.associations
    best, rate, borne, count = 1, 0.0, 0, 1
    while borne < most:
        try:
            with ExitStack() as held:  # all at once: quick answers would let fewer associations do for many questions
                for _ in range(count):
                    held.enter_context(caller.questions())
            now = _rate(count, question)
        except ArchiveError:
            return f"{borne} accepted; with {count} some are refused: set associations = {max(borne, 1)}"
        borne = count
        if now > rate * _GAIN:
            best, rate = count, now
        count = min(count * 2, most)
    return f"{most} accepted; questions are answered quicker up to {best}"


def _rate(count: int, question: Callable[[], None]) -> float:
    begun = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        for answer in [pool.submit(question) for _ in range(count * _QUESTIONS)]:
            answer.result()
    return count * _QUESTIONS / (time.monotonic() - begun)
