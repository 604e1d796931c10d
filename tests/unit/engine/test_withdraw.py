"""Withdrawing takes back this program's own copies, and only while the source still holds what they are copies of."""

from __future__ import annotations

from typing import Any

from vna_lifecycle.testing.faults import Lose
from vna_lifecycle.testing.memory import fill
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

TWO_STUDIES = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2) for i in (1, 2)]


def moved(world: Any, *foreign: ObjectSpec) -> Any:
    w = world(TWO_STUDIES)
    fill(w.new, [dicom_bytes(spec) for spec in foreign])
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
    return w


def test_after_a_withdrawal_nothing_of_the_wave_is_at_the_target(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert (result.withdrawn, result.kept, result.instances) == (2, 0, 4)
        assert w.target.files == {}
        assert dict(program.status().waves[0].states) == {"withdrawn": 2}
        assert program.verify_ledger(deep=True).ok


def test_a_dry_run_removes_and_records_nothing(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule", dry_run=True)
        assert (result.withdrawn, result.instances) == (2, 4)
        assert len(w.target.files) == 4
        assert dict(program.status().waves[0].states) == {"transferred": 2}


def test_copies_that_were_at_the_target_before_stay(world: Any) -> None:
    w = moved(world, TWO_STUDIES[0])
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
    assert (result.withdrawn, result.instances) == (2, 3)
    assert list(w.target.files.values()) == [dicom_bytes(TWO_STUDIES[0])]


def test_a_study_that_the_source_lost_is_kept_with_a_finding(world: Any) -> None:
    w = moved(world)
    lost = dicom_bytes(TWO_STUDIES[0])
    for locator in [key for key, data in w.source.files.items() if data == lost]:
        del w.source.files[locator]
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert (result.withdrawn, result.kept) == (1, 1)
        assert [finding.kind for finding in program.findings("all")] == ["source-copy-gone"]
    assert lost in w.target.files.values()


def test_a_target_that_says_removed_and_keeps_is_found_out(world: Any) -> None:
    w = moved(world)
    w.target.plan.faults.append(Lose(on="withdraw", nth=1))
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert result.kept == 1
        assert [finding.kind for finding in program.findings("all")] == ["still-at-target"]
        again = program.withdraw("all", by="mallory", reason="once more")
        assert (again.withdrawn, again.kept) == (1, 0)
    assert w.target.files == {}


def test_a_withdrawn_wave_can_be_planned_and_moved_again(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        program.withdraw("all", by="mallory", reason="wrong rule")
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert w.same_bytes()
