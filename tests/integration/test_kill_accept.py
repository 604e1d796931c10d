"""kill -9 of ``vna-lifecycle accept`` at named points: the next run ends the same attempt with the same sample."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peers.folder_program import events_of, that_dies, write_program
from vna_lifecycle.model.event import SampleDrawn, WaveExamined
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

MORE = """
workers = 2
[acceptance]
max_defect_rate = 0.2
confidence = 0.8
"""
POINTS = [
    ("vna_lifecycle.ledger.store:Ledger.append", 2, "after"),  # the lease is taken, the sample is drawn
    ("vna_lifecycle.engine.examining:Examiner.examine", 1, "before"),
    ("vna_lifecycle.engine.accept_served:retrieve", 3, "after"),
    ("vna_lifecycle.policy.acceptance:wave_verdict", 1, "before"),
    ("vna_lifecycle.vault:Vault.put_sealed", 3, "before"),
]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A program whose wave was transferred; one patient is described in two ways, which is a warning."""
    folder = tmp_path_factory.mktemp("moved") / "program"
    write_program(folder, MORE, source=folder.parent / "source")
    for study in range(1, 21):
        spec = ObjectSpec(
            study=study,
            patient_id=f"P{max(study, 2)}",
            patient_name=f"Name{study}^A",
            issuer="H",
            grey=study,
            study_description="CT head",
        )
        (folder.parent / "source" / f"{study:03d}.dcm").write_bytes(dicom_bytes(spec))
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
    yield folder


def accept(folder: Path, point: str = "-", nth: int = 0, when: str = "before") -> tuple[int, str]:
    command = that_dies(folder, "accept", "all", "--json", point=point, nth=nth, when=when)
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return run.returncode, run.stdout if run.returncode == 0 else run.stdout + run.stderr  # progress is told beside


def comparable(printed: str) -> dict[str, Any]:
    """The result without what differs from run to run: the seed, and so the sample, and times."""
    [wave] = json.loads(printed)["waves"]
    return {
        "ready": wave["ready"],
        "standing": [each["standing"] for each in wave["requirements"]],
        "findings": wave["acceptance"]["findings"],
        "sizes": [stratum["size"] for stratum in wave["acceptance"]["verdict"]["strata"]],
    }


@pytest.fixture(scope="module")
def undisturbed(moved: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an acceptance that nobody kills comes to."""
    code, printed = accept(shutil.copytree(moved, tmp_path_factory.mktemp("undisturbed") / "program"))
    assert code == 0, printed
    return comparable(printed)


@pytest.mark.parametrize(("point", "nth", "when"), POINTS)
def test_an_acceptance_that_is_killed_goes_on_with_its_sample(
    moved: Path, undisturbed: dict[str, Any], tmp_path: Path, point: str, nth: int, when: str
) -> None:
    folder = shutil.copytree(moved, tmp_path / "killed")
    code, out = accept(folder, point, nth, when)
    assert code == -signal.SIGKILL, out
    drawn = [r.event.seed for r in events_of(folder) if isinstance(r.event, SampleDrawn)]
    code, again = accept(folder)
    assert code == 0, again
    assert comparable(again) == undisturbed
    record = events_of(folder)
    assert [r.event.seed for r in record if isinstance(r.event, SampleDrawn)][: len(drawn)] == drawn
    assert [r.event.attempt for r in record if isinstance(r.event, SampleDrawn | WaveExamined)] == [1, 1]
    assert max(Counter(r.key for r in record).values()) == 1
    assert list((folder / "spool").iterdir()) == []
