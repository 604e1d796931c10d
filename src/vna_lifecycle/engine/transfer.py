"""Moving a wave: fetch, store, read back, reconcile, study by study, with every step on record before the next one.

One coordinator appends; workers do the work. A crash at any instruction loses nothing: a study that had not reached an
end is fetched again, and storing it again is harmless, since no target is ever overwritten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import Any

from attrs import define, field

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine import tasks
from vna_lifecycle.engine.awaiting import Awaiting, awaiting
from vna_lifecycle.engine.batching import flight_on_record
from vna_lifecycle.engine.committing import Committing, commitment, committing
from vna_lifecycle.engine.holding import held_for
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.later import Later
from vna_lifecycle.engine.letting_go import LettingGo
from vna_lifecycle.engine.outcomes import Attempt, failed
from vna_lifecycle.engine.pending import attempts_allowed, pages
from vna_lifecycle.engine.progress import Tell, silent
from vna_lifecycle.engine.sources import candidates_of, choices_of
from vna_lifecycle.engine.steps import (
    Flight,
    Guard,
    Step,
    Then,
    TransferPolicy,
    after_cancelled_store,
    after_fetch,
    after_store,
    after_verify,
)
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.engine.telling import Telling
from vna_lifecycle.engine.transfer_result import TransferResult, outcome_of
from vna_lifecycle.errors import ArchiveError, ArchiveUnreachable, DiskFull, StateError, StorageError, VnaLifecycleError
from vna_lifecycle.model.event import Event, TransferEnded, TransferStarted
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import Cancellation

POLL_SECONDS = 0.5
WORKERS_LOST_IN_A_ROW = 10
LONGEST_WAIT = dt.timedelta(minutes=15)


@define
class Transfer:
    """Work on one wave. ``allowance`` gives the share of the rate that is allowed now (0: begin nothing new).

    ``cancelled`` is the coordinator's: workers in other processes do not hear of it, and finish what they are at.
    """

    journal: Journal
    bench: Workbench
    executor: Callable[[], Executor]
    policy: TransferPolicy
    guard: Guard
    clock: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    sleep: Callable[[float], object]
    allowance: Callable[[], float]
    cancelled: Cancellation
    tell: Tell = silent
    letting_go: LettingGo | None = None
    _flights: dict[Future[Any], Flight] = field(factory=dict, init=False)
    _again: Later = field(factory=Later, init=False)
    _stop: VnaLifecycleError | None = field(default=None, init=False)
    _paused: bool = field(default=False, init=False)
    _waiting: str = field(default="waiting for the target, or to try again", init=False)
    _lost: int = field(default=0, init=False)
    _crowded: bool = field(default=False, init=False)
    _seen_working: set[str] = field(factory=set, init=False)
    _pool: Executor | None = field(default=None, init=False)
    _awaiting: Awaiting | None = field(default=None, init=False)
    _committing: Committing | None = field(default=None, init=False)
    _so_far: Telling = field(init=False)

    def run(self, wave: str, *, retry: bool = False) -> TransferResult:
        """Move what is left of ``wave``. With ``retry``, also studies that ended without success.

        Raises:
            ArchiveError, StorageError: the wave had to stop; all before is on record, the same command goes on.
        """
        journal = self.journal
        journal.sync()
        self._so_far = Telling(wave, self.tell, self.seconds, self.seconds())
        self._awaiting = awaiting(
            journal, self.bench, wave, self.policy.target, self.clock, self._call, self._bears_with
        )
        self._committing = committing(journal, self.bench, self.policy.target, self.clock)
        todo = self._todo(wave, retry=retry)
        pending = journal.catalog.wave_status(wave).remaining
        start = journal.ledger.size()
        journal.record([(f"transfer/{wave}/started/{start}", TransferStarted(wave=wave, pending=pending))])
        try:
            outcome = self._loop(wave, todo)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
        status = journal.catalog.wave_status(wave)
        outcome = outcome_of(outcome, status)
        ended = TransferEnded(wave=wave, outcome=outcome, transferred=status.imported, remaining=status.remaining)
        journal.record([(f"transfer/{wave}/ended/{start}", ended)])
        if self._stop is not None:
            raise self._stop
        return TransferResult.of(status, outcome=outcome, so_far=self._so_far, held_for=held_for(journal.catalog, wave))

    # ------------------------------------------------------------------------------------------------ the loop

    def _loop(self, wave: str, todo: Iterator[StudyWork]) -> str:
        self._so_far.begin(self.journal.catalog.wave_status(wave))
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
                    self._again.put_first(self.clock(), work)
                    break
                self._begin(wave, work)
            calls = self._pursue(held_up, last=exhausted and not self._again)
            if not self._flights and not calls:
                if held_up in ("paused", "cancelled", "stopped"):
                    return held_up
                waits = (self._awaiting, self._committing)
                if exhausted and not self._again and all(each is None or each.idle for each in waits):
                    return "done"
                self._so_far.say(held_up or self._waiting, busy=False)
                self.sleep(POLL_SECONDS)
                continue
            finished, _ = wait([*self._flights, *calls], timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._land(list(finished))
            if finished:
                self._so_far.say(held_up, busy=bool(self._flights))

    def _pursue(self, held_up: str, *, last: bool) -> Iterable[Future[Any]]:
        """Take staging, jobs and commitment on, as far as the time allows; what is being asked of the target now."""
        if self._committing is not None and held_up in ("", "outside the transfer window"):
            for flight in self._committing.due():
                self._commit(self._committing, flight)
        jobs = self._awaiting
        if jobs is None:
            return ()
        self._waiting = jobs.note if not jobs.idle and not self._again else self._waiting
        for flight in jobs.unread():
            self._verify(flight)
        if held_up == "":
            for flight in jobs.stalled():
                self._flights[jobs.stage(flight)] = flight
        if not self._flights and (last or held_up in ("paused", "cancelled")):
            jobs.batches.close()
        self.journal.record(jobs.batches.sealed())
        if held_up in ("", "outside the transfer window"):
            jobs.begin()
        return jobs.calls

    def _held_up(self, wave: str) -> str:
        if self.journal.sync():  # a person may have paused the wave from another process
            self._paused = self.journal.catalog.paused(wave)
        if self._stop is not None:
            return "stopped"
        if self.cancelled.is_set():
            return "cancelled"
        if self._paused:
            return "paused"
        return "" if self.allowance() > 0 else "outside the transfer window"

    def _room(self) -> int:
        saturated = (self._crowded and self._flights) or (self._awaiting and self._awaiting.batches.saturated)
        # One more study than workers, so that none idles while the coordinator writes; none until others made room.
        return 0 if saturated else self.policy.workers + 1

    def _todo(self, wave: str, *, retry: bool) -> Iterator[StudyWork]:
        for page in pages(self.journal.catalog, wave, attempts=self.policy.attempts, retry=retry):
            self.journal.begin_scopes([work.label for work in page])
            yield from (work for work in page if not self._awaiting or not self._awaiting.batches.took_up(work.label))

    def _next(self, todo: Iterator[StudyWork]) -> StudyWork | None:
        return self._again.due(self.clock()) or next(todo, None)

    def _begin(self, wave: str, work: StudyWork) -> None:
        stored = work.state is MigrationState.STORED
        if stored and self._committing is not None and (asked := self._committing.resume(work)) is not None:
            self._commit(self._committing, asked)
            return
        if stored and (self._awaiting is not None or (self._committing and self._committing.answered(work))):
            # The target has answered for it: that is looked at again, never imported, stored or asked for again.
            self._verify(flight_on_record(self.journal, work))
            return
        study = StudyRef(study_uid=StudyUID(work.study_uid), label=work.label)
        flight = Flight(attempt=Attempt(study=study, wave=wave, number=work.attempt + 1))
        candidates = candidates_of(self.journal.catalog, work.study_uid)
        choices = choices_of(self.journal.catalog, study, candidates)
        self._submit(flight, tasks.fetch_study, study, candidates, choices, self.policy.target, self.policy.required)

    def _submit(self, flight: Flight, task: Callable[..., Any], *arguments: object) -> None:
        self._flights[self._call(task, *arguments)] = flight

    def _call(self, task: Callable[..., Any], *arguments: object) -> Future[Any]:
        self._pool = self._pool or self.executor()
        try:
            return self._pool.submit(task, self.bench, *arguments)
        except BrokenExecutor:
            self._pool = self.executor()
            return self._pool.submit(task, self.bench, *arguments)

    def _land(self, finished: Sequence[Future[Any]]) -> None:
        """Put on record, in one append, what all finished tasks brought; only then take the next steps."""
        events: list[tuple[str, Event]] = []
        next_steps: list[Callable[[], None]] = []
        for future in finished:
            if future not in self._flights and self._awaiting is not None:
                told, complete = self._awaiting.land(future)
                events += told
                for flight, answers in complete:
                    told, step = self._take(flight, after_store(self.journal, self.policy, flight, answers))
                    events += told
                    next_steps.append(step)
                continue
            flight = self._flights.pop(future)
            error = future.exception()
            if error is None:
                self._lost, self._crowded = 0, False
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
                    largest = max((one.entry.size for one in result.objects if one.archive == name), default=0)
                    self.guard.answered(name, seconds=seconds, objects=objects, size=size, largest=largest)
                return after_fetch(self.journal, self.policy, flight, result)
            case "stage" if self._awaiting is not None:
                if result is None:
                    self._awaiting.give_up(flight)
                    return Step(then=Then.END)
                self._awaiting.staged(flight, result)
                return Step(then=Then.AWAIT)
            case "commit" if self._committing is not None:
                return self._committing.landed(flight, result)
            case "store" if self.cancelled.is_set():
                return after_cancelled_store(self.journal, flight, result)
            case "store":
                self._seen_working.add(self.policy.target)
                return after_store(self.journal, self.policy, flight, result)
            case _:
                self._so_far.size += flight.expected.size if flight.expected else 0
                return after_verify(self.journal, self.policy, flight, result)

    def _take(self, flight: Flight, step: Step) -> _Told:
        """The events of a step, and what to do once they are on record."""
        study, target = flight.attempt.study, self.policy.target
        match step.then:
            case Then.RETRY if flight.phase == "verify" and self._awaiting is not None:
                self._awaiting.look_again(flight)
                return list(step.events), lambda: None
            case Then.RETRY:
                self._waiting = f"waiting to try again ({step.code.replace('-', ' ')})"
                told, again = self._retry(flight, step.code, None)
                return [*step.events, *told], again
            case Then.STORE if self._awaiting is not None:
                jobs, placed = self._awaiting, self._awaiting.place(flight)
                return [*step.events, *placed], lambda: self._flights.update({jobs.stage(flight): flight})
            case Then.AWAIT:
                return list(step.events), lambda: self.bench.clear(study.label)
            case Then.STORE if flight.fetched is not None:
                flight.phase = "store"
                instances = [item.fetched for item in flight.fetched.objects]
                return list(step.events), lambda: self._submit(flight, tasks.store_study, study, target, instances)
            case Then.VERIFY if (asks := self._committing) is not None and flight.phase != "commit":
                return [*step.events, asks.intend(flight)], lambda: self._commit(asks, flight)
            case Then.COMMIT if (asks := self._committing) is not None:
                return list(step.events), lambda: self._commit(asks, flight)
            case Then.VERIFY:
                return list(step.events), lambda: self._verify(flight)
            case _:
                return list(step.events), self._done(flight)

    def _verify(self, flight: Flight) -> None:
        flight.phase = "verify"
        study, target = flight.attempt.study, self.policy.target
        self._submit(flight, tasks.read_back, study, target, flight.expected, flight.originals)

    def _commit(self, asks: Committing, flight: Flight) -> None:
        self.bench.clear(flight.attempt.study.label)
        self._submit(flight, commitment, self.policy.target, asks.request(flight), flight.expected)

    def _done(self, flight: Flight) -> Callable[[], None]:
        self._so_far.ended += 1

        def clear() -> None:
            self.bench.clear(flight.attempt.study.label)
            if self.letting_go is not None:
                self.letting_go.of_study(flight.attempt.study.label)

        return clear

    # ------------------------------------------------------------------------------------------------ trouble

    def _trouble(self, flight: Flight, error: BaseException) -> _Told:
        """A task raised: either the archive or this machine is in trouble, or a plug-in has a defect."""
        if flight.phase == "stage" and self._awaiting is not None:
            return self._staging_trouble(self._awaiting, flight, error)
        if isinstance(error, DiskFull) and self._flights:
            self._crowded = True
            return [], self._requeue(flight, self.clock())
        if isinstance(error, StorageError):
            self._stop = error
            return [], self._done(flight)
        if flight.phase == "commit" and self._committing is not None and self._passes(error):
            return self._take(flight, self._committing.trouble(flight, getattr(error, "retry_after", None)))
        if isinstance(error, ArchiveError):
            if self._bears_with(error) and error.asks_to_wait:  # no trouble of the study's: no attempt at it
                return [], self._requeue(flight, self.clock() + dt.timedelta(seconds=error.retry_after or 0.0))
            return ([], self._done(flight)) if self._stop else self._retry(flight, "archive-trouble", error.retry_after)
        if isinstance(error, BrokenExecutor):
            self._waiting = "waiting to try again (a worker was lost)"
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

    def _staging_trouble(self, jobs: Awaiting, flight: Flight, error: BaseException) -> _Told:
        """Staging is tried again with what is in the spool; where it cannot be, its batches are begun anew."""
        if self._passes(error):
            return [], lambda: jobs.stall(flight, getattr(error, "retry_after", None))
        others = jobs.give_up(flight)
        flight.phase = "store"
        told, step = self._trouble(flight, error) if self._stop is None else ([], self._done(flight))

        def again() -> None:
            step()
            for other in others:
                self._requeue(other, self.clock())()

        return told, again

    def _passes(self, error: BaseException) -> bool:
        return isinstance(error, BrokenExecutor) or (isinstance(error, ArchiveError) and self._bears_with(error))

    def _bears_with(self, error: ArchiveError) -> bool:
        """Whether work goes on although an archive fails as a whole; otherwise the wave stops."""
        self._waiting = f"waiting to try again ({error})"
        never_there = isinstance(error, ArchiveUnreachable) and error.archive not in self._seen_working
        lasts = self.guard.failed(error.archive, str(error)) > self.policy.rests and not error.asks_to_wait
        self._stop = error if not error.transient or never_there or lasts else self._stop
        return self._stop is None

    def _retry(self, flight: Flight, code: str, after: float | None) -> _Told:
        """The study failed for now: on record, and again later, each time after twice the wait."""
        attempt = flight.attempt
        pause = self.policy.pause(attempt.number) if after is None else dt.timedelta(seconds=after)
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
                self._again.put(when, work)

        return again


_Told = tuple[list[tuple[str, Event]], Callable[[], None]]
