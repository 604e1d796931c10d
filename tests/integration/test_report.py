"""The report of a real program: what it says is what is so, and nothing of a patient is in it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from peers.chromium import Browser, browser  # noqa: F401 - a fixture
from peers.folder_program import write_program
from vna_lifecycle.cli import main
from vna_lifecycle.errors import StorageError
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

PROGRAM_NAME = '"><script>alert(1)</script>'
HOSTILE = "<img src=x onerror=alert(1)>"
WAVE = f"{HOSTILE} \u05d2\u05dc"
NAME, PATIENT = "CANARY-NAME^JANE", "CANARY-ID-4711"

WAVES = f"""
[[waves]]
name = "pilot"
modalities = ["CT"]
[[waves]]
name = '{WAVE}'
[[exclusions]]
reason = '=HYPERLINK("http://127.0.0.1:9/")'
patient_ids = ["P9"]
"""
SPECS = (
    ObjectSpec(study=1, patient_id=PATIENT, patient_name=NAME, modality="CT", accession_number="CANARY-ACC"),
    ObjectSpec(study=2, patient_id="P2", modality="MR", study_date="19991231", study_description="CANARY-TEXT"),
    ObjectSpec(study=3, patient_id="P3", modality="US", study_date=""),
    ObjectSpec(study=3, patient_id="P3", modality="US", study_date="", grey=200),  # two contents under one UID
    ObjectSpec(study=9, patient_id="P9"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that is inventoried, planned and transferred."""
    place = tmp_path_factory.mktemp("program")
    write_program(place, WAVES, name=PROGRAM_NAME)
    for number, spec in enumerate(SPECS):
        (place / "old" / f"IM{number}").write_bytes(dicom_bytes(spec))
    (place / "old" / "notes.txt").write_text("no image")
    Program.init(place)
    with Program.open(place) as program:
        program.take_inventory()
        program.plan()
        for wave in program.waves():
            program.transfer(wave)
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_says_what_the_status_says(folder: Path) -> None:
    with Program.open(folder) as program:
        facts, status = program.report().facts, program.status()
    assert facts.gate.allowed is status.cutover.allowed is False
    assert [(wave.name, wave.studies, wave.imported, wave.ready) for wave in facts.waves] == [
        (line.name, line.studies, line.imported, line.ready) for line in status.waves
    ]
    assert [wave.imported for wave in facts.waves] == [1, 1]
    assert (facts.ledger.size, facts.ledger.root) == (status.ledger_size, status.ledger_root)
    assert facts.ledger.checkpoint.splitlines()[1] == str(status.ledger_size)


def test_what_blocks_is_told_with_the_waves_that_it_blocks(folder: Path) -> None:
    with Program.open(folder) as program:
        gate = program.report().facts.gate
    blocked = {wave for obstacle in gate.obstacles for wave in obstacle.waves}
    assert blocked == {"pilot", WAVE}
    assert all(obstacle.remedy and obstacle.who for obstacle in gate.obstacles)
    contents = next(obstacle for obstacle in gate.obstacles if "several contents" in obstacle.sentence)
    assert contents.waves == (WAVE,)
    assert contents.remedy.startswith("Decide which content is the true one: vna-lifecycle remediate")
    assert len({obstacle.sentence for obstacle in gate.obstacles}) == len(gate.obstacles)


def test_the_pictures_count_each_study_once(folder: Path) -> None:
    with Program.open(folder) as program:
        pictures = program.report().facts.pictures
    assert {amount.label: amount.studies for amount in pictures.modalities} == {"CT": 2, "MR": 1, "US": 1}
    assert (pictures.years[0].label, pictures.years[0].studies) == ("1999", 1)
    assert (pictures.years[-1].label, pictures.years[-1].studies) == ("2024", 2)
    assert len(pictures.years) == 26  # the years without a study are there too
    assert pictures.undated == 1
    assert sum(amount.studies for amount in pictures.sizes) == 4


def test_every_study_is_in_the_table_with_its_path(folder: Path) -> None:
    with Program.open(folder) as program:
        written = program.report()
    told = {row["study_instance_uid"]: row for row in rows(written.folder / "studies.csv")}
    assert set(told) == {spec.study_uid for spec in SPECS}
    first = told[SPECS[0].study_uid]
    assert [step.split()[0] for step in first["path"].split(" > ")] == [
        "planned", "fetched", "storing", "stored", "transferred",
    ]  # fmt: skip
    assert told[SPECS[2].study_uid]["state"] == "incomplete"
    assert "held back" in told[SPECS[2].study_uid]["why"]
    assert told[SPECS[4].study_uid]["state"] == "excluded"
    assert told[SPECS[4].study_uid]["why"].startswith("excluded: =HYPERLINK")
    assert written.facts.studies[0].study_uid == SPECS[2].study_uid  # who needs somebody comes first
    assert written.facts.studies_total == 4


def test_every_finding_is_in_the_table_with_its_objects_and_what_to_do(folder: Path) -> None:
    with Program.open(folder) as program:
        written, lines = program.report(), program.findings(settled=True)
    told = rows(written.folder / "findings.csv")
    assert {row["finding"] for row in told} == {str(line.sequence) for line in lines}
    assert SPECS[2].sop_instance_uid in {row["object"] for row in told}
    assert all(row["what_to_do"] for row in told)
    assert {row["standing"] for row in told} == {"open"}


def test_the_json_holds_what_the_page_shows(folder: Path) -> None:
    with Program.open(folder) as program:
        written = program.report()
    assert json.loads((written.folder / "report.json").read_text()) == json.loads(json.dumps(written.facts.to_dict()))


def test_nothing_of_a_patient_but_uids_is_in_any_file(folder: Path) -> None:
    with Program.open(folder) as program:
        written = program.report()
    for path in written.files:
        text = path.read_text(encoding="utf-8")
        for canary in ("CANARY", PATIENT, "19700101", "1970-01-01", "Doe^Jane"):
            assert canary not in text, path.name


def test_reporting_leaves_no_trace_in_the_record_and_can_be_done_again(folder: Path) -> None:
    with Program.open(folder) as program:
        before = program.status().ledger_size
        first = program.report().facts
        again = program.report().facts
        assert program.status().ledger_size == before
    assert first.to_dict() | {"time": ""} == again.to_dict() | {"time": ""}


def test_a_report_that_cannot_be_finished_leaves_the_old_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Program.open(folder) as program:
        page = program.report().page
        before = page.read_bytes()

        def torn(_: object) -> list[str]:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("vna_lifecycle.program.reporting.render", torn)
        with pytest.raises(StorageError, match="No space left") as caught:
            program.report()
    assert caught.value.path == page
    assert page.read_bytes() == before
    assert not list(page.parent.glob(".*"))


def test_the_verb_writes_the_files_and_says_where(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--program", str(folder), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert f"The page: {tmp_path / 'out' / 'index.html'}" in said
    assert "pilot: 1 of 1 study imported, not for care yet" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "index.html", "report.json", "waves.csv", "studies.csv", "findings.csv",
    }  # fmt: skip
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0  # it names studies


def test_the_verb_gives_the_facts_as_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--json", "--program", str(folder), "--output", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(tmp_path / "out" / "index.html")
    assert told["facts"]["gate"]["allowed"] is False


def test_a_folder_that_cannot_be_made_is_an_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["report", "--program", str(folder), "--output", str(tmp_path / "file" / "out")]) == 4
    assert "cannot be made" in capsys.readouterr().err


def test_a_program_in_which_nothing_happened_has_a_report(tmp_path: Path) -> None:
    write_program(tmp_path, WAVES)
    Program.init(tmp_path)
    with Program.open(tmp_path) as program:
        facts = program.report().facts
    assert facts.waves == facts.studies == facts.findings == facts.burn_up == ()
    assert facts.gate.obstacles


@pytest.mark.peer
def test_names_from_the_settings_are_only_text_in_a_real_browser(folder: Path, browser: Browser) -> None:  # noqa: F811
    with Program.open(folder) as program:
        page = program.report().page
    for width in (1280, 390):
        browser.open(page, width=width)
        assert browser.complaints() == []
        assert browser.requests() == [page.as_uri()]
        assert browser.run("return document.querySelectorAll('script, img, [onerror]').length") == 0
        assert browser.run("return document.title").startswith(PROGRAM_NAME)
        assert browser.run("return document.documentElement.scrollWidth") <= width
