"""Waiting for a target to take responsibility for what it was given: asked for after the store, before the read-back.

Each request is on record before it is made. Whoever takes up work that was broken off first looks whether the answer
has come meanwhile, then asks again under a new Transaction UID: an answer that nobody listened to is lost.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable

from attrs import define, evolve, field, frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.batching import flight_on_record
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import UNANSWERED, commitment_findings
from vna_lifecycle.engine.steps import Flight, Step, Then
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import CommitmentAnswered, CommitmentIntended, Event
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import CommitsStorage, Done, Pending, Receipt, StoreFailure

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0


@frozen(kw_only=True)
class Request:
    """One request for commitment.

    ``asked``: it was made, so that only its answer is to be looked for; ``resumed``: by an earlier run.
    """

    transaction: str
    turn: int
    until: dt.datetime
    pause: float = _FIRST_PAUSE
    asked: bool = False
    resumed: bool = False


def commitment(bench: Workbench, target: str, request: Request, manifest: Manifest) -> Pending | Done:
    """Make the request, unless it was made, and look for its answer. A task: harmless when repeated.

    Raises:
        ArchiveError: the target did not take it.
    """
    commits = _commits(bench, target)
    if not request.asked:
        commits.ask(request.transaction, manifest)
    return commits.poll(request.transaction, manifest)


@define
class Committing:
    """The requests of one wave that were not answered yet."""

    journal: Journal
    patience: dt.timedelta
    clock: Callable[[], dt.datetime]
    _requests: dict[str, Request] = field(factory=dict, init=False)
    _waiting: list[tuple[dt.datetime, Flight]] = field(factory=list, init=False)

    @property
    def idle(self) -> bool:
        """Whether nothing is waited for."""
        return not self._requests

    def request(self, flight: Flight) -> Request:
        """What is asked for a study now."""
        return self._requests[flight.attempt.study.label]

    def intend(self, flight: Flight) -> tuple[str, Event]:
        """A new request for a study, to be put on record before it is made."""
        flight.phase = "commit"
        label, attempt = flight.attempt.study.label, flight.attempt
        before = self._requests.get(label)
        until = before.until if before is not None else self.clock() + self.patience
        turn = before.turn + 1 if before is not None else 1
        request = self._requests[label] = Request(transaction=f"2.25.{uuid.uuid4().int}", turn=turn, until=until)
        event = CommitmentIntended(
            study=label, wave=attempt.wave, attempt=attempt.number, turn=turn, transaction=request.transaction
        )
        return attempt.key(f"commitment-intended/{turn}"), event

    def resume(self, work: StudyWork) -> Flight | None:
        """A stored study as an earlier run left it, if that had asked and no answer is on record; else None."""
        flight = flight_on_record(self.journal, work)
        turn, last = 1, None
        while (found := self.journal.ledger.find(flight.attempt.key(f"commitment-intended/{turn}"))) is not None:
            last, turn = found.event, turn + 1
        if self._answered(flight) or not isinstance(last, CommitmentIntended):
            return None
        flight.phase = "commit"
        until = self.clock() + self.patience
        self._requests[work.label] = Request(
            transaction=last.transaction, turn=last.turn, until=until, asked=True, resumed=True
        )
        return flight

    def answered(self, work: StudyWork) -> bool:
        """Whether the answer for a stored study is on record, so that only its read-back is lacking."""
        return self._answered(flight_on_record(self.journal, work))

    def _answered(self, flight: Flight) -> bool:
        return self.journal.ledger.find(flight.attempt.key("commitment-answered")) is not None

    def landed(self, flight: Flight, result: Pending | Done) -> Step:
        """What a look for the answer brought."""
        request = self.request(flight)
        if isinstance(result, Done):
            return self._ended(flight, request, result.results)
        if request.resumed:
            return Step(events=(self.intend(flight),), then=Then.COMMIT)
        if self.clock() >= request.until:
            return self._ended(flight, request, _unanswered(flight))
        longer = min(request.pause * 2, _LONGEST_PAUSE)
        self._requests[flight.attempt.study.label] = evolve(request, asked=True, pause=longer)
        self._wait(flight, min(request.pause, result.poll_after))
        return Step(then=Then.AWAIT)

    def trouble(self, flight: Flight, after: float | None) -> Step:
        """The target did not take the request, or it is not known whether it did: another one, later."""
        request = self.request(flight)
        if self.clock() >= request.until:
            return self._ended(flight, request, _unanswered(flight))
        event = self.intend(flight)
        self._wait(flight, min(2.0**request.turn if after is None else after, _LONGEST_PAUSE))
        return Step(events=(event,), then=Then.AWAIT)

    def due(self) -> list[Flight]:
        """Studies whose answer is to be looked for now, or that are to be asked for again."""
        now = self.clock()
        due = [flight for when, flight in self._waiting if when <= now]
        self._waiting = [(when, flight) for when, flight in self._waiting if when > now]
        return due

    def _wait(self, flight: Flight, seconds: float) -> None:
        self._waiting.append((self.clock() + dt.timedelta(seconds=seconds), flight))

    def _ended(self, flight: Flight, request: Request, answers: tuple[Receipt | StoreFailure, ...]) -> Step:
        attempt = flight.attempt
        del self._requests[attempt.study.label]
        failures = [answer for answer in answers if isinstance(answer, StoreFailure)]
        unanswered = sum(failure.code == UNANSWERED for failure in failures)
        event = CommitmentAnswered(
            study=attempt.study.label,
            wave=attempt.wave,
            attempt=attempt.number,
            transaction=request.transaction,
            committed=len(answers) - len(failures),
            refused=len(failures) - unanswered,
            unanswered=unanswered,
        )
        found = [
            self.journal.finding(finding, wave=attempt.wave) for finding in commitment_findings(attempt.study, answers)
        ]
        return Step(events=((attempt.key("commitment-answered"), event), *found), then=Then.VERIFY)


def committing(journal: Journal, bench: Workbench, target: str, clock: Callable[[], dt.datetime]) -> Committing | None:
    """What it takes to ask a target for commitment; None where it is not asked."""
    commits = bench.archive(target).commits
    return None if commits is None else Committing(journal, dt.timedelta(seconds=commits.patience), clock)


def _unanswered(flight: Flight) -> tuple[StoreFailure, ...]:
    message = "it did not answer in time whether it takes responsibility"
    entries = flight.expected.entries if flight.expected is not None else ()
    return tuple(
        StoreFailure(sop_instance_uid=entry.sop_instance_uid, code=UNANSWERED, message=message) for entry in entries
    )


def _commits(bench: Workbench, target: str) -> CommitsStorage:
    commits = bench.archive(target).commits
    if commits is None:
        raise StateError(f"{target} is not asked for storage commitment")
    return commits
