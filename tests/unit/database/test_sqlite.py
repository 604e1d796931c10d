"""SQLite is opened durably or not at all, and its errors arrive as ours."""

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy.exc

from vna_lifecycle import database
from vna_lifecycle.database import Schema, open_sqlite, writing
from vna_lifecycle.errors import CatalogCorrupt, DiskFull, SchemaTooNew, StorageError


def _schema(**changes: object) -> Schema:
    values = {
        "name": "notebook",
        "application_id": 4711,
        "version": 3,
        "create": lambda connection: connection.exec_driver_sql(
            "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT UNIQUE)"
        ),
    }
    return Schema(**{**values, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a name with spaces & 100%?.db"
    open_sqlite(file, schema=_schema(), create=True).dispose()
    return file


def test_every_connection_of_the_pool_is_durable(path: Path) -> None:
    engine = open_sqlite(path, schema=_schema())
    connections = [engine.connect() for _ in range(4)]
    for connection in connections:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        connection.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("asked", "given"), [("synchronous=FULL", "synchronous=NORMAL"), ("journal_mode=WAL", "journal_mode=DELETE")]
)
def test_a_connection_that_comes_back_less_durable_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, given: str
) -> None:
    class Lax(sqlite3.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
            return super().execute(sql.replace(asked, given), *arguments)

    real = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *a, **k: real(*a, factory=Lax, **k))
    with pytest.raises(StorageError, match="would not be durable"):
        open_sqlite(path, schema=_schema())


def test_a_newer_schema_is_refused(path: Path) -> None:
    with pytest.raises(SchemaTooNew):
        open_sqlite(path, schema=_schema(version=2))


def test_a_database_of_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(StorageError, match="not a diary"):
        open_sqlite(path, schema=_schema(name="diary", application_id=4712))
    with pytest.raises(StorageError, match="not a diary"):
        open_sqlite(path, schema=_schema(name="diary", application_id=4712), create=True)


def test_a_missing_and_an_empty_file_are_refused_but_can_be_created(tmp_path: Path) -> None:
    file = tmp_path / "n.db"
    with pytest.raises(StorageError, match="there is no notebook"):
        open_sqlite(file, schema=_schema())
    assert not file.exists()
    file.touch()
    with pytest.raises(StorageError, match="not a notebook"):
        open_sqlite(file, schema=_schema())
    open_sqlite(file, schema=_schema(), create=True).dispose()
    open_sqlite(file, schema=_schema()).dispose()


def test_a_creation_that_fails_leaves_nothing_behind_that_could_be_opened(tmp_path: Path) -> None:
    def fails(connection: object) -> None:
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        raise RuntimeError("interrupted")

    file = tmp_path / "n.db"
    with pytest.raises(RuntimeError):
        open_sqlite(file, schema=_schema(create=fails), create=True)
    engine = open_sqlite(file, schema=_schema(), create=True)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all() == [
            "note"
        ]
    engine.dispose()


def test_a_new_file_that_another_connection_holds_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that open a new file at once are in each other's way for a moment, and SQLite lets neither wait."""
    file = tmp_path / "n.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused: list[str] = []

    class Refused(sqlite3.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
            try:
                return super().execute(sql, *arguments)
            except sqlite3.OperationalError:
                refused.append(sql)
                other.rollback()
                raise

    real = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *a, **k: real(*a, factory=Refused, **k))
    open_sqlite(file, schema=_schema(), create=True).dispose()
    assert refused == ["PRAGMA journal_mode=WAL"]
    other.close()


def test_a_new_file_that_is_held_for_good_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.1)
    file = tmp_path / "n.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="was locked by another process"):
        open_sqlite(file, schema=_schema(), create=True)
    other.close()


def test_the_caller_chooses_the_error_for_a_damaged_file(path: Path) -> None:
    path.write_bytes(b"this is not a database " * 500)
    with pytest.raises(CatalogCorrupt):
        open_sqlite(path, schema=_schema(corrupt=CatalogCorrupt))


def test_damage_found_while_reading_is_the_callers_error_too(path: Path) -> None:
    engine = open_sqlite(path, schema=_schema())
    with writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO note (text) VALUES (?)", [(str(n) * 500,) for n in range(40)])
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    engine = open_sqlite(path, schema=_schema(corrupt=CatalogCorrupt))
    with engine.connect() as connection, pytest.raises(CatalogCorrupt):
        connection.exec_driver_sql("SELECT text FROM note").all()
    engine.dispose()


def test_a_text_that_is_not_utf_8_is_damage(path: Path) -> None:
    engine = open_sqlite(path, schema=_schema(corrupt=CatalogCorrupt))
    with writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO note (text) VALUES (CAST(x'ff' AS TEXT))")
    with engine.connect() as connection, pytest.raises(CatalogCorrupt):
        connection.exec_driver_sql("SELECT text FROM note").all()
    engine.dispose()


def test_a_full_disk_is_named_and_nothing_was_committed(path: Path) -> None:
    engine = open_sqlite(path, schema=_schema(pragmas={"max_page_count": 8}))
    with pytest.raises(DiskFull), writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO note (text) VALUES (?)", [(str(n) * 3000,) for n in range(40)])
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM note").scalar_one() == 0
    engine.dispose()


def test_a_reader_cannot_write(path: Path) -> None:
    engine = open_sqlite(path, schema=_schema(), read_only=True)
    with pytest.raises(StorageError, match="cannot be written"), writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO note (text) VALUES ('x')")
    engine.dispose()


def test_an_error_does_not_show_values(path: Path) -> None:
    engine = open_sqlite(path, schema=_schema())
    with pytest.raises(sqlalchemy.exc.IntegrityError) as caught, writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO note (text) VALUES (?)", [("DOE^JANE",), ("DOE^JANE",)])
    assert "DOE" not in str(caught.value)
    engine.dispose()


def _count_up(path: Path, times: int) -> None:
    engine = open_sqlite(path, schema=_schema())
    for _ in range(times):
        with writing(engine) as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM note").scalar_one()
            connection.exec_driver_sql("INSERT INTO note (text) VALUES (?)", (str(count),))
    engine.dispose()


def test_what_a_writing_transaction_read_stays_true_among_threads_and_processes(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_count_up, args=(path, 40))
    threads = [threading.Thread(target=_count_up, args=(path, 20)) for _ in range(3)]
    process.start()
    for thread in threads:
        thread.start()
    for worker in (*threads, process):
        worker.join()
    assert process.exitcode == 0
    engine = open_sqlite(path, schema=_schema())
    with engine.connect() as connection:
        texts = connection.exec_driver_sql("SELECT text FROM note ORDER BY id").scalars().all()
    assert texts == [str(n) for n in range(100)]
    engine.dispose()
