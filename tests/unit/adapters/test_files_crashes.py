"""kill -9 at any instruction of a store loses no acknowledged object and leaves none that is torn or hidden."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.builtin import open_files
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.ports import Archive, Receipt, StudyQuery
from vna_lifecycle.testing.conformance.case import digests, manifest_of, read_back, site, study_of, written
from vna_lifecycle.testing.objects import ObjectSpec

_PROGRAM = Path(__file__).with_name("files_crashes.py")
_SPECS = [ObjectSpec(instance=number + 1, grey=number) for number in range(2)]  # those of the program
_STUDY = study_of(_SPECS[0])


def _open(folder: Path) -> Archive:
    return open_files(FilesSettings(path=folder / "store"), site(folder))


def _points(root: Path, verb: str) -> Iterator[tuple[Path, int, bool]]:
    run = subprocess.run(
        [sys.executable, str(_PROGRAM), verb, str(root)], capture_output=True, text=True, check=False, timeout=250
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(lines) > 20, "the points were not found"
    assert not lines[-1]["died"], "the last child was to finish"
    return ((Path(line["folder"]), line["acknowledged"], line["died"]) for line in lines)


def _objects(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "store" / "objects").rglob("*") if path.is_file())


def _sound(folder: Path, archive: Archive) -> None:
    """Every object is whole, and objects, manifests and index tell the same."""
    objects = {scan_file(path, locator="").sop_instance_uid for path in _objects(folder)}
    found = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
    assert not [item for item in found if isinstance(item, Refused)]
    assert {item.sop_instance_uid for item in found if isinstance(item, InstanceRecord)} == objects
    counted = sum(study.instance_count or 0 for study in archive.reads.find_studies(StudyQuery()))
    assert counted == len(objects)


def test_a_store_that_dies_at_any_call_is_sound_after_the_next(tmp_path: Path) -> None:
    items = written(tmp_path / "expected", _SPECS)
    for folder, acknowledged, _ in _points(tmp_path, "store"):
        archive = _open(folder)
        before = read_back(archive, _STUDY, tmp_path / "out")
        assert len(before) >= acknowledged
        assert set(before) <= set(digests(items))
        for path in _objects(folder):
            scan_file(path, locator="")
        assert archive.stores is not None
        list(archive.stores.store(_STUDY, []))  # the next writer enters or removes what the crash left
        _sound(folder, archive)
        assert not list((folder / "store" / "incoming").glob("*"))
        answers = list(archive.stores.store(_STUDY, items))
        assert all(isinstance(answer, Receipt) for answer in answers)
        assert read_back(archive, _STUDY, tmp_path / "again") == digests(items)
        _sound(folder, archive)
        archive.reads.close()


def test_a_withdrawal_that_dies_at_any_call_is_completed_by_the_next(tmp_path: Path) -> None:
    items = written(tmp_path / "expected", _SPECS)
    for folder, _, _ in _points(tmp_path, "withdraw"):
        archive = _open(folder)
        listed = read_back(archive, _STUDY, tmp_path / "out")
        assert len(listed) == len(_objects(folder)), "what is there is listed"
        assert archive.withdraws is not None
        answers = list(archive.withdraws.withdraw(_STUDY, manifest_of(items)))
        assert all(isinstance(answer, Receipt) for answer in answers)
        assert _objects(folder) == []
        _sound(folder, archive)
        archive.reads.close()


def _kill_while_storing(folder: Path, receipts: int, delay: float) -> dict[str, set[str]]:
    """Kill a storing process some time after its first receipts; what it acknowledged, by study."""
    acknowledged: dict[str, set[str]] = {}
    with subprocess.Popen(
        [sys.executable, str(_PROGRAM), "endless", str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            if number == receipts:
                try:
                    process.wait(delay)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
            if line.endswith("\n"):
                study, uid = line.split()
                acknowledged.setdefault(study, set()).add(uid)
    assert process.returncode == -signal.SIGKILL
    return acknowledged


def _survives(folder: Path, seed: int) -> None:
    folder.mkdir()
    chance = random.Random(seed)
    acknowledged = _kill_while_storing(folder, chance.randrange(1, 40), chance.random() / 50)
    archive = _open(folder)
    for study, uids in acknowledged.items():
        specs = [ObjectSpec(study=int(study), instance=number + 1, grey=number) for number in range(5)]
        there = read_back(archive, StudyRef(study_uid=StudyUID(specs[0].study_uid)), folder / "out")
        assert uids <= {uid for uid, _ in there}
        assert set(there) <= set(digests(written(folder / f"expected{study}", specs)))
    assert archive.stores is not None
    list(archive.stores.store(_STUDY, []))
    _sound(folder, archive)
    archive.reads.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path, seed: int) -> None:
    _survives(tmp_path / "killed", seed)


def test_processes_that_store_the_same_study_at_once_store_each_instance_once(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    commands = [[sys.executable, str(_PROGRAM), "share", str(tmp_path), str(first)] for first in (0, 0, 6)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    told = [line.split() for process in running for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(told) == 36
    assert {outcome for outcome, _ in told} == {"stored", "already-present"}
    stored = [uid for outcome, uid in told if outcome == "stored"]
    assert len(stored) == len(set(stored)) == 12
    archive = _open(tmp_path)
    _sound(tmp_path, archive)
    archive.reads.close()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_three_hundred_killed_processes_lose_nothing(tmp_path: Path, seed: int) -> None:
    _survives(tmp_path / "killed", seed)
