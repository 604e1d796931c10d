"""What checks are shown of a study: what the sources listed, what was fetched, and what was read back."""

from __future__ import annotations

from collections.abc import Iterator

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import Attempt
from vna_lifecycle.model.event import StudyFetched
from vna_lifecycle.model.inventory import Basis, Manifest
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import StudyCase

PAGE = 200


def transferred(journal: Journal, wave: str) -> Iterator[list[StudyWork]]:
    """The wave's transferred studies, by label, some at a time."""
    after = ""
    while page := journal.catalog.work(wave, (MigrationState.TRANSFERRED,), after=after, limit=PAGE):
        after = page[-1].label
        yield page


def study_case(journal: Journal, work: StudyWork) -> StudyCase:
    """One study's case, from the catalog and the vault; nothing is fetched.

    Raises:
        EvidenceErased: its evidence was erased on purpose.
    """
    listed = journal.catalog.study(work.study_uid)
    manifests = {
        ref: journal.manifest(ref) for ref in {work.manifest_ref, work.expected_ref, work.read_back_ref} if ref
    }
    source = manifests[work.manifest_ref]
    basis = listed.basis if listed else Basis.NONE
    return StudyCase(
        study=work.ref,
        records=tuple(record for _, record in journal.catalog.candidates(work.study_uid)),
        source=source,
        expected=manifests[work.expected_ref],
        target=manifests.get(work.read_back_ref),
        basis=basis,
        claimed=listed.claimed if listed else None,
        retrievals=1 if basis is Basis.INSTANCES else _agreeing(journal, work, source),
    )


def _agreeing(journal: Journal, work: StudyWork, source: Manifest) -> int:
    """How many attempts at the study brought the same set of instances."""
    uids = {entry.sop_instance_uid for entry in source.entries}
    count = 0
    for number in range(1, work.attempt + 1):
        attempt = Attempt(study=work.ref, wave=work.wave, number=number)
        found = journal.ledger.find(attempt.key("fetched"))
        if found is not None and isinstance(found.event, StudyFetched):
            brought = journal.manifest(found.event.manifest_ref)
            count += {entry.sop_instance_uid for entry in brought.entries} == uids
    return count
