"""Acceptance: what checks say of a wave, put on record once, from a sample that nobody could choose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve
from tests.unit.engine.accepting import checks, equip, finding, kinds, run, silent

from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import FindingRecorded, SampleDrawn, WaveExamined
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.testing.objects import ObjectSpec

FOUR = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in range(1, 5) for i in (1, 2)]


def moved(world: Any, *plugins: Any, specs: list[ObjectSpec] = FOUR, more: str = "") -> Any:
    w = world(specs, more)
    equip(w, *plugins)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
    return w


def events(program: Any, *kinds: type[Any]) -> list[Any]:
    return [recorded.event for recorded in program.ledger.read() if isinstance(recorded.event, kinds)]


def test_a_wave_without_fault_passes_and_everything_looked_at_is_told(world: Any) -> None:
    seen: dict[str, list[str]] = {"whole": [], "drawn": []}

    def look(name: str) -> Callable[[Any], Iterator[Finding]]:
        def check(case: Any) -> Iterator[Finding]:
            seen[name].append(case.study.label)
            return iter(())

        return check

    w = moved(world, checks(study={"whole": look("whole")}, sampled={"drawn": look("drawn")}, wave={"wide": silent}))
    with w.open() as program:
        result = run(program)
        [drawn], [ended] = events(program, SampleDrawn), events(program, WaveExamined)
    assert result.outcome == ended.outcome == "passed"
    assert (drawn.population, drawn.size, ended.sampled, ended.defective) == (4, 4, 4, 0)
    assert len(set(seen["whole"])) == len(seen["whole"]) == 4
    assert sorted(seen["drawn"]) == sorted(seen["whole"])
    assert [(line.name, line.scope, line.studies) for line in result.checks] == [
        ("drawn", "sample", 4),
        ("whole", "study", 4),
        ("wide", "wave", 4),
    ]


def test_a_check_is_shown_what_was_listed_fetched_read_back_and_served(world: Any) -> None:
    cases = []
    w = moved(world, checks(study={"whole": lambda case: cases.append(case) or ()}, sampled={"drawn": served}))
    with w.open() as program:
        assert run(program).outcome == "passed"
    assert len(cases) == 4
    for case in cases:
        assert {record.sop_instance_uid for record in case.records} == {e.sop_instance_uid for e in case.source.entries}
        assert case.source == case.expected == case.target
        assert (case.originals, case.retrieved) == ((), ())


def served(case: Any) -> Iterator[Finding]:
    [reader] = case.retrieved
    originals = {item.record.sop_instance_uid: item.path.read_bytes() for item in case.originals}
    there = {item.record.sop_instance_uid: item.path.read_bytes() for item in reader.objects}
    if originals != there or len(there) != 2 or reader.listed is None or reader.failures or reader.seconds <= 0:
        yield finding("not-as-it-should-be")
    if {item.digest for item in case.originals} != {entry.digest for entry in case.source.entries}:
        yield finding("not-looked-at")


def test_what_was_served_is_let_go_after_each_study(world: Any) -> None:
    paths = []
    w = moved(world, checks(sampled={"drawn": lambda case: paths.extend(i.path for i in case.originals) or ()}))
    with w.open() as program:
        run(program)
    assert len(paths) == 8
    assert list((w.folder / "spool").iterdir()) == []


@pytest.mark.parametrize("scope", ["study", "sampled"])
def test_a_blocker_in_the_sample_fails_the_attempt(world: Any, scope: str) -> None:
    def only_one(case: Any) -> Iterator[Finding]:
        if case.study.study_uid == FOUR[0].study_uid:
            yield finding()

    w = moved(world, checks(**{scope: {"strict": only_one}}))
    with w.open() as program:
        result = run(program)
        assert (result.outcome, result.verdict.defective) == ("failed", 1)
        [line] = program.findings("all")
        assert (line.kind, line.check, line.severity) == ("odd", "strict", "blocker")
        assert line.study == w_label(program, FOUR[0])


def w_label(program: Any, spec: ObjectSpec) -> str:
    return str(program.catalog.label(spec.study_uid))


def test_warnings_and_notes_do_not_stand_against_a_wave(world: Any) -> None:
    says = {
        name: lambda case, s=s: [finding(severity=s)] for name, s in (("w", Severity.WARNING), ("n", Severity.NOTE))
    }
    w = moved(world, checks(study=says))
    with w.open() as program:
        result = run(program)
    assert result.outcome == "passed"
    assert [(kind.severity, kind.count) for kind in result.findings] == [("warning", 4), ("note", 4)]


# ------------------------------------------------------------------------------------------------ harmful checks


def raises(case: Any) -> Iterator[Finding]:
    raise ValueError(f"identifiers: {FOUR[0].study_uid}")


def hangs(case: Any) -> Iterator[Finding]:
    time.sleep(3600)
    return iter(())


def no_finding(case: Any) -> Any:
    return [finding("before"), "a blocker"]


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (raises, "check-failed"),
        (hangs, "check-timed-out"),
        (no_finding, "check-misbehaved"),
    ],
)
@pytest.mark.parametrize("scope", ["study", "sampled", "wave"])
def test_a_harmful_check_is_found_out_and_the_others_go_on(
    world: Any, scope: str, check: Callable[[Any], Any], kind: str
) -> None:
    others = {"aa": silent, "zz": lambda case: [finding("seen", Severity.NOTE)]}
    w = moved(world, checks(**{scope: {"harmful": check, **others}}), more="[acceptance]\ncheck_seconds = 0.3\n")
    with w.open() as program:
        result = run(program)
        found = [program.evidence(line) for line in program.findings("all") if line.kind == kind]
        [ended] = events(program, WaveExamined)
    assert result.outcome == "failed"
    assert ended.not_assessed == ("harmful",)
    assert found
    assert all((item.check, item.severity) == ("harmful", Severity.BLOCKER) for item in found)
    assert not any(FOUR[0].study_uid in item.message for item in found)
    if kind == "check-timed-out":
        assert len(found) == 1
    lines = {line.name: line for line in result.checks}
    assert lines["aa"].not_assessed == lines["zz"].not_assessed == ""
    assert lines["harmful"].not_assessed
    assert lines["zz"].notes == (1 if scope == "wave" else 4)


def test_a_check_cannot_speak_in_the_name_of_another(world: Any) -> None:
    w = moved(world, checks(study={"one": lambda case: [finding(check="two")], "two": silent}))
    with w.open() as program:
        run(program)
        assert {line.check for line in program.findings("all")} == {"one"}


def test_a_wave_check_may_speak_of_the_waves_studies_only(world: Any) -> None:
    def look(case: Any) -> Iterator[Finding]:
        for study in case.studies():
            yield finding("right", Severity.NOTE, study=study.study)
        yield finding("strange", study=StudyRef(study_uid=StudyUID("1.2.3"), label=study.study.label))

    w = moved(world, checks(wave={"wide": look}))
    with w.open() as program:
        run(program)
        assert kinds(program) == ["check-misbehaved", "right", "right", "right", "right"]


# ------------------------------------------------------------------------------------------------ attempts

MANY = [ObjectSpec(study=s, patient_id=f"P{s}") for s in range(1, 41)]
LOOSE = "[acceptance]\nmax_defect_rate = 0.3\nconfidence = 0.9\nattempts = 2\n"


def test_after_a_failed_sample_comes_a_fresh_one_and_then_only_a_census(world: Any) -> None:
    state = {"bad": True}
    w = moved(
        world, checks(sampled={"strict": lambda case: [finding()] if state["bad"] else []}), specs=MANY, more=LOOSE
    )
    with w.open() as program:
        assert [run(program).outcome for _ in range(2)] == ["failed", "failed"]
        first, second = events(program, SampleDrawn)
        assert first.seed != second.seed
        assert first.size < first.population == 40
        assert first.confidence == second.confidence == "0.95"
        with pytest.raises(StateError, match="2 samples of the wave failed") as refused:
            run(program)
        assert "--census" in refused.value.hint
        state["bad"] = False
        result = run(program, census=True)
        assert (result.outcome, result.verdict.examined) == ("passed", 40)
        assert run(program).outcome == "passed"  # a pass begins anew


def test_the_same_seed_is_never_drawn_twice(world: Any) -> None:
    w = moved(world, checks(sampled={"strict": lambda case: [finding()]}), specs=MANY, more=LOOSE)
    with w.open() as program:
        run(program, seed="00" * 32)
        with pytest.raises(ValueError, match="once"):
            run(program, seed="00" * 32)


def test_an_attempt_that_something_else_blocked_spends_no_error(world: Any) -> None:
    w = moved(world, checks(wave={"wide": lambda case: [finding()]}, sampled={"fine": silent}), specs=MANY, more=LOOSE)
    with w.open() as program:
        outcomes = [run(program) for _ in range(4)]
    assert [(result.outcome, result.verdict.defective) for result in outcomes] == [("failed", 0)] * 4


def test_a_wave_of_which_nothing_was_transferred_is_refused(world: Any) -> None:
    w = world(FOUR)
    equip(w, checks())
    with w.open() as program:
        program.take_inventory()
        program.plan()
        with pytest.raises(StateError, match="nothing of the wave was transferred"):
            run(program)
        assert events(program, SampleDrawn) == []


def test_every_kind_of_study_gives_its_share(world: Any) -> None:
    specs = [ObjectSpec(study=s, patient_id=f"P{s}", modality="MG" if s == 7 else "CT") for s in range(1, 41)]
    w = moved(world, checks(sampled={"fine": silent}), specs=specs, more=LOOSE)
    with w.open() as program:
        result = run(program)
    assert [(s.stratum, s.population, s.size) for s in result.verdict.strata if s.stratum == "MG"] == [("MG", 1, 1)]
    assert {s.stratum for s in result.verdict.strata} == {"CT", "MG"}


def test_the_same_finding_twice_is_one(world: Any) -> None:
    w = moved(world, checks(study={"stutters": lambda case: [finding(), finding()]}))
    with w.open() as program:
        result = run(program)
        assert [event.wave for event in events(program, FindingRecorded)].count("all") == 4
    assert result.findings[0].count == 4


def test_a_study_whose_evidence_was_erased_is_told_without_what_identifies_it(world: Any) -> None:
    def look(case: Any) -> Iterator[Finding]:
        yield from (finding("counted", Severity.NOTE, study=facts.study) for facts in case.studies())

    seen = []
    w = moved(world, checks(study={"whole": lambda case: seen.append(case) or ()}, wave={"wide": look}))
    with w.open() as program:
        program.vault.erase(w_label(program, FOUR[0]))
        result = run(program)
        assert len(seen) == 3
        assert result.outcome == "failed"
        assert kinds(program) == ["counted"] * 4 + ["evidence-erased"]
        lost = [line for line in program.findings("all") if not line.study]
        assert {line.kind for line in lost} == {"counted", "evidence-erased"}
        assert all(program.evidence(line).subjects == () for line in lost)


def test_a_result_shows_hostile_text_inertly_in_a_notebook(world: Any) -> None:
    w = moved(world, checks(study={"whole": silent}), specs=FOUR[:2])
    with w.open() as program:
        result = run(program)
    assert "passed" in result._repr_html_()
    assert "<b>" not in evolve(result, wave="<b>bold</b>")._repr_html_()
