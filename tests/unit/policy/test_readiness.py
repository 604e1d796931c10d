"""Completion is not readiness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.policy.readiness import WaveFacts, cutover_decision, wave_readiness

COUNT = st.integers(min_value=0, max_value=5)


def facts(**changes: object) -> WaveFacts:
    return WaveFacts(**{"name": "pilot", "studies": 3, "imported": 3, "accepted": True, **changes})  # type: ignore[arg-type]  # test data


def test_a_wave_that_is_imported_and_accepted_is_ready() -> None:
    assert wave_readiness(facts()).ready


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accepted": None}, "acceptance has not examined it"),
        ({"accepted": False}, "acceptance found it unfit"),
        ({"imported": 2}, "1 study not transferred yet"),
        ({"imported": 2, "incomplete": 1}, "1 study incomplete at the target"),
        ({"imported": 1, "failed": 2}, "2 studies failed"),
        ({"imported": 2, "withdrawn": 1}, "1 study withdrawn"),
        ({"paused": True}, "the wave is paused"),
        ({"studies": 0, "imported": 0}, "the wave is empty"),
    ],
)
def test_each_lack_alone_keeps_a_wave_from_being_ready_and_is_named(change: dict[str, object], reason: str) -> None:
    readiness = wave_readiness(facts(**change))
    assert not readiness.ready
    assert any(reason in blocker for blocker in readiness.blockers)


@given(st.integers(0, 3), COUNT, COUNT, COUNT, st.booleans(), st.sampled_from([None, True, False]))
def test_nothing_but_acceptance_of_a_fully_imported_wave_makes_it_ready(
    imported: int, incomplete: int, failed: int, withdrawn: int, paused: bool, accepted: bool | None
) -> None:
    readiness = wave_readiness(
        facts(
            studies=imported + incomplete + failed + withdrawn,
            imported=imported,
            incomplete=incomplete,
            failed=failed,
            withdrawn=withdrawn,
            paused=paused,
            accepted=accepted,
        )
    )
    assert readiness.ready == bool(imported and not (incomplete or failed or withdrawn or paused) and accepted)
    assert readiness.ready != bool(readiness.blockers)


def test_cutover_needs_every_wave_ready_and_no_study_without_a_place() -> None:
    ready = (facts(), wave_readiness(facts()))
    unready = (facts(name="rest", accepted=None), wave_readiness(facts(accepted=None)))
    assert cutover_decision([ready], unseen=[], unplanned=0, refused=0).allowed
    for waves, unseen, unplanned, refused in (
        ([ready, unready], [], 0, 0),
        ([ready], ["old"], 0, 0),
        ([ready], [], 1, 0),
        ([ready], [], 0, 1),
        ([], [], 0, 0),
    ):
        decision = cutover_decision(waves, unseen=unseen, unplanned=unplanned, refused=refused)
        assert not decision.allowed
        assert decision.reasons
