"""kill -9 leaves the page cache; a power failure does not. What was acknowledged has to be on the medium."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vna_lifecycle.adapters.files import durable, store
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.builtin import open_files
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.ports import Receipt
from vna_lifecycle.program.bench import utc_now
from vna_lifecycle.testing.conformance.case import site, study_of, written
from vna_lifecycle.testing.objects import ObjectSpec

COUNT = 30


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("power_loss", Path(__file__).with_name("power_loss.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks its classes' annotations up there
    spec.loader.exec_module(module)
    return module


power_loss = _load()


@pytest.fixture
def strace() -> None:
    if shutil.which("strace") is None:
        assert "CI" not in os.environ, "strace is missing"
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let processes be traced")


def losses(folder: Path, setting: str, *, some: bool, every: int = 1) -> list[str]:
    """What is lost, at each moment at which the power may fail."""
    ledger = Ledger.create(folder / "ledger.db", origin="o", clock=utc_now)
    ledger.close()
    before = {path.name: path.read_bytes() for path in folder.glob("ledger.db*")}
    lines = power_loss.trace(folder, COUNT, setting)
    lost = []
    most = moments = 0
    chance = random.Random(7)
    for number, (disk, acknowledged) in enumerate(power_loss.replay(lines, before)):
        most = max(most, acknowledged)
        if number % every:
            continue
        moments += 1
        left = folder / f"left-{number}"
        disk.after_power_loss(left, chance if some else None)
        with Ledger.open(left / "ledger.db", clock=utc_now) as ledger:
            events = [event.event.plan for event in ledger.read()]
            if events[:acknowledged] != list(range(acknowledged)) or not ledger.verify(deep=True).ok:
                lost.append(f"after call {number}: {len(events)} events of {acknowledged} acknowledged")
        shutil.rmtree(left)
    assert most == COUNT, "the trace was not understood"
    assert moments > 20
    return lost


@pytest.mark.peer
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("some", [False, True], ids=["none of the unsynced writes", "some of the unsynced writes"])
def test_a_power_failure_loses_no_acknowledged_event(tmp_path: Path, some: bool) -> None:
    assert losses(tmp_path, "FULL", some=some) == []


@pytest.mark.peer
@pytest.mark.usefixtures("strace")
def test_with_synchronous_normal_a_power_failure_would_lose_acknowledged_events(tmp_path: Path) -> None:
    assert losses(tmp_path, "NORMAL", some=False)


# ------------------------------------------------------------------------------------------------ objects in a store


def volatile(folder: Path, patch: pytest.MonkeyPatch, damage: Callable[[pytest.MonkeyPatch], None]) -> set[str]:
    """What a power failure might take although the store has acknowledged it: ``contents`` or ``names`` of objects."""
    synced: set[int] = set()
    fsync, link = os.fsync, os.link
    found: set[str] = set()
    entered: set[int] = set()

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)
        entered.discard(os.fstat(descriptor).st_ino)

    def noted_link(source: Any, target: Any, *, dst_dir_fd: int) -> None:
        link(source, target, dst_dir_fd=dst_dir_fd)
        if os.stat(target, dir_fd=dst_dir_fd).st_ino not in synced:
            found.add("contents")
        entered.add(os.fstat(dst_dir_fd).st_ino)

    patch.setattr(os, "fsync", noted_fsync)
    patch.setattr(os, "link", noted_link)
    damage(patch)
    specs = [ObjectSpec(instance=number) for number in (1, 2, 3)]
    (folder / "store").mkdir()
    archive = open_files(FilesSettings(path=folder / "store"), site(folder))
    assert archive.stores is not None
    for answer in archive.stores.store(study_of(specs[0]), written(folder / "in", specs)):
        assert isinstance(answer, Receipt)
        if entered:
            found.add("names")
    archive.reads.close()
    return found


def skip_syncing_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "sync_all", lambda descriptors: None)


def skip_syncing_folders(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(durable.Folders, "sync", lambda folders: None)


@pytest.mark.parametrize(
    ("damage", "taken"),
    [(lambda patch: None, set()), (skip_syncing_files, {"contents"}), (skip_syncing_folders, {"names"})],
    ids=["sound", "files are not synced", "folders are not synced"],
)
def test_an_acknowledged_object_has_its_bytes_and_its_name_on_the_medium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[pytest.MonkeyPatch], None], taken: set[str]
) -> None:
    assert volatile(tmp_path, monkeypatch, damage) == taken
