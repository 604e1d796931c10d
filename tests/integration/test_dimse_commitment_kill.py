"""kill -9 of a program that asks Orthanc for storage commitment: the outcome is that of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.dicom import Running, folder_for_peer, free_port, run_orthanc, section
from vna_lifecycle.model.event import CommitmentAnswered, StudyTransferred
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

WRAPPER = Path(__file__).with_name("killed_program.py")
STUDIES = (1, 2, 3)
CONFIG = """
[program]
name = "committed"
[archives.old]
plugin = "files"
path = "old"
[migration]
sources = ["old"]
target = "new"
[execution]
reserve_bytes = 0
"""
COMMITMENTS = "vna_lifecycle.adapters.dimse.commitments"
LETTERBOX = "vna_lifecycle.adapters.dimse.letterbox:Letterbox"
POINTS = [
    pytest.param(f"{COMMITMENTS}:ask_commitment", 1, "before", id="on record, not asked"),
    pytest.param(f"{COMMITMENTS}:ask_commitment", 2, "after", id="asked, the answer pending"),
    pytest.param(f"{LETTERBOX}.take", 1, "before", id="the answer is heard and not kept"),
    pytest.param(f"{LETTERBOX}.take", 1, "after", id="the answer is kept and not on record"),
]


@pytest.fixture
def orthanc() -> Iterator[Running]:
    with folder_for_peer() as folder, run_orthanc(folder, ours=free_port()) as peer:
        yield peer


@pytest.fixture
def planned(tmp_path: Path, orthanc: Running) -> Path:
    folder = tmp_path / "program"
    (folder / "old").mkdir(parents=True)
    for study in STUDIES:
        (folder / "old" / f"{study}.dcm").write_bytes(dicom_bytes(ObjectSpec(study=study, patient_id=f"P{study}")))
    new = section(
        "new",
        port=orthanc.port,
        ae_title=orthanc.title,
        retrieve="get",
        listen_port=orthanc.ours,
        commitment=True,
        commitment_timeout=60.0,
    )
    (folder / "program.toml").write_text(CONFIG + new)
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def command(folder: Path, point: str = "-", nth: int = 0, when: str = "before") -> list[str]:
    log = str(folder.with_suffix(".log"))
    return [sys.executable, str(WRAPPER), log, point, str(nth), when, "transfer", "--program", str(folder)]


def finished(folder: Path, orthanc: Running) -> None:
    """Go on, and see that everything is as if nothing had happened: each study committed to and stored once."""
    assert subprocess.run(command(folder), capture_output=True, timeout=120).returncode == 0
    with Program.open(folder) as program:
        (wave,) = program.status().waves
        assert dict(wave.states) == {"transferred": len(STUDIES)}
        assert {line.kind for line in program.findings()} == {"headers-only"}
        assert program.verify_ledger(deep=True).ok
        events = [recorded.event for recorded in program.ledger.read()]
    told = [event for event in events if isinstance(event, CommitmentAnswered)]
    assert [(event.committed, event.refused, event.unanswered) for event in told] == [(1, 0, 0)] * len(STUDIES)
    moved = [event for event in events if isinstance(event, StudyTransferred)]
    assert len({event.study for event in moved}) == len(moved) == len(STUDIES)
    held = orthanc.get("/instances?expand")
    assert isinstance(held, list)
    assert sorted(one["MainDicomTags"]["SOPInstanceUID"] for one in held) == sorted(
        ObjectSpec(study=study).sop_instance_uid for study in STUDIES
    )
    assert len(stored_anew(orthanc)) == len(STUDIES)


def stored_anew(orthanc: Running) -> list[str]:
    """The instances that Orthanc took as new, in its own record of changes."""
    changes = orthanc.get("/changes?limit=1000")
    assert isinstance(changes, dict)
    return [change["ID"] for change in changes["Changes"] if change["ChangeType"] == "NewInstance"]


@pytest.mark.parametrize(("point", "nth", "when"), POINTS)
def test_a_kill_while_commitment_is_awaited_changes_no_outcome(
    planned: Path, orthanc: Running, point: str, nth: int, when: str
) -> None:
    killed = subprocess.run(command(planned, point, nth, when), capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    if when == "after" and point.endswith("ask_commitment"):
        time.sleep(3)  # Orthanc reports to nobody
    finished(planned, orthanc)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_kill_at_any_moment_changes_no_outcome_of_commitment(planned: Path, orthanc: Running, seed: int) -> None:
    """Twice, from when it starts to when it would be done."""
    chance = random.Random(seed)
    for _ in range(2):
        process = subprocess.Popen(command(planned), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.5, 6.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    finished(planned, orthanc)
