"""A disk that fills up ends the work by name and loses nothing; the same command goes on once there is room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from peers.small_disk import SmallDisk, small_disk
from vna_lifecycle.cli import main

__all__ = ["small_disk"]

STUDIES = 8


def make_program(folder: Path, old: Path, new: Path) -> None:
    old.mkdir(exist_ok=True)
    new.mkdir(exist_ok=True)
    for number in range(STUDIES):
        image = dcmread(get_testdata_file("CT_small.dcm", download=False))  # of 39 kB
        image.PatientID = f"P{number}"
        image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.{number}", f"1.2.{number}.1"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}.1.1"
        image.save_as(old / f"IM{number}")
    assert main(["init", str(folder)]) == 0
    config = folder / "program.toml"
    text = config.read_text().replace('path = "old"', f'path = "{old}"').replace('path = "new"', f'path = "{new}"')
    config.write_text(text + "\n[execution]\nreserve_bytes = 0\n")
    assert run(folder, "inventory") == 0
    assert run(folder, "plan") == 0


def run(folder: Path, *argv: str) -> int:
    return main([*argv, "--program", str(folder)])


def ended(folder: Path, *argv: str) -> tuple[int, dict[str, str]]:
    """A command in a process of its own, which has a minute for it; its exit code, and the error that it told."""
    command = [sys.executable, "-m", "vna_lifecycle", *argv, "--json", "--program", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout).get("error", {})


def imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    capsys.readouterr()
    assert run(folder, "status", "--json") == 0
    (wave,) = json.loads(capsys.readouterr().out)["waves"]
    return int(wave["imported"])


def test_a_full_target_stops_the_wave_with_3_and_it_goes_on_once_there_is_room(
    tmp_path: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, old, new = tmp_path / "program", tmp_path / "old", small_disk.folder / "new"
    make_program(folder, old, new)
    room = shutil.disk_usage(small_disk.folder).free // 1024
    small_disk.grow(640 - room + 160)  # for some of the studies
    code, error = ended(folder, "transfer")
    assert (code, error["type"], error["archive"]) == (3, "ArchiveFull", "new")
    assert "make room" in error["hint"]
    assert 0 < imported(folder, capsys) < STUDIES
    assert run(folder, "ledger", "verify", "--deep") == 0
    assert ended(folder, "transfer")[0] == 3  # still full: the same, and no harm
    small_disk.grow(4096)
    assert run(folder, "transfer") == 0
    assert imported(folder, capsys) == STUDIES
    assert run_compare(old, new, capsys) == {"match": STUDIES, "missing": [], "extra": [], "differ": [], "refused": []}
    assert list((new / "incoming").rglob("*")) == []


def run_compare(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    main(["compare", str(old), str(new), "--json"])
    told = json.loads(capsys.readouterr().out)
    return {name: told[name] for name in ("match", "missing", "extra", "differ", "refused")}


@pytest.mark.parametrize("verb", ["inventory", "plan", "transfer", "status"])
def test_a_program_whose_own_disk_is_full_ends_with_4_and_goes_on_once_there_is_room(
    tmp_path: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    small_disk.grow(8192)
    folder, old, new = small_disk.folder / "program", tmp_path / "old", tmp_path / "new"
    make_program(folder, old, new)
    small_disk.fill()
    code, error = ended(folder, verb)
    assert (code, error["type"]) == (4, "DiskFull"), error
    assert error["hint"]
    small_disk.drain()
    assert run(folder, "ledger", "verify", "--deep") == 0
    assert run(folder, verb) == 0
    assert run(folder, "transfer") == 0
    assert imported(folder, capsys) == STUDIES
    assert run(folder, "ledger", "verify", "--deep") == 0


def test_a_program_whose_disk_fills_up_at_work_ends_with_4_and_loses_nothing(
    tmp_path: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    small_disk.grow(8192)
    folder, old, new = small_disk.folder / "program", tmp_path / "old", tmp_path / "new"
    make_program(folder, old, new)
    small_disk.fill()
    for _ in range(6):
        small_disk.give(64)
        code, error = ended(folder, "transfer")
        if code == 0:
            break
        assert (code, error["type"]) == (4, "DiskFull"), error
    small_disk.drain()
    assert run(folder, "transfer") == 0
    assert imported(folder, capsys) == STUDIES
    assert run(folder, "ledger", "verify", "--deep") == 0
    assert run_compare(old, new, capsys)["match"] == STUDIES
