"""The ledger keeps what was appended, once, in order, and hands it out again."""

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from vna_lifecycle.errors import (
    DiskFull,
    IntegrityError,
    LeaseLost,
    LedgerCorrupt,
    SchemaTooNew,
    StateError,
    StorageError,
    UnexpectedSize,
)
from vna_lifecycle.ledger import Draft, Ledger, store, verify_checkpoint

Drafts = Callable[..., Draft]


def test_appended_events_are_read_in_order(ledger: Ledger, draft: Drafts) -> None:
    first = ledger.append([draft(0), draft(1)])
    second = ledger.append([draft(2)])
    assert [event.sequence for event in first + second] == [0, 1, 2]
    assert tuple(ledger.read()) == first + second
    assert tuple(ledger.read(1, 2)) == first[1:]
    assert tuple(ledger.read(2, 99)) == second
    assert ledger.size() == 3
    assert first[0].time == "2026-01-02T03:04:05.000001Z"


def test_the_root_over_every_beginning_is_known(ledger: Ledger, draft: Drafts, clock: object) -> None:
    roots = [ledger.root()]
    for number in range(9):
        ledger.append([draft(number)])
        roots.append(ledger.root())
    with Ledger.open(ledger.path, clock=clock, read_only=True) as opened:
        for known in (ledger, opened):
            assert [known.root_at(size) for size in range(10)] == roots
            with pytest.raises(LedgerCorrupt):
                known.root_at(16)


def test_an_empty_ledger_has_the_empty_trees_root(ledger: Ledger) -> None:
    assert (ledger.size(), list(ledger.read())) == (0, [])
    assert ledger.root() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert ledger.verify(deep=True).ok


def test_a_key_is_appended_once_and_its_event_is_handed_back(ledger: Ledger, draft: Drafts) -> None:
    (first,) = ledger.append([draft(0)])
    again = ledger.append([draft(1), draft(0), draft(1)])
    assert [event.sequence for event in again] == [1, 0, 1]
    assert again[1] == first
    assert ledger.size() == 2


def test_a_key_cannot_be_used_for_another_event(ledger: Ledger, draft: Drafts) -> None:
    ledger.append([draft(0)])
    with pytest.raises(IntegrityError):
        ledger.append([draft(1), draft(0, size=99)])
    assert ledger.size() == 1


def test_a_decision_on_an_outdated_view_is_refused_but_its_retry_is_not(ledger: Ledger, draft: Drafts) -> None:
    ledger.append([draft(0)], expected_size=0)
    with pytest.raises(UnexpectedSize) as caught:
        ledger.append([draft(1)], expected_size=0)
    assert (caught.value.expected, caught.value.actual) == (0, 1)
    assert ledger.append([draft(0)], expected_size=0)[0].sequence == 0


def test_an_append_with_an_older_epoch_is_refused(ledger: Ledger, draft: Drafts) -> None:
    old, new = ledger.take_epoch(), ledger.take_epoch()
    assert new == old + 1
    ledger.append([draft(0)], epoch=new)
    with pytest.raises(LeaseLost):
        ledger.append([draft(1)], epoch=old)
    ledger.append([draft(1)])  # a decision needs no lease
    assert ledger.size() == 2


def test_an_event_is_found_by_its_key(ledger: Ledger, draft: Drafts) -> None:
    (event,) = ledger.append([draft(0)])
    assert ledger.find("fetched:0") == event
    assert ledger.find("fetched:1") is None


def test_an_invalid_event_appends_nothing_of_its_batch(ledger: Ledger, draft: Drafts) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ledger.append([draft(0), draft(1, size=1.5)])
    assert ledger.size() == 0
    ledger.append([draft(0)])
    assert ledger.verify(deep=True).ok


def test_many_events_cross_the_chunks(ledger: Ledger, draft: Drafts) -> None:
    for start in (0, 700, 1400):
        ledger.append([draft(number) for number in range(start, start + 700)])
    assert [event.sequence for event in ledger.read(5, 2050)] == list(range(5, 2050))
    assert ledger.verify(deep=True).size == 2100
    assert ledger.append([draft(number) for number in range(2100)])[-1].sequence == 2099


@pytest.mark.parametrize("statement", ["UPDATE events SET body = x''", "DELETE FROM events", "DELETE FROM head"])
def test_the_database_refuses_change(ledger: Ledger, draft: Drafts, statement: str) -> None:
    ledger.append([draft(0)])
    with sqlite3.connect(ledger.path) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)
    other.close()


def test_the_database_refuses_replacement(ledger: Ledger, draft: Drafts) -> None:
    ledger.append([draft(0)])
    with sqlite3.connect(ledger.path) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute("INSERT OR REPLACE INTO events VALUES (0, 'x', x'', x'')")
    other.close()


def test_a_signed_ledger_is_appended_to_with_its_key_only(
    ledger: Ledger, draft: Drafts, clock: object, tmp_path: Path
) -> None:
    ledger.close()
    with Ledger.open(ledger.path, clock=clock) as keyless, pytest.raises(StateError, match="needs its signing key"):
        keyless.append([draft(0)])
    other = store.Ed25519PrivateKey.generate()
    with pytest.raises(StorageError, match="not this ledger's"):
        Ledger.open(ledger.path, clock=clock, signing_key=other)


def test_every_append_signs_the_head_and_closing_writes_it_beside(ledger: Ledger, draft: Drafts) -> None:
    ledger.append([draft(0)])
    signed = verify_checkpoint(ledger.head().note, ledger.public_key)
    assert (signed.origin, signed.size, signed.root) == (ledger.origin, 1, ledger.root())
    ledger.append([draft(1)])
    ledger.close()
    assert verify_checkpoint(ledger.head_file.read_text(), ledger.public_key).size == 2


def test_an_unsigned_ledger_verifies_but_has_no_checkpoint(tmp_path: Path, clock: object, draft: Drafts) -> None:
    with Ledger.create(tmp_path / "plain.db", origin="o", clock=clock) as plain:
        plain.append([draft(0)])
        assert plain.verify(deep=True).ok
        with pytest.raises(StateError):
            plain.checkpoint()


def test_a_reader_reads_and_cannot_append(ledger: Ledger, draft: Drafts, clock: object, key: object) -> None:
    ledger.append([draft(0)])
    reader = Ledger.open(ledger.path, clock=clock, read_only=True)
    assert [event.sequence for event in reader.read()] == [0]
    reader.close()
    reader = Ledger.open(ledger.path, clock=clock, read_only=True, signing_key=key)
    with pytest.raises(StorageError):
        reader.append([draft(1)])


def test_there_is_one_ledger_in_a_file(ledger: Ledger, clock: object) -> None:
    with pytest.raises(StorageError, match="already"):
        Ledger.create(ledger.path, origin="other", clock=clock)


def test_what_is_not_a_ledger_is_not_opened(tmp_path: Path, clock: object, ledger: Ledger) -> None:
    with pytest.raises(StorageError):
        Ledger.open(tmp_path / "none.db", clock=clock)
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"junk" * 5000)
    with pytest.raises(LedgerCorrupt):
        Ledger.open(junk, clock=clock)
    with sqlite3.connect(ledger.path) as other:
        other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(SchemaTooNew):
        Ledger.open(ledger.path, clock=clock)


def test_a_second_object_that_appended_is_noticed(ledger: Ledger, draft: Drafts, clock: object, key: object) -> None:
    ledger.append([draft(0)])
    with Ledger.open(ledger.path, clock=clock, signing_key=key) as second:
        second.append([draft(1), draft(2)])
    ledger.append([draft(3)])
    assert [event.key for event in ledger.read()] == [f"fetched:{number}" for number in range(4)]
    assert ledger.verify(deep=True).ok


def _append_some(path: Path, key_bytes: bytes, start: int) -> None:
    import datetime as dt

    from vna_lifecycle.model.event import PlanDropped

    key = store.Ed25519PrivateKey.from_private_bytes(key_bytes)
    with Ledger.open(path, clock=lambda: dt.datetime.now(dt.UTC), signing_key=key) as other:
        for number in range(start, start + 25):
            event = PlanDropped(plan=number, reason="")
            other.append(
                [Draft(event=event, key=str(number), actor="x"), Draft(event=event, key=f"{number}b", actor="")]
            )


def test_processes_and_threads_append_to_one_ledger(ledger: Ledger) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_append_some, args=(ledger.path, bytes(range(32)), 0))
    threads = [
        threading.Thread(target=_append_some, args=(ledger.path, bytes(range(32)), start)) for start in (100, 200)
    ]
    process.start()
    for thread in threads:
        thread.start()
    for worker in (*threads, process):
        worker.join()
    assert process.exitcode == 0
    assert ledger.verify(deep=True).ok
    assert ledger.size() == 150


def test_a_cursor_is_where_it_was_left(ledger: Ledger) -> None:
    assert ledger.cursor("tickets") == 0
    ledger.move_cursor("tickets", 5)
    ledger.move_cursor("tickets", 7)
    assert (ledger.cursor("tickets"), ledger.cursor("chat")) == (7, 0)


def test_a_full_disk_appends_nothing_and_is_survived(
    ledger: Ledger, draft: Drafts, monkeypatch: pytest.MonkeyPatch, clock: object, key: object
) -> None:
    ledger.append([draft(0)])
    ledger.close()
    real = store.tables.schema
    monkeypatch.setattr(store.tables, "schema", lambda create: evolve(real(create), pragmas={"max_page_count": 12}))
    small = Ledger.open(ledger.path, clock=clock, signing_key=key)
    with pytest.raises(DiskFull):
        small.append([draft(number) for number in range(1, 200)])
    assert small.append([draft(1)])[0].sequence == 1
    assert small.verify(deep=True).ok
    small.close()


def test_after_an_io_error_the_object_appends_no_more(
    ledger: Ledger, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise StorageError("the ledger cannot be written") from error

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_append", fails)
        with pytest.raises(StorageError):
            ledger.append([draft(0)])
    with pytest.raises(StorageError, match="earlier append failed"):
        ledger.append([draft(0)])


_WRITER = """
import datetime as dt, sys
from pathlib import Path
from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import PlanDropped
ledger = Ledger.open(Path(sys.argv[1]), clock=lambda: dt.datetime.now(dt.UTC))
number = ledger.size()
while True:
    ledger.append([Draft(event=PlanDropped(plan=n, reason=""), key=str(n), actor="x") for n in (number, number + 1)])
    number += 2
    print(number, flush=True)
"""


def _kill_and_look(path: Path, clock: object, after: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    acknowledged = 0
    for _ in range(after):
        acknowledged = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    acknowledged = int(rest[-1]) if rest else acknowledged
    with Ledger.open(path, clock=clock) as opened:
        assert opened.size() >= acknowledged
        assert opened.size() % 2 == 0
        assert opened.verify(deep=True).ok


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path, clock: object) -> None:
    path = tmp_path / "plain.db"
    Ledger.create(path, origin="o", clock=clock).close()
    for after in (1, 60):
        _kill_and_look(path, clock, after)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_writer_killed_many_times_loses_nothing_that_was_acknowledged(tmp_path: Path, clock: object) -> None:
    path = tmp_path / "plain.db"
    Ledger.create(path, origin="o", clock=clock).close()
    for after in range(1, 200):
        _kill_and_look(path, clock, after)
