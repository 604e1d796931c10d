"""Findings for people: what says the same of many studies is said once."""

from __future__ import annotations

from typing import Any

from vna_lifecycle.cli.looking import SUBJECTS_SHOWN, alike, finding_lines


def finding(study: str = "", **more: Any) -> dict[str, Any]:
    told = {"severity": "blocker", "kind": "missing-patient-id", "wave": "rest", "study": study, "settled": None}
    said = {"message": "this study has no Patient ID", "remedy": "ask", "objects": [], "waivers": []}
    return told | said | more


def test_a_finding_alone_names_its_study() -> None:
    assert [finding_lines(group) for group in alike([finding("a")])] == [
        ["blocker: missing-patient-id (wave rest, study a)", "  this study has no Patient ID", "  what to do: ask"]
    ]


def test_what_is_the_same_of_several_studies_is_said_once() -> None:
    studies = [f"s{number}" for number in range(SUBJECTS_SHOWN + 2)]
    found = [finding(studies[0]), finding("x", kind="other"), *map(finding, studies[1:])]
    first, second = (finding_lines(group) for group in alike(found))
    assert first[0] == f"blocker: missing-patient-id (wave rest, {len(studies)} studies)"
    assert first[2:-2] == [f"    study {study}" for study in studies[:SUBJECTS_SHOWN]]
    assert first[-2:] == ["    and 2 more: vna-lifecycle findings --json has all", "  what to do: ask"]
    assert second[0] == "blocker: other (wave rest, study x)"


def test_what_names_objects_was_waived_or_settled_or_is_of_no_study_stands_alone() -> None:
    for more in ({"objects": ["1.2"]}, {"waivers": ["w"]}, {"settled": 7}, {"study": ""}, {"wave": "pilot"}):
        assert [len(group) for group in alike([finding("a"), finding("b"), finding("c") | more])] == [2, 1]
    for more in ({"objects": ["1.2"]}, {"waivers": ["w"]}, {"settled": 7}):
        assert [len(group) for group in alike([finding("a", **more), finding("b", **more)])] == [1, 1]
