"""What is learned of an archive while a program works with it, and what later work makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from peers.dicom import fill, folder_for_peer, free_port, run_orthanc, section
from vna_lifecycle.cli import main
from vna_lifecycle.model.counting import bytes_text
from vna_lifecycle.program import Program
from vna_lifecycle.program.pace import pace_of
from vna_lifecycle.testing.misbehaving_pacs import MisbehavingPacs
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

CONFIG = """
[program]
name = "learning"
[archives.new]
plugin = "files"
path = "new"
[migration]
sources = ["old"]
target = "new"
[execution]
reserve_bytes = 0
"""


def begun(folder: Path, *, port: int, title: str) -> Path:
    (folder / "new").mkdir()
    (folder / "program.toml").write_text(CONFIG + section("old", port=port, ae_title=title, retrieve="get"))
    assert main(["init", str(folder)]) == 0
    return folder


def test_the_largest_object_is_learned_as_objects_come_and_kept_at_the_next_inventory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = [ObjectSpec(study=study, patient_id=f"P{study}", study_description="x" * 20 * study) for study in (1, 2, 3)]
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs]) as pacs:
        folder = begun(tmp_path, port=pacs.port, title=pacs.title)
        with Program.open(folder) as program:
            program.take_inventory()
            before = program.profile("old")
            for wave in program.plan().waves:
                program.transfer(wave)
            after = program.profile("old")
            program.take_inventory()
            later = program.profile("old")
        largest = max(path.stat().st_size for path in (folder / "new").rglob("*.dcm"))
        assert before is not None and after is not None and later is not None
        assert before.number("largest-object") is None
        assert after.number("largest-object") == later.number("largest-object") == largest
        capsys.readouterr()
        assert main(["check", "--program", str(folder)]) == 0
        assert f"    largest object seen: {bytes_text(largest)}\n" in capsys.readouterr().out


@pytest.mark.peer
def test_plan_and_check_say_how_many_studies_will_be_in_flight_by_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with folder_for_peer() as of_peer, run_orthanc(of_peer, ours=free_port()) as peer:
        folder = begun(tmp_path, port=peer.port, title=peer.title)
        assert main(["check", "--program", str(folder)]) == 0
        assert "\n  up to 4 studies in flight at once: nobody measured how many old bears\n" in capsys.readouterr().out
        fill(peer, [ObjectSpec()])
        assert main(["inventory", "--program", str(folder)]) == 0
        with Program.open(folder) as program:
            profile = program.profile("old")
            pace = pace_of(program)
        assert profile is not None
        borne = profile.number("side-by-side")
        assert borne in (1, 2, 4, 8)
        assert pace.workers == max(4, borne)
        capsys.readouterr()
        assert main(["plan", "--program", str(folder)]) == 0
        assert f"note: {pace}\n" in capsys.readouterr().out
        assert main(["check", "--program", str(folder)]) == 0
        assert f"\n  {pace}\n" in capsys.readouterr().out
