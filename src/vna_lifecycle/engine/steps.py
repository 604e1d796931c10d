"""What follows each phase of a study's way: what goes on record, and what comes next."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from attrs import define, evolve, frozen

from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import (
    Attempt,
    Lacking,
    StoreSummary,
    fetch_findings,
    incomplete,
    repeats,
    store_findings,
    summarize,
    verdict,
    verify_findings,
)
from vna_lifecycle.engine.pending import BEING_STAGED, attempts_allowed
from vna_lifecycle.engine.reconcile import ReadBack, reconcile
from vna_lifecycle.engine.tasks import FetchedStudy
from vna_lifecycle.model.event import Event, StoreIntended, StudyFetched, StudyStored, TargetSurveyed
from vna_lifecycle.model.finding import LASTING
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.model.inventory import Manifest, Rung
from vna_lifecycle.ports import Receipt, StoreFailure

_DOUBLED: Final = 16
"""How often a wait is doubled at most: some studies are tried for days."""


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

    def pause(self, attempt: int) -> dt.timedelta:
        """How long to wait after that attempt: each time twice as long."""
        return self.first_wait * (1 << min(attempt - 1, _DOUBLED))


class Guard(Protocol):
    """Watches the archives: one that fails as a whole, or slows down, is given a rest."""

    def admit(self) -> str:
        """``""`` when new work may begin, otherwise why not."""
        ...

    def answered(self, archive: str, *, seconds: float, objects: int, size: int, largest: int = 0) -> None:
        """An archive did what was asked; the largest of the objects had so many bytes."""
        ...

    def failed(self, archive: str, reason: str) -> int:
        """An archive failed as a whole; how many rests it was given since it last worked."""
        ...


@define
class Flight:
    """A study in the air: what is known of this attempt so far."""

    attempt: Attempt
    phase: str = "fetch"
    fetched: FetchedStudy | None = None
    lacking: Lacking = Lacking()
    expected: Manifest | None = None
    expected_ref: str = ""
    looks: int = 0

    @property
    def originals(self) -> dict[SOPInstanceUID, Path]:
        """Where the files that are stored were fetched to, as far as this run fetched them."""
        objects = self.fetched.objects if self.fetched is not None else ()
        return {item.entry.sop_instance_uid: item.fetched.path for item in objects}


class Then(enum.Enum):
    """What comes next for a study: its next phase, an answer to ask or wait for, another attempt later, or nothing."""

    STORE = "store"
    COMMIT = "commit"
    AWAIT = "await"
    VERIFY = "verify"
    RETRY = "retry"
    END = "end"


@frozen(kw_only=True)
class Step:
    """What goes on record, and what comes next once it is there. ``code`` says why there is to be another attempt."""

    events: tuple[tuple[str, Event], ...] = ()
    then: Then
    code: str = ""


def after_fetch(journal: Journal, policy: TransferPolicy, flight: Flight, fetched: FetchedStudy) -> Step:
    """All that could be had is in the spool: record it, and intend to store it."""
    if fetched.cancelled:
        return Step(then=Then.END)
    attempt, study = flight.attempt, flight.attempt.study
    transient = sorted({failure.code for failure in fetched.failures if failure.transient}, key=BEING_STAGED.__ne__)
    if transient and attempt.number < attempts_allowed(transient[0], policy.attempts):
        return Step(then=Then.RETRY, code=transient[0])
    manifest = fetched.manifest(study)
    flight.lacking = Lacking(held=len(fetched.held), failed=len(fetched.failures))
    address = journal.keep_manifest(study.label, manifest)
    event = StudyFetched(
        study=study.label,
        wave=attempt.wave,
        attempt=attempt.number,
        instances=len(manifest.entries),
        size=manifest.size,
        held=flight.lacking.held,
        failed=flight.lacking.failed,
        manifest_ref=address,
    )
    events: list[tuple[str, Event]] = [(attempt.key("fetched"), event)]
    events += [
        journal.finding(finding, wave=attempt.wave, under=attempt.key("finding"))
        for finding in fetch_findings(study, fetched)
    ]
    if not manifest.entries:
        events.append((attempt.key("incomplete"), incomplete(attempt, flight.lacking, None)))
        return Step(events=tuple(events), then=Then.END)
    work = journal.catalog.work_on(study.label)
    if work is None or not work.expected_ref:  # nothing of ours is at the target: what is there is not ours
        present = fetched.present_before
        reference = journal.keep_uids(study.label, present)
        survey = TargetSurveyed(study=study.label, wave=attempt.wave, present=len(present), present_ref=reference)
        events.append((attempt.key("surveyed"), survey))
    intent = StoreIntended(
        study=study.label,
        wave=attempt.wave,
        attempt=attempt.number,
        token=f"{study.label}/{manifest.sha256[:16]}",
        expected_ref=address,
    )
    events.append((attempt.key("store-intended"), intent))
    flight.fetched, flight.expected, flight.expected_ref = fetched, manifest, address
    return Step(events=tuple(events), then=Then.STORE)


def after_store(
    journal: Journal, policy: TransferPolicy, flight: Flight, answers: Sequence[Receipt | StoreFailure]
) -> Step:
    """The target has answered: record what it claims. Only reading back proves it."""
    attempt, study = flight.attempt, flight.attempt.study
    summary = _summary(journal, attempt, answers)
    found = [journal.finding(finding, wave=attempt.wave) for finding in store_findings(study, summary)]
    # Told in any case: at the next attempt the instance is already present, and nobody repeats receipt and warning.
    events = (_stored(journal, flight, summary), *found)
    transient = [failure for failure in summary.failures if failure.transient]
    if transient and attempt.number < policy.attempts:
        return Step(events=events, then=Then.RETRY, code=transient[0].code)
    flight.lacking = evolve(flight.lacking, refused=len(summary.failures))
    return Step(events=events, then=Then.VERIFY)


def _summary(journal: Journal, attempt: Attempt, answers: Sequence[Receipt | StoreFailure]) -> StoreSummary:
    """The answers, counted; a warning that the target's adapter repeats, and that is on record, is not told twice."""
    told = set[tuple[SOPInstanceUID, str]]()
    if any(map(repeats, answers)):
        for line in journal.catalog.decisions.open_lines(attempt.wave, study=attempt.study.label):
            if line.kind.startswith(LASTING):
                subjects = journal.read_finding(line.evidence_ref).subjects
                told |= {(SOPInstanceUID(uid), line.kind) for uid in subjects}
    return summarize(answers, told)


def _stored(journal: Journal, flight: Flight, summary: StoreSummary) -> tuple[str, Event]:
    attempt, label = flight.attempt, flight.attempt.study.label
    receipts_ref = flight.expected_ref if summary.stored else ""
    if flight.expected is not None and 0 < len(summary.stored) < len(flight.expected.entries):
        entries = tuple(entry for entry in flight.expected.entries if entry.sop_instance_uid in summary.stored)
        receipts_ref = journal.keep_manifest(label, evolve(flight.expected, entries=entries))
    event = StudyStored(
        study=label,
        wave=attempt.wave,
        attempt=attempt.number,
        stored=len(summary.stored),
        already_present=summary.already_present,
        refused=len(summary.failures),
        warnings=len(summary.warned),
        receipts_ref=receipts_ref,
    )
    return attempt.key("stored"), event


def after_cancelled_store(journal: Journal, flight: Flight, answers: Sequence[Receipt | StoreFailure]) -> Step:
    """Storing was broken off: what the target said until then goes on record, the study is begun again later."""
    study, wave = flight.attempt.study, flight.attempt.wave
    summary = _summary(journal, flight.attempt, answers)
    found = (journal.finding(finding, wave=wave) for finding in store_findings(study, summary))
    return Step(events=(_stored(journal, flight, summary), *found), then=Then.END)


def after_verify(journal: Journal, policy: TransferPolicy, flight: Flight, seen: ReadBack) -> Step:
    """The target was read back: reconcile, and decide whether the study is transferred."""
    attempt, study = flight.attempt, flight.attempt.study
    expected = flight.expected
    if seen.cancelled or expected is None:
        return Step(then=Then.END)
    result = reconcile(expected, seen, required=policy.required)
    flight.looks += 1
    if result.indeterminate and attempt.number + flight.looks <= policy.attempts:
        return Step(then=Then.RETRY, code="not-readable-yet")
    address = journal.keep_manifest(study.label, seen.manifest)
    events: list[tuple[str, Event]] = [
        journal.finding(finding, wave=attempt.wave) for finding in verify_findings(study, result)
    ]
    events.append(verdict(attempt, flight.lacking, result, address, expected.size))
    return Step(events=tuple(events), then=Then.END)
