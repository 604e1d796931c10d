"""Bringing the sampled studies in, a few ahead of the checks, each as the sources and the readers serve it now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from itertools import islice
from typing import Final

from attrs import define, field

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.accept_served import Served, release, serve_study
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.sources import candidates_of, choices_of
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Cancellation

TRIES: Final = 4
FIRST_WAIT: Final = dt.timedelta(seconds=1)
LONGEST_WAIT: Final = dt.timedelta(seconds=60)
POLL_SECONDS: Final = 0.5


@define(kw_only=True)
class Bringing:
    """Fetches studies on an executor, some more than there are workers at a time; each is given once."""

    journal: Journal
    bench: Workbench
    executor: Callable[[], Executor]
    sleep: Callable[[float], object]
    cancelled: Cancellation
    target: str
    readers: tuple[str, ...]
    workers: int
    _pool: Executor | None = field(default=None, init=False)
    _flights: dict[Future[Served], tuple[StudyWork, int]] = field(factory=dict, init=False)

    def studies(self, wanted: Iterable[StudyWork]) -> Iterator[tuple[StudyWork, Served]]:
        """Each study with what was served, in any order, until cancelled; its files are there until the next one.

        Raises:
            ArchiveError: an archive did not do what was asked, not even after some tries.
        """
        left = iter(wanted)
        try:
            while True:
                for work in islice(left, self.workers + 1 - len(self._flights)):
                    self._begin(work, 1)
                if not self._flights:
                    return
                finished, _ = wait(self._flights, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    work, tries = self._flights.pop(future)
                    served = self._served(future, work, tries)
                    if self.cancelled.is_set():
                        return
                    if served is None:
                        continue
                    yield work, served
                    release(self.bench, work.ref, self.readers)
        finally:
            self._end()

    def _begin(self, work: StudyWork, tries: int) -> None:
        candidates = candidates_of(self.journal.catalog, work.study_uid)
        choices = choices_of(self.journal.catalog, work.ref, candidates)
        if self._pool is None:
            self._pool = self.executor()
        arguments = (self.bench, work.ref, candidates, choices, self.target, self.readers)
        self._flights[self._pool.submit(serve_study, *arguments)] = (work, tries)

    def _served(self, future: Future[Served], work: StudyWork, tries: int) -> Served | None:
        """What was served; None if it is tried again."""
        error = future.exception()
        if error is None:
            served = future.result()
            again = any(failure.transient for failure in served.failures) and tries < TRIES
            if not again or served.cancelled:
                return served
        else:
            passing = isinstance(error, BrokenExecutor) or (isinstance(error, ArchiveError) and error.transient)
            if not passing or tries >= TRIES:
                raise error
            if isinstance(error, BrokenExecutor):
                self._pool = None
        after = error.retry_after if isinstance(error, ArchiveError) else None
        pause = FIRST_WAIT * 2 ** (tries - 1) if after is None else dt.timedelta(seconds=after)
        self.sleep(min(pause, LONGEST_WAIT).total_seconds())
        if not self.cancelled.is_set():
            self._begin(work, tries + 1)
        return None

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        for work, _ in self._flights.values():
            release(self.bench, work.ref, self.readers)
        self._flights.clear()
