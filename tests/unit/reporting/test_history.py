"""Times from the ledger: steps of studies, and the lines of imports and readiness."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from vna_lifecycle.model.event import (
    ContentChosen,
    Event,
    RecordedEvent,
    SignedOff,
    StoreIntended,
    StudyChanged,
    StudyFetched,
    StudyHeld,
    StudyStored,
    StudyTransferred,
    StudyWithdrawn,
    WavePlanned,
    WithdrawIntended,
)
from vna_lifecycle.reporting.history import MOMENTS, History

START = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)


def planned(wave: str = "w", plan: int = 1) -> WavePlanned:
    return WavePlanned(
        wave=wave, plan=plan, studies=1, instances=1, size=1, members_ref="", policy_sha256="", modification_time=""
    )


def fetched(study: str) -> StudyFetched:
    return StudyFetched(study=study, wave="w", attempt=1, instances=1, size=1, held=0, failed=0, manifest_ref="")


def moved(study: str) -> list[Event]:
    return [
        fetched(study),
        StoreIntended(study=study, wave="w", attempt=1, token="", expected_ref=""),
        StudyStored(study=study, wave="w", attempt=1, stored=1, already_present=0, refused=0, warnings=0),
        StudyTransferred(study=study, wave="w", attempt=1, instances=1, size=1, rung="hashed", read_back_ref=""),
    ]


def withdrawn(study: str) -> list[Event]:
    return [
        WithdrawIntended(study=study, wave="w", token="", instances=1, manifest_ref="", by="a", reason="b"),
        StudyWithdrawn(study=study, wave="w", token="", instances=1),
    ]


def signed(wave: str) -> SignedOff:
    return SignedOff(wave=wave, attempt=1, by="a", role="", meaning="m", expires="", key="", statement="", signature="")


def history(events: Iterable[Event]) -> History:
    """Events that happen one hour after the other."""
    return History(
        RecordedEvent(
            sequence=number,
            time=(START + dt.timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            actor="",
            key="",
            event=event,
            leaf="",
        )
        for number, event in enumerate(events)
    )


def states(told: History, study: str, plan: int = 1) -> list[str]:
    return [step.state for step in told.steps(study, "w", plan)]


def test_a_study_has_its_steps_with_their_times_from_its_plan_on() -> None:
    told = history([planned(), *moved("s")])
    assert states(told, "s") == ["planned", "fetched", "storing", "stored", "transferred"]
    assert [step.time[11:16] for step in told.steps("s", "w", 1)] == ["00:00", "01:00", "02:00", "03:00", "04:00"]


def test_a_study_that_only_was_planned_has_one_step_and_an_unknown_one_none() -> None:
    told = history([planned()])
    assert states(told, "s") == ["planned"]
    assert told.steps("s", "other", 1) == ()


def test_repeated_states_are_one_step() -> None:
    assert states(history([planned(), fetched("s"), fetched("s")]), "s") == ["planned", "fetched"]


def test_a_study_that_was_withdrawn_and_planned_again_has_the_plan_in_between() -> None:
    told = history([planned(), *moved("s"), *withdrawn("s"), planned(plan=2), *moved("s")])
    assert states(told, "s", plan=2) == [
        "fetched", "storing", "stored", "transferred", "withdrawing", "withdrawn",
        "planned", "fetched", "storing", "stored", "transferred",
    ]  # fmt: skip


def test_a_decision_moves_only_a_study_that_waits_for_it() -> None:
    choice = ContentChosen(study="s", instance="i", content="c", by="a", reason="r")
    assert states(history([planned(), *moved("s"), choice]), "s")[-1] == "transferred"


def test_a_held_study_says_so() -> None:
    held = StudyHeld(study="s", wave="w", finding="f", evidence_ref="")
    assert states(history([planned(), held]), "s") == ["planned", "held"]


def test_imports_go_up_and_down_as_they_did() -> None:
    changed = StudyChanged(study="a", wave="w", inventory=2, reason="r")
    told = history([planned(), *moved("a"), *moved("b"), changed, *withdrawn("b")])
    line = told.burn_up({})
    assert (line[0].imported, line[-1].imported) == (0, 0)
    assert max(moment.imported for moment in line) == 2
    assert len(line) == MOMENTS + 1
    assert line[0].time < line[-1].time


def test_a_ready_wave_counts_from_the_last_decision_on_it() -> None:
    told = history([planned(), *moved("a"), signed("w"), fetched("b")])
    line = told.burn_up({"w": 7})
    assert [line[0].ready, line[-1].ready] == [0, 7]
    first = next(moment for moment in line if moment.ready)
    assert first.time[11:13] == "05"


def test_nothing_imported_is_no_line() -> None:
    assert history([planned()]).burn_up({}) == ()


def test_100_000_studies_fit_into_little_memory() -> None:
    import tracemalloc

    tracemalloc.start()
    try:
        told = history(event for number in range(20_000) for event in moved(f"{number:016}"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told.steps("0" * 16, "w", 1)
    assert peak / 20_000 < 400  # bytes for each study
