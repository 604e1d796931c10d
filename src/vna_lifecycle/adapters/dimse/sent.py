"""What was sent to an archive, on record before it was: an archive that changes what it stores has it from us.

After a crash between a store and its answer, the object is found there under its UID, in other bytes. Without a record
nobody could tell whether those are the archive's own doing, or another object that must not be taken for ours. Nor does
an archive repeat the warning with which it took an object: so that is on record too, before the next object is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Engine

_APPLICATION_ID: Final = 0x564E4144  # "VNAD"
_SENT: Final = "CREATE TABLE sent (mark BLOB PRIMARY KEY) WITHOUT ROWID"
_WARNED: Final = (  # apart, and when it is opened: an older record has only the other table
    "CREATE TABLE IF NOT EXISTS warned (mark BLOB, status INTEGER, PRIMARY KEY (mark, status)) WITHOUT ROWID"
)
_KNOWN: Final = "SELECT status FROM sent LEFT JOIN warned USING (mark) WHERE mark = ? ORDER BY status"


class Sent:
    """Marks of objects, of their UIDs and data sets' digests; no identifier can be read from them.

    It is open for as long as a ``with`` statement. Others may have the same file open.
    """

    def __init__(self, path: Path) -> None:
        """Take the place of its file, which is made when the first object is sent."""
        self._path = path
        self._engine: Engine | None = None

    def __enter__(self) -> Sent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def note(self, objects: Iterable[tuple[str, str]]) -> None:
        """Put on record, durably, that these will be sent: each SOP Instance UID with its data set's SHA-256.

        Raises:
            StorageError: it cannot be recorded, so that nothing may be sent.
        """
        rows: list[tuple[bytes | int, ...]] = [(_mark(uid, digest),) for uid, digest in objects]
        if rows:
            self._write("INSERT OR IGNORE INTO sent VALUES (?)", rows)

    def warned(self, uid: str, digest: str, status: int) -> None:
        """Put on record, durably, with which status an object that was noted has been taken (PS3.4 B.2.3).

        Raises:
            StorageError: it cannot be recorded.
        """
        self._write("INSERT OR IGNORE INTO warned VALUES (?, ?)", [(_mark(uid, digest), status)])

    def known(self, objects: Iterable[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """The UIDs of those of ``objects`` that may have been sent before, each with the warnings that were heard.

        Raises:
            StorageError: the record cannot be read.
        """
        if not self._path.exists():
            return {}
        found: dict[str, tuple[int, ...]] = {}
        with self._opened().connect() as connection:
            for uid, digest in objects:
                rows = connection.exec_driver_sql(_KNOWN, (_mark(uid, digest),)).all()
                if rows:
                    found[uid] = tuple(row.status for row in rows if row.status is not None)
        return found

    def _write(self, statement: str, rows: list[tuple[bytes | int, ...]]) -> None:
        from vna_lifecycle.database import writing

        with writing(self._opened()) as connection:
            connection.exec_driver_sql(statement, rows)

    def _opened(self) -> Engine:
        from vna_lifecycle.database import Schema, open_sqlite, writing

        if self._engine is None:
            schema = Schema(
                name="record of what was sent",
                application_id=_APPLICATION_ID,
                version=1,
                create=lambda connection: connection.exec_driver_sql(_SENT),
            )
            self._engine = open_sqlite(self._path, schema=schema, create=True)
            with writing(self._engine) as connection:
                connection.exec_driver_sql(_WARNED)
        return self._engine


def _mark(uid: str, digest: str) -> bytes:
    return hashlib.sha256(f"{uid} {digest}".encode("utf-8", "surrogatepass")).digest()[:16]
