"""What checks are shown of a study: what the sources listed, what was fetched, and what was read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vna_lifecycle.catalog import Listing, StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import Attempt
from vna_lifecycle.errors import EvidenceErased
from vna_lifecycle.model.event import StudyFetched
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Basis, Manifest
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import StudyCase

PAGE: Final = 500

_UNLISTED: Final = Listing(records=(), basis=Basis.NONE, claimed=None)


def transferred(journal: Journal, wave: str) -> Iterator[list[StudyWork]]:
    """The wave's transferred studies, by label, some at a time."""
    after = ""
    while page := journal.catalog.work(wave, (MigrationState.TRANSFERRED,), after=after, limit=PAGE):
        after = page[-1].label
        yield page


def study_cases(journal: Journal, page: Sequence[StudyWork]) -> Iterator[StudyCase | StudyRef]:
    """The cases of some studies, from the catalog and the vault; nothing is fetched.

    A study whose evidence was erased on purpose has none: it is given itself.
    """
    listed = journal.catalog.listings([work.label for work in page])
    try:
        manifests = journal.manifests(_references(page))
    except EvidenceErased:
        if len(page) == 1:
            yield page[0].ref
            return
        for work in page:
            yield from study_cases(journal, [work])
        return
    for work in page:
        listing = listed.get(work.label, _UNLISTED)
        source = manifests[work.manifest_ref]
        yield StudyCase(
            study=work.ref,
            records=listing.records,
            source=source,
            expected=manifests[work.expected_ref],
            target=manifests.get(work.read_back_ref),
            basis=listing.basis,
            claimed=listing.claimed,
            retrievals=1 if listing.basis is Basis.INSTANCES else _agreeing(journal, work, source),
        )


def _references(page: Sequence[StudyWork]) -> Iterator[str]:
    for work in page:
        yield from (work.manifest_ref, work.expected_ref, work.read_back_ref)


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
