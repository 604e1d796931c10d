"""Writing a store: whole objects or nothing, never other bytes under the same UID, and no receipt before it is durable.

One commit takes some objects through: copy and fsync under a temporary name; link to the final name, which fails where
there is one; fsync of the folders; manifest lines and fsync; index row; receipts. Up to the link a crash leaves nothing
but temporary files, and after it an object that the next writer enters into its manifest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from attrs import frozen

from vna_lifecycle.adapters.files.durable import Folders, copy_bytes, forget_cached, sync_all, write_error
from vna_lifecycle.adapters.files.holdings import Holdings, examine_stored, stored_line
from vna_lifecycle.adapters.files.incoming import incoming_folder
from vna_lifecycle.adapters.files.layout import object_position
from vna_lifecycle.adapters.files.manifest import LockedManifest, StoredInstance, locked_manifest
from vna_lifecycle.dicom.compare import conflict_class
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.source import descriptor_source
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.ports import ConflictClass, Fetched, Outcome, Receipt, StoreFailure

INSTANCES_PER_COMMIT: Final = 32  # bounds open folders, and what a failure takes back
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Answer: TypeAlias = Receipt | StoreFailure


@frozen(kw_only=True)
class _Staged:
    """An object that is ready for its name; ``file`` is None where the UID is taken, so that nothing was copied."""

    source: Path
    file: Path | None
    stored: StoredInstance

    @property
    def uid(self) -> SOPInstanceUID:
        return self.stored.record.sop_instance_uid


class Store:
    """The writing side of a store."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._tree = holdings.tree

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[_Answer]:
        """Store each instance byte for byte, under the UIDs that its own bytes have.

        Raises:
            ArchiveReadOnly: the folder holds something else than a store, or may not be written.
            ArchiveFull: no space is left. What was not acknowledged does not count.
            ArchiveError: the disk failed; the same holds.
            ArchiveUnreachable: the root went away.
        """
        self._holdings.begin_writing()
        waiting = iter(instances)
        while batch := list(islice(waiting, INSTANCES_PER_COMMIT)):
            self._tree.check()
            try:
                answers = self._commit(batch)
            except OSError as error:
                self._tree.check()
                raise write_error(self._tree.archive, error) from error
            yield from answers

    def _commit(self, batch: Sequence[Fetched]) -> list[_Answer]:
        answers: list[_Answer] = []
        by_study: dict[StudyUID, list[_Staged]] = {}
        with incoming_folder(self._tree.root) as folder:
            with _copies(folder, [item for item in batch if not self._taken(item)]) as copies:
                for item in batch:
                    copied = copies.get(id(item))
                    staged = copied if isinstance(copied, StoreFailure) else self._stage(item, copied)
                    if isinstance(staged, StoreFailure):
                        answers.append(staged)
                    else:
                        by_study.setdefault(staged.stored.record.study_uid, []).append(staged)
            for study_uid, members in by_study.items():
                answers += self._commit_study(study_uid, members)
        return answers

    def _taken(self, item: Fetched) -> bool:
        return self._tree.path(object_position(item.record.sop_instance_uid)).exists()

    def _stage(self, item: Fetched, copied: _Copy | None) -> _Staged | StoreFailure:
        """Look at the copy rather than at what was copied: what it says is what gets stored."""
        uid = item.record.sop_instance_uid
        try:
            if copied:
                stored = stored_line(descriptor_source(copied.descriptor), item.digest)
            else:
                stored = examine_stored(item.path, item.digest)
        except DicomRefused as refusal:
            return StoreFailure(sop_instance_uid=uid, code=refusal.code, message=str(refusal))
        except OSError as error:
            if copied:
                raise
            return _unreadable(uid, error)
        if stored.record.sop_instance_uid != uid:
            message = "the file has another SOP Instance UID than its record"
            return StoreFailure(sop_instance_uid=uid, code="uid-mismatch", message=message)
        if copied:
            forget_cached(copied.descriptor)
        return _Staged(source=item.path, file=copied.path if copied else None, stored=stored)

    def _commit_study(self, study_uid: StudyUID, members: Sequence[_Staged]) -> list[_Answer]:
        answers: list[_Answer] = []
        entered: list[StoredInstance] = []
        linked: list[SOPInstanceUID] = []
        with Folders(self._tree.root) as folders, locked_manifest(folders, study_uid, self._holdings.known) as manifest:
            try:
                for staged in members:
                    if _link(folders, staged):
                        linked.append(staged.uid)
                        entered.append(staged.stored)
                        answers.append(Receipt(sop_instance_uid=staged.uid, outcome=Outcome.STORED))
                    else:
                        answers.append(self._compare(folders, manifest, staged, entered))
                folders.sync()
                self._holdings.enter(manifest, entered)
            except OSError:
                _unlink(folders, linked)
                raise
        return answers

    def _compare(
        self, folders: Folders, manifest: LockedManifest, staged: _Staged, entered: list[StoredInstance]
    ) -> _Answer:
        """The UID is taken: by the same data set bytes, or by others."""
        position = object_position(staged.uid)
        path = self._tree.path(position)
        try:
            digest, _ = dataset_sha256(path)
        except FileNotFoundError:
            message = "the object that had this UID was withdrawn at this moment"
            return StoreFailure(sop_instance_uid=staged.uid, code="changed-meanwhile", message=message, transient=True)
        except DicomRefused:
            return _conflict(staged.uid, ConflictClass.CONTENT)
        if digest != staged.stored.dataset_sha256:
            return _conflict(staged.uid, conflict_class(staged.source, path))
        known = {*manifest.instances, *(item.record.sop_instance_uid for item in entered)}
        if staged.uid not in known:  # a crash, or another process at this moment, left it to be entered
            folders.open(position[:-1])
            folders.changed(position[:-1])
            entered.append(examine_stored(path))
        return Receipt(sop_instance_uid=staged.uid, outcome=Outcome.ALREADY_PRESENT)


@frozen(kw_only=True)
class _Copy:
    """A durable copy under a temporary name, open as long as it is being looked at."""

    path: Path
    descriptor: int


@contextmanager
def _copies(folder: Path, items: Sequence[Fetched]) -> Iterator[dict[int, _Copy | StoreFailure]]:
    """A copy of each item's file, by the item's ``id``."""
    copies: dict[int, _Copy | StoreFailure] = {}
    opened: list[int] = []
    try:
        for number, item in enumerate(items):
            try:
                reading = item.path.open("rb", buffering=0)
            except OSError as error:
                copies[id(item)] = _unreadable(item.record.sop_instance_uid, error)
                continue
            with reading:
                path = folder / f"{number}.dcm"
                opened.append(os.open(path, _NEW, 0o440))  # read only: nothing may write to it again
                copy_bytes(reading.fileno(), opened[-1])
                copies[id(item)] = _Copy(path=path, descriptor=opened[-1])
        sync_all(opened)
        yield copies
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _unreadable(uid: SOPInstanceUID, error: OSError) -> StoreFailure:
    message = f"the fetched file cannot be read: {error.strerror}"
    return StoreFailure(sop_instance_uid=uid, code="unreadable-source", message=message)


def _conflict(uid: SOPInstanceUID, conflict: ConflictClass) -> StoreFailure:
    message = "other bytes are stored under this SOP Instance UID; they stay"
    return StoreFailure(sop_instance_uid=uid, code="conflict", message=message, conflict=conflict)


def _link(folders: Folders, staged: _Staged) -> bool:
    """Give the object its name, unless the name is taken."""
    *folder, name = object_position(staged.uid)
    if staged.file is None:
        return False
    descriptor = folders.open(tuple(folder))
    try:
        os.link(staged.file, name, dst_dir_fd=descriptor)
    except FileExistsError:
        return False
    folders.changed(tuple(folder))
    return True


def _unlink(folders: Folders, uids: Sequence[SOPInstanceUID]) -> None:
    """Take back what was linked but not acknowledged; what cannot be taken back is entered by the next writer."""
    for uid in uids:
        *folder, name = object_position(uid)
        os.unlink(name, dir_fd=folders.open(tuple(folder)))
