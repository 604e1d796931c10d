"""Moving a wave: fetch, store, read back, reconcile, study by study, with every step on record before the next one.

One coordinator appends; workers do the work. A crash at any instruction loses nothing: a study that had not reached an
end is fetched again, and storing it again is harmless, since no target is ever overwritten.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import Any, Protocol

from attrs import define, field, frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine import tasks
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import (
    Attempt,
    StoreSummary,
    failed,
    fetch_findings,
    incomplete,
    store_findings,
    summarize,
    verdict,
    verify_findings,
)
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.engine.reconcile import ReadBack, reconcile
from vna_lifecycle.engine.sources import candidates_of, choices_of
from vna_lifecycle.engine.tasks import FetchedStudy, Workbench
from vna_lifecycle.errors import ArchiveError, DiskFull, StorageError, VnaLifecycleError
from vna_lifecycle.model.event import (
    Event,
    StoreIntended,
    StudyFetched,
    StudyStored,
    TargetSurveyed,
    TransferEnded,
    TransferStarted,
)
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest, Rung
from vna_lifecycle.model.lifecycle import MigrationState

UNFINISHED = (MigrationState.PLANNED, MigrationState.FETCHED, MigrationState.STORING, MigrationState.STORED)
UNSUCCESSFUL = (MigrationState.FAILED, MigrationState.INCOMPLETE)
POLL_SECONDS = 0.5
LONGEST_WAIT = dt.timedelta(minutes=15)


@frozen(kw_only=True)
class TransferPolicy:
    """How a wave is moved.

    ``required`` is the rung that every instance must reach, ``attempts`` how often a study is tried while its failures
    are transient, ``workers`` how many tasks run at a time. An archive that still fails after ``rests`` rests stops
    the wave.
    """

    target: str
    required: Rung = Rung.HASHED
    attempts: int = 3
    workers: int = 2
    first_wait: dt.timedelta = dt.timedelta(seconds=2)
    rests: int = 4


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
    """How work on a wave ended. ``outcome``: complete, incomplete, paused, cancelled or stopped."""

    wave: str
    outcome: str
    studies: int
    transferred: int
    incomplete: int
    failed: int
    remaining: int
    size: int
    seconds: float

    def __str__(self) -> str:
        rate = f" at {self.size / self.seconds / 1e6:.1f} MB/s" if self.seconds and self.size else ""
        trouble = "".join(
            f", {count} {word}"
            for count, word in ((self.incomplete, "incomplete"), (self.failed, "failed"), (self.remaining, "to do"))
            if count
        )
        return f"{self.wave}: {self.transferred} of {self.studies} studies transferred{trouble} ({self.outcome}){rate}"


@define
class _Flight:
    """A study in the air: what is known of this attempt so far."""

    attempt: Attempt
    phase: str = "fetch"
    fetched: FetchedStudy | None = None
    expected: Manifest | None = None
    stored: StoreSummary | None = None


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
    _flights: dict[Future[Any], _Flight] = field(factory=dict, init=False)
    _again: deque[tuple[dt.datetime, StudyWork]] = field(factory=deque, init=False)
    _stop: VnaLifecycleError | None = field(default=None, init=False)
    _moved: int = field(default=0, init=False)
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
            remaining=status.remaining,
            size=self._moved,
            seconds=self.seconds() - begun,
        )

    # ------------------------------------------------------------------------------------------------ the loop

    def _loop(self, wave: str, todo: Iterator[StudyWork], begun: float) -> str:
        total = self.journal.catalog.wave_status(wave).studies
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
                self._tell(wave, total, begun, held_up or "waiting to try again")
                self.sleep(POLL_SECONDS)
                continue
            finished, _ = wait(self._flights, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._land(list(finished))
            if finished:
                self._tell(wave, total, begun, held_up)

    def _held_up(self, wave: str) -> str:
        self.journal.sync()  # a person may have paused the wave from another process
        if self._stop is not None:
            return "stopped"
        if self.bench.cancelled.is_set():
            return "cancelled"
        if self.journal.catalog.paused(wave):
            return "paused"
        return "" if self.allowance() > 0 else "outside the transfer window"

    def _room(self) -> int:
        # One more study than workers, so that none idles while the coordinator writes.
        return self.policy.workers + 1

    def _todo(self, wave: str, *, retry: bool) -> Iterator[StudyWork]:
        states = (*UNFINISHED, *UNSUCCESSFUL) if retry else (*UNFINISHED, MigrationState.FAILED)
        after = ""
        while page := self.journal.catalog.work(wave, states, after=after, limit=500):
            after = page[-1].label
            for work in page:
                worn_out = work.state is MigrationState.FAILED and not (
                    work.transient and work.attempt < self.policy.attempts
                )
                if retry or not worn_out:
                    yield work

    def _next(self, todo: Iterator[StudyWork]) -> StudyWork | None:
        if self._again and self._again[0][0] <= self.clock():
            return self._again.popleft()[1]
        return next(todo, None)

    def _begin(self, wave: str, work: StudyWork) -> None:
        study = StudyRef(study_uid=StudyUID(work.study_uid), label=work.label)
        flight = _Flight(attempt=Attempt(study=study, wave=wave, number=work.attempt + 1))
        candidates = candidates_of(self.journal.catalog, work.study_uid)
        choices = choices_of(self.journal.catalog, study, candidates)
        self._submit(flight, tasks.fetch_study, study, candidates, choices, self.policy.target)

    def _submit(self, flight: _Flight, task: Callable[..., Any], *arguments: object) -> None:
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
                told, step = self._STEPS[flight.phase](self, flight, future.result())
            else:
                told, step = self._trouble(flight, error)
            events += told
            next_steps.append(step)
        self.journal.record(events)
        for step in next_steps:
            step()

    # ------------------------------------------------------------------------------------------------ steps

    def _after_fetch(self, flight: _Flight, fetched: FetchedStudy) -> _Told:
        if fetched.cancelled:
            return [], self._done(flight)
        attempt, study, journal = flight.attempt, flight.attempt.study, self.journal
        flight.fetched = fetched
        for name, seconds, objects, size in fetched.answered:
            self.guard.answered(name, seconds=seconds, objects=objects, size=size)
        transient = [failure for failure in fetched.failures if failure.transient]
        if transient and attempt.number < self.policy.attempts:
            return self._retry(flight, transient[0].code, None)
        manifest = fetched.manifest(study)
        address = journal.keep_manifest(study.label, manifest)
        events: list[tuple[str, Event]] = [
            (
                attempt.key("fetched"),
                StudyFetched(
                    study=study.label,
                    wave=attempt.wave,
                    attempt=attempt.number,
                    instances=len(manifest.entries),
                    size=manifest.size,
                    held=len(fetched.held),
                    failed=len(fetched.failures),
                    manifest_ref=address,
                ),
            )
        ]
        events += [journal.finding(finding, wave=attempt.wave) for finding in fetch_findings(study, fetched)]
        if not manifest.entries:
            events.append((attempt.key("incomplete"), incomplete(attempt, fetched, None, None)))
            return events, self._done(flight)
        if journal.ledger.find(f"survey/{study.label}") is None:
            present = fetched.present_before
            reference = journal.vault.put(study.label, json.dumps(sorted(present)).encode())
            survey = TargetSurveyed(study=study.label, wave=attempt.wave, present=len(present), present_ref=reference)
            events.append((f"survey/{study.label}", survey))
        flight.expected = manifest
        intent = StoreIntended(
            study=study.label,
            wave=attempt.wave,
            attempt=attempt.number,
            token=f"{study.label}/{manifest.sha256[:16]}",
            expected_ref=address,
        )
        events.append((attempt.key("store-intended"), intent))
        flight.phase = "store"
        instances = [item.fetched for item in fetched.objects]
        return events, lambda: self._submit(flight, tasks.store_study, study, self.policy.target, instances)

    def _after_store(self, flight: _Flight, answers: Sequence[Any]) -> _Told:
        attempt, study = flight.attempt, flight.attempt.study
        if self.bench.cancelled.is_set():
            return [], self._done(flight)
        summary = summarize(answers)
        transient = [failure for failure in summary.failures if failure.transient]
        if transient and attempt.number < self.policy.attempts:
            return self._retry(flight, transient[0].code, None)
        flight.stored = summary
        event = StudyStored(
            study=study.label,
            wave=attempt.wave,
            attempt=attempt.number,
            stored=summary.stored,
            already_present=summary.already_present,
            refused=len(summary.failures),
            warnings=len(summary.warned),
        )
        events: list[tuple[str, Event]] = [(attempt.key("stored"), event)]
        events += [self.journal.finding(finding, wave=attempt.wave) for finding in store_findings(study, summary)]
        flight.phase = "verify"
        expected = flight.expected
        return events, lambda: self._submit(flight, tasks.read_back, study, self.policy.target, expected)

    def _after_verify(self, flight: _Flight, seen: ReadBack) -> _Told:
        attempt, study = flight.attempt, flight.attempt.study
        fetched, expected, summary = flight.fetched, flight.expected, flight.stored
        if seen.cancelled or fetched is None or expected is None or summary is None:
            return [], self._done(flight)
        result = reconcile(expected, seen, required=self.policy.required)
        if result.indeterminate and attempt.number < self.policy.attempts:
            return self._retry(flight, "not-readable-yet", None)
        address = self.journal.keep_manifest(study.label, seen.manifest)
        events: list[tuple[str, Event]] = [
            self.journal.finding(finding, wave=attempt.wave) for finding in verify_findings(study, result)
        ]
        events.append(verdict(attempt, fetched, summary, result, address, expected.size))
        self._moved += expected.size
        return events, self._done(flight)

    _STEPS = {"fetch": _after_fetch, "store": _after_store, "verify": _after_verify}  # noqa: RUF012  # a constant

    def _done(self, flight: _Flight) -> Callable[[], None]:
        def clear() -> None:
            self.bench.clear(flight.attempt.study.label)

        return clear

    # ------------------------------------------------------------------------------------------------ trouble

    def _trouble(self, flight: _Flight, error: BaseException) -> _Told:
        """A task raised: either the archive or this machine is in trouble, or a plug-in has a defect."""
        if isinstance(error, DiskFull) and self._flights:
            return [], self._requeue(flight, self.clock())  # room comes back when the others have landed
        if isinstance(error, StorageError) or (isinstance(error, ArchiveError) and not error.transient):
            self._stop = error
            return [], self._done(flight)
        if isinstance(error, ArchiveError):
            if self.guard.failed(error.archive, str(error)) > self.policy.rests:
                self._stop = error
                return [], self._done(flight)
            return self._retry(flight, "archive-trouble", error.retry_after)
        if isinstance(error, BrokenExecutor):
            self._pool = None
            return self._retry(flight, "worker-lost", None)
        if not isinstance(error, Exception):
            raise error
        told = failed(flight.attempt, flight.phase, type(error).__name__, transient=False, retry_at="")
        return [told], self._done(flight)

    def _retry(self, flight: _Flight, code: str, after: float | None) -> _Told:
        """The study failed for now: on record, and again later, each time after twice the wait."""
        attempt = flight.attempt
        pause = self.policy.first_wait * 2 ** (attempt.number - 1) if after is None else dt.timedelta(seconds=after)
        when = self.clock() + min(pause, LONGEST_WAIT)
        final = attempt.number >= self.policy.attempts
        retry_at = "" if final else when.astimezone(dt.UTC).isoformat(timespec="seconds")
        event = failed(attempt, flight.phase, code, transient=True, retry_at=retry_at)
        return [event], self._done(flight) if final else self._requeue(flight, when)

    def _requeue(self, flight: _Flight, when: dt.datetime) -> Callable[[], None]:
        def again() -> None:
            self.bench.clear(flight.attempt.study.label)
            work = self.journal.catalog.work_on(flight.attempt.study.label)
            self._again.append((when, work))
            self._again = deque(sorted(self._again, key=lambda item: item[0]))

        return again

    def _tell(self, wave: str, total: int, begun: float, note: str) -> None:
        status = self.journal.catalog.wave_status(wave)
        self.tell(
            Progress(
                activity="transfer",
                subject=wave,
                done=status.studies - status.remaining,
                total=total,
                unit="studies",
                size=self._moved,
                seconds=self.seconds() - begun,
                note=note,
            )
        )


_Told = tuple[list[tuple[str, Event]], Callable[[], None]]
