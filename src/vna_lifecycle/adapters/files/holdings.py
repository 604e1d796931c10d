"""What a store holds: objects, manifests and index, kept in step."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.files.durable import Folders, locked, write_error, write_file
from vna_lifecycle.adapters.files.incoming import abandoned
from vna_lifecycle.adapters.files.index import Index
from vna_lifecycle.adapters.files.layout import (
    INDEX,
    MANIFEST,
    MARKER,
    OBJECTS,
    STUDIES,
    is_empty,
    is_store,
    manifest_position,
    marker_bytes,
    object_position,
)
from vna_lifecycle.adapters.files.manifest import (
    Contents,
    KnownManifests,
    LockedManifest,
    StoredInstance,
    located,
    locked_manifest,
    parse,
)
from vna_lifecycle.adapters.files.tree import Position, Tree, locator_of
from vna_lifecycle.adapters.query import summarize
from vna_lifecycle.dicom.digest import examine
from vna_lifecycle.dicom.limits import LIMITS
from vna_lifecycle.dicom.scan import scan, scan_file
from vna_lifecycle.dicom.source import Source, file_source
from vna_lifecycle.errors import ArchiveReadOnly, DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Digest, InstanceRecord, Refused, StudyRecord

_logger = logging.getLogger(__name__)

_NO_MANIFEST: Final = Contents()


@frozen(kw_only=True)
class Rebuilt:
    """What a rebuild found. ``adopted`` objects were in no manifest; ``refused`` things stay where they are."""

    studies: int
    instances: int
    adopted: int
    refused: tuple[Refused, ...]


def examine_stored(file: Path, known: Digest | None = None) -> StoredInstance:
    """A stored object's manifest line, from its bytes; their digest is taken from ``known`` where there is one.

    Raises:
        DicomRefused: it is no DICOM object.
        OSError: it cannot be read.
    """
    with file_source(file) as source:
        return stored_line(source, known)


def stored_line(source: Source, known: Digest | None) -> StoredInstance:
    """As `examine_stored`, of a file that is open."""
    if known:
        record, digest = scan(source, "", LIMITS), known
    else:
        examined = examine(source, "", LIMITS)
        record, digest = examined.record, examined.digest
    return StoredInstance(
        record=located(record, source.size), dataset_sha256=digest.dataset_sha256, dataset_size=digest.dataset_size
    )


class Holdings:
    """The store under one root, shared by its reading, writing and withdrawing sides."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.index = Index(tree.root / INDEX, self.studies)
        self.known = KnownManifests()
        self._writing = False

    def begin_writing(self) -> None:
        """Make the folder a store if it is empty, and finish or remove what a crashed writer left.

        Raises:
            ArchiveReadOnly: the folder holds something else, or may not be written.
            ArchiveError: the disk failed.
        """
        archive = self.tree.archive
        try:
            if not is_store(self.tree):
                self._found()
            if not self._writing:
                self._sweep()
                self._writing = True
        except OSError as error:
            self.tree.check()
            raise write_error(archive, error) from error

    def _found(self) -> None:
        root = os.open(self.tree.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with locked(root):
                if is_store(self.tree):  # another process was faster
                    return
                if not is_empty(self.tree):
                    message = f"{self.tree.archive}: the folder holds other things, so nothing is stored in it"
                    hint = "choose an empty folder, or a store that this program wrote"
                    raise ArchiveReadOnly(message, archive=self.tree.archive, hint=hint)
                write_file(root, MARKER, marker_bytes())
        finally:
            os.close(root)

    def _sweep(self) -> None:
        for file in abandoned(self.tree.root):
            try:
                stored = examine_stored(file)
            except DicomRefused:
                continue  # never linked by us: what we link was examined before
            position = object_position(stored.record.sop_instance_uid)
            path = self.tree.path(position)
            with (
                Folders(self.tree.root) as folders,
                locked_manifest(folders, stored.record.study_uid, self.known) as manifest,
            ):
                if not (path.exists() and path.samefile(file)):
                    continue
                if stored.record.sop_instance_uid not in manifest.instances:
                    folders.open(position[:-1])
                    folders.changed(position[:-1])
                    folders.sync()
                    self.enter(manifest, [stored])
                else:  # the crash came between the manifest's line and the index's row
                    self._index(manifest)

    def enter(self, manifest: LockedManifest, stored: Sequence[StoredInstance]) -> None:
        """Enter stored objects into their study's manifest, then into the index; both are durable afterwards.

        Raises:
            OSError: they are not.
        """
        if stored:
            manifest.append(stored=stored)
            self._index(manifest)

    def strike(self, manifest: LockedManifest, study_uid: StudyUID, uids: Sequence[SOPInstanceUID]) -> None:
        """Take removed objects out of their study's manifest, then out of the index.

        Raises:
            OSError: this is not durable.
        """
        manifest.append(withdrawn=[uid for uid in uids if uid in manifest.instances])
        if manifest.instances:
            self._index(manifest)
        else:
            self.index.drop(study_uid)

    def _index(self, manifest: LockedManifest) -> None:
        self.index.put(summarize(item.record for item in manifest.instances.values()))

    def contents(self, study_uid: StudyUID) -> Contents:
        """What a study's manifest says; empty where there is none.

        Raises:
            OSError: it cannot be read.
        """
        return self._read(manifest_position(study_uid))

    def _read(self, position: Position) -> Contents:
        try:
            return parse(self.tree.path(position).read_bytes())
        except FileNotFoundError:
            return _NO_MANIFEST

    def manifests(self, start: Position = (), end: Position | None = None) -> Iterator[Position]:
        """Where manifests are, in the order of the walk. Anything else under ``studies`` is passed over."""
        if self.tree.path((STUDIES,)).is_dir():
            for entry in self.tree.walk(start, end, below=(STUDIES,)):
                if entry.position[-1] == MANIFEST and not entry.trouble:
                    yield entry.position

    def present(self, contents: Contents) -> Iterator[InstanceRecord | Refused]:
        """The instances of a manifest with the size that they have now; those whose object is gone, as refused."""
        seen = set[bytes]()
        for stored in contents.instances.values():
            locator = stored.record.locator
            try:
                size = self.tree.find(locator, seen).size
            except (OSError, ValueError):
                self.tree.check()
                reason = "the manifest names an object that is not there"
                yield Refused(locator=locator, code="missing-file", reason=reason)
            else:
                yield located(stored.record, size)

    def at(self, position: Position) -> Iterator[InstanceRecord | Refused]:
        """Everything that the manifest at ``position`` tells of."""
        locator = locator_of(position)
        try:
            contents = self._read(position)
        except OSError as error:
            self.tree.check()
            yield Refused(locator=locator, code="unreadable-file", reason=error.strerror or "it cannot be read")
            return
        if contents.damaged:
            reason = f"{contents.damaged} lines of a study's manifest cannot be read; rebuild the store's manifests"
            yield Refused(locator=locator, code="damaged-manifest", reason=reason)
        yield from self.present(contents)

    def studies(self) -> Iterator[StudyRecord]:
        """Every study, from the manifests."""
        for position in self.manifests():
            records = [item for item in self.at(position) if isinstance(item, InstanceRecord)]
            if records:
                yield summarize(records)

    def rebuild(self) -> Rebuilt:
        """Enter objects that no manifest names, and build the index anew. Reads every header.

        Raises:
            ArchiveError: the store cannot be written.
        """
        self.begin_writing()
        adopted = 0
        refused: list[Refused] = []
        try:
            if self.tree.path((OBJECTS,)).is_dir():
                for entry in self.tree.walk(below=(OBJECTS,)):
                    problem = self._adopt(entry.position)
                    if isinstance(problem, Refused):
                        refused.append(problem)
                    else:
                        adopted += problem
            self.index.rebuild()
        except OSError as error:
            self.tree.check()
            raise write_error(self.tree.archive, error) from error
        studies = list(self.studies())
        instances = sum(study.instance_count or 0 for study in studies)
        return Rebuilt(studies=len(studies), instances=instances, adopted=adopted, refused=tuple(refused))

    def _adopt(self, position: Position) -> int | Refused:
        locator = locator_of(position)
        try:
            place = self.tree.find(locator)
            record = scan_file(place.path, locator=locator)
            if object_position(record.sop_instance_uid) != position:
                return Refused(locator=locator, code="uid-mismatch", reason="the object is not where its UID puts it")
            with Folders(self.tree.root) as folders, locked_manifest(folders, record.study_uid, self.known) as manifest:
                if record.sop_instance_uid in manifest.instances:
                    return 0
                folders.sync()
                manifest.append(stored=[examine_stored(place.path)])
        except DicomRefused as refusal:
            return Refused(locator=locator, code=refusal.code, reason=str(refusal), offset=refusal.offset)
        except ValueError as error:
            return Refused(locator=locator, code="not-an-object", reason=str(error))
        return 1
