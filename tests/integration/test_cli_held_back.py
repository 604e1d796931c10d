"""Studies that are held back before anything of them is stored, told on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peers.folder_program import write_program
from vna_lifecycle.cli import main
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


def test_who_looks_for_contents_is_told_what_else_holds_studies_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([*words, "--program", str(tmp_path)])
        return code, capsys.readouterr().out

    write_program(tmp_path)
    for study in (1, 2):
        (tmp_path / "old" / f"{study}.dcm").write_bytes(dicom_bytes(ObjectSpec(study=study, patient_id="")))
    assert main(["init", str(tmp_path)]) == 0
    assert call("inventory")[0] == call("plan")[0] == 0
    assert call("remediate") == (0, "Nothing is held for a decision.\n")
    code, out = call("transfer")
    assert (code, "2 held back" in out) == (1, True)
    assert call("remediate") == (
        0,
        "Nothing is held for a decision.\nStudies are held back for other reasons: vna-lifecycle findings\n",
    )
    out = call("findings")[1]
    assert out.count("missing-patient-id") == 1
    assert out.endswith("\nWhich studies these are, by UID: vna-lifecycle findings --json\n")
    found = json.loads(call("findings", "--json")[1])["findings"]
    assert len({one["study_uid"] for one in found if one["kind"] == "missing-patient-id"}) == 2
