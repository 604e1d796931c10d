"""Correcting what a target set aside of a study, as change records, and proving what came of it.

The intent, with every value before and after, is on record before the first change; each change is guarded by the
version that was looked at, and on record before the next. Whoever takes up what was broken off looks how far it came:
what is done is not done again. Only what was set aside is changed, never what readers were shown before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from attrs import define, evolve, field

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.dicom.compare import compare_entries, entry_against
from vna_lifecycle.dicom.corrected import has_values, rest_sha256
from vna_lifecycle.engine.batching import flight_on_record
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import verify_findings
from vna_lifecycle.engine.progress import Progress, Tell
from vna_lifecycle.engine.reconcile import ReadBack, Reconciliation, reconcile
from vna_lifecycle.engine.remedy_record import Correction, Place, RemedyRequest, RemedyResult, StudyRemedy, Subject
from vna_lifecycle.engine.tasks import Workbench, read_back
from vna_lifecycle.errors import DicomRefused, StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import ChangeMade, Event, RemedyFailed, RemedyIntended, StudyRemedied
from vna_lifecycle.model.finding import Finding, Origin, Severity
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, ManifestEntry, Rung
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import AdmitsSetAside, Changed, ChangeRefused, Fetched, FetchFailure, SetAside

MEANT: Final = (MigrationState.INCOMPLETE, MigrationState.REMEDYING)
_PAGE: Final = 500


def remedy(
    journal: Journal, bench: Workbench, wave: str, target: str, required: Rung, request: RemedyRequest, tell: Tell
) -> RemedyResult:
    """Correct what the target set aside of a wave's studies, or of the one that is named, each proved before the next.

    Raises:
        StateError: the target sets nothing aside, or the study named is not incomplete.
        ArchiveError: the target had to be left; the same call goes on from there.
    """
    admits = bench.archive(target).admits
    if admits is None:
        raise StateError(f"{target} sets nothing aside that could be corrected", hint="See: vna-lifecycle findings")
    found: list[StudyRemedy] = []
    meant = [_only(journal, wave, request.study)] if request.study else list(_incomplete(journal, wave))
    for number, work in enumerate(meant, 1):
        if bench.cancelled.is_set():
            break
        told = _Remedy(
            journal=journal, bench=bench, admits=admits, work=work, target=target, required=required, request=request
        ).run()
        if told is not None:
            found.append(told)
        tell(Progress(activity="remedy", subject=wave, done=number, total=len(meant), unit="studies"))
    return RemedyResult(wave=wave, studies=tuple(found))


def _incomplete(journal: Journal, wave: str) -> Iterator[StudyWork]:
    after = ""
    while page := journal.catalog.work(wave, MEANT, after=after, limit=_PAGE):
        after = page[-1].label
        yield from page


def _only(journal: Journal, wave: str, label: str) -> StudyWork:
    work = journal.catalog.work_on(label)
    if work is None or work.wave != wave or work.state not in MEANT:
        raise StateError("the study is not incomplete", hint="Only what was set aside at the target is corrected here")
    return work


@define
class _Remedy:
    """One study."""

    journal: Journal
    bench: Workbench
    admits: AdmitsSetAside
    work: StudyWork
    target: str
    required: Rung
    request: RemedyRequest
    turn: int = field(init=False, default=0)

    @property
    def study(self) -> StudyRef:
        return self.work.ref

    def run(self) -> StudyRemedy | None:
        """What became of the study; None where nothing is set aside of it."""
        try:
            if self.work.state is MigrationState.REMEDYING:
                self.turn, places = self._on_record()
                return self._told(places, *(("resumable", "") if self.request.dry_run else self._carry_out(places)))
            places = tuple(map(self._proposal, self.admits.set_aside(self.study)))
            if not places:
                return None
            if why := next((place.hindrance for place in places if place.hindrance), "") or self._lacking(places):
                return self._told(places, "hindered", why)
            if self.request.dry_run:
                return self._told(places, "possible", "")
            self._intend(places)
            return self._told(places, *self._carry_out(places))
        finally:
            self.bench.clear(self.study.label)

    def _told(self, places: Sequence[Place], outcome: str, message: str) -> StudyRemedy:
        return StudyRemedy(
            study=self.study.label,
            study_uid=self.study.study_uid,
            outcome=outcome,
            message=message,
            places=tuple(places),
        )

    # ------------------------------------------------------------------------------------------------ what is meant

    def _proposal(self, aside: SetAside) -> Place:
        """What would be changed of what is set aside, and how each object is known again afterwards."""
        corrections = tuple(
            Correction(keyword=each.keyword, before=each.aside, after=each.shown) for each in aside.disagreements
        )
        subjects: list[Subject] = []
        hindrance, keywords = aside.hindrance, {each.keyword for each in corrections}
        for item in self._fetched(aside.instances):
            looked = self._subject(item, keywords)
            if isinstance(looked, Subject):
                subjects.append(looked)
            else:
                hindrance = hindrance or looked
        return Place(
            place=aside.place,
            version=aside.version,
            series_uid=aside.series_uid,
            corrections=corrections,
            subjects=tuple(subjects),
            hindrance=hindrance,
        )

    def _subject(self, item: Fetched | FetchFailure, keywords: set[str]) -> Subject | str:
        """An object as it lies aside, or why it cannot be corrected by us: it must be what we moved."""
        uid = item.record.sop_instance_uid
        meant = self._expected().get(uid)
        if meant is None:
            return "it holds instances that this program did not move"
        if isinstance(item, FetchFailure):
            return f"it holds an instance that is not served ({item.code})"
        try:
            entry = entry_against(item.path, meant)
            if compare_entries(meant, entry) < Rung.EQUIVALENT:
                return "it holds other content than was moved"
            return Subject(
                uid=uid,
                dataset_sha256=meant.digest.dataset_sha256,
                rest_sha256=rest_sha256(item.path, keywords),
                pixel_sha256=entry.digest.pixel_sha256,
            )
        except (DicomRefused, OSError):
            return "it holds an instance that cannot be read"

    def _lacking(self, places: Sequence[Place]) -> str:
        """Whether the study lacks more than this: what was corrected would then be a conflict for the next attempt."""
        shown = {record.sop_instance_uid for record in self._listed()}
        aside = {subject.uid for place in places for subject in place.subjects}
        lacking = flight_on_record(self.journal, self.work).lacking
        count = len(self._expected().keys() - shown - aside) + lacking.held + lacking.failed
        return f"{counted(count, 'instance')} of the study lacking besides: transfer it again first" if count else ""

    def _expected(self) -> Mapping[SOPInstanceUID, ManifestEntry]:
        return {entry.sop_instance_uid: entry for entry in self._manifest().entries}

    def _manifest(self) -> Manifest:
        return self.journal.manifest(self.work.expected_ref)

    def _listed(self) -> list[InstanceRecord]:
        return list(self.bench.archive(self.target).reads.list_instances(self.study))

    def _fetched(self, records: Sequence[InstanceRecord]) -> Iterator[Fetched | FetchFailure]:
        spool = self.bench.spool(self.study.label, "remedy")
        yield from self.bench.archive(self.target).reads.fetch(self.study, records, spool)

    # ------------------------------------------------------------------------------------------------ on record

    def _key(self, step: str) -> str:
        return f"remedy/{self.study.label}/{self.turn}/{step}"

    def _on_record(self) -> tuple[int, tuple[Place, ...]]:
        """The latest intent."""
        turn, intent = 0, None
        while (found := self.journal.ledger.find(f"remedy/{self.study.label}/{turn + 1}/intended")) is not None:
            turn, intent = turn + 1, found.event
        if not isinstance(intent, RemedyIntended):
            return turn, ()
        return turn, tuple(map(Place.from_json, self.journal.facts(intent.record_ref)))

    def _intend(self, places: Sequence[Place]) -> None:
        self.turn = self._on_record()[0] + 1
        event = RemedyIntended(
            study=self.study.label,
            wave=self.work.wave,
            turn=self.turn,
            by=self.request.by,
            reason=self.request.reason,
            places=len(places),
            instances=sum(len(place.subjects) for place in places),
            attributes=tuple(sorted({each.keyword for place in places for each in place.corrections})),
            record_ref=self.journal.keep_change(self.study.label, [place.to_json() for place in places]),
        )
        self.journal.record([(self._key("intended"), event)], actor=self.request.by)

    def _made(self, step: str, place: Place) -> ChangeMade | None:
        found = self.journal.ledger.find(self._key(f"{step}/{self._label(place)}"))
        return found.event if found is not None and isinstance(found.event, ChangeMade) else None

    def _label(self, place: Place) -> str:
        return self.journal.vault.label(f"place {place.place}")

    def _note(self, step: str, place: Place, changed: Changed) -> None:
        """A step is done: its change record, and for a correction the finding that keeps it in sight."""
        if self._made(step, place) is not None:
            return
        keywords = tuple(each.keyword for each in place.corrections) if step == "corrected" else ()
        event = ChangeMade(
            study=self.study.label,
            wave=self.work.wave,
            turn=self.turn,
            step=step,
            place=self._label(place),
            version_before=changed.version_before,
            version_after=changed.version_after,
            attributes=keywords,
            request=changed.request,
        )
        events: list[tuple[str, Event]] = [(self._key(f"{step}/{event.place}"), event)]
        if keywords:
            finding = self._corrected(place, keywords)
            events.append(self.journal.finding(finding, wave=self.work.wave, under=self._key(f"finding/{event.place}")))
        self.journal.record(events)

    def _corrected(self, place: Place, keywords: Sequence[str]) -> Finding:
        count = counted(len(place.subjects), "instance")
        return Finding(
            kind="corrected-at-target",
            severity=Severity.WARNING,
            message=f"{count} at the target differs from what was moved, as on record: {', '.join(keywords)} corrected",
            check=Origin.REMEDY.value,
            study=self.study,
            subjects=tuple(subject.uid for subject in place.subjects),
            details=tuple(
                (each.keyword, f"{_shown(each.before)} -> {_shown(each.after)}") for each in place.corrections
            ),
            remedy="Correct the source as well, if it is still in use: it has the values from before",
        )

    # ------------------------------------------------------------------------------------------------ carrying out

    def _carry_out(self, places: Sequence[Place]) -> tuple[str, str]:
        """The outcome, and what more there is to say of it."""
        for place in places:
            if refused := self._admit(place):
                return self._failed(refused.code, refused.message, None, 0, self.work.expected_ref)
        return self._prove(places)

    def _admit(self, place: Place) -> ChangeRefused | None:
        """Bring what lies aside into readers' sight, from wherever it stands; what hinders it, if anything does."""
        if {subject.uid for subject in place.subjects} <= {record.sop_instance_uid for record in self._listed()}:
            self._note("admitted", place, Changed(version_before="", version_after=""))
            return None
        here = next((each for each in self.admits.set_aside(self.study) if each.place == place.place), None)
        if here is None:
            return ChangeRefused(code="vanished", message="what was set aside is not there any more")
        made, version = self._made("corrected", place), here.version
        meanwhile = ChangeRefused(code="changed-meanwhile", message="somebody else changed it since it was looked at")
        if place.differs(here):
            if version != place.version:
                return meanwhile
            answer = self.admits.correct(place.place, version, place.series_uid, place.changes)
            if isinstance(answer, ChangeRefused):
                return answer
            self._note("corrected", place, answer)
            version = answer.version_after
        elif made is not None or not place.corrections:
            if version != (made.version_after if made is not None else place.version):
                return meanwhile
        else:  # done by a process that could not put it on record
            self._note("corrected", place, Changed(version_before=place.version, version_after=version))
        answer = self.admits.admit(place.place, version)
        if isinstance(answer, ChangeRefused):
            return answer
        self._note("admitted", place, answer)
        return None

    def _prove(self, places: Sequence[Place]) -> tuple[str, str]:
        """Read the study back: only what is there as the change records say counts as explained."""
        before = self._manifest()
        seen = read_back(self.bench, self.study, self.target, before)
        explained = self._explained(places, seen)
        if seen.cancelled or self.bench.cancelled.is_set():
            return "broken-off", "the same command goes on"
        now = evolve(before, entries=[explained.get(each.sop_instance_uid, each) for each in before.entries])
        result = reconcile(now, seen, required=self.required)
        if result.indeterminate:
            return "broken-off", "the target does not serve all of it for now: the same command goes on"
        address = self.journal.keep_manifest(self.study.label, now)
        if not result.complete or result.rung is None:
            return self._failed("not-as-expected", "see its findings", result, len(explained), address)
        for place in places:
            answer = self.admits.discard(place.place, "")
            if isinstance(answer, ChangeRefused):
                return (
                    "broken-off",
                    f"what is left aside cannot be removed ({answer.message}): the same command goes on",
                )
            self._note("discarded", place, answer)
        event = StudyRemedied(
            study=self.study.label,
            wave=self.work.wave,
            turn=self.turn,
            instances=len(result.match),
            size=now.size,
            rung=(min(result.rung, Rung.EQUIVALENT) if explained else result.rung).name.lower(),
            explained=len(explained),
            expected_ref=address,
            read_back_ref=self.journal.keep_manifest(self.study.label, seen.manifest),
        )
        self.journal.record([(self._key("ended"), event), *self._seen(result)])  # what was found before is settled
        return (
            "remedied",
            f"{counted(len(explained), 'instance')} differ only as the change records say" if explained else "",
        )

    def _explained(self, places: Sequence[Place], seen: ReadBack) -> dict[SOPInstanceUID, ManifestEntry]:
        """The entries of those instances that are what was moved but for their recorded corrections, exactly."""
        corrected = {
            subject.uid: (place, subject) for place in places if place.corrections for subject in place.subjects
        }
        found = {entry.sop_instance_uid: entry for entry in seen.manifest.entries}
        expected = self._expected()
        explained: dict[SOPInstanceUID, ManifestEntry] = {}
        records = [record for record in self._listed() if record.sop_instance_uid in corrected.keys() & found.keys()]
        for item in self._fetched(records):
            uid = item.record.sop_instance_uid
            place, subject = corrected[uid]
            if isinstance(item, Fetched) and _is_explained(item, expected[uid], found[uid], place, subject):
                explained[uid] = found[uid]
        return explained

    def _failed(
        self, code: str, message: str, result: Reconciliation | None, explained: int, expected_ref: str
    ) -> tuple[str, str]:
        event = RemedyFailed(
            study=self.study.label,
            wave=self.work.wave,
            turn=self.turn,
            code=code,
            matched=len(result.match) if result else self.work.matched,
            missing=len(result.missing) if result else self.work.missing,
            differ=len(result.differ) if result else self.work.differ,
            extra=len(result.extra) if result else self.work.extra,
            explained=explained,
            expected_ref=expected_ref,
        )
        self.journal.record([*(self._seen(result) if result else ()), (self._key("ended"), event)])
        return "failed", message

    def _seen(self, result: Reconciliation) -> Iterator[tuple[str, Event]]:
        for finding in verify_findings(self.study, result):
            yield self.journal.finding(finding, wave=self.work.wave, under=self._key("seen"))


def _is_explained(item: Fetched, meant: ManifestEntry, seen: ManifestEntry, place: Place, subject: Subject) -> bool:
    """Whether an object is what was moved, but for what its place's change records say."""
    after = {each.keyword: each.after for each in place.corrections}
    try:
        entry = entry_against(item.path, seen)
        return (
            meant.digest.dataset_sha256 == subject.dataset_sha256
            and entry.digest.dataset_sha256 == seen.digest.dataset_sha256
            and entry.digest.pixel_sha256 == subject.pixel_sha256
            and rest_sha256(item.path, after) == subject.rest_sha256
            and has_values(item.path, after)
        )
    except (DicomRefused, OSError):
        return False


def _shown(values: tuple[str, ...] | None) -> str:
    return "absent" if values is None else repr("\\".join(values))
