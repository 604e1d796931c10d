"""Completion is not readiness."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.policy.readiness import (
    AttemptFacts,
    FoundKind,
    Readiness,
    Requirement,
    SignOffFacts,
    Standing,
    Terms,
    WaiverFacts,
    WaveFacts,
    wave_readiness,
)

COUNT = st.integers(min_value=0, max_value=5)
TERMS = Terms(checks=("identity", "grouping"), sign_offs=("radiologist",))
PASSED = AttemptFacts(
    number=1,
    outcome="passed",
    population=300,
    size=100,
    sampled=100,
    defective=0,
    confidence="0.98",
    max_defect_rate="0.005",
    assessed=frozenset({"identity", "grouping", "acme"}),
)
SIGNED = SignOffFacts(by="mallory", role="radiologist", attempt=1)


def facts(**changes: Any) -> WaveFacts:
    ready: dict[str, Any] = {
        "name": "pilot",
        "studies": 3,
        "imported": 3,
        "attempts": (PASSED,),
        "sign_offs": (SIGNED,),
    }
    return WaveFacts(**ready | changes)


def attempt(**changes: Any) -> dict[str, Any]:
    return {"attempts": (evolve(PASSED, **changes),)}


def of(readiness: Readiness, name: str) -> list[Requirement]:
    return [each for each in readiness.requirements if each.name == name]


def test_a_wave_that_is_imported_accepted_and_signed_off_is_ready_and_says_by_what() -> None:
    readiness = wave_readiness(facts(), TERMS)
    assert readiness.ready
    assert readiness.blockers == ()
    assert {each.standing for each in readiness.requirements} == {Standing.MET}
    assert [(each.name, each.detail) for each in readiness.requirements] == [
        ("transferred", "3 studies at the target, read back and found equal"),
        ("findings", "no finding blocks the wave"),
        ("acceptance", "accepted: acceptance 1 passed, 100 of 300 studies sampled, none defective"),
        ("checks", "2 required checks gave a result"),
        ("sign-off", "signed off by mallory, radiologist"),
        ("running", "nobody paused the wave"),
    ]


@pytest.mark.parametrize(
    ("change", "standing", "reason"),
    [
        (
            {"attempts": (), "sign_offs": (evolve(SIGNED, attempt=0),)},
            Standing.MISSING,
            "acceptance has not examined it",
        ),
        (attempt(outcome=""), Standing.MISSING, "acceptance 1 was begun and has not ended"),
        (attempt(current=False), Standing.MISSING, "moved, or came or went, since acceptance 1"),
        (attempt(confidence="0.9"), Standing.MISSING, "program.toml asks for more than acceptance 1 shows"),
        (attempt(max_defect_rate="0.0051"), Standing.MISSING, "program.toml asks for more than acceptance 1 shows"),
        (
            attempt(outcome="failed", defective=2, reasons=("2 studies of the sample are defective",)),
            Standing.FAILED,
            "acceptance 1 of at most 3 failed: 2 studies of the sample are defective (acceptance 1 failed, 100 of 300",
        ),
        (attempt(outcome="unfinished"), Standing.NOT_ASSESSED, "acceptance 1 of at most 3 unfinished"),
        (attempt(assessed=frozenset({"grouping"})), Standing.NOT_ASSESSED, "required check identity gave no result"),
        ({"imported": 2}, Standing.MISSING, "1 study not transferred yet"),
        ({"imported": 2, "incomplete": 1}, Standing.FAILED, "1 study incomplete at the target"),
        ({"imported": 1, "failed": 2}, Standing.FAILED, "2 studies failed"),
        ({"imported": 2, "withdrawn": 1}, Standing.FAILED, "1 study withdrawn"),
        (
            {"imported": 2, "held": (("odd-patient", 1),)},
            Standing.FAILED,
            "1 study held back before storing: odd-patient",
        ),
        ({"paused": True}, Standing.FAILED, "the wave is paused"),
        ({"studies": 0, "imported": 0}, Standing.MISSING, "the wave is empty"),
        (
            {"findings": (FoundKind(kind="odd", severity="blocker", count=3, waived=2),)},
            Standing.FAILED,
            "1 finding of kind odd blocks the wave",
        ),
        ({"sign_offs": ()}, Standing.MISSING, "no radiologist has signed off yet"),
        ({"sign_offs": (evolve(SIGNED, role="physicist"),)}, Standing.MISSING, "no radiologist has signed off yet"),
        (
            {"sign_offs": (evolve(SIGNED, void="it expired after 2026-01-01"),)},
            Standing.FAILED,
            "the sign-off by mallory, radiologist, does not count: it expired after 2026-01-01",
        ),
        (
            {"attempts": (evolve(PASSED, outcome="failed"), evolve(PASSED, number=2))},
            Standing.FAILED,
            "it is of acceptance 1, not of the latest",
        ),
    ],
)
def test_each_lack_alone_keeps_a_wave_from_being_ready_and_is_named(
    change: dict[str, Any], standing: Standing, reason: str
) -> None:
    readiness = wave_readiness(facts(**change), TERMS)
    assert not readiness.ready
    (lack,) = [each for each in readiness.requirements if not each.standing.allows]
    assert lack.standing is standing
    assert reason in lack.detail
    assert readiness.blockers == (lack.detail,)


def test_all_attempts_are_shown_not_only_the_one_that_passed() -> None:
    failed = evolve(PASSED, outcome="failed", defective=1)
    attempts = (failed, evolve(PASSED, number=2))
    readiness = wave_readiness(facts(attempts=attempts, sign_offs=(evolve(SIGNED, attempt=2),)), TERMS)
    assert readiness.ready
    (said,) = of(readiness, "acceptance")
    assert "acceptance 1 failed" in said.detail
    assert "1 defective; acceptance 2 passed" in said.detail


def test_waived_findings_do_not_block_and_are_named_as_waived() -> None:
    found = (FoundKind(kind="odd", severity="blocker", count=2, waived=2),)
    readiness = wave_readiness(facts(findings=found), TERMS)
    assert readiness.ready
    (waived,) = of(readiness, "findings")
    assert (waived.standing, waived.detail) == (Standing.WAIVED, "2 findings of kind odd are waived")


def test_a_waiver_that_does_not_hold_is_named_with_what_it_no_longer_covers() -> None:
    found = (FoundKind(kind="odd", severity="blocker", count=2), FoundKind(kind="even", severity="blocker", count=1))
    lapsed = (WaiverFacts(waiver="w1", by="mallory", finding="odd", void="it expired after 2026-01-01"),)
    readiness = wave_readiness(facts(findings=found, lapsed=lapsed), TERMS)
    assert readiness.blockers == (
        "2 findings of kind odd block the wave; the waiver by mallory does not count: it expired after 2026-01-01",
        "1 finding of kind even blocks the wave",
    )


def test_warnings_and_notes_never_block() -> None:
    found = tuple(FoundKind(kind="k", severity=severity, count=2) for severity in ("warning", "note"))
    readiness = wave_readiness(facts(findings=found), TERMS)
    assert readiness.ready
    assert of(readiness, "findings")[0].detail == "no finding blocks the wave; 2 warnings to look at"


def test_a_check_that_was_not_required_then_and_is_now_must_give_a_result() -> None:
    readiness = wave_readiness(facts(), evolve(TERMS, checks=(*TERMS.checks, "truth")))
    assert readiness.blockers == ("the required check truth gave no result",)


@given(st.integers(0, 3), COUNT, COUNT, COUNT, COUNT, st.booleans(), st.sampled_from(["none", "passed", "failed"]))
def test_nothing_but_acceptance_of_a_fully_imported_wave_makes_it_ready(
    imported: int, incomplete: int, failed: int, withdrawn: int, held: int, paused: bool, outcome: str
) -> None:
    readiness = wave_readiness(
        facts(
            studies=imported + incomplete + failed + withdrawn + held,
            imported=imported,
            incomplete=incomplete,
            failed=failed,
            withdrawn=withdrawn,
            held=(("odd", held),) if held else (),
            paused=paused,
            attempts=() if outcome == "none" else (evolve(PASSED, outcome=outcome),),
        ),
        TERMS,
    )
    whole = imported and not (incomplete or failed or withdrawn or held)
    assert readiness.ready == bool(whole and not paused and outcome == "passed")
    assert readiness.ready != bool(readiness.blockers)


def test_readiness_prints_well_and_shows_hostile_text_inertly() -> None:
    met = Requirement(name="running", standing=Standing.MET, detail="nobody paused the wave")
    against = Requirement(name="findings", standing=Standing.FAILED, detail="<script>alert(1)</script>")
    readiness = Readiness(ready=False, blockers=(against.detail,), requirements=(met, against))
    assert str(readiness) == "not ready\n  + nobody paused the wave\n  - <script>alert(1)</script>"
    assert "<script" not in readiness._repr_html_()
    assert [row["standing"] for row in readiness.to_dicts()] == ["met", "failed"]
