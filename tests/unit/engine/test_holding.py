"""What listings show already holds a study back before anything of it is stored; the others move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.engine.accepting import checks, equip, finding

from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import StudyHeld, StudyReleased
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.testing.objects import ObjectSpec

THREE = [ObjectSpec(study=s, patient_id=f"P{s}") for s in (1, 2, 3)]


class Rule:
    """Blocks the studies whose numbers it is told, each with a kind."""

    def __init__(self, **kinds: str) -> None:
        self.kinds = {ObjectSpec(study=int(number[1:])).study_uid: kind for number, kind in kinds.items()}
        self.broken = False

    def __call__(self, case: Any) -> Iterator[Finding]:
        if self.broken:
            raise ValueError
        for facts in case.studies():
            if facts.study.study_uid in self.kinds:
                yield finding(self.kinds[facts.study.study_uid], study=facts.study)
            yield finding("no-blocker", Severity.WARNING, study=facts.study)


def planned(world: Any, rule: Rule, more: str = "") -> Any:
    w = world(THREE, more)
    equip(w, checks(before={"early": rule}))
    with w.open() as program:
        program.take_inventory()
        program.plan()
    return w


def history(program: Any) -> list[str]:
    return [
        recorded.event.finding if isinstance(recorded.event, StudyHeld) else recorded.event.reason
        for recorded in program.ledger.read()
        if isinstance(recorded.event, StudyHeld | StudyReleased)
    ]


def test_a_blocker_holds_its_study_back_and_the_others_move(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"))
    with w.open() as program:
        result = program.transfer("all")
        assert (result.transferred, result.held, result.outcome) == (2, 1, "incomplete")
        assert result.held_for == (("two-people", 1),)
        assert "1 held back" in str(result)
        assert [line.kind for line in program.findings("all")] == ["two-people"]
        assert program.verify_ledger(deep=True).ok
    assert THREE[1].sop_instance_uid not in set(_stored(w))


def _stored(w: Any) -> Iterator[str]:
    from vna_lifecycle.dicom.scan import scan_bytes

    for data in w.target.files.values():
        yield scan_bytes(data, locator="").sop_instance_uid


def test_a_study_moves_once_what_held_it_is_gone(world: Any) -> None:
    rule = Rule(s2="two-people", s3="two-people")
    w = planned(world, rule)
    with w.open() as program:
        assert program.transfer("all").held == 2
        rule.kinds.pop(THREE[1].study_uid)
        result = program.transfer("all")
        assert (result.transferred, result.held) == (2, 1)
        assert history(program) == ["two-people", "two-people", "no longer found"]
        assert len(program.findings("all")) == 1


def test_what_holds_a_study_is_on_record_once_however_often_it_is_seen(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"))
    with w.open() as program:
        for _ in range(3):
            assert program.transfer("all").held == 1
        assert history(program) == ["two-people"]
        assert len(program.findings("all")) == 1


def test_a_study_is_held_by_what_holds_it_now(world: Any) -> None:
    rule = Rule(s2="two-people")
    w = planned(world, rule)
    with w.open() as program:
        program.transfer("all")
        rule.kinds[THREE[1].study_uid] = "no-issuer"
        assert program.transfer("all").held_for == (("no-issuer", 1),)
        assert history(program) == ["two-people", "no-issuer"]


def test_a_check_that_gives_no_result_lets_nothing_go(world: Any) -> None:
    rule = Rule(s2="two-people")
    w = planned(world, rule)
    with w.open() as program:
        program.transfer("all")
        rule.broken = True
        assert program.transfer("all").held == 1
        assert sorted(line.kind for line in program.findings("all")) == ["check-failed", "two-people"]


def test_what_has_moved_is_not_held_back(world: Any) -> None:
    rule = Rule()
    w = planned(world, rule)
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"
        rule.kinds[THREE[1].study_uid] = "two-people"
        assert program.transfer("all").outcome == "complete"
        assert history(program) == []


PEOPLE = """
[people.mallory]
role = "records officer"
"""


def test_a_study_whose_blocker_is_waived_moves(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"), PEOPLE)
    with w.open() as program:
        assert program.transfer("all").held == 1
        program.waive("two-people", wave="all", by="mallory", reason="the department knows both")
        result = program.transfer("all")
        assert (result.outcome, result.transferred, result.held) == ("complete", 3, 0)
        assert history(program) == ["two-people", "waived"]


def test_what_is_held_stays_held_through_a_new_plan_and_can_be_waived_at_once(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"), PEOPLE)
    with w.open() as program:
        program.transfer("all")
        program.plan()
        (line,) = program.findings("all")
        assert (line.kind, line.study) == ("two-people", program.vault.label(THREE[1].study_uid))
        assert program.catalog.wave_status("all").count(MigrationState.HELD) == 1
        assert program.waive("two-people", wave="all", by="mallory", reason="both are known").findings == 1
        result = program.transfer("all")
        assert (result.outcome, result.held) == ("complete", 0)
        assert history(program) == ["two-people", "two-people", "waived"]
        assert program.verify_ledger(deep=True).ok


def test_a_waiver_that_was_given_before_a_new_plan_holds_after_it(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"), PEOPLE)
    with w.open() as program:
        program.transfer("all")
        program.waive("two-people", wave="all", by="mallory", reason="both are known")
        program.plan()
        assert program.transfer("all").outcome == "complete"


def test_what_is_gone_when_a_new_plan_was_made_is_let_go_by_the_next_transfer(world: Any) -> None:
    rule = Rule(s2="two-people")
    w = planned(world, rule)
    with w.open() as program:
        program.transfer("all")
        program.plan()
        rule.kinds.clear()
        assert program.transfer("all").outcome == "complete"
        assert program.findings("all") == []
        assert history(program) == ["two-people", "two-people", "no longer found"]


def test_every_blocker_of_a_held_study_survives_a_new_plan_and_the_same_one_holds_it(world: Any) -> None:
    first, second = Rule(s2="two-people"), Rule(s2="no-issuer")
    w = world(THREE)
    equip(w, checks(before={"early": first, "late": second}))
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.transfer("all")
        before = {(line.kind, line.origin) for line in program.findings("all")}
        assert len(before) == 2
        for _ in range(2):
            program.plan()
            held_by = {(line.kind, line.origin) for line in program.findings("all")}
            assert held_by == before


def test_a_held_study_that_a_new_plan_leaves_out_is_let_go_with_its_findings(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"))
    with w.open() as program:
        program.transfer("all")
    config = w.folder / "program.toml"
    left_out = f'[[exclusions]]\nreason = "stays"\nstudies = ["{THREE[1].study_uid}"]\n'
    config.write_text(f"{config.read_text()}\n{left_out}")
    with w.open() as program:
        program.plan()
        assert [line for line in program.findings() if line.study] == []
        assert program.transfer("all").outcome == "complete"


def test_who_waives_what_is_not_there_is_told_where_it_is_or_what_looks_for_it(world: Any) -> None:
    w = planned(world, Rule(s2="two-people"), PEOPLE)
    with w.open() as program:

        def hint(kind: str, wave: str) -> str:
            with pytest.raises(StateError) as refused:
                program.waive(kind, wave=wave, by="mallory", reason="known")
            return refused.value.hint

        assert hint("two-people", "all").endswith("found by: transfer all, then accept all")
        program.transfer("all")
        assert hint("no-issuer", "all") == "Open are: two-people"
        assert hint("two-people", "") == "It is open elsewhere: waive all"
