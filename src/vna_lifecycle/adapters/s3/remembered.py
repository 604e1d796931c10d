"""What was read of the bucket before, kept on this machine. It answers only for what has not changed since.

Everything here follows from the bucket, so it may be deleted at any time.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.preconf.json import make_converter

from vna_lifecycle.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_logger = logging.getLogger(__name__)

_APPLICATION_ID: Final = 0x564E4153  # "VNAS"
_TABLE: Final = "CREATE TABLE remembered (name BLOB PRIMARY KEY, mark TEXT, value TEXT) WITHOUT ROWID"
_PUT: Final = "INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)"
_GET: Final = "SELECT value FROM remembered WHERE name = ? AND mark = ?"
_T = TypeVar("_T")


class Remembered:
    """Values by name, each good as long as its mark (an ETag) is the same. Where it cannot be kept, it is empty."""

    def __init__(self, path: Path) -> None:
        """Take the place of its file; it is made when something is to be remembered."""
        self._path = path
        self._engine: Engine | None = None
        self._usable = True
        self._converter: Converter = make_converter(detailed_validation=False)

    def get(self, name: str, mark: str, kind: Any) -> Any:
        """What was remembered under ``name``, a ``kind``; None where it has another mark or cannot be read."""
        if (engine := self._opened()) is None:
            return None
        try:
            with engine.connect() as connection:
                row = connection.exec_driver_sql(_GET, (_key(name), mark)).fetchone()
            return None if row is None else self._converter.loads(row[0], kind)  # type: ignore[attr-defined]
        except (StorageError, ValueError, KeyError, TypeError, AttributeError, BaseValidationError) as error:
            self._give_up(error)
            return None

    def put(self, items: list[tuple[str, str, object]], kind: Any) -> None:
        """Remember values of ``kind``, each with its name and mark."""
        from vna_lifecycle.database import writing

        if not items or (engine := self._opened()) is None:
            return
        rows = [(_key(name), mark, self._converter.dumps(value, kind)) for name, mark, value in items]  # type: ignore[attr-defined]
        try:
            with writing(engine) as connection:
                connection.exec_driver_sql(_PUT, rows)
        except StorageError as error:
            self._give_up(error)

    def forget(self, name: str) -> None:
        """Remember nothing under ``name`` any more: what was erased in the bucket shall not live on here."""
        from vna_lifecycle.database import writing

        if (engine := self._opened()) is None:
            return
        try:
            with writing(engine) as connection:
                connection.exec_driver_sql("DELETE FROM remembered WHERE name = ?", (_key(name),))
        except StorageError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _opened(self) -> Engine | None:
        from vna_lifecycle.database import Schema, open_sqlite

        if self._engine is None and self._usable:
            schema = Schema(
                name="memory of a bucket",
                application_id=_APPLICATION_ID,
                version=1,
                create=lambda connection: connection.exec_driver_sql(_TABLE),
                pragmas={"secure_delete": 1},
            )
            try:
                self._engine = open_sqlite(self._path, schema=schema, create=True)
            except StorageError as error:
                self._give_up(error)
        return self._engine

    def _give_up(self, error: Exception) -> None:
        _logger.warning("what was read of a bucket cannot be remembered (%s); it is read again", type(error).__name__)
        self._usable = False
        self.close()


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
