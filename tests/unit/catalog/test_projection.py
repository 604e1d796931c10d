"""The current state is what the ledger says, however it is folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.catalog.updating import fold_anew

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.errors import LedgerCorrupt, StateError
from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.event import Event, RecordedEvent
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState, fold

S = MigrationState
LABELS = [f"study-{number}" for number in range(6)]
WAVES = ("w1", "w2")
MEMBERS = {
    "all": LABELS,
    "none": [],
    "even": LABELS[::2],
    "odd": LABELS[1::2],
}
COVERS = {"both": ["e0", "e1"], "one": ["e1"]}
CHECKS = ("transfer", "withdraw", "catch-up", "identity", "grouping")


def members(ref: str) -> Iterator[tuple[str, str]]:
    if ref in COVERS:
        return ((address, "") for address in COVERS[ref])
    return ((label, f"uid of {label}") for label in MEMBERS[ref])


def recorded(events: Sequence[Event], first: int = 0) -> list[RecordedEvent]:
    return [
        RecordedEvent(sequence=number, time="", actor="", key=str(number), event=event, leaf="")
        for number, event in enumerate(events, first)
    ]


def planned(wave: str, ref: str, plan: int = 1) -> Event:
    return on_record.WavePlanned(
        wave=wave,
        plan=plan,
        studies=len(MEMBERS[ref]),
        instances=10,
        size=1000,
        members_ref=ref,
        policy_sha256="",
        modification_time=f"time of plan {plan}",
    )


def excluded(ref: str, plan: int = 1, reason: str = "old") -> Event:
    return on_record.StudiesExcluded(plan=plan, reason=reason, studies=len(MEMBERS[ref]), members_ref=ref)


def of_study(kind: str, study: str, wave: str, number: int) -> Event:
    """An event of this kind whose fields tell ``number``."""
    common: dict[str, Any] = {"study": study, "wave": wave, "attempt": number}
    match kind:
        case "study-fetched":
            return on_record.StudyFetched(
                **common, instances=number, size=number * 10, held=0, failed=0, manifest_ref=f"m{number}"
            )
        case "store-intended":
            return on_record.StoreIntended(**common, token=f"t{number}", expected_ref=f"e{number}")
        case "study-stored":
            return on_record.StudyStored(**common, stored=number, already_present=0, refused=0, warnings=0)
        case "study-transferred":
            return on_record.StudyTransferred(
                **common, instances=number, size=number * 10, rung="hashed", read_back_ref=f"r{number}"
            )
        case "study-incomplete":
            return on_record.StudyIncomplete(**common, matched=number, missing=1, differ=2, extra=3, held=4, refused=5)
        case "study-failed":
            return on_record.StudyFailed(
                **common, phase="fetch", code=f"c{number}", transient=True, retry_at=f"at {number}"
            )
        case "study-changed":
            return on_record.StudyChanged(study=study, wave=wave, inventory=number, reason=f"changed {number}")
        case "study-held":
            return on_record.StudyHeld(study=study, wave=wave, finding=f"h{number}", evidence_ref="")
        case "study-released":
            return on_record.StudyReleased(study=study, wave=wave, reason="waived")
        case "withdraw-intended":
            return on_record.WithdrawIntended(
                study=study, wave=wave, token=f"t{number}", instances=1, manifest_ref="", by="p", reason=""
            )
        case "study-withdrawn":
            return on_record.StudyWithdrawn(study=study, wave=wave, token="", instances=1)
        case "remedy-intended":
            return remedy_intended(study, wave, number)
        case "study-remedied":
            return on_record.StudyRemedied(
                study=study,
                wave=wave,
                turn=number,
                instances=number,
                size=number * 10,
                rung="equivalent",
                explained=1,
                expected_ref=f"e{number}",
                read_back_ref=f"r{number}",
            )
        case "remedy-failed":
            return on_record.RemedyFailed(
                study=study,
                wave=wave,
                turn=number,
                code=f"c{number}",
                matched=number,
                missing=6,
                differ=7,
                extra=8,
                explained=0,
                expected_ref=f"e{number}",
            )
        case "content-chosen":
            return on_record.ContentChosen(study=study, instance="i", content=f"k{number}", by="p", reason="")
    raise AssertionError(kind)


def remedy_intended(study: str, wave: str, number: int) -> Event:
    return on_record.RemedyIntended(
        study=study, wave=wave, turn=number, by="p", reason="", places=1, instances=1, attributes=(), record_ref=""
    )


def found(kind: str, check: str, wave: str, study: str = "", evidence: str = "e0", severity: str = "blocker") -> Event:
    return on_record.FindingRecorded(
        finding=kind,
        severity=severity,
        check=check,
        study=study,
        wave=wave,
        subjects=1,
        evidence_ref=evidence,
    )


def drawn(wave: str, attempt: int) -> Event:
    return on_record.SampleDrawn(
        wave=wave,
        attempt=attempt,
        seed="ab",
        confidence="0.95",
        max_defect_rate="0.005",
        population=6,
        size=6,
        population_ref="p",
        policy_sha256="",
    )


def examined(wave: str, attempt: int, outcome: str = "passed") -> Event:
    return on_record.WaveExamined(
        wave=wave,
        attempt=attempt,
        outcome=outcome,
        sampled=6,
        defective=0,
        blockers=1,
        warnings=2,
        checks=(("identity", "vna_lifecycle 1"),),
        not_assessed=("grouping",),
        result_ref="r",
    )


def waived(waiver: str, wave: str, covers: str = "both", kind: str = "k0") -> Event:
    return on_record.FindingsWaived(
        waiver=waiver,
        wave=wave,
        finding=kind,
        findings=len(COVERS[covers]),
        covers_ref=covers,
        by="p",
        role="radiologist",
        reason="known",
        expires="",
        key="",
        statement="",
        signature="",
    )


def signed(wave: str, attempt: int) -> Event:
    return on_record.SignedOff(
        wave=wave,
        attempt=attempt,
        by="p",
        role="radiologist",
        meaning="approved",
        expires="2030-01-01",
        key="",
        statement="",
        signature="",
    )


def caught_up(archive: str, changed: int = 0) -> Event:
    return on_record.CatchUpCompleted(
        archive=archive,
        inventory=2,
        previous=1,
        added=0,
        changed=changed,
        vanished=0,
        refetched=0,
        sampled=3,
        differing=0,
    )


def decisions(draw: st.DrawFn, number: int) -> list[Event]:
    """Something that people or gates put on record, whatever the studies do."""
    wave = draw(st.sampled_from(WAVES))
    match draw(st.sampled_from(["pause", "draw", "waive", "sign", "cutover", "truth", "catch-up", "settle"])):
        case "pause":
            decide = draw(st.sampled_from([on_record.WavePaused, on_record.WaveResumed]))
            return [decide(wave=draw(st.sampled_from([*WAVES, ""])), by="p", reason="")]
        case "draw":
            return [drawn(wave, number), *draw(st.sampled_from([[], [examined(wave, number)]]))]
        case "waive":
            withdrawn = on_record.WaiverWithdrawn(waiver=f"waiver-{number}", by="q", reason="wrong")
            given = waived(f"waiver-{number}", wave, draw(st.sampled_from(sorted(COVERS))))
            return [given, *draw(st.sampled_from([[], [withdrawn]]))]
        case "sign":
            return [signed(wave, number)]
        case "cutover":
            refused = on_record.CutoverRefused(by="p", reason="", reasons=2, gate_ref="g")
            return [draw(st.sampled_from([refused, on_record.CutoverAllowed(by="p", reason="", gate_ref="g")]))]
        case "truth":
            truth = on_record.TruthRecorded(
                archive="old", studies=number, deleted=1, hidden=2, unusable=3, extract_sha256=""
            )
            return [truth, on_record.ProfileRecorded(archive="old", observations=number, profile_ref="o")]
        case "catch-up":
            return [caught_up("old", draw(st.integers(0, 1)))]
        case _:
            evidence, study = draw(st.sampled_from(["e0", "e1"])), draw(st.sampled_from(LABELS))
            settled = {"finding": "k", "study": study, "wave": wave, "evidence_ref": evidence, "reason": ""}
            return [on_record.FindingSettled(**settled)]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """What a ledger may hold: a walk through the transitions of several studies, with decisions in between."""
    events: list[Event] = []
    states = dict.fromkeys(LABELS, S.DISCOVERED)
    copies = dict.fromkeys(LABELS, False)
    waves = dict.fromkeys(LABELS, "")
    plans = dict.fromkeys(LABELS, 0)
    plan = 0
    for number in range(draw(st.integers(1, 25))):
        action = draw(st.sampled_from(["plan", "study", "study", "study", "study", "drop", "decision", "finding"]))
        if action == "plan":
            kind = draw(st.sampled_from(["wave-planned", "wave-planned", "studies-excluded"]))
            ref = draw(st.sampled_from(sorted(MEMBERS)))
            if all((states[label], kind) in TRANSITIONS and not copies[label] for label in MEMBERS[ref]):
                plan += 1
                wave = draw(st.sampled_from(WAVES)) if kind == "wave-planned" else ""
                events.append(planned(wave, ref, plan) if wave else excluded(ref, plan))
                for label in MEMBERS[ref]:
                    states[label], waves[label], plans[label] = fold(states[label], kind), wave, plan
        elif action == "drop" and plan:
            dropped = draw(st.integers(1, plan))
            events.append(on_record.PlanDropped(plan=dropped, reason=""))
            for label in LABELS:
                free = (states[label], "plan-dropped") in TRANSITIONS and not copies[label]
                if plans[label] == dropped and free:
                    states[label], waves[label], plans[label] = S.DISCOVERED, "", 0
        elif action == "study":
            label = draw(st.sampled_from(LABELS))
            group = ("wave-planned", "studies-excluded", "plan-dropped")
            kinds = sorted(kind for state, kind in TRANSITIONS if state is states[label] and kind not in group)
            if kinds:
                kind = draw(st.sampled_from(kinds))
                events.append(of_study(kind, label, waves[label], number + 1))
                states[label] = fold(states[label], kind)
                copies[label] = (copies[label] or kind == "store-intended") and kind != "study-withdrawn"
        elif action == "decision":
            events += decisions(draw, number)
        else:
            kind = draw(st.sampled_from(["k0", "k1", "stored-with-warning-b000"]))
            check, wave = draw(st.sampled_from(CHECKS)), draw(st.sampled_from([*WAVES, ""]))
            study, evidence = draw(st.sampled_from([*LABELS, ""])), draw(st.sampled_from(["e0", "e1"]))
            events.append(found(kind, check, wave, study, evidence))
    return events


def told_of_archives(catalog: Catalog) -> tuple[Callable[[str], Any], ...]:
    return catalog.decisions.truth, catalog.decisions.profile, catalog.decisions.catch_up


def state_of(catalog: Catalog) -> dict[str, Any]:
    """Everything that the projection answers."""
    return {
        "size": catalog.projected_size(),
        "plan": catalog.next_plan(),
        "studies": {label: catalog.work_on(label) for label in LABELS},
        "waves": {name: asdict(catalog.wave_status(name)) for name in catalog.wave_names()},
        "paused": {name: catalog.paused(name) for name in WAVES},
        "findings": list(catalog.findings(settled=True)),
        "attempts": {name: catalog.decisions.attempts(name) for name in WAVES},
        "waivers": catalog.decisions.waivers(),
        "signed": {name: catalog.decisions.sign_offs(name) for name in WAVES},
        "cutovers": catalog.decisions.cutovers(),
        "told of old": [look("old") for look in told_of_archives(catalog)],
        "open": {name: catalog.decisions.open_findings(name, ["waiver-1", "waiver-2"]) for name in (*WAVES, "")},
        "held": {name: catalog.decisions.held(name) for name in WAVES},
        "excluded": catalog.excluded(),
        "choices": {label: dict(catalog.choices(label)) for label in LABELS},
    }


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path_factory.mktemp("projection") / "catalog.db", label=str)
    yield opened
    opened.close()


@pytest.fixture
def catalog(used: Catalog) -> Catalog:
    fold_anew(used)
    return used


@settings(max_examples=40)
@given(events=histories(), cuts=st.lists(st.integers(0, 25), max_size=3), again=st.integers(0, 25))
def test_any_batching_gives_the_same_state_as_one_by_one_and_as_a_rebuild(
    used: Catalog, events: list[Event], cuts: list[int], again: int
) -> None:
    history = recorded(events)
    fold_anew(used)
    for event in history:
        used.project([event], members)
    one_by_one = state_of(used)

    fold_anew(used)
    assert used.projected_size() == 0
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(history)], strict=True):
        used.project(history[max(0, first - again) : last], members)  # what is folded already is skipped
    assert state_of(used) == one_by_one

    fold_anew(used)
    used.project(history, members)
    assert state_of(used) == one_by_one


@settings(max_examples=60)
@given(events=histories())
def test_states_and_counts_follow_the_table_of_transitions(used: Catalog, events: list[Event]) -> None:
    fold_anew(used)
    used.project(recorded(events), members)
    states: dict[str, tuple[MigrationState, str, int]] = {}
    copies: set[str] = set()
    for event in events:
        if isinstance(event, on_record.WavePlanned | on_record.StudiesExcluded):
            for label in MEMBERS[event.members_ref]:
                before = states.get(label, (S.DISCOVERED, "", 0))[0]
                states[label] = (fold(before, event.kind), getattr(event, "wave", ""), event.plan)
        elif isinstance(event, on_record.PlanDropped):
            for label, (state, _, plan) in states.items():
                if plan == event.plan and (state, event.kind) in TRANSITIONS and label not in copies:
                    states[label] = (fold(state, event.kind), "", 0)
        elif event.kind in {kind for _, kind in TRANSITIONS}:
            state, wave, plan = states[event.study]  # type: ignore[union-attr]  # the rest are about a study
            states[event.study] = (fold(state, event.kind), wave, plan)  # type: ignore[union-attr]  # as above
            if isinstance(event, on_record.StoreIntended):
                copies.add(event.study)
            elif isinstance(event, on_record.StudyWithdrawn):
                copies.discard(event.study)
    got = {work.label: (work.state, work.wave, work.plan) for label in LABELS if (work := used.work_on(label))}
    assert got == states
    for name in used.wave_names():
        status = used.wave_status(name)
        here = [state for state, wave, _ in states.values() if wave == name]
        assert dict(status.states) == Counter(here)
        assert status.studies == len(here)
        assert status.imported == here.count(S.TRANSFERRED)
        done = [
            used.work_on(label) for label, (state, wave, _) in states.items() if (state, wave) == (S.TRANSFERRED, name)
        ]
        assert status.imported_instances == sum(work.instances for work in done if work)
        pages = used.work(name, [S.PLANNED, S.TRANSFERRED, S.FAILED])
        assert [work.label for work in pages] == sorted(
            label
            for label, (state, wave, _) in states.items()
            if wave == name and state in (S.PLANNED, S.TRANSFERRED, S.FAILED)
        )


def test_work_is_paged_by_label_over_several_states(catalog: Catalog) -> None:
    fetched = [of_study("study-fetched", label, "w1", 1) for label in LABELS[::2]]
    catalog.project(recorded([planned("w1", "all"), *fetched]), members)
    pages, after = [], ""
    while page := catalog.work("w1", {S.PLANNED, S.FETCHED}, after=after, limit=4):
        pages.append([work.label for work in page])
        after = page[-1].label
    assert pages == [LABELS[:4], LABELS[4:]]
    assert [work.label for work in catalog.work("w1", {S.PLANNED})] == LABELS[1::2]


def test_a_study_tells_its_refs_and_its_last_failure(catalog: Catalog) -> None:
    kinds = ["study-fetched", "store-intended", "study-stored", "study-incomplete", "study-failed"]
    events = [of_study(kind, LABELS[0], "w1", number) for number, kind in enumerate(kinds, 1)]
    catalog.project(recorded([planned("w1", "all"), *events]), members)
    work = catalog.work_on(LABELS[0])
    assert work is not None
    assert (work.study_uid, work.state, work.attempt) == (f"uid of {LABELS[0]}", S.FAILED, 5)
    assert (work.manifest_ref, work.expected_ref, work.token) == ("m1", "e2", "t2")
    assert (work.matched, work.missing, work.differ, work.extra, work.held, work.refused) == (4, 1, 2, 3, 4, 5)
    assert (work.phase, work.code, work.transient, work.retry_at) == ("fetch", "c5", True, "at 5")
    assert work.modification_time == "time of plan 1"


def test_a_new_attempt_clears_the_failure(catalog: Catalog) -> None:
    kinds = ["study-failed", "study-fetched"]
    events = [of_study(kind, LABELS[0], "w1", number) for number, kind in enumerate(kinds, 1)]
    catalog.project(recorded([planned("w1", "all"), *events]), members)
    work = catalog.work_on(LABELS[0])
    assert work is not None
    assert (work.phase, work.code, work.transient, work.retry_at) == ("", "", False, "")


def test_a_held_study_says_what_holds_it_until_it_is_released(catalog: Catalog) -> None:
    catalog.project(recorded([planned("w1", "all"), of_study("study-held", LABELS[0], "w1", 1)]), members)
    work = catalog.work_on(LABELS[0])
    assert work is not None
    assert (work.state, work.code) == (S.HELD, "h1")
    catalog.project(recorded([of_study("study-released", LABELS[0], "w1", 1)], first=2), members)
    work = catalog.work_on(LABELS[0])
    assert work is not None
    assert (work.state, work.code) == (S.PLANNED, "")


def test_a_gap_is_refused_and_changes_nothing(catalog: Catalog) -> None:
    catalog.project(recorded([planned("w1", "even")]), members)
    before = state_of(catalog)
    with pytest.raises(StateError, match="event 1 comes next, but 2 was given"):
        catalog.project(recorded([planned("w2", "odd")], first=2), members)
    assert state_of(catalog) == before


def test_an_impossible_history_is_refused_with_its_sequence_and_changes_nothing(catalog: Catalog) -> None:
    catalog.project(recorded([planned("w1", "even")]), members)
    before = state_of(catalog)
    wrong = [of_study("study-fetched", LABELS[0], "w1", 1), of_study("study-withdrawn", LABELS[0], "w1", 1)]
    with pytest.raises(LedgerCorrupt) as caught:
        catalog.project(recorded(wrong, first=1), members)
    assert caught.value.sequence == 2
    assert state_of(catalog) == before


def test_an_event_about_a_study_that_no_plan_placed_is_refused(catalog: Catalog) -> None:
    with pytest.raises(LedgerCorrupt):
        catalog.project(recorded([of_study("study-fetched", LABELS[0], "w1", 1)]), members)


def test_a_study_that_moved_cannot_be_planned_again(catalog: Catalog) -> None:
    catalog.project(recorded([planned("w1", "even"), of_study("study-fetched", LABELS[0], "w1", 1)]), members)
    with pytest.raises(LedgerCorrupt, match="wave-planned cannot happen to a study that is fetched"):
        catalog.project(recorded([planned("w2", "all", plan=2)], first=2), members)
    assert catalog.wave_names() == ["w1"]


def test_dropping_a_plan_keeps_what_moved(catalog: Catalog) -> None:
    moved = of_study("study-fetched", LABELS[0], "w1", 7)
    catalog.project(
        recorded([planned("w1", "even"), planned("w2", "odd"), moved, on_record.PlanDropped(plan=1, reason="")]),
        members,
    )
    assert catalog.wave_names() == ["w1"]
    status = catalog.wave_status("w1")
    assert (status.studies, status.instances, status.size) == (1, 7, 70)
    catalog.project(recorded([planned("w1", "odd", plan=2)], first=4), members)
    assert catalog.wave_status("w1").studies == 1 + len(MEMBERS["odd"])
    assert catalog.next_plan() == 3


def test_a_choice_made_while_a_study_is_in_flight_does_not_disturb_it(catalog: Catalog) -> None:
    flight = [of_study("study-fetched", LABELS[0], "w1", 1), of_study("content-chosen", LABELS[0], "w1", 2)]
    catalog.project(recorded([planned("w1", "even"), *flight]), members)
    work = catalog.work_on(LABELS[0])
    assert work is not None
    assert work.state is S.FETCHED
    assert catalog.choices(LABELS[0]) == {"i": "k2"}


def test_pausing_all_pauses_every_wave(catalog: Catalog) -> None:
    catalog.project(recorded([on_record.WavePaused(wave="", by="p", reason="")]), members)
    assert catalog.paused("w1")
    catalog.project(recorded([on_record.WaveResumed(wave="", by="p", reason="")], first=1), members)
    assert not catalog.paused("w1")


def test_a_wave_that_is_paused_twice_is_resumed_once_and_another_stays_paused(catalog: Catalog) -> None:
    paused = [on_record.WavePaused(wave=wave, by="p", reason="") for wave in ("w1", "w2", "w1")]
    catalog.project(recorded([*paused, on_record.WaveResumed(wave="w1", by="p", reason="")]), members)
    assert [bool(catalog.paused(wave)) for wave in ("w1", "w2")] == [False, True]


def test_findings_are_told_by_wave_and_counted(catalog: Catalog) -> None:
    events = [found("a", "c", "w1"), found("b", "c", "w2"), found("a", "c", "w2")]
    catalog.project(recorded(events), members)
    assert [line.sequence for line in catalog.findings("w2")] == [1, 2]
    assert catalog.count_findings() == [("a", "blocker", 2), ("b", "blocker", 1)]


def test_excluded_studies_are_counted_by_reason(catalog: Catalog) -> None:
    catalog.project(recorded([excluded("even", reason="old"), excluded("odd", reason="test")]), members)
    assert catalog.excluded() == [("old", 3), ("test", 3)]


def test_passes_on_record_are_not_numbered_again(catalog: Catalog) -> None:
    catalog.project(recorded([on_record.InventoryStarted(inventory=41, archive="old")]), members)
    assert catalog.next_inventory() == 42


def test_an_unknown_wave_is_a_named_error(catalog: Catalog) -> None:
    with pytest.raises(StateError, match="there is no wave w9"):
        catalog.wave_status("w9")


def test_events_that_are_folded_already_do_not_change_by_what_the_ledger_is_known_again(catalog: Catalog) -> None:
    history = recorded([planned("w1", "even"), planned("w2", "odd")])
    catalog.project(history[:1], members, "the root over one")
    catalog.project(history, members, "the root over both")
    catalog.project(history[:1], members, "the root over one")
    assert catalog.folded() == (2, "the root over both")


def test_a_transfer_that_begins_forgets_how_the_last_one_of_its_own_wave_ended(catalog: Catalog) -> None:
    def ended(wave: str, outcome: str) -> Event:
        return on_record.TransferEnded(wave=wave, outcome=outcome, transferred=0, remaining=0)

    began = on_record.TransferStarted(wave="w1", pending=1)
    events = [planned("w1", "even"), planned("w2", "odd"), ended("w1", "stopped"), ended("w2", "incomplete")]
    catalog.project(recorded([*events, began]), members)
    assert [catalog.wave_status(wave).outcome for wave in ("w1", "w2")] == ["", "incomplete"]


@pytest.mark.parametrize("complete", [True, False])
def test_only_passes_that_were_complete_can_be_missed(tmp_path: Path, complete: bool) -> None:
    def of(number: int) -> list[Event]:
        begun = on_record.InventoryStarted(inventory=number, archive="old")
        counts = {"parts": 0, "studies": 0, "instances": 0, "refused": 0, "size": 0}
        return [begun, on_record.InventoryCompleted(inventory=number, archive="old", **counts)]

    fresh = Catalog.open(tmp_path / "catalog.db", label=str)
    fresh.begin_inventory(2, "old")
    fresh.complete_inventory(2)
    fresh.project(recorded([*of(1)[: 1 + complete], *of(2)]), members)
    assert fresh.lost_inventories("old") == complete
    fresh.close()
