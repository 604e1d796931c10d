"""Reading any tree of DICOM files, whatever they are called. There is no index: answers come from the headers.

So ``find_studies`` and ``list_instances`` read every header at each call. An inventory reads each once and is what to
work from; a program does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from vna_lifecycle.adapters.files.objects import fetch_files
from vna_lifecycle.adapters.files.parts import cut, range_of
from vna_lifecycle.adapters.files.tree import Entry, Position, Tree, locator_of, position_of
from vna_lifecycle.adapters.query import StudyTally, matches
from vna_lifecycle.dicom.fileset import read_dicomdir
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Spool, StudyQuery

FILES_PER_PART = 2000

_LACKING: Final = {
    # the problem that `read_dicomdir` tells of: code and reason of the refusal
    "missing": ("missing-file", "a DICOMDIR names a file that is not there"),
    "outside": ("outside-file-set", "a DICOMDIR names a file that lies outside its file-set"),
    "illegal": ("illegal-file-id", "a DICOMDIR names a file by what is no file ID (PS3.10 8.2)"),
}


class Folder:
    """A foreign folder. Finding studies reads every header, once more at each question."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies whose instances answer the query, by a scan of the whole tree."""
        found: dict[StudyUID, StudyTally] = {}
        for item in self._scan((), None):
            if isinstance(item, InstanceRecord):
                found.setdefault(item.study_uid, StudyTally()).add(item)
        for _, tally in sorted(found.items()):
            study = tally.study()
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
            item = self._read(entry)
            yield item
            if isinstance(item, Refused) and item.code == "media-directory":
                yield from self._lacking(item.locator)

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

    def _lacking(self, locator: str) -> Iterator[Refused]:
        """The files that a DICOMDIR names and that are not there, each once; those that are there come by the walk."""
        told: set[str] = set()
        try:
            for named in read_dicomdir(self._tree.path(position_of(locator))):
                name = f"{locator}#{locator_of(tuple(os.fsencode(part) for part in named.file_id))}"
                if named.problem and name not in told:
                    told.add(name)
                    code, reason = _LACKING[named.problem]
                    yield Refused(locator=name, code=code, reason=reason)
        except DicomRefused as refusal:
            reason = f"the rest of this DICOMDIR cannot be read: {refusal}"
            yield Refused(locator=f"{locator}#", code=refusal.code, reason=reason, offset=refusal.offset)
        except OSError as error:
            self._tree.check()
            yield Refused(locator=f"{locator}#", code="unreadable-file", reason=error.strerror or "it cannot be read")
