"""What was sent to an archive, on record before it was: an archive that changes what it stores has it from us.

After a crash between a store and its answer, the object is found there under its UID, in other bytes. Without a record
nobody could tell whether those are the archive's own doing, or another object that must not be taken for ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Engine

_APPLICATION_ID: Final = 0x564E4144  # "VNAD"
_TABLE: Final = "CREATE TABLE sent (mark BLOB PRIMARY KEY) WITHOUT ROWID"


class Sent:
    """Marks of objects, of their UIDs and data sets' digests; no identifier can be read from them."""

    def __init__(self, path: Path) -> None:
        """Take the place of its file, which is made when the first object is sent."""
        self._path = path

    def note(self, objects: Iterable[tuple[str, str]]) -> None:
        """Put on record, durably, that these will be sent: each SOP Instance UID with its data set's SHA-256.

        Raises:
            StorageError: it cannot be recorded, so that nothing may be sent.
        """
        from vna_lifecycle.database import writing

        rows = [(_mark(uid, digest),) for uid, digest in objects]
        if not rows:
            return
        engine = self._open()
        try:
            with writing(engine) as connection:
                connection.exec_driver_sql("INSERT OR IGNORE INTO sent VALUES (?)", rows)
        finally:
            engine.dispose()

    def known(self, objects: Iterable[tuple[str, str]]) -> set[str]:
        """The UIDs of those of ``objects`` that may have been sent before.

        Raises:
            StorageError: the record cannot be read.
        """
        if not self._path.exists():
            return set()
        engine = self._open()
        try:
            with engine.connect() as connection:
                return {
                    uid
                    for uid, digest in objects
                    if connection.exec_driver_sql("SELECT 1 FROM sent WHERE mark = ?", (_mark(uid, digest),)).first()
                }
        finally:
            engine.dispose()

    def _open(self) -> Engine:
        from vna_lifecycle.database import Schema, open_sqlite

        schema = Schema(
            name="record of what was sent",
            application_id=_APPLICATION_ID,
            version=1,
            create=lambda connection: connection.exec_driver_sql(_TABLE),
        )
        return open_sqlite(self._path, schema=schema, create=True)


def _mark(uid: str, digest: str) -> bytes:
    return hashlib.sha256(f"{uid} {digest}".encode("utf-8", "surrogatepass")).digest()[:16]
