"""The studies of a store by what readers ask for. Derived from the manifests, which answer where it cannot be used."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import asdict, frozen

from vna_lifecycle.errors import StorageError
from vna_lifecycle.model.identity import PatientKey
from vna_lifecycle.model.inventory import Availability, Basis, StudyRecord
from vna_lifecycle.ports import StudyQuery

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_logger = logging.getLogger(__name__)

_APPLICATION_ID: Final = 0x564E4146  # "VNAF"
_TABLES: Final = (
    "CREATE TABLE study (study_uid BLOB PRIMARY KEY, patient_id BLOB, accession_number BLOB, record TEXT)",
    "CREATE INDEX study_patient ON study (patient_id)",
    "CREATE INDEX study_accession ON study (accession_number)",
)
_PUT: Final = "INSERT OR REPLACE INTO study VALUES (?, ?, ?, ?)"
_Row: TypeAlias = tuple[bytes, bytes, bytes, str]


@frozen(kw_only=True)
class _Opened:
    engine: Engine
    inode: int


class Index:
    """The index file of one store.

    It comes into being with every study of the manifests in it, in one transaction, so that it is never half full.
    Where it cannot be kept (a share on which SQLite is not durable), it is removed, and the manifests answer.
    """

    def __init__(self, path: Path, studies: Callable[[], Iterator[StudyRecord]]) -> None:
        """Take the place of the index, and a function that reads every study from the manifests."""
        self._path = path
        self._studies = studies
        self._opened: _Opened | None = None
        self._usable = True
        self._lock = threading.Lock()

    def put(self, study: StudyRecord) -> None:
        """Enter or replace a study, durably; or see to it that there is no index that lacks it.

        Raises:
            OSError: neither was possible.
        """
        self._change(lambda connection: connection.exec_driver_sql(_PUT, _row(study)))

    def drop(self, study_uid: str) -> None:
        """Remove a study, durably; or see to it that there is no index that has it.

        Raises:
            OSError: neither was possible.
        """
        delete = "DELETE FROM study WHERE study_uid = ?"
        self._change(lambda connection: connection.exec_driver_sql(delete, (_key(study_uid),)))

    def candidates(self, query: StudyQuery) -> list[StudyRecord] | None:
        """Studies that the query's exact conditions leave, sorted by UID; None where the manifests must be asked."""
        where, values = _conditions(query)
        select = f"SELECT record FROM study {where} ORDER BY study_uid"  # noqa: S608 - literals only
        try:
            with self._engine(create=False).connect() as connection:
                return [_record(text) for (text,) in connection.exec_driver_sql(select, values)]
        except (StorageError, ValueError, KeyError, TypeError) as error:
            _logger.warning("the index of a store cannot be used (%s); its manifests answer", type(error).__name__)
            return None

    def rebuild(self) -> None:
        """Build the index anew from the manifests.

        Raises:
            OSError: the old one cannot be removed.
        """
        self._usable = True
        self._remove()
        try:
            self._engine(create=True)
        except StorageError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.engine.dispose()
                self._opened = None

    def _change(self, change: Callable[[Connection], object]) -> None:
        from vna_lifecycle.database import writing

        if not self._usable:
            return
        try:
            with writing(self._engine(create=True)) as connection:
                change(connection)
        except StorageError as error:
            self._give_up(error)

    def _give_up(self, error: StorageError) -> None:
        """An index that lacks a study would hide it; no index hides nothing."""
        _logger.warning("a store goes on without an index (%s)", type(error).__name__)
        self._usable = False
        self._remove()

    def _remove(self) -> None:
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _engine(self, *, create: bool) -> Engine:
        """The open index; opened again where another process has put another file in its place.

        Raises:
            StorageError: it is not there, or cannot be used.
        """
        from vna_lifecycle.database import Schema, open_sqlite

        with self._lock:
            try:
                inode = self._path.stat().st_ino
            except OSError:
                inode = -1
            if self._opened is not None:
                if self._opened.inode == inode:
                    return self._opened.engine
                self._opened.engine.dispose()
                self._opened = None
            schema = Schema(name="index of a store", application_id=_APPLICATION_ID, version=1, create=self._fill)
            engine = open_sqlite(self._path, schema=schema, create=create)
            self._opened = _Opened(engine=engine, inode=self._path.stat().st_ino)
            return engine

    def _fill(self, connection: Connection) -> None:
        for statement in _TABLES:
            connection.exec_driver_sql(statement)
        for study in self._studies():
            connection.exec_driver_sql(_PUT, _row(study))


def _key(text: str) -> bytes:
    """Text as bytes: decoded DICOM text may hold what SQLite's TEXT refuses."""
    return text.encode("utf-8", "surrogatepass")


def _row(study: StudyRecord) -> _Row:
    raw = asdict(study)
    raw["availability"], raw["basis"] = study.availability.value, study.basis.value
    return _key(study.study_uid), _key(study.patient.id), _key(study.accession_number), json.dumps(raw)


def _record(text: str) -> StudyRecord:
    raw = json.loads(text)
    raw["patient"] = PatientKey(**raw["patient"])
    raw["modalities"] = tuple(raw["modalities"])
    raw["availability"], raw["basis"] = Availability(raw["availability"]), Basis(raw["basis"])
    return StudyRecord(**raw)


def _conditions(query: StudyQuery) -> tuple[str, tuple[bytes, ...]]:
    exact = {
        "study_uid": query.study_uid,
        "patient_id": query.patient_id,
        "accession_number": query.accession_number,
    }
    asked = {column: value for column, value in exact.items() if value}
    where = " AND ".join(f"{column} = ?" for column in asked)
    return (f"WHERE {where}" if where else ""), tuple(_key(value) for value in asked.values())
