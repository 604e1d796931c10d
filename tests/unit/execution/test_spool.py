from __future__ import annotations

import errno
import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.errors import DiskFull, StorageError
from vna_lifecycle.execution.spool import SpoolFolder
from vna_lifecycle.ports import Spool


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk of 1000 free bytes, as far as the spool sees; tests move ``free``."""
    disk = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    return disk


def test_a_task_gets_an_empty_private_folder_and_new_paths_in_it(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    task = SpoolFolder(root, reserve_bytes=0).task("study a1b2")
    spool: Spool = task  # what the port asks for
    first, second = spool.new_file(), spool.new_file(10)
    assert first != second
    assert first.parent == second.parent == task.folder
    assert not first.exists() and task.folder.parent == root
    assert stat.S_IMODE(task.folder.stat().st_mode) == stat.S_IMODE(root.stat().st_mode) == 0o700


def test_an_attempt_removes_what_earlier_attempts_of_the_same_task_left_and_nothing_else(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)
    earlier, other = spool.task("a"), spool.task("b")
    earlier.new_file().write_bytes(b"half")
    kept = other.new_file()
    kept.write_bytes(b"whole")
    again = spool.task("a", attempt=2)
    assert not earlier.folder.exists()
    assert not again.folder.exists()
    assert kept.read_bytes() == b"whole"


def test_the_same_attempt_made_again_starts_empty(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)
    spool.task("a").new_file().write_bytes(b"half")
    again = spool.task("a").new_file()
    assert list(again.parent.iterdir()) == []


@given(label=st.text(max_size=300))
@settings(max_examples=50)
def test_no_label_reaches_a_path(label: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("spool")
    folder = SpoolFolder(root, reserve_bytes=0).task(label).new_file().parent
    assert folder.parent == root and folder.is_dir() and len(folder.name) < 60


def test_sweep_removes_every_task_folder_and_leaves_what_is_not_ours(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)
    for label in "abc":
        spool.task(label).new_file().write_bytes(b"x")
    precious = tmp_path / "task-of-mine"
    precious.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f").touch()
    (tmp_path / f"task-{'0' * 32}-1").symlink_to(elsewhere)
    assert SpoolFolder(tmp_path, reserve_bytes=0).sweep() == 3
    assert precious.is_dir() and (elsewhere / "f").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["elsewhere", f"task-{'0' * 32}-1", "task-of-mine"]


def test_clear_removes_the_folder_and_may_be_repeated(tmp_path: Path) -> None:
    task = SpoolFolder(tmp_path, reserve_bytes=0).task("a")
    task.new_file().touch()
    task.clear()
    task.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_spools_nothing_makes_no_folder(tmp_path: Path) -> None:
    SpoolFolder(tmp_path, reserve_bytes=0).task("a").clear()
    assert list(tmp_path.iterdir()) == []


def test_the_last_byte_above_the_reserve_is_given_and_not_one_more(tmp_path: Path, disk: SimpleNamespace) -> None:
    task = SpoolFolder(tmp_path, reserve_bytes=400).task("a")
    task.new_file(600)
    with pytest.raises(DiskFull) as refusal:
        task.new_file(601)
    assert refusal.value.path == tmp_path and refusal.value.hint
    assert str(tmp_path) not in str(refusal.value)


def test_a_file_of_unknown_size_is_refused_once_the_reserve_is_touched(tmp_path: Path, disk: SimpleNamespace) -> None:
    task = SpoolFolder(tmp_path, reserve_bytes=400).task("a")
    disk.free = 400
    task.new_file()
    disk.free = 390
    with pytest.raises(DiskFull):
        task.new_file()


def test_bytes_promised_to_one_task_are_not_promised_to_another(tmp_path: Path, disk: SimpleNamespace) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)
    one, other = spool.task("a"), spool.task("b")
    path = one.new_file(700)
    with pytest.raises(DiskFull):
        other.new_file(400)
    path.write_bytes(b"x" * 700)  # the disk shows these bytes itself now
    disk.free = 300
    assert spool.room() == 300
    other.new_file(300)
    one.clear()
    other.clear()
    assert spool.room() == 300


def test_a_task_that_asks_for_its_next_file_is_done_with_the_one_before(tmp_path: Path, disk: SimpleNamespace) -> None:
    task = SpoolFolder(tmp_path, reserve_bytes=0).task("a")
    task.new_file(700)  # turned out to be empty
    task.new_file(1000)


def test_a_refused_promise_is_not_kept(tmp_path: Path, disk: SimpleNamespace) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)
    with pytest.raises(DiskFull):
        spool.task("a").new_file(5000)
    assert spool.room() == 1000


def test_threads_never_get_the_same_path_and_never_more_than_the_room(tmp_path: Path, disk: SimpleNamespace) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)
    shared = spool.task("shared")
    start = threading.Barrier(8)

    def ask(n: int) -> tuple[list[Path], bool]:
        start.wait()
        paths = [shared.new_file() for _ in range(50)]
        try:
            spool.task(f"own {n}").new_file(300)
        except DiskFull:
            return paths, False
        return paths, True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(ask, range(8)))
    paths = [path for given, _ in results for path in given]
    assert len(set(paths)) == 400
    assert sum(granted for _, granted in results) == 3


def test_a_root_that_cannot_be_made_is_a_storage_error_without_the_path_in_its_text(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as refusal:
        SpoolFolder(tmp_path / "file" / "spool", reserve_bytes=0)
    assert refusal.value.path == tmp_path / "file" / "spool"
    assert str(tmp_path) not in str(refusal.value)


def test_no_space_for_a_folder_is_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = SpoolFolder(tmp_path, reserve_bytes=0)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DiskFull):
        spool.task("a").new_file()


def test_a_negative_reserve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reserve_bytes"):
        SpoolFolder(tmp_path, reserve_bytes=-1)
