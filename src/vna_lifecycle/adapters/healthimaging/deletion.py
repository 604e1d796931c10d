"""Deleting image sets, at the pace that the service allows, and waiting until they are gone."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import request_id
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.library import GONE, Library

BUSY: Final = "ConflictException"
"""An image set is being changed or deleted, or was changed since it was looked at."""

_PATIENCE: Final = 900.0  # seconds for which a deletion is waited for
_FIRST_LOOK, _LAST_LOOK = 1.0, 30.0  # seconds between looks


class Deletion:
    """Deletes from one data store."""

    def __init__(self, access: Access, library: Library) -> None:
        """Both belong to the same data store."""
        self._access = access
        self._library = library

    def delete(self, image_set: str) -> str:
        """Ask for the deletion of an image set; the request's ID, ``""`` where it is on its way already.

        Raises:
            ArchiveError: the service refuses.
        """
        self._access.changes.wait()
        try:
            answer = self._access.attempt(
                lambda: self._access.client.delete_image_set(
                    datastoreId=self._access.datastore_id, imageSetId=image_set
                ),
                expected=(*GONE, BUSY),
            )
        except ClientError:
            return ""
        return request_id(answer)

    def gone(self, image_set: str) -> bool:
        """Whether an image set whose deletion was asked for is gone; it is waited for.

        Raises:
            ArchiveError: the service does not say.
        """
        wait, deadline = _FIRST_LOOK, self._access.now() + _PATIENCE
        while self._library.state(image_set) != "DELETED":
            if self._access.now() >= deadline or self._access.site.cancelled.is_set():
                return False
            self._access.pause(wait)
            wait = min(_LAST_LOOK, wait * 2)
        return True
