"""Batches for a target that imports by jobs: what is staged together, submitted once, and answered for as one.

A batch is on record as open before anything is staged under it, and as closed before its job is submitted. So a batch
that was cut off while it was staged is never submitted, and one that is closed is one job, whoever takes the work up.
Of a study's instances it holds a range, in the order of the expected manifest, so that no identifier is kept for it.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import Attempt, Lacking
from vna_lifecycle.engine.steps import Flight
from vna_lifecycle.model.event import (
    BatchClosed,
    BatchEnded,
    BatchOpened,
    Event,
    JobSubmitted,
    StudyFetched,
    StudyStored,
)
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.policy.packing import BatchLimits, pack
from vna_lifecycle.ports import Batch, Fetched, JobToken, Outcome, Receipt, StoreFailure

Answer = Receipt | StoreFailure


@define(eq=False)
class Parcel:
    """A study on its way through one or more batches: which of them have not answered, and what the others said."""

    flight: Flight
    waiting: set[str] = field(factory=set)
    answers: list[Answer] = field(factory=list)


@frozen(kw_only=True)
class Share:
    """The instances of a study, from ``start`` up to ``stop`` in the expected manifest, that a batch holds."""

    parcel: Parcel
    start: int
    stop: int
    refused: dict[int, StoreFailure] = field(factory=dict)


@define(eq=False)
class Job:
    """A batch and how far it is. ``due`` is when to ask for its answer; ``busy`` while somebody asks."""

    batch: Batch
    shares: list[Share] = field(factory=list)
    owed: set[str] = field(factory=set)
    size: int = 0
    token: JobToken | None = None
    due: dt.datetime | None = None
    busy: bool = False
    tries: int = 0

    @property
    def instances(self) -> int:
        """How many instances it holds."""
        return sum(share.stop - share.start for share in self.shares)


@define
class Batches:
    """The batches of one wave's transfer: at most one open, some closed, some whose jobs are under way."""

    journal: Journal
    wave: str
    limits: BatchLimits
    _open: Job | None = field(default=None, init=False)
    _closed: deque[Job] = field(factory=deque, init=False)
    _under_way: list[Job] = field(factory=list, init=False)
    _parcels: dict[str, Parcel] = field(factory=dict, init=False)
    _taken_up: frozenset[str] = field(default=frozenset(), init=False)

    @property
    def idle(self) -> bool:
        """Whether nothing is staged, and no answer is awaited."""
        return not (self._open or self._closed or self._under_way)

    @property
    def saturated(self) -> bool:
        """Whether enough is staged already for the jobs that may be under way."""
        return len(self._closed) > 1

    def took_up(self, label: str) -> bool:
        """Whether a study was in a batch of an earlier run: its answer decides, also once it has come."""
        return label in self._taken_up

    # ------------------------------------------------------------------------------------------------ staging

    def place(self, flight: Flight) -> tuple[list[tuple[str, Event]], list[tuple[Batch, list[Fetched]]]]:
        """Find a batch for a fetched study (several for one that none could hold): events, and what goes where."""
        if flight.fetched is None or flight.expected is None:
            raise ValueError("a study that was not fetched has no instances to stage")
        label, sizes = flight.attempt.study.label, [entry.size for entry in flight.expected.entries]
        instances = [item.fetched for item in flight.fetched.objects]
        parcel = self._parcels[label] = Parcel(flight)
        events: list[tuple[str, Event]] = []
        placed: list[tuple[Batch, list[Fetched]]] = []
        pieces = [piece for (piece,) in pack([(label, sizes)], self.limits)]
        for piece in pieces:
            size = sum(sizes[piece.start : piece.stop])
            if len(pieces) > 1 or not self._has_room(piece.stop - piece.start, size):
                self.close()
            job = self._open
            if job is None:
                job = self._open = Job(Batch(key=f"{secrets.token_hex(8)}", wave=self.wave))
                events.append((f"batch/{job.batch.key}/opened", BatchOpened(wave=self.wave, batch=job.batch.key)))
            job.shares.append(Share(parcel=parcel, start=piece.start, stop=piece.stop))
            job.owed.add(label)
            job.size += size
            parcel.waiting.add(job.batch.key)
            placed.append((job.batch, instances[piece.start : piece.stop]))
        if len(pieces) > 1:
            self.close()  # so that all of its batches get on record as closed together, or none
        return events, placed

    def _has_room(self, instances: int, size: int) -> bool:
        job, limits = self._open, self.limits
        return job is None or not (
            (limits.instances is not None and job.instances + instances > limits.instances)
            or (limits.size is not None and job.size + size > limits.size)
        )

    def staged(self, flight: Flight, refused: Iterable[StoreFailure]) -> None:
        """All of a study is staged, except what the target did not take."""
        label = flight.attempt.study.label
        answers = {failure.sop_instance_uid: failure for failure in refused}
        entries = flight.expected.entries if flight.expected else ()
        for job in self._staging():
            job.owed.discard(label)
            for share in job.shares:
                if share.parcel.flight is flight:
                    for index in range(share.start, share.stop):
                        if (failure := answers.get(entries[index].sop_instance_uid)) is not None:
                            share.refused[index] = failure

    def _staging(self) -> Iterator[Job]:
        if self._open is not None:
            yield self._open
        yield from self._closed

    def close(self) -> None:
        """Nothing more goes into the open batch. It is on record as closed once all of it is staged: see `sealed`."""
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None

    def sealed(self) -> list[tuple[str, Event]]:
        """The events of closed batches of which everything is staged by now. The same batch gives the same event."""
        return [self._seal(job) for job in self._closed if not job.owed and job.due is None]

    def _seal(self, job: Job) -> tuple[str, Event]:
        members = [
            {
                "study": share.parcel.flight.attempt.study.label,
                "attempt": share.parcel.flight.attempt.number,
                "start": share.start,
                "stop": share.stop,
                "refused": [[index, failure.code] for index, failure in sorted(share.refused.items())],
                "batches": sorted(share.parcel.waiting),
            }
            for share in job.shares
        ]
        key = job.batch.key
        event = BatchClosed(
            wave=self.wave,
            batch=key,
            studies=len({member["study"] for member in members}),
            instances=job.instances,
            size=job.size,
            members_ref=self.journal.keep_facts(members),
        )
        job.due = dt.datetime.min.replace(tzinfo=dt.UTC)  # it may be submitted
        return f"batch/{key}/closed", event

    def abandon(self, flight: Flight) -> list[Flight]:
        """A study's staging failed for good: its batches are never submitted. The other studies of these."""
        others: list[Flight] = []
        for job in [job for job in self._staging() if any(share.parcel.flight is flight for share in job.shares)]:
            others += [share.parcel.flight for share in job.shares if share.parcel.flight is not flight]
            if job is self._open:
                self._open = None
            else:
                self._closed.remove(job)
        for each in (flight, *others):
            self._parcels.pop(each.attempt.study.label, None)
        return list({each.attempt.study.label: each for each in others}.values())

    # ------------------------------------------------------------------------------------------------ jobs

    def to_submit(self, now: dt.datetime) -> Iterator[Job]:
        """Closed batches whose jobs may begin now."""
        free = None if self.limits.at_once is None else self.limits.at_once - len(self._under_way)
        for job in self._closed:
            if free is not None and free <= 0:
                return
            if not job.busy and not job.owed and job.due is not None and job.due <= now:
                free = None if free is None else free - 1
                yield job

    def to_poll(self, now: dt.datetime) -> Iterator[Job]:
        """Jobs under way that are to be asked now."""
        return (job for job in self._under_way if not job.busy and job.due is not None and job.due <= now)

    def submitted(self, job: Job, token: JobToken, now: dt.datetime) -> tuple[str, Event]:
        """The target took the job."""
        job.token, job.due, job.tries = token, now, 0
        self._closed.remove(job)
        self._under_way.append(job)
        key = job.batch.key
        return f"batch/{key}/submitted", JobSubmitted(wave=self.wave, batch=key, job=token.job)

    def ended(self, job: Job, results: Sequence[Answer]) -> tuple[tuple[str, Event], list[tuple[Flight, list[Answer]]]]:
        """The job's answer: its event, and the studies of which now every batch has answered, with their answers."""
        said = {answer.sop_instance_uid: answer for answer in results}
        told: list[list[list[object]]] = []
        complete: list[tuple[Flight, list[Answer]]] = []
        flat: list[Answer] = []
        for share in job.shares:
            parcel, entries = share.parcel, share.parcel.flight.expected
            answers = [
                share.refused.get(index) or said.get(entry.sop_instance_uid) or _unaccounted(entry.sop_instance_uid)
                for index, entry in enumerate(entries.entries if entries else ())
                if share.start <= index < share.stop
            ]
            told.append([_plain(share.start + at, answer) for at, answer in enumerate(answers)])
            flat += answers
            parcel.answers += answers
            parcel.waiting.discard(job.batch.key)
            if not parcel.waiting and self._parcels.pop(parcel.flight.attempt.study.label, None) is not None:
                complete.append((parcel.flight, parcel.answers))
        self._under_way.remove(job)
        failures = [answer for answer in flat if isinstance(answer, StoreFailure)]
        receipts = [answer for answer in flat if isinstance(answer, Receipt)]
        unaccounted = sum(failure.code == "unaccounted" for failure in failures)
        event = BatchEnded(
            wave=self.wave,
            batch=job.batch.key,
            stored=sum(receipt.outcome is Outcome.STORED for receipt in receipts),
            already_present=sum(receipt.outcome is Outcome.ALREADY_PRESENT for receipt in receipts),
            refused=len(failures) - unaccounted,
            unaccounted=unaccounted,
            warnings=sum(bool(receipt.warnings) for receipt in receipts),
            results_ref=self.journal.keep_facts(told),
        )
        return (f"batch/{job.batch.key}/ended", event), complete

    # ------------------------------------------------------------------------------------------------ after a crash

    def resume(self) -> None:
        """Take up batches that are closed on record and have no answer there: each is the same job as before."""
        for line in self.journal.catalog.batches(self.wave, unresolved=True):
            job = Job(Batch(key=line.batch, wave=self.wave), due=dt.datetime.min.replace(tzinfo=dt.UTC))
            for member in self.journal.facts(line.members_ref):
                parcel = self._parcel(member, job.batch.key)
                if parcel is not None:
                    refused = {index: _refused(parcel.flight, index, code) for index, code in member["refused"]}
                    job.shares.append(Share(parcel=parcel, start=member["start"], stop=member["stop"], refused=refused))
            self._closed.append(job)
        self._taken_up = frozenset(self._parcels)

    def _parcel(self, member: dict[str, Any], key: str) -> Parcel | None:
        """The study of a batch's member, if it still waits in this attempt."""
        label, number = member["study"], member["attempt"]
        if (known := self._parcels.get(label)) is not None:
            return known if known.flight.attempt.number == number else None
        work = self.journal.catalog.work_on(label)
        if work is None or work.state is not MigrationState.STORING or work.attempt != number:
            return None
        flight = flight_on_record(self.journal, work)
        parcel = self._parcels[label] = Parcel(flight)
        for batch in member["batches"]:
            ended = self.journal.ledger.find(f"batch/{batch}/ended")
            if ended is not None and isinstance(ended.event, BatchEnded):
                parcel.answers += self._answers(flight, batch, ended.event)
            else:
                parcel.waiting.add(batch)
        return parcel

    def _answers(self, flight: Flight, batch: str, ended: BatchEnded) -> Iterator[Answer]:
        closed = self.journal.ledger.find(f"batch/{batch}/closed")
        if closed is None or not isinstance(closed.event, BatchClosed):
            return
        members = self.journal.facts(closed.event.members_ref)
        for member, answers in zip(members, self.journal.facts(ended.results_ref), strict=True):
            if (member["study"], member["attempt"]) == (flight.attempt.study.label, flight.attempt.number):
                yield from (_answer(flight, *answer) for answer in answers)


def flight_on_record(journal: Journal, work: StudyWork) -> Flight:
    """A study whose store was intended, as its last attempt left it: nothing of it need be fetched again."""
    study = StudyRef(study_uid=StudyUID(work.study_uid), label=work.label)
    attempt = Attempt(study=study, wave=work.wave, number=work.attempt)
    lacking = Lacking()
    for step in ("fetched", "stored"):
        match recorded.event if (recorded := journal.ledger.find(attempt.key(step))) else None:
            case StudyFetched() as event:
                lacking = evolve(lacking, held=event.held, failed=event.failed)
            case StudyStored() as event:
                lacking = evolve(lacking, refused=event.refused)
            case _:
                pass
    expected = journal.manifest(work.expected_ref)
    return Flight(attempt=attempt, phase="await", lacking=lacking, expected=expected, expected_ref=work.expected_ref)


def _uid(flight: Flight, index: int) -> Any:
    if flight.expected is None:
        raise ValueError("a study in a batch has an expected manifest")
    return flight.expected.entries[index].sop_instance_uid


def _refused(flight: Flight, index: int, code: str) -> StoreFailure:
    return StoreFailure(sop_instance_uid=_uid(flight, index), code=code, message="refused when it was staged")


def _unaccounted(uid: Any) -> StoreFailure:
    message = "the job ended without a word about it"
    return StoreFailure(sop_instance_uid=uid, code="unaccounted", message=message)


def _plain(index: int, answer: Answer) -> list[object]:
    if isinstance(answer, Receipt):
        return [index, answer.outcome.value, list(answer.warnings)]
    return [index, answer.code, []]


def _answer(flight: Flight, index: int, word: str, warnings: Sequence[str]) -> Answer:
    if word in {outcome.value for outcome in Outcome}:
        return Receipt(sop_instance_uid=_uid(flight, index), outcome=Outcome(word), warnings=tuple(warnings))
    return StoreFailure(sop_instance_uid=_uid(flight, index), code=word, message="the job did not take it")
