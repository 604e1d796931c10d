"""The source goes on living while it is moved: what is new, changed or gone since the last catch-up.

Header keys, counts and sizes are compared for every study; studies that were touched, and a sample of those that were
not, are fetched again and compared by their bytes. What this cannot see is stated with the result.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.own_copies import own_copies
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.engine.sources import SourceDrift, drift, fetch_again
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import CatchUpCompleted, Event, StudyChanged
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.lifecycle import MigrationState

UNSEEN = (
    "Edits in place that leave every index attribute, count and size of a study as they were are seen only in the "
    "studies that were sampled."
)


@frozen(kw_only=True)
class CatchUpResult:
    """What two passes over a source differ in. Counts are studies; ``unseen`` says what the comparison cannot see.

    ``unknown`` ones could not be compared, since the source did not hand out all of them for now, or those that were
    touched not before a person sees to it: then the catch-up is not complete, and the next one begins where this one
    did. ``undecided`` are those of the ``differing`` ones that were corrected at the target: nothing of them moves
    before a person decides.
    """

    archive: str
    previous: int
    inventory: int
    added: int
    changed: int
    vanished: int
    untouched: int
    refetched: int
    sampled: int
    differing: int
    unknown: int = 0
    undecided: int = 0
    unseen: str = UNSEEN

    @property
    def equal(self) -> bool:
        """Whether nothing at all was seen to differ."""
        return not (self.added or self.changed or self.vanished or self.differing or self.unknown)

    def __str__(self) -> str:
        unknown = (
            f" {counted(self.unknown, 'study')} could not be compared for now: catch up again to complete this."
            if self.unknown
            else ""
        )
        undecided = (
            f" {counted(self.undecided, 'study')} of these had been corrected at the target: nothing moves before a "
            "person decides, see vna-lifecycle findings."
            if self.undecided
            else ""
        )
        return (
            f"{self.archive}: {counted(self.added, 'study')} added, {self.changed} changed, {self.vanished} vanished, "
            f"{self.untouched} untouched ({self.sampled} of these fetched again); of the studies that were moved, "
            f"{self.differing} {'differs' if self.differing == 1 else 'differ'} from what was moved."
            f"{undecided}{unknown} {self.unseen}"
        )


def catch_up(
    journal: Journal,
    bench: Workbench,
    archive: str,
    target: str,
    *,
    sample: int,
    seed: int,
    tell: Tell = silent,
) -> CatchUpResult:
    """Compare the latest complete pass over ``archive`` with that of the last catch-up, or else with the first.

    What was touched, plus a sample, is fetched again; everything is, where the passes by which studies were moved went
    with an earlier catalog.

    A moved study that has more or other content now goes back to *planned* with a finding, so that the next transfer
    of its wave takes what is new (an instance with other bytes under its old UID will be a conflict at the target:
    nothing is overwritten). A study of which something is gone gets a finding only. So does one whose copies were
    corrected at the target since, as change records say: moving it again would undo that, or conflict with it.

    Raises:
        StateError: there are no two complete inventories to compare.
        KeyboardInterrupt: it was cancelled before everything was looked at; the next one begins anew.
    """
    catalog = journal.catalog
    new, old = catalog.latest_inventory(archive), catalog.previous_inventory(archive)
    if new is None or old is None:
        raise StateError(f"{archive} has no two complete inventories to compare", hint="Take another inventory first")
    if catalog.lost_inventories(archive):
        sample = catalog.count_studies(new)
    counts = {"added": 0, "changed": 0, "vanished": 0}
    refetched = differing = unknown = undecided = 0
    for delta in catalog.compare_inventories(old, new):
        counts[delta.kind] += 1
        # An added study may have been moved since: the pass compared with may be much older than the plan.
        seen = _look(journal, bench, catalog.work_on(catalog.label(delta.study_uid)), target, new, delta.kind)
        refetched += seen is not None
        differing += seen is not None and bool(seen.drift)
        undecided += seen is not None and seen.undecided
        unknown += seen is not None and bool(seen.drift.unknown or seen.drift.withheld)  # touched, and nobody saw how
        tell(Progress(activity="catch-up", subject=archive, done=sum(counts.values()), total=None, unit="studies"))
    sampled = 0
    for study_uid in catalog.sample_untouched(old, new, sample, seed):
        seen = _look(journal, bench, catalog.work_on(catalog.label(study_uid)), target, new, "edited in place")
        sampled += seen is not None
        differing += seen is not None and bool(seen.drift)
        undecided += seen is not None and seen.undecided
        unknown += seen is not None and bool(seen.drift.unknown)
    untouched = catalog.count_studies(new) - counts["added"] - counts["changed"]
    result = CatchUpResult(
        archive=archive,
        previous=old,
        inventory=new,
        untouched=untouched,
        refetched=refetched,
        sampled=sampled,
        differing=differing,
        unknown=unknown,
        undecided=undecided,
        added=counts["added"],
        changed=counts["changed"],
        vanished=counts["vanished"],
    )
    if unknown:
        return result
    event = CatchUpCompleted(
        archive=archive,
        inventory=new,
        previous=old,
        refetched=refetched,
        sampled=sampled,
        differing=differing,
        added=counts["added"],
        changed=counts["changed"],
        vanished=counts["vanished"],
    )
    journal.record([(f"catch-up/{old}/{new}/{journal.ledger.size()}", event)])
    return result


@frozen(kw_only=True)
class _Look:
    """How a moved study differs at the source; ``undecided``: it does, and its copies were corrected since."""

    drift: SourceDrift
    undecided: bool


def _look(
    journal: Journal, bench: Workbench, work: StudyWork | None, target: str, inventory: int, reason: str
) -> _Look | None:
    """Fetch a moved study again and compare; None where it was not moved, so that there is nothing to compare."""
    if work is None or work.state is not MigrationState.TRANSFERRED:
        return None
    study = StudyRef(study_uid=StudyUID(work.study_uid), label=work.label)
    try:
        now = fetch_again(bench, journal.catalog, study, target)
    finally:
        bench.clear(study.label)
    if bench.cancelled.is_set():
        raise KeyboardInterrupt
    seen = drift(journal.manifest(work.manifest_ref), now)
    undecided = bool(seen.new or seen.other) and bool(own_copies(journal, work).corrected)
    if undecided:
        journal.record([journal.finding(_undecided(study, seen), wave=work.wave)])
    elif seen:
        journal.record(list(_changed(journal, work, study, seen, inventory, reason)))
    journal.record([journal.finding(finding, wave=work.wave) for finding in _not_compared(study, seen)])
    return _Look(drift=seen, undecided=undecided)


def _not_compared(study: StudyRef, seen: SourceDrift) -> Iterator[Finding]:
    again = "Catch up again: what could not be compared is looked at then"
    handed_out = "To compare them, have the source bring them online or send them again, then catch up again"
    for subjects, when, remedy in ((seen.unknown, "for now", again), (seen.withheld, "by itself", handed_out)):
        if subjects:
            yield Finding(
                kind="not-compared",
                severity=Severity.WARNING,
                message=f"the source did not hand out {counted(len(subjects), 'instance')} {when}: whether it still "
                "holds what was moved is not known",
                check="catch-up",
                study=study,
                subjects=subjects,
                remedy=remedy,
            )


def _changed(
    journal: Journal, work: StudyWork, study: StudyRef, seen: SourceDrift, inventory: int, reason: str
) -> Iterator[tuple[str, Event]]:
    if seen.new or seen.other:  # what is only gone was moved in time: the copy stays, and people decide
        event = StudyChanged(study=study.label, wave=work.wave, inventory=inventory, reason=reason)
        yield f"catch-up/{inventory}/{study.label}/{work.attempt}", event
    finding = Finding(
        kind="changed-at-source",
        severity=Severity.BLOCKER,
        message=f"since it was moved, {_amount(seen)}",
        check="catch-up",
        study=study,
        subjects=(*seen.new, *seen.gone, *seen.other),
        remedy="Transfer the wave again; settle conflicts under old UIDs with the department",
    )
    yield journal.finding(finding, wave=work.wave)


def _undecided(study: StudyRef, seen: SourceDrift) -> Finding:
    """The target's copies are not what the source had, on purpose; the source has something else again."""
    superseded = " --superseded" if seen.other else ""
    return Finding(
        kind="changed-at-source-after-correction",
        severity=Severity.BLOCKER,
        message=f"it was corrected at the target, and since it was moved, {_amount(seen)}: nothing of that moves "
        "before a person decides",
        check="catch-up",
        study=study,
        subjects=(*seen.new, *seen.gone, *seen.other),
        remedy="Compare both with the department. To take what the source has now: vna-lifecycle withdraw WAVE --study "
        f"STUDY{superseded}, then plan, transfer, and correct again what is set aside again. To leave the target as it "
        "is: vna-lifecycle waive",
    )


def _amount(seen: SourceDrift) -> str:
    more = counted(len(seen.new), "instance")
    return f"the source has {more} more, {len(seen.gone)} fewer and {len(seen.other)} with other content"
