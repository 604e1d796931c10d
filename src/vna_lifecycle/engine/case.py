"""What wave checks are shown: the catalog's answers, the vault's manifests, and the target as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import groupby
from typing import Final

from attrs import evolve, frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.catalog.questions import WaveQuestions
from vna_lifecycle.dicom.compare import conflict_class
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.engine.decide import held_contents
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.own_copies import present_before
from vna_lifecycle.engine.target_again import WORDS, Look, look_again, look_at_many
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, Refused
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import (
    Collision,
    ConflictClass,
    Contradiction,
    Depth,
    DescriptionUse,
    Fetched,
    Namesakes,
    Oddity,
    PatientFacts,
    SharedContent,
    SpreadSeries,
    StudyFacts,
    TargetDifference,
    TruthDifference,
    WaveCase,
)

_PAGE: Final = 1_000
_COPIES: Final = 20
"""At most so many objects under one UID are fetched to say how they differ."""

_SEVEREST: Final = (ConflictClass.CONTENT, ConflictClass.DEMOGRAPHICS, ConflictClass.ENCODING)


def wave_case(
    journal: Journal,
    bench: Workbench,
    wave: str,
    *,
    sources: Sequence[str],
    target: str,
    executor: Callable[[], Executor] | None = None,
    workers: int = 1,
) -> WaveCase:
    """What is known of a wave now; ``""`` gives the program's own case.

    The studies must be refreshed over ``sources`` (`Catalog.refresh_studies`), and the current state in step with the
    ledger. Contents that collide, and the target, are read through ``bench``; the target, if there is an ``executor``,
    by ``workers`` at a time.
    """
    return CatalogCase(
        wave=wave,
        questions=journal.catalog.about(wave),
        journal=journal,
        bench=bench,
        sources=tuple(sources),
        target=target,
        executor=executor,
        workers=workers,
    )


@frozen(kw_only=True)
class CatalogCase:
    """A wave on record, or the program itself, through the catalog, the vault and the archives."""

    wave: str
    questions: WaveQuestions
    journal: Journal
    bench: Workbench
    sources: tuple[str, ...]
    target: str
    executor: Callable[[], Executor] | None
    workers: int

    def studies(self) -> Iterator[StudyFacts]:
        """As the catalog has them."""
        return self.questions.studies()

    def histories(self) -> Iterator[tuple[StudyFacts, ...]]:
        """As the catalog has them."""
        return self.questions.histories()

    def issuers(self) -> Iterator[str]:
        """As the catalog has them."""
        return self.questions.issuers()

    def contradictions(self) -> Iterator[Contradiction]:
        """As the catalog has them."""
        return self.questions.contradictions()

    def patients(self) -> Iterator[PatientFacts]:
        """As the catalog has them."""
        return self.questions.patients()

    def namesakes(self) -> Iterator[Namesakes]:
        """As the catalog has them."""
        return self.questions.namesakes()

    def spread_series(self) -> Iterator[SpreadSeries]:
        """As the catalog has them."""
        return self.questions.spread_series()

    def descriptions(self) -> Iterator[DescriptionUse]:
        """As the catalog has them."""
        return self.questions.descriptions()

    def oddities(self) -> Iterator[Oddity]:
        """As the catalog has them."""
        return self.questions.oddities()

    def refused(self) -> Iterator[tuple[str, Refused]]:
        """What the latest complete pass over each source could not trust: it belongs to no study, and so to no wave."""
        for archive in () if self.wave else self.sources:
            number = self.journal.catalog.latest_inventory(archive)
            if number is not None:
                yield from ((archive, item) for item in self.journal.catalog.refused(number))

    def truth_differences(self) -> Iterator[TruthDifference]:
        """As the catalog has them."""
        return self.journal.catalog.truth.differences(self.wave)

    def collisions(self) -> Iterator[Collision]:
        """First what transfers held back, then what the listings show; that is fetched and compared."""
        if not self.wave:
            return
        held: set[str] = set()
        contents = held_contents(self.journal, self.wave)
        for (label, uid), items in groupby(contents, key=lambda item: (item.study, item.sop_instance_uid)):
            work = self.journal.catalog.work_on(label)
            if work is None:
                continue
            held.add(uid)
            found = list(items)
            yield Collision(
                sop_instance_uid=uid,
                studies=(work.ref,),
                copies=tuple((item.archive, item.locator) for item in found),
                conflict=ConflictClass(found[0].conflict),
            )
        for suspect in self.questions.several_objects():
            if suspect.sop_instance_uid not in held and not self._chosen(suspect):
                looked = self._classed(suspect)
                if looked is not None:
                    yield looked

    def shared_contents(self) -> Iterator[SharedContent]:
        """From the manifests of what was fetched."""
        for page in self._pages(tuple(MigrationState)):
            manifests = self.journal.manifests(work.manifest_ref for work in page)
            for work in page:
                if work.manifest_ref:
                    yield from _shared(work.ref, manifests[work.manifest_ref])

    def target_differences(self, depth: Depth) -> Iterator[TargetDifference]:
        """Study by study, against the manifest of the accepted read-back."""
        extras = self._extras()
        for study, look in self._looks(depth):
            if look.cancelled:
                return
            known = {*extras.get(study.label, ()), *self._present_before(study)} if look.added else set()
            for what in WORDS:
                uids: tuple[str, ...] = getattr(look, what)
                for uid in sorted(uids):
                    if what != "added" or uid not in known:
                        yield TargetDifference(study=study, sop_instance_uid=uid, what=what)

    # ------------------------------------------------------------------------------------------------ pieces

    def _pages(self, states: Sequence[MigrationState]) -> Iterator[list[StudyWork]]:
        after = ""
        while self.wave and (page := self.journal.catalog.work(self.wave, states, after, _PAGE)):
            yield page
            after = page[-1].label

    def _looks(self, depth: Depth) -> Iterator[tuple[StudyRef, Look]]:
        accepted = self._accepted()
        if self.executor is not None:
            yield from look_at_many(
                self.bench, self.target, accepted, depth, executor=self.executor, workers=self.workers
            )
            return
        for study, manifest in accepted:
            yield study, look_again(self.bench, study, self.target, manifest, depth)

    def _accepted(self) -> Iterator[tuple[StudyRef, Manifest]]:
        for page in self._pages((MigrationState.TRANSFERRED,)):
            manifests = self.journal.manifests(work.read_back_ref for work in page)
            for work in page:
                if self.bench.cancelled.is_set():
                    return
                yield work.ref, manifests[work.read_back_ref]

    def _chosen(self, suspect: Collision) -> bool:
        label = self.journal.catalog.label(suspect.sop_instance_uid)
        studies = (*suspect.studies, *suspect.elsewhere)
        return any(label in self.journal.catalog.choices(study.label) for study in studies)

    def _classed(self, suspect: Collision) -> Collision | None:
        """The suspect with its class; None if all are copies after all."""
        contents: dict[str, Fetched] = {}
        failed = False
        studies = (*suspect.studies, *suspect.elsewhere)[:_COPIES]
        try:
            for study, by_archive in self._copies(suspect):
                spool = self.bench.spool(study.label, "fetch")
                for archive, records in by_archive.items():
                    for item in self.bench.archive(archive).reads.fetch(study, records, spool):
                        if isinstance(item, Fetched):
                            contents.setdefault(dataset_sha256(item.path)[0], item)
                        else:
                            failed = True
            first, *others = contents.values()
            classes = {conflict_class(first.path, other.path) for other in others}
        except (DicomRefused, OSError, ValueError):
            return suspect  # not every content could be looked at
        finally:
            for study in studies:
                self.bench.clear(study.label)
        if failed:
            return suspect
        worst = next((each for each in _SEVEREST if each in classes), None)
        return None if worst is None else evolve(suspect, conflict=worst)

    def _copies(self, suspect: Collision) -> Iterator[tuple[StudyRef, dict[str, list[InstanceRecord]]]]:
        """The first copies under the UID, study by study, by archive."""
        left = _COPIES
        for study in (*suspect.studies, *suspect.elsewhere)[:_COPIES]:
            wanted: dict[str, list[InstanceRecord]] = {}
            for archive, record in self.journal.catalog.candidates(study.study_uid):
                if record.sop_instance_uid == suspect.sop_instance_uid and left:
                    wanted.setdefault(archive, []).append(record)
                    left -= 1
            yield study, wanted

    def _extras(self) -> Mapping[str, set[str]]:
        """What the read-back already found beyond the manifest, by the study's label."""
        extras: dict[str, set[str]] = {}
        for line in self.journal.catalog.findings(self.wave):
            if line.kind == "extra-at-target":
                extras.setdefault(line.study, set()).update(self.journal.read_finding(line.evidence_ref).subjects)
        return extras

    def _present_before(self, study: StudyRef) -> Iterator[str]:
        work = self.journal.catalog.work_on(study.label)
        yield from present_before(self.journal, work) if work is not None else ()


def _shared(study: StudyRef, manifest: Manifest) -> Iterator[SharedContent]:
    by_pixels: dict[str, list[str]] = {}
    for entry in manifest.entries:
        if entry.digest.pixel_sha256:
            by_pixels.setdefault(entry.digest.pixel_sha256, []).append(entry.sop_instance_uid)
    for pixels, uids in by_pixels.items():
        if len(uids) > 1:
            yield SharedContent(study=study, pixel_sha256=pixels, sop_instance_uids=tuple(uids))
