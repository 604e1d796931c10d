"""Taking back this program's own copies of a wave that was never ready. Recorded; not destruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.own_copies import OwnCopies, own_copies
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.engine.sources import awaited, contents_of, fetch_again
from vna_lifecycle.engine.tasks import Workbench, read_back
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import Event, StudyWithdrawn, WithdrawIntended
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest, ManifestEntry
from vna_lifecycle.model.lifecycle import MigrationState
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
class WithdrawRequest:
    """What a person asks for, and why. ``study`` is the label of the only one that is meant, if one is.

    ``superseded`` copies, in whose place the source holds other content by now, may go. With ``dry_run`` the archives
    are looked at and nothing is removed or recorded.
    """

    by: str
    reason: str
    study: str = ""
    superseded: bool = False
    dry_run: bool = False


@frozen(kw_only=True)
class WithdrawResult:
    """What became of a wave's studies. ``kept`` studies were left at the target, each with a finding that says why.

    Of ``instances`` that went, ``superseded`` ones were contents that the source itself has replaced since.
    """

    wave: str
    withdrawn: int
    kept: int
    instances: int
    superseded: int = 0

    def __str__(self) -> str:
        kept = f", {self.kept} kept (see the findings)" if self.kept else ""
        older = f" ({self.superseded} of these superseded at the source)" if self.superseded else ""
        removed = counted(self.instances, "instance")
        return f"{self.wave}: {counted(self.withdrawn, 'study')} withdrawn, {removed} removed{older}{kept}"


@frozen(kw_only=True)
class Removal:
    """What a withdrawal takes back of one study: ``own`` copies, as they lie at the target.

    Of ``superseded`` ones the source holds other content by now.
    """

    own: Manifest
    superseded: tuple[SOPInstanceUID, ...] = ()


@frozen(kw_only=True)
class AtTarget:
    """What lies at the target under the UIDs that were stored.

    ``ours`` are this program's own copies, each with the data set SHA-256 of what was meant to be stored; ``foreign``
    ones are not. ``unreadable`` ones are listed and not served. ``unseen`` are the latest contents meant of
    all that was not seen.
    """

    ours: tuple[tuple[ManifestEntry, str], ...]
    foreign: tuple[SOPInstanceUID, ...]
    unreadable: tuple[SOPInstanceUID, ...]
    unseen: tuple[ManifestEntry, ...]


def withdraw_wave(
    journal: Journal,
    bench: Workbench,
    wave: str,
    target: str,
    request: WithdrawRequest,
    *,
    tell: Tell = silent,
) -> WithdrawResult:
    """Remove this program's copies of a wave, study by study, each only while the source still holds it.

    Copies that were at the target before this program came are not its own and stay. A study that failed before
    anything was stored is withdrawn as well: it may then be planned or excluded. A copy in whose place the source holds
    other content by now goes only if superseded ones may, and the source's own newer object is there.

    Raises:
        StateError: the target has no way to take copies back, or nothing of the study can be.
    """
    total = 1 if request.study else journal.catalog.wave_status(wave).studies
    withdrawn = kept = instances = older = 0
    for number, work in enumerate([_only(journal, wave, request.study)] if request.study else _work(journal, wave), 1):
        if bench.cancelled.is_set():
            break
        removed = Withdrawal(journal=journal, bench=bench, work=work, target=target, request=request).run()
        withdrawn += removed is not None
        kept += removed is None
        instances += len(removed.own.entries) if removed else 0
        older += len(removed.superseded) if removed else 0
        tell(Progress(activity="withdraw", subject=wave, done=number, total=total, unit="studies"))
    return WithdrawResult(wave=wave, withdrawn=withdrawn, kept=kept, instances=instances, superseded=older)


def _work(journal: Journal, wave: str) -> Iterator[StudyWork]:
    after = ""
    states = (*WITHDRAWABLE, MigrationState.REMEDYING, *WITH_COPIES)
    while page := journal.catalog.work(wave, states, after=after, limit=500):
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
    has_copies = work.state in WITH_COPIES and bool(work.expected_ref)
    return has_copies or work.state in (*WITHDRAWABLE, MigrationState.REMEDYING)


@frozen(kw_only=True)
class Withdrawal:
    """The withdrawal of one study, as far as it may and can go."""

    journal: Journal
    bench: Workbench
    work: StudyWork
    target: str
    request: WithdrawRequest

    @property
    def study(self) -> StudyRef:
        """Which study."""
        return StudyRef(study_uid=StudyUID(self.work.study_uid), label=self.work.label)

    def run(self) -> Removal | None:
        """What was removed (with ``dry_run``: would be), or None where the study had to stay.

        Raises:
            StateError: the target has no way to take copies back.
        """
        study = self.study
        if self.work.state is MigrationState.REMEDYING:
            why, remedy = "its objects are being corrected at the target", "End that first: vna-lifecycle jobs remedy"
            self._keep("remedy-unfinished", (), why, remedy)
            return None
        empty = Manifest(study_uid=study.study_uid, entries=())
        if not self.work.expected_ref:  # nothing was ever stored of it
            self._never_stored()
            return Removal(own=empty)
        withdraws = self.bench.archive(self.target).withdraws
        if withdraws is None:
            hint = "Ask its operator, and record what was done"
            raise StateError(f"{self.target} has no way to withdraw copies", hint=hint)
        own = own_copies(self.journal, self.work)
        there = self._look(own)
        if there is None:
            return None
        cut_off = self.work.state is MigrationState.WITHDRAWING and not self.request.dry_run
        if cut_off and not (there.ours or there.unreadable):
            gone = evolve(empty, entries=there.unseen)  # only what was to follow the last removal is missing
            self._done(self.work.token, len(gone.entries), there.foreign)
            return Removal(own=gone)
        removal = self._allowed(there)
        if removal is None or self.request.dry_run:
            return removal
        token = f"{study.label}/{removal.own.sha256[:16]}"
        self._intend(removal, token)
        answers = list(withdraws.withdraw(study, removal.own))
        after = self._look(own)
        if after is None:
            return None  # nothing is known: the next withdrawal goes on from here
        failures = {a.sop_instance_uid for a in answers if isinstance(a, StoreFailure)} - set(after.foreign)
        left = sorted({*failures, *after.unreadable, *(entry.sop_instance_uid for entry, _ in after.ours)})
        if left:
            self._keep(
                "still-at-target",
                left,
                "the target did not let go of its copies",
                "Withdraw again, after the target's operator has removed them if need be; or transfer the wave with "
                "--retry to put back what was removed",
            )
            return None
        self._done(token, len(removal.own.entries), after.foreign)
        return removal

    def _look(self, own: OwnCopies) -> AtTarget | None:
        """What lies at the target, whether or not it is served; None if the look was broken off."""
        study = self.study
        latest = Manifest(study_uid=study.study_uid, entries=tuple(entries[0] for entries in own.meant.values()))
        try:
            seen = read_back(self.bench, study, self.target, latest)
        finally:
            self.bench.clear(study.label)
        if seen.cancelled:
            return None
        found = {entry.sop_instance_uid: entry for entry in seen.manifest.entries}
        ours = {uid: meant for uid, entry in found.items() if (meant := own.meant_by(entry))}
        return AtTarget(
            ours=tuple((found[uid], meant) for uid, meant in ours.items()),
            foreign=tuple(uid for uid in found if uid not in ours),
            unreadable=tuple(uid for uid, _, _ in seen.unreadable),
            unseen=tuple(entry for entry in latest.entries if entry.sop_instance_uid not in found),
        )

    def _allowed(self, there: AtTarget) -> Removal | None:
        """What may be removed: only what the source still holds, or has replaced itself where that may go."""
        study = self.study
        try:
            now = fetch_again(self.bench, self.journal.catalog, study, self.target)
        finally:
            self.bench.clear(study.label)
        if self.bench.cancelled.is_set():
            return None
        held, unknown = contents_of(now), awaited(now)
        mine = {entry.sop_instance_uid: meant for entry, meant in there.ours}
        going = [*mine, *there.unreadable]
        silent = [uid for uid in going if uid in unknown]
        gone = [uid for uid in going if uid not in held and uid not in unknown]
        older = [uid for uid in mine if uid in held and mine[uid] not in held[uid]]
        if silent:
            self._keep(
                "source-not-answering",
                silent,
                "the source does not hand out its copies for now",
                "Withdraw again when it does",
            )
        elif gone:
            self._keep(
                "source-copy-gone",
                gone,
                "the source no longer holds what was moved",
                "Put the objects back into the source, from the target if need be; or transfer the wave with --retry "
                "to end the withdrawal",
            )
        elif older and not self.request.superseded:
            self._keep(
                "source-copy-replaced",
                older,
                "the source holds other content under the same UIDs by now, so that the older one would be lost",
                "Compare both; if the source's is the true one, withdraw with --superseded",
            )
        else:
            unseen = [entry for entry in there.unseen if entry.sop_instance_uid in held]
            own = Manifest(study_uid=study.study_uid, entries=(*(entry for entry, _ in there.ours), *unseen))
            return Removal(own=own, superseded=tuple(older))
        return None

    # ------------------------------------------------------------------------------------------------ on record

    def _key(self, step: str) -> str:
        return f"withdraw/{self.work.wave}/{self.work.label}/{self.journal.ledger.size()}/{step}"

    def _never_stored(self) -> None:
        if self.request.dry_run:
            return
        label, wave = self.work.label, self.work.wave
        token = f"{label}/nothing"
        intent = WithdrawIntended(
            study=label,
            wave=wave,
            token=token,
            instances=0,
            manifest_ref="",
            by=self.request.by,
            reason=self.request.reason,
        )
        done = StudyWithdrawn(study=label, wave=wave, token=token, instances=0)
        self.journal.record([(self._key("intended"), intent), (self._key("done"), done)], actor=self.request.by)

    def _intend(self, removal: Removal, token: str) -> None:
        journal, wave = self.journal, self.work.wave
        intent = WithdrawIntended(
            study=self.work.label,
            wave=wave,
            token=token,
            instances=len(removal.own.entries),
            manifest_ref=journal.keep_manifest(self.work.label, removal.own),
            by=self.request.by,
            reason=self.request.reason,
        )
        events: list[tuple[str, Event]] = [(self._key("intended"), intent)]
        if removal.superseded:
            message = (
                f"{counted(len(removal.superseded), 'instance')} had other content than the source's own newer "
                "objects, which are there: the older content goes"
            )
            finding = self._finding("older-content-withdrawn", Severity.WARNING, message, removal.superseded)
            events.append(journal.finding(finding, wave=wave, under=self._key("older")))
        journal.record(events, actor=self.request.by)

    def _done(self, token: str, instances: int, foreign: Sequence[SOPInstanceUID]) -> None:
        event = StudyWithdrawn(study=self.work.label, wave=self.work.wave, token=token, instances=instances)
        events: list[tuple[str, Event]] = [(self._key("done"), event)]
        if foreign:
            message = f"{counted(len(foreign), 'instance')} at the target had content that is not ours: left as found"
            remedy = "Find out who stored it; under the same UID the source's content would be refused as a conflict"
            finding = self._finding("not-ours-at-target", Severity.WARNING, message, foreign, remedy)
            events.append(self.journal.finding(finding, wave=self.work.wave, under=self._key("foreign")))
        self.journal.record(events)

    def _keep(self, kind: str, subjects: Sequence[str], why: str, remedy: str) -> None:
        if self.request.dry_run:
            return
        message = f"not withdrawn: {why} ({counted(len(subjects), 'instance')})"
        finding = self._finding(kind, Severity.BLOCKER, message, subjects, remedy)
        self.journal.record([self.journal.finding(finding, wave=self.work.wave)])

    def _finding(
        self, kind: str, severity: Severity, message: str, subjects: Sequence[str], remedy: str = ""
    ) -> Finding:
        return Finding(
            kind=kind,
            severity=severity,
            message=message,
            check="withdraw",
            study=self.study,
            subjects=tuple(subjects),
            remedy=remedy,
        )
