"""Staged copies that a job has taken in: they stay until somebody lets go of them."""

from __future__ import annotations

from attrs import frozen

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.batch import BatchFolder, token_of
from vna_lifecycle.adapters.healthimaging.settings import RemoveStaged
from vna_lifecycle.ports import Batch, StagedCopies


@frozen
class Leftovers:
    """The staging folders of one data store's batches. The records beside them stay: a batch is known by them."""

    _access: Access

    @property
    def when_verified(self) -> bool:
        """As ``remove_staged`` says."""
        return self._access.settings.remove_staged is RemoveStaged.AFTER_VERIFICATION

    def staged(self, batch: Batch) -> StagedCopies:
        """The files of a batch's folder that `stage` made.

        Raises:
            ArchiveError: the bucket cannot be listed.
        """
        folder = self._folder(batch)
        sizes = [size for name, size in folder.files() if folder.is_ours(name)]
        return StagedCopies(files=len(sizes), size=sum(sizes))

    def let_go(self, batch: Batch) -> StagedCopies:
        """Remove them; in a bucket with versions, the versions stay until a lifecycle rule or an erasure ends them.

        Raises:
            ArchiveError: one cannot be removed.
        """
        folder = self._folder(batch)
        files = size = 0
        for name, count in list(folder.files()):
            if folder.is_ours(name):
                folder.remove(name)
                files, size = files + 1, size + count
        return StagedCopies(files=files, size=size)

    def _folder(self, batch: Batch) -> BatchFolder:
        return BatchFolder(self._access, token_of(batch, self._access.datastore_id))
