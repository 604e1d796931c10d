"""The one place that opens SQLite, with settings under which no acknowledged commit is lost.

Every connection runs with ``journal_mode=WAL`` and ``synchronous=FULL``. Both are set and then read back, because
SQLite answers a setting that it cannot honour with silence (a share without shared memory stays in another mode).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import field, frozen
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine.interfaces import ExceptionContext

from vna_lifecycle.errors import DiskFull, SchemaTooNew, StorageError, VnaLifecycleError

_DURABLE: Final[Mapping[str, tuple[str, str | int]]] = {
    # pragma: (what is set, what must be read back)
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "fullfsync": ("ON", 1),  # macOS: plain fsync leaves data in the drive's cache
    "checkpoint_fullfsync": ("ON", 1),
    "foreign_keys": ("ON", 1),
    "recursive_triggers": ("ON", 1),  # without it, INSERT OR REPLACE deletes behind a delete trigger's back
}
_BUSY_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.005
_LITTLE_BYTES: Final = 1 << 16  # what SQLite needs at least: its shared memory grows by 32 KiB


@frozen(kw_only=True)
class Schema:
    """What a database of this software is known by.

    ``name`` is for messages. ``application_id`` (SQLite header, 32 bits) tells one kind of database from another and
    ``version`` is its schema. ``create`` makes the tables, within the creating transaction; ``MetaData.create_all``
    fits. ``corrupt`` makes the error for a damaged file. ``pragmas`` are further settings, integers, also read back.
    """

    name: str
    application_id: int
    version: int
    create: Callable[[Connection], object]
    corrupt: Callable[[str], VnaLifecycleError] = StorageError
    pragmas: Mapping[str, int] = field(factory=dict)


def open_sqlite(path: Path, *, schema: Schema, create: bool = False, read_only: bool = False) -> Engine:
    """Open a database; the engine may be used from several threads, and the file from several processes.

    With ``create``, a missing or empty file gets the schema in one transaction; its directory entry is made durable.
    Errors of SQLite reach the caller as this library's errors. Call ``dispose()`` when done.

    Raises:
        StorageError: not there, not ours, not readable, or the durable settings are refused.
        SchemaTooNew: written by a newer version of this software.
        DiskFull: no space is left.
    """
    if not create and not path.is_file():
        raise StorageError(f"there is no {schema.name}", path=path, hint="check the program's directory")

    def connect() -> sqlite3.Connection:
        try:
            return _connect(path, schema, create=create, read_only=read_only)
        except sqlite3.Error as exc:
            raise _translated(exc, path, schema) or StorageError(
                f"the {schema.name} cannot be opened", path=path
            ) from exc

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, max_overflow=-1, hide_parameters=True, echo=False
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # the driver's own BEGIN would be late and deferred; see `writing`
        immediate = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    @event.listens_for(engine, "handle_error", retval=True)
    def translate(context: ExceptionContext) -> VnaLifecycleError | None:
        return _translated(context.original_exception, path, schema)

    try:
        if create:
            with writing(engine) as connection:
                _create(connection, schema)
            make_entry_durable(path)
        with engine.connect() as connection:
            _recognise(connection, path, schema)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that will write: it takes the write lock at its start, so what it reads stays true until commit.

    Plain ``engine.begin()`` starts a reading transaction, which SQLite may refuse to turn into a writing one.
    """
    with engine.connect() as connection:
        connection.execution_options(writing=True)
        with connection.begin():
            yield connection


def truncate_log(engine: Engine) -> bool:
    """Move everything into the database file and empty the write-ahead log; False if a reader was in the way."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (busy, _, _) = cursor.fetchone() or (1, 0, 0)
        return not busy
    finally:
        connection.close()


def device_failed(exc: StorageError) -> bool:
    """Whether the error came from reading or writing the device itself, so that a retry may lie about durability."""
    return getattr(exc.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


def _connect(path: Path, schema: Schema, *, create: bool, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,  # SQLAlchemy's pool hands a connection to one thread at a time
        cached_statements=256,
    )
    try:
        settings = dict(_DURABLE) | {name: (str(value), value) for name, value in schema.pragmas.items()}
        for name, (value, expected) in settings.items():
            if not (read_only and name == "journal_mode"):  # a reader cannot change the mode, only look at it
                _set(connection, f"{name}={value}")
            (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
            if actual != expected:
                raise StorageError(
                    f"the {schema.name} would not be durable: {name} is {actual}, not {expected}",
                    path=path,
                    hint="keep the program on a local disk; SQLite's write-ahead log needs shared memory",
                )
    except BaseException:
        connection.close()
        raise
    return connection


def _set(connection: sqlite3.Connection, setting: str) -> None:
    """Set a pragma, and wait for others also where SQLite does not.

    While one connection gives a new file its write-ahead log, the others that would do so are refused at once: SQLite
    calls no busy handler for a transaction that has begun to read.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA {setting}").close()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _create(connection: Connection, schema: Schema) -> None:
    if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0:
        schema.create(connection)
        connection.exec_driver_sql(f"PRAGMA application_id={schema.application_id}")
        connection.exec_driver_sql(f"PRAGMA user_version={schema.version}")


def _recognise(connection: Connection, path: Path, schema: Schema) -> None:
    if connection.exec_driver_sql("PRAGMA application_id").scalar_one() != schema.application_id:
        raise StorageError(f"this file is not a {schema.name}", path=path, hint="check the program's directory")
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version > schema.version:
        raise SchemaTooNew(
            f"the {schema.name} has schema {version}; this software knows up to {schema.version}",
            path=path,
            hint="use the newer version of this software",
        )


def make_entry_durable(path: Path) -> None:
    """Make sure that a new file, or a renamed one, is found in its directory after a power loss."""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translated(exc: BaseException | None, path: Path, schema: Schema) -> VnaLifecycleError | None:
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        # the driver itself complains when stored text is not UTF-8
        return schema.corrupt(f"the {schema.name} is damaged") if isinstance(exc, sqlite3.OperationalError) else None
    match code & 0xFF:  # the primary result code; the rest says more about the same trouble
        case sqlite3.SQLITE_FULL:
            return _full(path, schema)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return schema.corrupt(f"the {schema.name} is damaged ({exc})")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StorageError(f"the {schema.name} cannot be written", path=path, hint="check who owns the directory")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageError(
                f"the {schema.name} was locked by another process for {_BUSY_SECONDS:.0f} s",
                path=path,
                hint="find the other process",
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOLFS | sqlite3.SQLITE_PROTOCOL:
            if _no_room(path):  # SQLite says so only of the database file itself, not of its log and shared memory
                return _full(path, schema)
            hint = "look at the disk and its system log, and at who owns the directory"
            return StorageError(f"the {schema.name} cannot be read or written ({exc})", path=path, hint=hint)
    return None


def _full(path: Path, schema: Schema) -> DiskFull:
    return DiskFull(f"no space is left for the {schema.name}", path=path, hint="free some space and try again")


def _no_room(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_BYTES
    except OSError:
        return False
