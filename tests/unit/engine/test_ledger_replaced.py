"""A ledger that is not the one that was here is noticed at once, by every way of opening the program."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from vna_lifecycle.errors import DiskFull, LedgerCorrupt, LedgerReplaced
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import WavePaused
from vna_lifecycle.program import Program
from vna_lifecycle.testing.faults import SimulatedCrash
from vna_lifecycle.testing.objects import ObjectSpec

SPECS = [ObjectSpec(study=s, patient_id=f"P{s}") for s in (1, 2)]


def planned(world: Any) -> Any:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
    return w


def kept(folder: Path, into: Path) -> Path:
    into.mkdir()
    for path in folder.glob("ledger*"):
        shutil.copy(path, into)
    return into


def put_back(folder: Path, backup: Path) -> None:
    for path in folder.glob("ledger*"):
        path.unlink()
    for path in backup.iterdir():
        shutil.copy(path, folder)


def test_an_older_ledger_is_noticed_by_the_catalog_although_its_own_head_came_back_with_it(
    world: Any, tmp_path: Path
) -> None:
    w = planned(world)
    backup = kept(w.folder, tmp_path / "backup")
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"
        size = program.ledger.size()
    put_back(w.folder, backup)
    with pytest.raises(LedgerReplaced, match="older") as caught:
        w.open()
    assert caught.value.known == size > caught.value.size
    assert "catalog.db and ledger-head" in caught.value.hint


def test_another_history_of_the_same_length_and_key_is_noticed(world: Any, tmp_path: Path) -> None:
    w = planned(world)
    backup = kept(w.folder, tmp_path / "backup")
    with w.open() as program:
        program.pause(by="mallory", reason="lunch")
        size = program.ledger.size()
    catalog = {path.name: path.read_bytes() for path in w.folder.glob("catalog.db*")}
    put_back(w.folder, backup)
    for path in w.folder.glob("catalog.db*"):
        path.unlink()
    with w.open() as program:
        program.pause(by="mallory", reason="dinner")
        assert program.ledger.size() == size
    for name, data in catalog.items():
        (w.folder / name).write_bytes(data)
    with pytest.raises(LedgerReplaced, match="another one") as caught:
        w.open()
    assert (caught.value.known, caught.value.size) == (size, size)


def test_another_beginning_is_noticed_although_the_ledger_has_grown_since(world: Any, tmp_path: Path) -> None:
    w = planned(world)
    backup = kept(w.folder, tmp_path / "backup")
    with w.open() as program:
        program.pause(by="mallory", reason="lunch")
    catalog = {path.name: path.read_bytes() for path in w.folder.glob("catalog.db*")}
    put_back(w.folder, backup)
    for path in w.folder.glob("catalog.db*"):
        path.unlink()
    with w.open() as program:
        for reason in ("dinner", "supper", "sleep"):
            program.pause(by="mallory", reason=reason)
    for name, data in catalog.items():
        (w.folder / name).write_bytes(data)
    with pytest.raises(LedgerReplaced, match="another one"):
        w.open()


def test_the_head_file_gives_an_older_database_away_where_the_catalog_is_gone(world: Any, tmp_path: Path) -> None:
    w = planned(world)
    backup = kept(w.folder, tmp_path / "backup")
    with w.open() as program:
        program.pause(by="mallory", reason="lunch")
    newer = (w.folder / "ledger-head").read_bytes()
    put_back(w.folder, backup)
    (w.folder / "ledger-head").write_bytes(newer)
    for path in w.folder.glob("catalog.db*"):
        path.unlink()
    with pytest.raises(LedgerReplaced, match="the head file"):
        w.open()


def test_a_head_file_that_nobody_signed_or_of_another_ledger_is_noticed(world: Any) -> None:
    w, other = planned(world), planned(world)
    head = w.folder / "ledger-head"
    right = head.read_text()
    head.write_text("junk")
    with pytest.raises(LedgerCorrupt, match="head file") as caught:
        w.open()
    assert caught.value.hint
    head.write_text((other.folder / "ledger-head").read_text())
    with pytest.raises(LedgerCorrupt, match="head file"):
        w.open()
    head.write_text(right)
    w.open().close()


def test_a_ledger_whose_last_event_is_gone_is_noticed_before_anything_is_read(world: Any) -> None:
    w = planned(world)
    with sqlite3.connect(w.folder / "ledger.db") as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)")
    raw.close()
    with pytest.raises(LedgerCorrupt):
        w.open()


def test_what_the_hint_says_takes_up_an_older_ledger_knowingly(world: Any, tmp_path: Path) -> None:
    w = planned(world)
    backup = kept(w.folder, tmp_path / "backup")
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"
    put_back(w.folder, backup)
    with pytest.raises(LedgerReplaced):
        w.open()
    for path in [*w.folder.glob("catalog.db*"), w.folder / "ledger-head"]:
        path.rename(path.with_name(f"away-{path.name}"))
    with w.open() as program:
        assert program.status().waves[0].imported == 0
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
        assert program.verify_ledger(deep=True).ok
    assert w.same_bytes()


def test_a_crash_between_the_ledger_and_the_catalog_is_no_replaced_ledger(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = planned(world)

    def dies(*arguments: Any) -> None:
        raise SimulatedCrash("before the current state followed")

    with w.open() as program:
        with monkeypatch.context() as patch:
            patch.setattr(program.catalog, "project", dies)
            with pytest.raises(SimulatedCrash):
                program.pause(by="mallory", reason="lunch")
        behind = program.catalog.projected_size()
    with w.open() as program:
        assert program.catalog.folded() == (program.ledger.size(), program.ledger.root())
        assert program.catalog.projected_size() == behind + 1
        assert program.catalog.paused("all")


def test_who_looks_while_another_process_appends_takes_nothing_from_it(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = planned(world)
    with w.open() as worker, w.open() as reader, worker.records.effects("test") as work:

        def pause(key: str) -> None:
            work.record([(key, WavePaused(wave="all", by="mallory", reason=key))])

        pause("first")
        real = Ledger.size

        def overtaken(ledger: Ledger) -> int:
            size = real(ledger)
            if ledger is reader.ledger:
                pause(f"after {size}")  # recorded and folded, before the reader goes on
            return size

        monkeypatch.setattr(Ledger, "size", overtaken)
        reader.status()
        monkeypatch.undo()
        pause("last")
        assert worker.catalog.projected_size() == worker.ledger.size()


def test_a_verb_that_only_looks_leaves_the_head_file_as_it_is(world: Any) -> None:
    w = planned(world)
    head = w.folder / "ledger-head"
    before = head.stat()
    with w.open() as program:
        program.status()
        program.findings()
    assert (head.stat().st_ino, head.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with w.open() as program:
        program.pause(by="mallory", reason="lunch")
    assert head.stat().st_ino != before.st_ino


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Until it is undone, there is no space for another head file."""
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target.name == "ledger-head":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    return monkeypatch


def test_on_a_full_disk_looking_is_possible(world: Any, request: pytest.FixtureRequest) -> None:
    w = planned(world)
    request.getfixturevalue("full")
    with w.open() as program:
        assert program.status().ledger_size > 0


def test_a_head_that_cannot_be_kept_is_told_and_nothing_is_lost(world: Any, request: pytest.FixtureRequest) -> None:
    w = planned(world)
    head = w.folder / "ledger-head"
    before = head.read_bytes()
    patch = request.getfixturevalue("full")
    program = w.open()
    program.pause(by="mallory", reason="lunch")
    with pytest.raises(DiskFull) as caught:
        program.close()
    assert "The ledger itself is whole" in caught.value.hint
    patch.undo()
    assert head.read_bytes() == before
    assert [path.name for path in w.folder.glob("ledger-head*")] == ["ledger-head"]
    with w.open() as program:
        assert program.catalog.paused("all")
        program.resume(by="mallory", reason="back")
    assert head.read_bytes() != before


def test_what_stopped_the_work_is_told_rather_than_that_the_head_could_not_be_kept(
    world: Any, request: pytest.FixtureRequest
) -> None:
    w = planned(world)
    patch = request.getfixturevalue("full")
    with pytest.raises(SimulatedCrash) as caught, w.open() as program:
        program.pause(by="mallory", reason="lunch")
        raise SimulatedCrash("of the work")
    assert "head cannot be written" in caught.value.__notes__[0]
    patch.undo()
    with Program.open(w.folder, plugins=w.plugins) as program:
        assert program.catalog.paused("all")


def test_a_ledger_that_is_not_taken_for_the_right_one_does_not_replace_the_head_file(
    world: Any, tmp_path: Path
) -> None:
    w = planned(world)
    backup = kept(w.folder, tmp_path / "backup")
    with w.open() as program:
        program.pause(by="mallory", reason="lunch")
    newer = (w.folder / "ledger-head").read_bytes()
    put_back(w.folder, backup)
    (w.folder / "ledger-head").write_bytes(newer)
    for _ in range(2):
        with pytest.raises(LedgerReplaced):
            w.open()
    assert (w.folder / "ledger-head").read_bytes() == newer
