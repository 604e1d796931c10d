"""Moving a wave: fetch, store, read back, reconcile, study by study, with every step on record before the next one.

One coordinator appends; workers do the work. A crash at any instruction loses nothing: a study that had not reached an
end is fetched again, and storing it again is harmless, since no target is ever overwritten.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import Any, Protocol

from attrs import define, field, frozen

from vna_lifecycle.catalog import StudyWork, WaveStatus
from vna_lifecycle.engine import tasks
from vna_lifecycle.engine.holding import held_for
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import Attempt, failed
from vna_lifecycle.engine.pending import UNFINISHED, attempts_allowed, pages
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.engine.sources import candidates_of, choices_of
from vna_lifecycle.engine.steps import (
    Flight,
    Step,
    Then,
    TransferPolicy,
    after_cancelled_store,
    after_fetch,
    after_store,
    after_verify,
)
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import (
    ArchiveError,
    ArchiveUnreachable,
    DiskFull,
    StateError,
    StorageError,
    VnaLifecycleError,
)
from vna_lifecycle.model.event import Event, TransferEnded, TransferStarted
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.lifecycle import MigrationState

POLL_SECONDS = 0.5
TOLD_EVERY_SECONDS = 0.2
WORKERS_LOST_IN_A_ROW = 10
LONGEST_WAIT = dt.timedelta(minutes=15)


class Guard(Protocol):
    """Watches the archives: one that fails as a whole, or slows down, is given a rest."""

    def admit(self) -> str:
        """``""`` when new work may begin, otherwise why not."""
        ...

    def answered(self, archive: str, *, seconds: float, objects: int, size: int) -> None:
        """An archive did what was asked."""
        ...

    def failed(self, archive: str, reason: str) -> int:
        """An archive failed as a whole; how many rests it was given since it last worked."""
        ...


@frozen(kw_only=True)
class TransferResult:
    """How work on a wave ended. ``outcome``: complete, incomplete, paused, cancelled or stopped.

    ``held`` studies were held back by what was seen of them before anything moved; ``held_for`` counts them by kind of
    finding.
    """

    wave: str
    outcome: str
    studies: int
    transferred: int
    incomplete: int
    failed: int
    remaining: int
    size: int
    seconds: float
    held: int = 0
    held_for: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        rate = f" at {self.size / self.seconds / 1e6:.1f} MB/s" if self.seconds and self.size else ""
        trouble = "".join(
            f", {count} {word}"
            for count, word in (
                (self.incomplete, "incomplete"),
                (self.failed, "failed"),
                (self.held, "held back"),
                (self.remaining, "to do"),
            )
            if count
        )
        return f"{self.wave}: {self.transferred} of {self.studies} studies transferred{trouble} ({self.outcome}){rate}"


def _to_do(status: WaveStatus) -> int:
    """Studies of a wave that came to no end yet."""
    return sum(status.count(state) for state in UNFINISHED)


@define
class Transfer:
    """Work on one wave. ``allowance`` gives the share of the rate that is allowed now (0: begin nothing new)."""

    journal: Journal
    bench: Workbench
    executor: Callable[[], Executor]
    policy: TransferPolicy
    guard: Guard
    clock: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    sleep: Callable[[float], object]
    allowance: Callable[[], float]
    tell: Tell = silent
    _flights: dict[Future[Any], Flight] = field(factory=dict, init=False)
    _again: deque[tuple[dt.datetime, StudyWork]] = field(factory=deque, init=False)
    _stop: VnaLifecycleError | None = field(default=None, init=False)
    _moved: int = field(default=0, init=False)
    _ended: int = field(default=0, init=False)
    _before: int = field(default=0, init=False)
    _paused: bool = field(default=False, init=False)
    _told_at: float = field(default=0.0, init=False)
    _last_trouble: str = field(default="", init=False)
    _lost: int = field(default=0, init=False)
    _seen_working: set[str] = field(factory=set, init=False)
    _pool: Executor | None = field(default=None, init=False)

    def run(self, wave: str, *, retry: bool = False) -> TransferResult:
        """Move what is left of ``wave``. With ``retry``, also studies that ended without success.

        Raises:
            ArchiveError, StorageError: the wave had to stop; all before is on record, the same command goes on.
        """
        journal = self.journal
        journal.sync()
        begun = self.seconds()
        todo = self._todo(wave, retry=retry)
        pending = journal.catalog.wave_status(wave).remaining
        start = journal.ledger.size()
        journal.record([(f"transfer/{wave}/started/{start}", TransferStarted(wave=wave, pending=pending))])
        try:
            outcome = self._loop(wave, todo, begun)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
        status = journal.catalog.wave_status(wave)
        if outcome == "done":
            outcome = "complete" if status.imported == status.studies else "incomplete"
        ended = TransferEnded(wave=wave, outcome=outcome, transferred=status.imported, remaining=status.remaining)
        journal.record([(f"transfer/{wave}/ended/{start}", ended)])
        if self._stop is not None:
            raise self._stop
        return TransferResult(
            wave=wave,
            outcome=outcome,
            studies=status.studies,
            transferred=status.imported,
            incomplete=status.count(MigrationState.INCOMPLETE),
            failed=status.count(MigrationState.FAILED),
            remaining=_to_do(status),
            size=self._moved,
            seconds=self.seconds() - begun,
            held=status.count(MigrationState.HELD),
            held_for=held_for(journal.catalog, wave),
        )

    # ------------------------------------------------------------------------------------------------ the loop

    def _loop(self, wave: str, todo: Iterator[StudyWork], begun: float) -> str:
        status = self.journal.catalog.wave_status(wave)
        total, self._ended, self._before = status.studies, status.imported, status.imported
        self._paused = self.journal.catalog.paused(wave)
        exhausted = False
        while True:
            held_up = self._held_up(wave)
            while held_up == "" and len(self._flights) < self._room():
                work = self._next(todo)
                if work is None:
                    exhausted = True
                    break
                exhausted = False
                if held_up := self.guard.admit():
                    self._again.appendleft((self.clock(), work))
                    break
                self._begin(wave, work)
            if not self._flights:
                if held_up in ("paused", "cancelled", "stopped"):
                    return held_up
                if exhausted and not self._again:
                    return "done"
                self._tell(wave, total, begun, held_up or f"waiting to try again ({self._last_trouble})")
                self.sleep(POLL_SECONDS)
                continue
            finished, _ = wait(self._flights, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._land(list(finished))
            if finished:
                self._tell(wave, total, begun, held_up)

    def _held_up(self, wave: str) -> str:
        if self.journal.sync():  # a person may have paused the wave from another process
            self._paused = self.journal.catalog.paused(wave)
        if self._stop is not None:
            return "stopped"
        if self.bench.cancelled.is_set():
            return "cancelled"
        if self._paused:
            return "paused"
        return "" if self.allowance() > 0 else "outside the transfer window"

    def _room(self) -> int:
        # One more study than workers, so that none idles while the coordinator writes.
        return self.policy.workers + 1

    def _todo(self, wave: str, *, retry: bool) -> Iterator[StudyWork]:
        for page in pages(self.journal.catalog, wave, attempts=self.policy.attempts, retry=retry):
            self.journal.begin_scopes([work.label for work in page])
            yield from page

    def _next(self, todo: Iterator[StudyWork]) -> StudyWork | None:
        if self._again and self._again[0][0] <= self.clock():
            return self._again.popleft()[1]
        return next(todo, None)

    def _begin(self, wave: str, work: StudyWork) -> None:
        study = StudyRef(study_uid=StudyUID(work.study_uid), label=work.label)
        flight = Flight(attempt=Attempt(study=study, wave=wave, number=work.attempt + 1))
        candidates = candidates_of(self.journal.catalog, work.study_uid)
        choices = choices_of(self.journal.catalog, study, candidates)
        self._submit(flight, tasks.fetch_study, study, candidates, choices, self.policy.target)

    def _submit(self, flight: Flight, task: Callable[..., Any], *arguments: object) -> None:
        if self._pool is None:
            self._pool = self.executor()
        try:
            future = self._pool.submit(task, self.bench, *arguments)
        except BrokenExecutor:
            self._pool = self.executor()
            future = self._pool.submit(task, self.bench, *arguments)
        self._flights[future] = flight

    def _land(self, finished: Sequence[Future[Any]]) -> None:
        """Put on record, in one append, what all finished tasks brought; only then take the next steps."""
        events: list[tuple[str, Event]] = []
        next_steps: list[Callable[[], None]] = []
        for future in finished:
            flight = self._flights.pop(future)
            error = future.exception()
            if error is None:
                self._lost = 0
                told, step = self._take(flight, self._after(flight, future.result()))
            else:
                told, step = self._trouble(flight, error)
            events += told
            next_steps.append(step)
        self.journal.record(events)
        for step in next_steps:
            step()

    # ------------------------------------------------------------------------------------------------ steps

    def _after(self, flight: Flight, result: Any) -> Step:
        """Decide what a finished phase means."""
        match flight.phase:
            case "fetch":
                for name, seconds, objects, size in result.answered:
                    self._seen_working.add(name)
                    self.guard.answered(name, seconds=seconds, objects=objects, size=size)
                return after_fetch(self.journal, self.policy, flight, result)
            case "store" if self.bench.cancelled.is_set():
                return after_cancelled_store(self.journal, flight, result)
            case "store":
                self._seen_working.add(self.policy.target)
                return after_store(self.journal, self.policy, flight, result)
            case _:
                self._moved += flight.expected.size if flight.expected else 0
                return after_verify(self.journal, self.policy, flight, result)

    def _take(self, flight: Flight, step: Step) -> _Told:
        """The events of a step, and what to do once they are on record."""
        study, target = flight.attempt.study, self.policy.target
        match step.then:
            case Then.RETRY:
                self._last_trouble = step.code.replace("-", " ")
                told, again = self._retry(flight, step.code, None)
                return [*step.events, *told], again
            case Then.STORE if flight.fetched is not None:
                flight.phase = "store"
                instances = [item.fetched for item in flight.fetched.objects]
                return list(step.events), lambda: self._submit(flight, tasks.store_study, study, target, instances)
            case Then.VERIFY:
                flight.phase = "verify"
                return list(step.events), lambda: self._submit(flight, tasks.read_back, study, target, flight.expected)
            case _:
                return list(step.events), self._done(flight)

    def _done(self, flight: Flight) -> Callable[[], None]:
        self._ended += 1
        return lambda: self.bench.clear(flight.attempt.study.label)

    # ------------------------------------------------------------------------------------------------ trouble

    def _trouble(self, flight: Flight, error: BaseException) -> _Told:
        """A task raised: either the archive or this machine is in trouble, or a plug-in has a defect."""
        if isinstance(error, DiskFull) and self._flights:
            return [], self._requeue(flight, self.clock())  # room comes back when the others have landed
        if isinstance(error, StorageError) or (isinstance(error, ArchiveError) and not error.transient):
            self._stop = error
            return [], self._done(flight)
        if isinstance(error, ArchiveError):
            self._last_trouble = str(error)
            never_there = isinstance(error, ArchiveUnreachable) and error.archive not in self._seen_working
            if never_there or self.guard.failed(error.archive, str(error)) > self.policy.rests:
                self._stop = error
                return [], self._done(flight)
            return self._retry(flight, "archive-trouble", error.retry_after)
        if isinstance(error, BrokenExecutor):
            self._last_trouble = "a worker was lost"
            self._pool = None
            self._lost += 1
            if self._lost > WORKERS_LOST_IN_A_ROW:
                hint = "A script must call from under: if __name__ == '__main__'. Or set engine = \"threads\""
                self._stop = StateError("worker processes die before they finish anything", hint=hint)
                return [], self._done(flight)
            return self._retry(flight, "worker-lost", 0.0)
        if not isinstance(error, Exception):
            raise error
        told = failed(flight.attempt, flight.phase, type(error).__name__, transient=False, retry_at="")
        return [told], self._done(flight)

    def _retry(self, flight: Flight, code: str, after: float | None) -> _Told:
        """The study failed for now: on record, and again later, each time after twice the wait."""
        attempt = flight.attempt
        pause = self.policy.first_wait * 2 ** (attempt.number - 1) if after is None else dt.timedelta(seconds=after)
        when = self.clock() + min(pause, LONGEST_WAIT)
        final = attempt.number >= attempts_allowed(code, self.policy.attempts)
        retry_at = "" if final else when.astimezone(dt.UTC).isoformat(timespec="seconds")
        event = failed(attempt, flight.phase, code, transient=True, retry_at=retry_at)
        return [event], self._done(flight) if final else self._requeue(flight, when)

    def _requeue(self, flight: Flight, when: dt.datetime) -> Callable[[], None]:
        def again() -> None:
            self.bench.clear(flight.attempt.study.label)
            work = self.journal.catalog.work_on(flight.attempt.study.label)
            if work is not None:
                self._again = deque(sorted([*self._again, (when, work)], key=lambda item: item[0]))

        return again

    def _tell(self, wave: str, total: int, begun: float, note: str) -> None:
        now = self.seconds()
        if now - self._told_at < TOLD_EVERY_SECONDS and self._flights:
            return
        self._told_at = now
        self.tell(
            Progress(
                activity="transfer",
                subject=wave,
                done=min(self._ended, total),
                total=total,
                before=self._before,
                unit="studies",
                size=self._moved,
                seconds=now - begun,
                note=note,
            )
        )


_Told = tuple[list[tuple[str, Event]], Callable[[], None]]
