"""Asking the sources again: is what we moved still what they hold?"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.engine.tasks import Candidate, FetchedStudy, Workbench, fetch_study
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Manifest


@frozen(kw_only=True)
class SourceDrift:
    """How a study at the source differs now from a manifest: UIDs that are gone, other in content, or new.

    Of ``unknown`` ones nothing can be said: the source did not hand them out for now; nor of ``withheld`` ones, which
    it does not hand out before a person has seen to it. They are no difference.
    """

    gone: tuple[SOPInstanceUID, ...]
    other: tuple[SOPInstanceUID, ...]
    new: tuple[SOPInstanceUID, ...]
    unknown: tuple[SOPInstanceUID, ...] = ()
    withheld: tuple[SOPInstanceUID, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.other or self.new)


def candidates_of(catalog: Catalog, study_uid: str) -> list[Candidate]:
    """Every object that the latest inventories list for a study, in order of precedence."""
    return [Candidate(archive=name, record=record) for name, record in catalog.candidates(study_uid)]


def choices_of(catalog: Catalog, study: StudyRef, candidates: Sequence[Candidate]) -> list[tuple[str, str]]:
    """The contents that people chose for this study, as pairs of SOP Instance UID and data set SHA-256."""
    chosen = catalog.choices(study.label)
    if not chosen:
        return []
    uids = sorted({candidate.record.sop_instance_uid for candidate in candidates})
    return [(uid, chosen[catalog.label(uid)]) for uid in uids if catalog.label(uid) in chosen]


def fetch_again(bench: Workbench, catalog: Catalog, study: StudyRef, target: str) -> FetchedStudy:
    """Fetch a study from the sources as a transfer would, storing nothing."""
    candidates = candidates_of(catalog, study.study_uid)
    return fetch_study(bench, study, candidates, choices_of(catalog, study, candidates), target)


def drift(before: Manifest, now: FetchedStudy) -> SourceDrift:
    """Compare what is at the source now with what was fetched then, by data set bytes.

    An instance that has several contents now, and had one then, is in ``other``.
    """
    then = {entry.sop_instance_uid: entry.digest.dataset_sha256 for entry in before.entries}
    here = {item.entry.sop_instance_uid: item.entry.digest.dataset_sha256 for item in now.objects}
    here |= {item.sop_instance_uid: "several" for item in now.held}
    unknown = frozenset(failure.record.sop_instance_uid for failure in now.failures if failure.transient)
    withheld = awaited(now) - unknown
    return SourceDrift(
        gone=tuple(uid for uid in then if uid not in here and uid not in unknown | withheld),
        other=tuple(uid for uid in then if uid in here and here[uid] != then[uid]),
        new=tuple(uid for uid in here if uid not in then),
        unknown=tuple(sorted(unknown)),
        withheld=tuple(sorted(withheld)),
    )


def awaited(now: FetchedStudy) -> frozenset[SOPInstanceUID]:
    """The UIDs that a source lists and did not hand out: they may be there as before, or not."""
    return frozenset(
        failure.record.sop_instance_uid for failure in now.failures if failure.transient or failure.withheld
    )


def contents_of(now: FetchedStudy) -> dict[SOPInstanceUID, frozenset[str]]:
    """The data set SHA-256 of every content that was seen under each SOP Instance UID."""
    seen = {item.entry.sop_instance_uid: frozenset({item.entry.digest.dataset_sha256}) for item in now.objects}
    return seen | {item.sop_instance_uid: frozenset(digest for digest, _, _ in item.contents) for item in now.held}
