"""Reading any tree of DICOM files, whatever they are called. There is no index: answers come from the headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vna_lifecycle.adapters.files.objects import fetch_files
from vna_lifecycle.adapters.files.parts import cut, range_of
from vna_lifecycle.adapters.files.tree import Entry, Position, Tree, locator_of
from vna_lifecycle.adapters.query import matches, summarize
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Spool, StudyQuery

FILES_PER_PART = 2000


class Folder:
    """A foreign folder. Finding studies reads every header, once more at each question."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies whose instances answer the query, by a scan of the whole tree."""
        found: dict[StudyUID, list[InstanceRecord]] = {}
        for item in self._scan((), None):
            if isinstance(item, InstanceRecord):
                found.setdefault(item.study_uid, []).append(item)
        for _, records in sorted(found.items()):
            study = summarize(records)
            if matches(query, study):
                yield study

    def parts(self) -> Iterator[Part]:
        """Ranges of the walk with at most `FILES_PER_PART` files each."""
        return cut(((entry.position, 1) for entry in self._tree.walk()), limit=FILES_PER_PART, kind="files")

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Every file in the part's range, one that came into it since included."""
        yield from self._scan(*range_of(part))

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """The study's instances, by a scan of the whole tree."""
        for item in self._scan((), None):
            if isinstance(item, InstanceRecord) and item.study_uid == study.study_uid:
                yield item

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """The archive's own files: nothing is copied."""
        return fetch_files(self._tree, wanted)

    def close(self) -> None:
        """Nothing is held open."""

    def _scan(self, start: Position, end: Position | None) -> Iterator[InstanceRecord | Refused]:
        for entry in self._tree.walk(start, end):
            yield self._read(entry)

    def _read(self, entry: Entry) -> InstanceRecord | Refused:
        locator = locator_of(entry.position)
        if entry.trouble:
            return Refused(locator=locator, code=entry.trouble, reason=entry.reason)
        size = None
        try:
            place = self._tree.find(locator)
            size = place.size
            return scan_file(place.path, locator=locator)
        except DicomRefused as refusal:
            return Refused(locator=locator, code=refusal.code, reason=str(refusal), offset=refusal.offset, size=size)
        except ValueError as error:  # it was another kind of thing when the folder was listed
            return Refused(locator=locator, code="changed-meanwhile", reason=str(error))
        except OSError as error:
            self._tree.check()
            reason = error.strerror or "the file cannot be read"
            return Refused(locator=locator, code="unreadable-file", reason=reason, size=size)
