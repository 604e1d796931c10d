"""Taking back this program's own copies of a wave that was never ready. Recorded; not destruction."""

from __future__ import annotations

import json
from collections.abc import Iterator

from attrs import frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import Attempt
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.engine.sources import drift, fetch_again
from vna_lifecycle.engine.tasks import Workbench, read_back
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import StoreIntended, StudyWithdrawn, TargetSurveyed, WithdrawIntended
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest, ManifestEntry
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.policy.readiness import counted, studies
from vna_lifecycle.ports import StoreFailure

WITHDRAWABLE = (
    MigrationState.TRANSFERRED,
    MigrationState.INCOMPLETE,
    MigrationState.FAILED,
    MigrationState.WITHDRAWING,
)
WITH_COPIES = (MigrationState.PLANNED, MigrationState.HELD)
"""States in which a study may have copies from before; of one that has none, there is nothing to take back."""


@frozen(kw_only=True)
class WithdrawResult:
    """What became of a wave's studies. ``kept`` studies were left at the target, each with a finding that says why."""

    wave: str
    withdrawn: int
    kept: int
    instances: int

    def __str__(self) -> str:
        kept = f", {self.kept} kept (see the findings)" if self.kept else ""
        return f"{self.wave}: {studies(self.withdrawn)} withdrawn, {counted(self.instances, 'instance')} removed{kept}"


def withdraw_wave(
    journal: Journal,
    bench: Workbench,
    wave: str,
    target: str,
    *,
    by: str,
    reason: str,
    study: str = "",
    dry_run: bool = False,
    tell: Tell = silent,
) -> WithdrawResult:
    """Remove this program's copies of a wave, study by study, each only while the source still holds it.

    ``study`` is the label of the only one that is meant, if one is. Copies that were at the target before this program
    came are not its own and stay. A study that failed before anything was stored is withdrawn as well: it may then be
    planned or excluded. With ``dry_run`` the sources are looked at and nothing is removed or recorded.

    Raises:
        StateError: the target has no way to take copies back, or nothing of the study can be.
    """
    journal.sync()
    total = 1 if study else journal.catalog.wave_status(wave).studies
    withdrawn = kept = instances = 0
    for number, work in enumerate([_only(journal, wave, study)] if study else _work(journal, wave), 1):
        if bench.cancelled.is_set():
            break
        removed = _withdraw(journal, bench, wave, work, target, by=by, reason=reason, dry_run=dry_run)
        withdrawn += removed is not None
        kept += removed is None
        instances += removed or 0
        tell(Progress(activity="withdraw", subject=wave, done=number, total=total, unit="studies"))
    return WithdrawResult(wave=wave, withdrawn=withdrawn, kept=kept, instances=instances)


def _work(journal: Journal, wave: str) -> Iterator[StudyWork]:
    after = ""
    while page := journal.catalog.work(wave, (*WITHDRAWABLE, *WITH_COPIES), after=after, limit=500):
        after = page[-1].label
        yield from filter(_may_go, page)


def _only(journal: Journal, wave: str, label: str) -> StudyWork:
    work = journal.catalog.work_on(label)
    if work is None or work.wave != wave:
        raise StateError(f"the study is not in wave {wave}", hint="Its wave is told with its findings")
    if _may_go(work):
        return work
    if work.state in (*WITH_COPIES, MigrationState.WITHDRAWN):
        raise StateError("nothing of the study is at the target", hint="It may be planned anew, or excluded: plan")
    raise StateError(f"the study is {work.state.value}", hint=f"Let its transfer end first: transfer {wave}")


def _may_go(work: StudyWork) -> bool:
    return work.state in WITHDRAWABLE or (work.state in WITH_COPIES and bool(work.expected_ref))


def _withdraw(
    journal: Journal,
    bench: Workbench,
    wave: str,
    work: StudyWork,
    target: str,
    *,
    by: str,
    reason: str,
    dry_run: bool,
) -> int | None:
    """Instances removed, or None where the study had to stay."""
    study = StudyRef(study_uid=StudyUID(work.study_uid), label=work.label)
    if not work.expected_ref:  # nothing was ever stored of it
        return _never_stored(journal, study, wave, by=by, reason=reason, dry_run=dry_run)
    if bench.archive(target).withdraws is None:
        raise StateError(f"{target} has no way to withdraw copies", hint="Ask its operator, and record what was done")
    copies = _copies(journal, study, work)
    own = _own(journal, study, copies)
    if work.state is MigrationState.WITHDRAWING and not dry_run and _left(bench, study, target, own) == ():
        return _done(journal, study, wave, work.token, own)  # it was cut off after the last copy had gone
    try:
        away = drift(copies, fetch_again(bench, journal.catalog, study, target))
    finally:
        bench.clear(study.label)
    lost = (*away.gone, *away.other)
    if bench.cancelled.is_set():
        return None
    if lost:
        if not dry_run:
            _keep(journal, study, wave, "source-copy-gone", lost, "the source no longer holds what was moved")
        return None
    if dry_run:
        return len(own.entries)

    token = f"{study.label}/{own.sha256[:16]}"
    intent = WithdrawIntended(
        study=study.label,
        wave=wave,
        token=token,
        instances=len(own.entries),
        manifest_ref=journal.keep_manifest(study.label, own),
        by=by,
        reason=reason,
    )
    journal.record([(f"withdraw/{wave}/{study.label}/{journal.ledger.size()}/intended", intent)], actor=by)
    withdraws = bench.archive(target).withdraws
    answers = list(withdraws.withdraw(study, own)) if withdraws is not None else []
    failures = [answer.sop_instance_uid for answer in answers if isinstance(answer, StoreFailure)]
    left = _left(bench, study, target, own)
    if left is None:
        return None  # nothing is known: the next withdrawal goes on from here
    if failures or left:
        subjects = tuple(sorted({*failures, *left}))
        _keep(journal, study, wave, "still-at-target", subjects, "the target did not let go of its copies")
        return None
    return _done(journal, study, wave, token, own)


def _never_stored(journal: Journal, study: StudyRef, wave: str, *, by: str, reason: str, dry_run: bool) -> int:
    if not dry_run:
        key = f"withdraw/{wave}/{study.label}/{journal.ledger.size()}"
        common = {"study": study.label, "wave": wave, "token": f"{study.label}/nothing"}
        intent = WithdrawIntended(**common, instances=0, manifest_ref="", by=by, reason=reason)
        done = StudyWithdrawn(**common, instances=0)
        journal.record([(f"{key}/intended", intent), (f"{key}/done", done)], actor=by)
    return 0


def _left(bench: Workbench, study: StudyRef, target: str, own: Manifest) -> tuple[str, ...] | None:
    """Which of our copies the target still lists, whether or not it serves them; None if the look was broken off."""
    try:
        seen = read_back(bench, study, target, own)
    finally:
        bench.clear(study.label)
    if seen.cancelled:
        return None
    return (
        *(entry.sop_instance_uid for entry in seen.manifest.entries),
        *(uid for uid, _, _ in seen.unreadable),
    )


def _done(journal: Journal, study: StudyRef, wave: str, token: str, own: Manifest) -> int:
    event = StudyWithdrawn(study=study.label, wave=wave, token=token, instances=len(own.entries))
    journal.record([(f"withdraw/{wave}/{study.label}/{journal.ledger.size()}/done", event)])
    return len(own.entries)


def _copies(journal: Journal, study: StudyRef, work: StudyWork) -> Manifest:
    """All that any attempt at this study meant to store: the source may have lost some of it between two of them."""
    entries: dict[str, ManifestEntry] = {}
    for number in range(1, work.attempt + 1):
        attempt = Attempt(study=study, wave=work.wave, number=number)
        found = journal.ledger.find(attempt.key("store-intended"))
        if found is not None and isinstance(found.event, StoreIntended):
            expected = journal.manifest(found.event.expected_ref)
            entries |= {entry.sop_instance_uid: entry for entry in expected.entries}
    expected = journal.manifest(work.expected_ref)
    entries |= {entry.sop_instance_uid: entry for entry in expected.entries}
    return Manifest(study_uid=expected.study_uid, entries=tuple(entries.values()))


def _own(journal: Journal, study: StudyRef, copies: Manifest) -> Manifest:
    """Without those that were at the target before this program came."""
    survey = journal.ledger.find(f"survey/{study.label}")
    if survey is None or not isinstance(survey.event, TargetSurveyed):
        return copies
    present = set(json.loads(journal.vault.get(survey.event.present_ref)))
    entries = [entry for entry in copies.entries if entry.sop_instance_uid not in present]
    return Manifest(study_uid=copies.study_uid, entries=tuple(entries))


def _keep(journal: Journal, study: StudyRef, wave: str, kind: str, subjects: tuple[str, ...], why: str) -> None:
    finding = Finding(
        kind=kind,
        severity=Severity.BLOCKER,
        message=f"not withdrawn: {why} ({len(subjects)} instances)",
        check="withdraw",
        study=study,
        subjects=subjects,
        remedy="Compare both archives before anything is removed",
    )
    journal.record([journal.finding(finding, wave=wave)])
