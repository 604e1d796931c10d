"""Reading is switched only when nothing speaks against it, and every reason is told."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from vna_lifecycle.policy.cutover import CutoverDecision, CutoverFacts, SourceFacts, cutover_decision
from vna_lifecycle.policy.readiness import FoundKind, Readiness, Standing, WaiverFacts

READY = ("pilot", Readiness(ready=True, blockers=()))
UNREADY = ("rest", Readiness(ready=False, blockers=("the wave is paused", "not accepted")))
SOURCE = SourceFacts(name="old", inventoried=True, compared=True, equal=2, sampled=20)
FACTS = CutoverFacts(sources=(SOURCE,), unplanned=0, unseen="Edits in place are not seen", rechecked=("pilot",))


def details(decision: CutoverDecision, name: str) -> list[tuple[Standing, str]]:
    return [(each.standing, each.detail) for each in decision.requirements if each.name == name]


def test_cutover_is_allowed_when_everything_is_met_and_says_what_was_looked_at() -> None:
    decision = cutover_decision([READY], FACTS)
    assert decision.allowed
    assert decision.reasons == ()
    assert {each.standing for each in decision.requirements} == {Standing.MET}
    assert {each.name for each in decision.requirements} == {
        "waves",
        "inventory",
        "planned",
        "findings",
        "passes",
        "unchanged",
    }
    ((_, said),) = details(decision, "passes")
    assert said == (
        "the last 2 catch-ups of old found nothing new; 20 studies fetched again (Edits in place are not seen)"
    )


@pytest.mark.parametrize(
    ("waves", "change", "reason"),
    [
        ([READY, UNREADY], {}, "wave rest: the wave is paused; not accepted"),
        ([], {}, "nothing is planned"),
        ([READY], {"sources": (evolve(SOURCE, inventoried=False),)}, "no complete inventory of old"),
        ([READY], {"unplanned": 1}, "1 study in no wave and not excluded"),
        (
            [READY],
            {"findings": (FoundKind(kind="headers-only", severity="blocker", count=1),)},
            "1 finding of kind headers-only blocks the program",
        ),
        (
            [READY],
            {"sources": (evolve(SOURCE, refused=3),), "looked": False},
            "3 objects at the sources cannot be trusted, and no acceptance has put that on record yet",
        ),
        (
            [READY],
            {"sources": (evolve(SOURCE, equal=1),)},
            "2 catch-ups of old in a row must find nothing new: 1 so far (Edits in place are not seen)",
        ),
        (
            [READY],
            {"sources": (evolve(SOURCE, equal=0, news="3 added"),)},
            "must find nothing new: 0 so far, the last one found 3 added (Edits in place are not seen)",
        ),
        ([READY], {"sources": (evolve(SOURCE, equal=0, compared=False),)}, "none was made yet"),
        ([READY], {"unchecked": ("pilot",)}, "wave pilot: whether the target is still as it was accepted could not"),
    ],
)
def test_each_lack_alone_refuses_cutover_and_is_named(waves: list[Any], change: dict[str, Any], reason: str) -> None:
    decision = cutover_decision(waves, evolve(FACTS, **change))
    assert not decision.allowed
    (told,) = decision.reasons
    assert reason in told


def test_waived_findings_about_the_program_let_it_pass_and_lapsed_waivers_do_not() -> None:
    found = FoundKind(kind="headers-only", severity="blocker", count=1, waived=1)
    decision = cutover_decision([READY], evolve(FACTS, findings=(found,)))
    assert decision.allowed
    assert details(decision, "findings") == [(Standing.WAIVED, "1 finding of kind headers-only is waived")]
    lapsed = WaiverFacts(waiver="w", by="mallory", finding="headers-only", void="it was withdrawn")
    decision = cutover_decision([READY], evolve(FACTS, findings=(evolve(found, waived=0),), lapsed=(lapsed,)))
    assert decision.reasons == (
        "1 finding of kind headers-only blocks the program; the waiver by mallory does not count: it was withdrawn",
    )


def test_objects_that_cannot_be_trusted_are_judged_by_their_findings_once_acceptance_looked() -> None:
    assert cutover_decision([READY], evolve(FACTS, sources=(evolve(SOURCE, refused=3),))).allowed


def test_no_comparison_of_passes_is_needed_where_none_is_asked_for() -> None:
    never = evolve(SOURCE, compared=False, equal=0)
    assert cutover_decision([READY], evolve(FACTS, sources=(never,), equal_passes=0)).allowed


def test_a_mere_look_at_the_status_does_not_count_as_a_look_at_the_target() -> None:
    decision = cutover_decision([READY], evolve(FACTS, rechecked=None))
    assert decision.allowed
    assert details(decision, "unchanged") == [
        (Standing.NOT_ASSESSED, "the target is looked at again when cutover is asked for")
    ]
