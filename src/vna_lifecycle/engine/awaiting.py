"""Waiting for a target that imports by jobs: batches are submitted and asked for while other studies are fetched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from attrs import define, field

from vna_lifecycle.engine import importing
from vna_lifecycle.engine.batching import Answer, Batches, Job
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.steps import Flight
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.event import Event
from vna_lifecycle.ports import Batch, Done, Fetched, JobToken, Pending, StoreFailure

ANSWERS = "waiting for the target's import jobs"
LONGEST_PAUSE = dt.timedelta(minutes=15)


@define
class Awaiting:
    """What is staged, submitted and awaited of one wave. ``call`` gives a task to a worker.

    ``note`` says what is waited for: answers, or, while the target does not give any, what it says instead.
    ``trouble`` is told when the target fails as a whole while its jobs are asked for, and says whether to go on.
    """

    batches: Batches
    target: str
    clock: Callable[[], dt.datetime]
    call: Callable[..., Future[Any]]
    trouble: Callable[[ArchiveError], bool]
    calls: dict[Future[Any], Job] = field(factory=dict, init=False)
    note: str = field(default=ANSWERS, init=False)
    _stalled: list[tuple[dt.datetime, Flight]] = field(factory=list, init=False)
    _unread: list[tuple[dt.datetime, Flight]] = field(factory=list, init=False)
    _placed: dict[str, list[tuple[Batch, list[Fetched]]]] = field(factory=dict, init=False)
    _tries: dict[str, int] = field(factory=dict, init=False)

    @property
    def idle(self) -> bool:
        """Whether nothing is staged or awaited."""
        return self.batches.idle and not (self.calls or self._stalled or self._unread)

    # ------------------------------------------------------------------------------------------------ staging

    def place(self, flight: Flight) -> list[tuple[str, Event]]:
        """Find batches for a fetched study; then `stage` it."""
        flight.phase = "stage"
        events, self._placed[flight.attempt.study.label] = self.batches.place(flight)
        return events

    def stage(self, flight: Flight) -> Future[Any]:
        """Put the study where its jobs will find it."""
        study = flight.attempt.study
        return self.call(importing.stage_study, study, self.target, self._placed[study.label])

    def staged(self, flight: Flight, refused: Sequence[StoreFailure]) -> None:
        """All of it lies there, except what the target did not take."""
        flight.phase = "await"
        flight.fetched = None
        self._placed.pop(flight.attempt.study.label, None)
        self._tries.pop(flight.attempt.study.label, None)
        self.batches.staged(flight, refused)

    def stall(self, flight: Flight, after: float | None) -> None:
        """Staging was cut off by what may pass: the same again later, into the same batches."""
        label = flight.attempt.study.label
        tries = self._tries[label] = self._tries.get(label, 0) + 1
        self._stalled.append((self.clock() + _pause(tries, after), flight))

    def give_up(self, flight: Flight) -> list[Flight]:
        """Staging failed for good, or was broken off: its batches are never submitted. The others in them."""
        self._placed.pop(flight.attempt.study.label, None)
        return self.batches.abandon(flight)

    def stalled(self) -> list[Flight]:
        """Studies whose staging is to be tried again now."""
        due, self._stalled = self._due(self._stalled)
        return due

    def look_again(self, flight: Flight) -> None:
        """What a job imported cannot be read yet: another look later, each time after twice the wait."""
        self._unread.append((self.clock() + _pause(flight.looks, None), flight))

    def unread(self) -> list[Flight]:
        """Studies to be read back again now."""
        due, self._unread = self._due(self._unread)
        return due

    def _due(self, waiting: list[tuple[dt.datetime, Flight]]) -> tuple[list[Flight], list[tuple[dt.datetime, Flight]]]:
        now = self.clock()
        later = [(when, flight) for when, flight in waiting if when > now]
        return [flight for when, flight in waiting if when <= now], later

    # ------------------------------------------------------------------------------------------------ jobs

    def begin(self) -> None:
        """Submit what may be submitted, and ask for what may have an answer."""
        now = self.clock()
        for job in [*self.batches.to_submit(now)]:
            self._call(job, importing.submit_batch, job.batch)
        for job in [*self.batches.to_poll(now)]:
            self._call(job, importing.poll_batch, job.token)

    def _call(self, job: Job, task: Callable[..., Any], what: object) -> None:
        job.busy = True
        self.calls[self.call(task, self.target, what)] = job

    def land(self, future: Future[Any]) -> tuple[list[tuple[str, Event]], list[tuple[Flight, list[Answer]]]]:
        """What a call brought: events, and studies of which all batches have answered, with their answers."""
        job = self.calls.pop(future)
        job.busy = False
        error = future.exception()
        self.note = f"waiting to try again ({error})" if isinstance(error, ArchiveError) else ANSWERS
        match error, None if error else future.result():
            case None, JobToken() as token:
                return [self.batches.submitted(job, token, self.clock())], []
            case None, Pending() as pending:
                job.tries, job.due = 0, self.clock() + dt.timedelta(seconds=pending.poll_after)
            case None, Done() as done:
                event, complete = self.batches.ended(job, done.results)
                return [event], complete
            case BrokenExecutor(), _:
                job.due = self.clock() + _pause(1, None)
            case ArchiveError() as failure, _ if self.trouble(failure):
                job.tries += 1
                job.due = self.clock() + _pause(job.tries, failure.retry_after)
            case BaseException() as failure, _ if not isinstance(failure, ArchiveError):
                raise failure
        return [], []


def awaiting(
    journal: Journal,
    bench: Workbench,
    wave: str,
    target: str,
    clock: Callable[[], dt.datetime],
    call: Callable[..., Future[Any]],
    trouble: Callable[[ArchiveError], bool],
) -> Awaiting | None:
    """What it takes to wait for a target's jobs, those of an earlier run included; None if it stores at once."""
    archive = bench.archive(target)
    if archive.imports is None or archive.stores is not None:
        return None
    batches = Batches(journal, wave, archive.imports.limits)
    batches.resume()
    return Awaiting(batches, target, clock, call, trouble)


def _pause(tries: int, after: float | None) -> dt.timedelta:
    return min(dt.timedelta(seconds=2.0**tries if after is None else after), LONGEST_PAUSE)
