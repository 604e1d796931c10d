"""What is known of archives beyond their objects, told on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.folder_program import write_program
from vna_lifecycle.cli import main
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=number, patient_id=f"P{number}") for number in (1, 2, 3)]
TRUTH = '[sources.old]\ntruth = "truth.csv"'
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_program(tmp_path, TRUTH)
    for spec in SPECS:
        (tmp_path / "old" / f"{spec.study}.dcm").write_bytes(dicom_bytes(spec))
    lines = [f"{spec.study_uid};{spec.patient_id};{int(spec.study == 2)};x" for spec in SPECS]
    (tmp_path / "truth.csv").write_text("\n".join(["Study Instance UID;Patient ID;Deleted;Ward", *lines, ""]))
    return tmp_path


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--program", str(folder)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    assert main(["init", str(folder)]) == 0
    capsys.readouterr()
    return call


def test_the_database_leaves_out_what_it_deleted_and_its_columns_are_told(cli: Call) -> None:
    assert cli("inventory")[0] == 0
    code, out, _ = cli("truth")
    assert code == 0
    assert out.splitlines() == [
        "old: its database knows 3 studies, 1 deleted there",
        "  columns: study_uid, patient_id, deleted; left out: Ward",
    ]
    (source,) = json.loads(cli("truth", "old", "--json")[1])["sources"]
    assert (source["studies"], source["deleted"], source["missing"], source["columns_left_out"]) == (3, 1, 0, ["Ward"])
    assert "excluded: 1 study (deleted at the source)" in cli("plan")[1]


def test_an_extract_that_cannot_be_used_is_said_with_its_line_and_what_to_do(cli: Call, folder: Path) -> None:
    (folder / "truth.csv").write_bytes(b"study_uid;patient_id\n1.2;M\xfcller\n")
    code, _, err = cli("inventory")
    assert code == 2
    assert "the truth extract truth.csv cannot be used: line 2 byte 6 is not UTF-8" in err
    assert "ller" not in err
    code, out, _ = cli("status", "--json")
    assert json.loads(out)["sources"][0]["studies"] == 3
    code, out, _ = cli("findings")
    assert "blocker: truth-refused" in out


def test_headers_only_is_said(cli: Call, folder: Path) -> None:
    write_program(folder)
    code, out, _ = cli("truth")
    assert (code, out) == (
        0,
        "old: headers only: nobody gave an extract of its database ([sources.old] truth)\n",
    )
    assert json.loads(cli("truth", "--json")[1]) == {"sources": [], "headers_only": ["old"]}


def test_profiles_are_told_in_words_and_compared(cli: Call) -> None:
    code, out, _ = cli("profile")
    assert code == 0
    assert out.splitlines() == [
        "old: not looked at yet: vna-lifecycle profile old --renew",
        "new: not looked at yet: vna-lifecycle profile new --renew",
    ]
    assert cli("inventory")[0] == 0
    code, out, _ = cli("profile", "old")
    assert re.match(r"old, as seen \d{4}-\d\d-\d\d \d\d:\d\d UTC\n  studies: 3\n  objects: 3\n", out)
    assert "  kinds of object (SOP classes): CT Image Storage (all)\n" in out
    assert "  encodings (transfer syntaxes): Explicit VR Little Endian (all)\n" in out
    assert "  largest object seen: " in out
    assert "Where they differ" not in out
    assert cli("plan")[0] == cli("transfer")[0] == cli("inventory", "new")[0] == 0
    code, out, _ = cli("profile")
    assert "Where they differ:\n" in out
    differing = out.partition("Where they differ:\n")[2]
    assert "  how it lies there\n    old: folders of files\n    new: store of this software\n" in differing
    assert "  studies\n    old: 3\n    new: 2\n" in differing
    told = json.loads(cli("profile", "--json")[1])
    assert [each["archive"] for each in told["profiles"]] == ["old", "new"]
    assert {"name": "studies", "seen": {"old": "3", "new": "2"}} in told["differences"]


def test_looking_again_is_asked_for(cli: Call) -> None:
    told = json.loads(cli("profile", "new", "--renew", "--json")[1])
    assert told["not_seen"] == []
    assert {"name": "layout", "value": "folders of files", "unit": ""} in told["profiles"][0]["observations"]


@pytest.mark.parametrize("words", [("profile", "nowhere"), ("truth", "new")])
def test_names_that_do_not_fit_are_refused_with_those_that_do(cli: Call, words: tuple[str, str]) -> None:
    code, _, err = cli(*words)
    assert code == 2
    assert words[1] in err
    assert "There are: old" in err
