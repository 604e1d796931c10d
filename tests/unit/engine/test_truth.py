"""The sources' own databases in a program: read with the inventory, told as findings, settled, kept out of plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import FindingSettled, TruthRecorded
from vna_lifecycle.program import Program
from vna_lifecycle.testing.faults import SimulatedCrash
from vna_lifecycle.testing.objects import ObjectSpec

SPECS = [ObjectSpec(study=s, patient_id=f"P{s}", accession_number=f"A{s}") for s in (1, 2, 3)]
UIDS = [spec.study_uid for spec in SPECS]
TRUTH = '[sources.old]\ntruth = "truth.csv"\n'
HEADER = "study_uid,patient_id,accession,deleted,hidden"
AGREES = [f"{spec.study_uid},{spec.patient_id},{spec.accession_number},0,0" for spec in SPECS]


def write(world: Any, *lines: str) -> None:
    (world.folder / "truth.csv").write_text("\n".join([HEADER, *lines, ""]))


def open_findings(program: Program) -> list[tuple[str, str]]:
    return sorted((line.kind, line.severity) for line in program.findings("") if line.check == "source")


def events(program: Program, kind: type) -> list[Any]:
    return [item.event for item in program.ledger.read() if isinstance(item.event, kind)]


def test_a_source_without_its_database_is_known_from_headers_only_until_an_extract_is_given(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        assert open_findings(program) == [("headers-only", "blocker")]
        program.take_inventory()
        assert open_findings(program) == [("headers-only", "blocker")]
    text = (w.folder / "program.toml").read_text()
    (w.folder / "program.toml").write_text(text + TRUTH)
    write(w, *AGREES)
    with w.open() as program:
        (result,) = program.read_truth()
        assert str(result) == "old: its database knows 3 studies"
        assert open_findings(program) == []
        assert [event.finding for event in events(program, FindingSettled)] == ["headers-only"]
    (w.folder / "program.toml").write_text(text)
    with w.open() as program:
        program.take_inventory()
        assert open_findings(program) == [("headers-only", "blocker")]
        program.take_inventory()
        assert open_findings(program) == [("headers-only", "blocker")]


def test_what_dicom_cannot_return_needs_a_decision(world: Any) -> None:
    more = """
[sources.old]
truth = "truth.csv"
beyond_dicom = [{ what = "annotations" }, { what = "scanned paper", disposition = "kept by the records office" }]
"""
    w = world(SPECS, more)
    write(w, *AGREES)
    with w.open() as program:
        program.take_inventory()
        assert open_findings(program) == [("beyond-dicom", "note"), ("not-in-dicom", "blocker")]
    config = w.folder / "program.toml"
    config.write_text(config.read_text().replace('"annotations"', '"annotations", disposition = "given up"'))
    with w.open() as program:
        program.read_truth()
        assert open_findings(program) == [("beyond-dicom", "note"), ("beyond-dicom", "note")]


def test_what_the_database_says_is_on_record_once_for_each_that_is_new(world: Any) -> None:
    w = world(SPECS, TRUTH)
    with w.open() as program:
        write(w, *AGREES[:2], f"{UIDS[2]},P3,A3,1,0")
        program.take_inventory()
        program.take_inventory()
        write(w, *AGREES)
        program.read_truth()
        write(w, *AGREES[:2], f"{UIDS[2]},P3,A3,1,0")
        program.read_truth()
        recorded = events(program, TruthRecorded)
        assert [(event.studies, event.deleted, event.unusable) for event in recorded] == [
            (3, 1, 0),
            (3, 0, 0),
            (3, 1, 0),
        ]
        assert recorded[0].extract_sha256 == recorded[2].extract_sha256 != recorded[1].extract_sha256
        line = program.catalog.decisions.truth("old")
        assert line is not None
        assert line.deleted == 1


def test_studies_that_only_the_database_has_are_a_finding_that_names_them(world: Any) -> None:
    w = world(SPECS, TRUTH)
    write(w, *AGREES[:2], "1.2.3.4,P9,A9,0,0", "1.2.3.5,P9,A9,1,0")
    with w.open() as program:
        program.take_inventory()
        (result,) = program.read_truth()
        assert (result.missing, result.unknown, result.deleted) == (1, 1, 1)
        assert str(result) == (
            "old: its database knows 4 studies, 1 deleted there, 1 not in the inventory,"
            " 1 in the inventory and not in the database"
        )
        (line,) = [line for line in program.findings("") if line.check == "source"]
        finding = program.evidence(line)
        assert (finding.kind, finding.severity.value) == ("not-in-inventory", "blocker")
        assert finding.subjects == ("1.2.3.4",)
        assert ("1.2.3.4", "line 4") in finding.details
        assert "1.2.3" not in finding.message


def test_lines_that_cannot_be_used_are_findings_by_kind_with_their_numbers(world: Any) -> None:
    w = world(SPECS, TRUTH)
    write(w, *AGREES, "not-a-uid,P9,A9,0,0", f"{UIDS[0]},P1,A1,maybe,0", "1,2,3")
    with w.open() as program:
        (inventory,) = program.take_inventory()
        assert inventory.completed
        assert open_findings(program) == [
            ("truth-bad-flag", "warning"),
            ("truth-bad-study-uid", "warning"),
            ("truth-repeated", "note"),
            ("truth-wrong-field-count", "warning"),
        ]
        places = {
            line.kind: [where for where, _ in program.evidence(line).details if where.startswith("line")]
            for line in program.findings("")
        }
        assert places["truth-bad-study-uid"] == ["line 5"]
        assert places["truth-bad-flag"] == ["line 6"]
        assert places["truth-wrong-field-count"] == ["line 7"]


@pytest.mark.parametrize("content", ["", HEADER, "study_uid,name\n1.2,x\n"])
def test_an_extract_that_cannot_be_used_is_refused_and_what_an_earlier_one_said_still_holds(
    world: Any, content: str
) -> None:
    w = world(SPECS, TRUTH)
    write(w, *AGREES[:2], f"{UIDS[2]},P3,A3,0,1")
    with w.open() as program:
        program.take_inventory()
        (w.folder / "truth.csv").write_text(content)
        with pytest.raises(ConfigurationError, match=r"truth extract|knows no study"):
            program.take_inventory()
        assert open_findings(program) == [("truth-refused", "blocker")]
        assert program.catalog.latest_inventory("old") == 2
        assert dict(program.plan().excluded) == {"hidden at the source": 1}
        write(w, *AGREES)
        program.read_truth()
        assert open_findings(program) == []


def test_a_refusal_stays_while_other_sources_are_looked_at(world: Any) -> None:
    w = world(SPECS, TRUTH)
    with w.open() as program:
        with pytest.raises(ConfigurationError):
            program.take_inventory()  # there is no extract
        assert open_findings(program) == [("truth-refused", "blocker")]
        program.take_inventory(["new"])
        assert open_findings(program) == [("truth-refused", "blocker")]


@pytest.mark.parametrize(
    ("include", "planned", "excluded"),
    [
        ("", 1, {"deleted at the source": 1, "hidden at the source": 1}),
        ("include_hidden = true", 2, {"deleted at the source": 1}),
        ("include_deleted = true", 2, {"hidden at the source": 1}),
        ("include_deleted = true\ninclude_hidden = true", 3, {}),
    ],
)
def test_deleted_and_hidden_studies_are_excluded_unless_told_otherwise(
    world: Any, include: str, planned: int, excluded: dict[str, int]
) -> None:
    w = world(SPECS, f"{TRUTH}{include}\n")
    write(w, AGREES[0], f"{UIDS[1]},P2,A2,1,0", f"{UIDS[2]},P3,A3,0,1")
    with w.open() as program:
        program.take_inventory()
        plan = program.plan()
        assert [wave.studies for wave in plan.waves] == [planned]
        assert dict(plan.excluded) == excluded
        assert dict(program.catalog.excluded()) == excluded


def test_a_crash_between_the_catalog_and_the_ledger_is_made_good_by_the_next_reading(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(SPECS, TRUTH)
    write(w, *AGREES)
    with w.open() as program:
        program.take_inventory()
        write(w, *AGREES[:2])

        def crash(*_: object, **__: object) -> None:
            raise SimulatedCrash

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "append", _after_lease(Ledger.append, crash))
            with pytest.raises(SimulatedCrash):
                program.read_truth()
    with w.open() as program:
        program.read_truth()
        assert [event.studies for event in events(program, TruthRecorded)] == [3, 2]


def _after_lease(append: Any, crash: Any) -> Any:
    def wrapped(self: Ledger, drafts: Any, **more: Any) -> Any:
        return (crash if drafts[0].key.startswith("truth/") else append)(self, drafts, **more)

    return wrapped


def test_no_patient_data_is_in_the_ledger(world: Any, tmp_path: Path) -> None:
    w = world(SPECS, TRUTH)
    write(w, *AGREES[:2], "1.2.3.4,CANARY7,CANARY8,0,0", "1.2.3.5,CANARY7,CANARY8,maybe,0")
    with w.open() as program:
        program.take_inventory()
    text = (w.folder / "ledger.db").read_bytes()
    assert b"CANARY" not in text
    assert b"1.2.3.4" not in text
