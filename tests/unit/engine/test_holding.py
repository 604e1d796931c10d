"""What listings show already holds a study back before anything of it is stored; the others move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.engine.accepting import checks, equip, finding

from vna_lifecycle.model.event import StudyHeld, StudyReleased
from vna_lifecycle.model.finding import Finding, Severity
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
