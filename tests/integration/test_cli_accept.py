"""What ``vna-lifecycle accept`` and ``transfer`` tell people about a wave that must not be used yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.folder_program import PILOT_AND_REST, write_program
from vna_lifecycle.cli import main
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

Cli = Callable[..., str]


def put(folder: Path, **fields: object) -> None:
    spec = ObjectSpec(**{"issuer": "H", "study_description": "CT head", **fields})  # type: ignore[arg-type]  # by name
    (folder / "old" / f"{spec.study}-{spec.series}.dcm").write_bytes(dicom_bytes(spec))


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Calls a verb, which must end with exit code ``code``; what it prints."""
    write_program(tmp_path, PILOT_AND_REST)
    put(tmp_path, study=1, patient_id="P1", patient_name="Alpha^Anna")
    put(tmp_path, study=2, patient_id="P2", patient_name="Beta^Bert")
    put(tmp_path, study=3, patient_id="P3", patient_name="Gamma^Gita", modality="MR")

    def call(*arguments: str, code: int = 0) -> str:
        ended = main([*arguments, "--program", str(tmp_path)])
        printed = capsys.readouterr()
        assert ended == code, printed.out + printed.err
        return printed.out

    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    return call


def moved(cli: Cli, *, code: int = 0) -> str:
    cli("inventory")
    cli("plan")
    return cli("transfer", "pilot", code=code)


def test_a_wave_that_passes_is_ready_and_says_what_was_looked_at(cli: Cli) -> None:
    moved(cli)
    said = cli("accept", "pilot")
    assert said.startswith("pilot: ready\n")
    assert "Every study of the wave was examined (2), none found defective." in said
    assert "required checks gave a result" in said


def test_all_waves_in_order_and_one_that_has_not_moved_is_not_ready(cli: Cli) -> None:
    moved(cli)
    said = cli("accept", code=1)
    assert said.index("pilot: ready") < said.index(
        "rest: not ready\n  - nothing of the wave was transferred yet\n    what to do: "
    )
    [pilot, rest] = json.loads(cli("accept", "--json", code=1))["waves"]
    assert (pilot["ready"], rest["ready"]) == (True, False)
    assert pilot["acceptance"]["attempt"] == 2


def test_what_blocks_is_told_with_what_to_do(cli: Cli, tmp_path: Path) -> None:
    moved(cli)
    target = next((tmp_path / "new").rglob("*.dcm"))
    target.chmod(0o600)
    data = target.read_bytes()
    target.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = cli("accept", "pilot", code=1)
    assert said.startswith("pilot: not ready\n")
    assert "  blocker: 1 finding changed-at-target by unexplained-change\n" in said
    assert "    what to do: Find out who changed them, and why." in said


def test_what_is_held_back_is_told_with_its_kind(cli: Cli, tmp_path: Path) -> None:
    put(tmp_path, study=4, patient_id="P1", patient_name="Omega^Otto", modality="CT")
    said = moved(cli, code=1)
    assert "held back" in said
    assert "held back: " in said.splitlines()[1]


def test_without_a_plan_there_is_nothing_to_accept(cli: Cli) -> None:
    cli("accept", code=8)
