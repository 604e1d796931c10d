"""Taking this program's own copies back out of a store, as long as they are still the bytes that it put there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from vna_lifecycle.adapters.files.durable import Folders, write_error
from vna_lifecycle.adapters.files.holdings import Holdings
from vna_lifecycle.adapters.files.layout import is_store, object_position
from vna_lifecycle.adapters.files.manifest import locked_manifest
from vna_lifecycle.adapters.files.store import INSTANCES_PER_COMMIT
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Digest, Manifest
from vna_lifecycle.ports import ConflictClass, Outcome, Receipt, StoreFailure


class Withdrawal:
    """The withdrawing side of a store."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._tree = holdings.tree

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        """Remove what still has the manifest's data set bytes. Objects go first, so that a crash leaves nothing hidden.

        Raises:
            ArchiveReadOnly: the folder may not be written.
            ArchiveError: the disk failed.
            ArchiveUnreachable: the root went away.
        """
        if not is_store(self._tree):
            for entry in manifest.entries:
                yield Receipt(sop_instance_uid=entry.sop_instance_uid, outcome=Outcome.ALREADY_PRESENT)
            return
        self._holdings.begin_writing()
        try:
            answers = self._withdraw(manifest)
        except OSError as error:
            self._tree.check()
            raise write_error(self._tree.archive, error) from error
        yield from answers

    def _withdraw(self, manifest: Manifest) -> list[Receipt | StoreFailure]:
        answers: list[Receipt | StoreFailure] = []
        waiting = iter(manifest.entries)
        with Folders(self._tree.root) as own, locked_manifest(own, manifest.study_uid, self._holdings.known) as stored:
            own.sync()
            while batch := list(islice(waiting, INSTANCES_PER_COMMIT)):
                with Folders(self._tree.root) as folders:
                    some = [self._remove(folders, entry.sop_instance_uid, entry.digest) for entry in batch]
                    folders.sync()
                gone = [answer.sop_instance_uid for answer in some if isinstance(answer, Receipt)]
                self._holdings.strike(stored, manifest.study_uid, gone)
                answers += some
        return answers

    def _remove(self, folders: Folders, uid: SOPInstanceUID, digest: Digest) -> Receipt | StoreFailure:
        position = object_position(uid)
        path = self._tree.path(position)
        try:
            found, _ = dataset_sha256(path)
        except FileNotFoundError:
            return Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
        except DicomRefused:
            found = ""
        if found != digest.dataset_sha256:
            message = "the stored object is not the manifest's any more; it stays"
            return StoreFailure(sop_instance_uid=uid, code="conflict", message=message, conflict=ConflictClass.CONTENT)
        os.unlink(position[-1], dir_fd=folders.open(position[:-1]))
        folders.changed(position[:-1])
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED)
