"""A finding is open until a later step settles it; then it stays on record and blocks nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.event import Event, RecordedEvent

MEMBERS = {"w": ["a", "b"], "a": ["a"], "e0": ["e0"], "both": ["e0", "e1"]}
MOVED = ("study-fetched", "store-intended", "study-stored", "study-transferred")


class History:
    """A ledger that is folded as it grows."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.size = 0

    def add(self, *events: Event) -> None:
        recorded = [
            RecordedEvent(sequence=number, time=f"t{number}", actor="", key=str(number), event=event, leaf="")
            for number, event in enumerate(events, self.size)
        ]
        self.catalog.project(recorded, lambda ref: ((each, f"uid {each}") for each in MEMBERS[ref]))
        self.size += len(events)

    def study(self, *kinds: str, study: str = "a") -> None:
        self.add(*(of_study(kind, study) for kind in kinds))

    def open(self) -> list[tuple[str, str]]:
        return [(line.check, line.kind) for line in self.catalog.findings()]


def of_study(kind: str, study: str) -> Event:
    common: dict[str, Any] = {"study": study, "wave": "w"}
    once: dict[str, Any] = {**common, "attempt": 1}
    match kind:
        case "study-fetched":
            return on_record.StudyFetched(**once, instances=2, size=20, held=0, failed=0, manifest_ref="m")
        case "store-intended":
            return on_record.StoreIntended(**once, token="t", expected_ref="x")
        case "study-stored":
            return on_record.StudyStored(**once, stored=2, already_present=0, refused=0, warnings=0)
        case "study-transferred":
            return on_record.StudyTransferred(**once, instances=2, size=20, rung="hashed", read_back_ref="r")
        case "study-incomplete":
            return on_record.StudyIncomplete(**once, matched=1, missing=1, differ=0, extra=0, held=0, refused=0)
        case "study-changed":
            return on_record.StudyChanged(**common, inventory=2, reason="edited")
        case "study-held":
            return on_record.StudyHeld(**common, finding="wrong-patient", evidence_ref="e0")
        case "study-released":
            return on_record.StudyReleased(**common, reason="waived")
        case "withdraw-intended":
            return on_record.WithdrawIntended(**common, token="t", instances=2, manifest_ref="m", by="p", reason="")
        case "study-withdrawn":
            return on_record.StudyWithdrawn(**common, token="t", instances=2)
    raise AssertionError(kind)


def planned(ref: str = "w", plan: int = 1, size: int = 200) -> Event:
    return on_record.WavePlanned(
        wave="w",
        plan=plan,
        studies=len(MEMBERS[ref]),
        instances=size // 10,
        size=size,
        members_ref=ref,
        policy_sha256="",
        modification_time="",
    )


def found(check: str, kind: str = "odd", study: str = "a", evidence: str = "e0", wave: str = "w") -> Event:
    return on_record.FindingRecorded(
        finding=kind, severity="blocker", check=check, study=study, wave=wave, subjects=1, evidence_ref=evidence
    )


def drawn(attempt: int = 1) -> Event:
    return on_record.SampleDrawn(
        wave="w",
        attempt=attempt,
        seed="5eed",
        confidence="0.95",
        max_defect_rate="0.005",
        population=2,
        size=2,
        population_ref="p",
        policy_sha256="",
    )


def examined(attempt: int = 1) -> Event:
    return on_record.WaveExamined(
        wave="w",
        attempt=attempt,
        outcome="failed",
        sampled=2,
        defective=1,
        blockers=1,
        warnings=0,
        checks=(("identity", "acme 1"),),
        not_assessed=("grouping",),
        result_ref="r",
    )


def waived(waiver: str, covers: str, wave: str = "w") -> Event:
    return on_record.FindingsWaived(
        waiver=waiver,
        wave=wave,
        finding="odd",
        findings=len(MEMBERS[covers]),
        covers_ref=covers,
        by="p",
        role="radiologist",
        reason="known",
        expires="",
        key="",
        statement="",
        signature="",
    )


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    catalog = Catalog.open(tmp_path / "catalog.db", label=str)
    made = History(catalog)
    made.add(planned())
    yield made
    catalog.close()


def test_a_new_attempt_settles_what_the_transfer_found_before_of_the_same_study(history: History) -> None:
    history.study("study-fetched")
    history.add(found("transfer"), found("transfer", study="b"), found("identity", evidence="e1"))
    history.study("study-fetched")
    assert history.open() == [("transfer", "odd"), ("identity", "odd")]
    assert [line.study for line in history.catalog.findings()] == ["b", "a"]


def test_what_the_target_warned_of_stays_open_over_attempts_and_goes_with_the_copies(history: History) -> None:
    history.study(*MOVED)
    history.add(found("transfer", "stored-with-warning-b000"))
    history.study("study-changed", *MOVED)
    assert history.open() == [("transfer", "stored-with-warning-b000")]
    history.study("withdraw-intended", "study-withdrawn")
    assert history.open() == []


def test_what_catch_up_found_is_settled_when_the_study_has_moved_again(history: History) -> None:
    history.study(*MOVED)
    history.add(found("catch-up"))
    history.study("study-changed", *MOVED[:-1])
    assert history.open() == [("catch-up", "odd")]
    history.study("study-transferred")
    assert history.open() == []


def test_a_new_withdrawal_settles_what_the_one_before_could_not_do(history: History) -> None:
    history.study(*MOVED, "withdraw-intended")
    history.add(found("withdraw"), found("identity", evidence="e1"))
    history.study("withdraw-intended")
    assert history.open() == [("identity", "odd")]
    history.study("study-withdrawn")
    assert history.open() == []


def test_examining_a_wave_again_settles_what_its_checks_found_before_and_nothing_else(history: History) -> None:
    history.add(found("identity", study=""), found("identity", wave="other"), found("transfer"), found("identity"))
    history.add(drawn())
    assert history.open() == [("identity", "odd"), ("transfer", "odd")]
    history.add(found("identity"))
    history.add(examined(), found("grouping", wave=""))
    assert len(history.open()) == 4


def test_a_held_studys_finding_is_settled_by_its_release_not_by_acceptance(history: History) -> None:
    history.add(found("identity", "wrong-patient"))
    history.study("study-held")
    history.add(drawn())
    assert [line.origin for line in history.catalog.findings()] == ["hold"]
    assert history.catalog.decisions.held("w") == [("wrong-patient", 1)]
    history.study("study-released")
    assert history.open() == []
    assert history.catalog.decisions.held("w") == []


def test_a_study_that_another_finding_holds_is_not_held_by_the_first_any_more(history: History) -> None:
    history.add(found("identity", evidence="e1"))
    history.add(on_record.StudyHeld(study="a", wave="w", finding="odd", evidence_ref="e1"))
    history.add(found("grouping", "wrong-patient"))
    history.study("study-held")
    assert history.open() == [("grouping", "wrong-patient")]


def test_a_study_that_is_planned_again_or_excluded_takes_its_findings_along(history: History) -> None:
    history.add(found("identity"), found("identity", study="b"))
    history.study("study-held")
    history.add(on_record.StudiesExcluded(plan=2, reason="teaching file", studies=1, members_ref="a"))
    assert [line.study for line in history.catalog.findings()] == ["b"]
    history.add(on_record.PlanDropped(plan=1, reason=""))
    assert history.open() == []


def test_a_settled_finding_stays_on_record_and_says_what_settled_it(history: History) -> None:
    history.add(found("inventory", study="", wave=""), found("inventory", study="", wave="", evidence="e1"))
    settled = {"finding": "odd", "study": "", "wave": "", "evidence_ref": "e0", "reason": "looked again"}
    history.add(on_record.FindingSettled(**settled))
    assert [line.evidence_ref for line in history.catalog.findings("")] == ["e1"]
    every = list(history.catalog.findings("", settled=True))
    assert [(line.evidence_ref, line.settled) for line in every] == [("e0", 3), ("e1", None)]
    assert history.catalog.decisions.settled("", "e0") == 1
    assert history.catalog.decisions.settled("", "e1") == 0


def test_open_findings_are_counted_with_those_that_waivers_cover(history: History) -> None:
    history.add(found("identity"), found("identity", evidence="e1"), found("grouping", evidence="e1"))
    history.add(waived("one", "e0"), waived("elsewhere", "both", wave="other"))
    decisions = history.catalog.decisions
    assert [(line.count, line.waived) for line in decisions.open_findings("w")] == [(2, 0)]
    assert [(line.count, line.waived) for line in decisions.open_findings("w", ["one", "elsewhere"])] == [(2, 1)]
    assert decisions.is_waived("w", "e0", ["one"])
    assert not decisions.is_waived("w", "e1", ["one"])
    assert not decisions.is_waived("w", "e0", ["elsewhere"])
    assert [line.evidence_ref for line in decisions.open_lines("w", waivers=["one"])] == ["e1", "e1"]
    assert [line.evidence_ref for line in decisions.open_lines("w", "odd", "a")] == ["e0", "e1", "e1"]
    assert list(decisions.open_lines("w", "other")) == []
    assert list(decisions.open_lines("w", "odd", "b")) == []


def test_a_waiver_tells_how_much_of_what_it_covers_is_open_and_when_it_was_withdrawn(history: History) -> None:
    history.add(found("identity"), found("identity", evidence="e1"), waived("one", "both"))
    history.add(drawn(), found("identity"))
    (waiver,) = history.catalog.decisions.waivers()
    assert (waiver.findings, waiver.open, waiver.withdrawn) == (2, 1, "")
    history.add(on_record.WaiverWithdrawn(waiver="one", by="q", reason="a mistake"))
    (waiver,) = history.catalog.decisions.waivers()
    assert (waiver.withdrawn, waiver.withdrawn_by, waiver.withdrawn_reason) == ("t6", "q", "a mistake")
    line = next(history.catalog.findings("w"))
    assert history.catalog.decisions.waivers_of(line) == ["one"]


def test_an_attempt_tells_its_figures_and_is_outdated_once_something_of_the_wave_moves(history: History) -> None:
    history.add(drawn())
    (attempt,) = history.catalog.decisions.attempts("w")
    assert (attempt.outcome, attempt.checks, attempt.not_assessed, attempt.current) == ("", (), (), True)
    history.add(examined())
    (attempt,) = history.catalog.decisions.attempts("w")
    assert (attempt.outcome, attempt.sampled, attempt.defective, attempt.blockers) == ("failed", 2, 1, 1)
    assert (attempt.checks, attempt.not_assessed) == ((("identity", "acme 1"),), ("grouping",))
    assert (attempt.population, attempt.size, attempt.seed, attempt.time) == (2, 2, "5eed", "t1")
    history.study(*MOVED[:-1])
    assert history.catalog.decisions.attempts("w")[0].current
    history.study("study-transferred")
    history.add(drawn(2))
    assert [attempt.current for attempt in history.catalog.decisions.attempts("w")] == [False, True]


@pytest.mark.parametrize("how", ["withdrawn", "planned", "excluded", "dropped"])
def test_a_wave_that_gains_or_loses_a_study_is_to_be_examined_again(history: History, how: str) -> None:
    history.study(*MOVED, study="b")
    if how == "withdrawn":
        history.study(*MOVED)
    history.add(drawn())
    match how:
        case "withdrawn":
            history.study("withdraw-intended", "study-withdrawn")
        case "planned":
            history.add(planned("a", 2))
        case "excluded":
            history.add(on_record.StudiesExcluded(plan=2, reason="old", studies=1, members_ref="a"))
        case _:
            history.add(on_record.PlanDropped(plan=1, reason=""))
    assert [attempt.current for attempt in history.catalog.decisions.attempts("w")] == [False]


def test_a_wave_is_not_larger_for_being_planned_again_after_a_withdrawal(history: History) -> None:
    history.study(*MOVED)
    history.study(*MOVED, study="b")
    history.study("withdraw-intended", "study-withdrawn")
    history.add(on_record.PlanDropped(plan=1, reason=""), planned("a", 2, size=20))
    status = history.catalog.wave_status("w")
    assert (status.studies, status.instances, status.size) == (2, 4, 40)


def test_a_changed_study_keeps_its_place_while_its_copies_are_at_the_target(history: History) -> None:
    history.study(*MOVED)
    history.study("study-changed")
    history.add(on_record.PlanDropped(plan=1, reason=""))
    work = history.catalog.work_on("a")
    assert work is not None
    assert (work.wave, work.state.value) == ("w", "planned")
    history.study("withdraw-intended", "study-withdrawn")
    work = history.catalog.work_on("a")
    assert work is not None
    assert (work.state.value, work.expected_ref) == ("withdrawn", "")


def test_comparisons_without_news_are_counted_until_there_are_news(history: History) -> None:
    def caught_up(**news: int) -> Event:
        counts = dict.fromkeys(("added", "changed", "vanished", "refetched", "sampled", "differing"), 0) | news
        return on_record.CatchUpCompleted(archive="old", inventory=2, previous=1, **counts)

    equal = []
    for news in ({}, {"sampled": 5}, {"added": 1}, {}, {"vanished": 1}, {}, {"differing": 1}, {"refetched": 2}):
        history.add(caught_up(**news))
        line = history.catalog.decisions.catch_up("old")
        equal.append(line.equal if line else None)
    assert equal == [1, 2, 0, 1, 0, 1, 0, 1]
    assert history.catalog.decisions.catch_up("other") is None


def test_cutovers_truth_and_profiles_are_told(history: History) -> None:
    history.add(
        on_record.CutoverRefused(by="p", reason="now", reasons=3, gate_ref="g1"),
        on_record.CutoverAllowed(by="p", reason="now", gate_ref="g2"),
        on_record.TruthRecorded(archive="old", studies=1, deleted=1, hidden=1, unusable=0, extract_sha256="x"),
        on_record.TruthRecorded(archive="old", studies=9, deleted=2, hidden=3, unusable=4, extract_sha256="y"),
        on_record.ProfileRecorded(archive="old", observations=7, profile_ref="o"),
    )
    decisions = history.catalog.decisions
    assert [(line.allowed, line.reasons, line.gate_ref) for line in decisions.cutovers()] == [
        (False, 3, "g1"),
        (True, 0, "g2"),
    ]
    truth, profile = decisions.truth("old"), decisions.profile("old")
    assert truth is not None
    assert (truth.studies, truth.deleted, truth.hidden, truth.unusable, truth.extract_sha256) == (9, 2, 3, 4, "y")
    assert profile is not None
    assert (profile.observations, profile.profile_ref) == (7, "o")
    assert decisions.truth("other") is decisions.profile("other") is None
