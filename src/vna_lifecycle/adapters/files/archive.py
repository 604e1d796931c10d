"""Opening a folder as an archive. Whether it is a store is looked up at each call: the first object makes it one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vna_lifecycle.adapters.either import EitherReader
from vna_lifecycle.adapters.files.folder import Folder
from vna_lifecycle.adapters.files.holdings import Holdings
from vna_lifecycle.adapters.files.layout import is_store
from vna_lifecycle.adapters.files.objects import fetch_files
from vna_lifecycle.adapters.files.parts import cut, range_of
from vna_lifecycle.adapters.files.probing import Probing
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.adapters.files.store import Store
from vna_lifecycle.adapters.files.tree import Tree
from vna_lifecycle.adapters.files.withdraw import Withdrawal
from vna_lifecycle.adapters.query import matches, summarize
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Part, Site, SourceAdapter, Spool, StudyQuery

INSTANCES_PER_PART: Final = 2000
_LINE: Final = 600  # bytes of a manifest per instance, about; only evens out the parts


class StoreReader:
    """The reading side of a store: manifests tell what there is, the index which study is meant."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._tree = holdings.tree

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """From the index; from all manifests where it cannot be used."""
        candidates = self._holdings.index.candidates(query)
        if candidates is None:
            candidates = sorted(self._holdings.studies(), key=lambda study: study.study_uid)
        return (study for study in candidates if matches(query, study))

    def parts(self) -> Iterator[Part]:
        """Ranges of studies with about `INSTANCES_PER_PART` instances each."""
        weights = (
            (position, max(1, self._tree.path(position).stat().st_size // _LINE))
            for position in self._holdings.manifests()
        )
        return cut(weights, limit=INSTANCES_PER_PART, kind="studies")

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each study of the part and its instances, from its manifest and what is there of it."""
        for position in self._holdings.manifests(*range_of(part)):
            found = list(self._holdings.at(position))
            records = [item for item in found if isinstance(item, InstanceRecord)]
            if records:
                yield summarize(records)
            yield from found

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """What the study's manifest names and is there."""
        contents = self._holdings.contents(study.study_uid)
        return (item for item in self._holdings.present(contents) if isinstance(item, InstanceRecord))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """The store's own files: nothing is copied."""
        return fetch_files(self._tree, wanted)

    def close(self) -> None:
        """Close the index."""
        self._holdings.index.close()


class Reader(EitherReader):
    """The reading side of a folder, whichever of the two it is now."""

    def __init__(self, holdings: Holdings) -> None:
        self._tree = holdings.tree
        self._store = StoreReader(holdings)
        self._folder = Folder(holdings.tree)

    def _now(self) -> SourceAdapter:
        return self._store if is_store(self._tree) else self._folder

    def close(self) -> None:
        """Close the index."""
        self._store.close()


def open_archive(settings: FilesSettings, site: Site) -> Archive:
    """Open a folder, which is not written to before the first object is stored.

    Raises:
        ArchiveUnreachable: it is not there.
        ArchiveError: it is a store of another version.
    """
    holdings = Holdings(Tree(settings.path, archive=site.name))
    is_store(holdings.tree)  # a store that cannot be read is told now, not in the middle of a wave
    return Archive(
        reads=Reader(holdings),
        stores=Store(holdings),
        withdraws=Withdrawal(holdings),
        probes=Probing(holdings.tree),
    )
