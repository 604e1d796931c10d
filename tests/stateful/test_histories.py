"""Short histories that once came out wrong, each as one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from vna_lifecycle.engine.transfer_result import TransferResult
from vna_lifecycle.program import Program
from vna_lifecycle.testing.checker import identity
from vna_lifecycle.testing.faults import Corrupt, Drop, Lose, Warn
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes
from vna_lifecycle.testing.schedule import Point
from vna_lifecycle.testing.simulation import Simulation

SIX = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2, 3) for i in (1, 2)]
OTHER_CONTENT = ObjectSpec(study=1, instance=1, patient_id="P1", grey=7)
Make = Callable[..., Simulation]


@pytest.fixture
def planned() -> Iterator[Make]:
    """Makes a simulation whose source is listed and whose one wave is planned."""
    made: list[Simulation] = []

    def make(specs: Sequence[ObjectSpec] = SIX) -> Simulation:
        made.append(Simulation(objects=[dicom_bytes(spec) for spec in specs]))
        made[-1].step(Program.take_inventory)
        made[-1].step(Program.plan)
        assert made[-1].examine() == []
        return made[-1]

    yield make
    for simulation in made:
        simulation.close()


def transfer(simulation: Simulation, **options: Any) -> TransferResult:
    result = simulation.step(lambda program: program.transfer("all", **options))
    assert isinstance(result, TransferResult)
    return result


def kinds(simulation: Simulation) -> set[str]:
    return {finding.kind for finding in simulation.program.findings("all")}


def test_an_object_that_a_source_silently_leaves_out_is_asked_for_again(planned: Make) -> None:
    simulation = planned()
    simulation.source.plan.faults.append(Drop(on="fetch", nth=1))
    assert transfer(simulation).outcome == "complete"
    assert simulation.examine() == []
    assert len(simulation.target.files) == 6


def test_an_object_that_a_source_always_leaves_out_makes_its_study_incomplete(planned: Make) -> None:
    simulation = planned()
    simulation.source.plan.faults += [Drop(on="fetch", nth=nth) for nth in range(1, 50)]
    assert transfer(simulation).transferred == 0
    assert "not-fetched-not-delivered" in kinds(simulation)
    assert simulation.examine() == []


def test_while_one_of_several_contents_does_not_come_the_other_is_not_taken_for_the_true_one(planned: Make) -> None:
    simulation = planned([OTHER_CONTENT, *SIX])
    simulation.source.plan.faults += [Drop(on="fetch", nth=nth) for nth in range(1, 50, 2)]
    transfer(simulation)
    assert simulation.examine() == []


def test_a_warning_is_on_record_although_the_next_attempt_does_not_repeat_it(planned: Make) -> None:
    simulation = planned()
    simulation.target.plan.faults += [Warn(nth=1, code="B000"), Drop(on="store", nth=2)]
    assert transfer(simulation).outcome == "complete"
    assert simulation.warnings_given() == ["B000"]
    assert simulation.examine(["B000"]) == []
    assert "stored-with-warning-b000" in kinds(simulation)


def test_a_study_that_no_source_lists_any_more_is_told_of(planned: Make) -> None:
    simulation = planned()
    simulation.lose_catalog()
    transfer(simulation)
    assert simulation.examine() == []
    assert kinds(simulation) == {"not-listed"}
    simulation.step(Program.take_inventory)
    simulation.step(Program.plan)
    assert transfer(simulation, retry=True).outcome == "complete"


@pytest.mark.parametrize("between", ["an inventory", "a catch-up that was cut off"])
def test_a_change_is_seen_however_many_inventories_were_taken_before_the_catch_up(planned: Make, between: str) -> None:
    simulation = planned()
    assert transfer(simulation).outcome == "complete"
    assert simulation.examine() == []
    simulation.source.add(dicom_bytes(ObjectSpec(study=1, instance=3, patient_id="P1")))
    if between == "an inventory":
        simulation.step(Program.take_inventory)
    else:
        simulation.points.append(Point(at="append", nth=5))
        assert simulation.step(lambda program: program.catch_up(sample=0)) is None
        simulation.step(Program.take_inventory)
    assert simulation.examine() == []
    simulation.step(lambda program: program.catch_up(sample=0))
    assert transfer(simulation).outcome == "complete"
    assert simulation.examine() == []
    assert len(simulation.target.files) == 7


def test_a_change_is_seen_although_the_catalog_with_the_old_listing_was_lost(planned: Make) -> None:
    simulation = planned()
    assert transfer(simulation).outcome == "complete"
    assert simulation.examine() == []
    simulation.lose_catalog()
    simulation.source.add(dicom_bytes(ObjectSpec(study=1, instance=3, patient_id="P1")))
    simulation.step(Program.take_inventory)
    (result,) = simulation.step(lambda program: program.catch_up(sample=0))
    assert (result.sampled, result.differing) == (3, 1)
    assert transfer(simulation).outcome == "complete"
    assert simulation.examine() == []
    assert len(simulation.target.files) == 7
    (result,) = simulation.step(lambda program: program.catch_up(sample=0))
    assert result.sampled == 0


def test_what_a_source_served_damaged_once_is_found_by_a_catch_up_that_samples(planned: Make) -> None:
    simulation = planned()
    simulation.source.plan.faults.append(Corrupt(on="fetch", nth=1))
    assert transfer(simulation).outcome == "complete"  # nothing tells it from an object that is so
    simulation.source.plan.faults.clear()
    (result,) = simulation.step(lambda program: program.catch_up(sample=20))
    assert result.differing == 1
    assert "changed-at-source" in kinds(simulation)


def take_back(simulation: Simulation) -> Any:
    return simulation.step(lambda program: program.withdraw("all", by="mallory", reason="test"))


def states(simulation: Simulation) -> dict[str, int]:
    return {state: count for line in simulation.program.status().waves for state, count in line.states if count}


def test_a_study_that_was_added_and_moved_since_the_last_catch_up_is_looked_at_again(planned: Make) -> None:
    simulation = planned()
    simulation.source.add(dicom_bytes(ObjectSpec(study=4, patient_id="P4")))
    simulation.step(Program.take_inventory)
    simulation.step(Program.plan)
    assert transfer(simulation).outcome == "complete"
    assert simulation.examine() == []
    simulation.source.add(dicom_bytes(ObjectSpec(study=4, instance=2, patient_id="P4")))
    simulation.step(lambda program: program.catch_up(sample=0))
    assert transfer(simulation).outcome == "complete"
    assert len(simulation.target.files) == 8


def test_a_withdrawal_whose_copies_are_gone_is_completed_although_the_source_has_changed(planned: Make) -> None:
    simulation = planned()
    transfer(simulation)
    assert simulation.examine() == []
    simulation.points.append(Point(at="append", nth=3))
    assert take_back(simulation) is None
    assert simulation.examine() == []
    assert states(simulation) == {"transferred": 2, "withdrawing": 1}
    (gone,) = [name for name, data in simulation.source.files.items() if data not in simulation.target.files.values()][
        :1
    ]
    del simulation.source.files[gone]
    assert take_back(simulation).kept == 0
    assert states(simulation) == {"withdrawn": 3}


def test_copies_that_the_target_does_not_show_when_asked_are_not_taken_for_gone(planned: Make) -> None:
    simulation = planned()
    transfer(simulation)
    assert simulation.examine() == []
    simulation.target.plan.faults += [Lose(on="withdraw", nth=1), Drop(on="fetch", nth=1)]
    assert take_back(simulation).kept == 1
    assert simulation.examine() == []
    assert kinds(simulation) == {"still-at-target"}


def test_a_withdrawal_that_is_cancelled_claims_nothing(planned: Make) -> None:
    simulation = planned()
    transfer(simulation)
    assert simulation.examine() == []
    simulation.target.plan.faults.append(Lose(on="withdraw", nth=1))

    withdraws = simulation.program.archive("new").withdraws
    assert withdraws is not None
    real = withdraws.withdraw

    def cancelled(study: Any, manifest: Any) -> Any:
        answers = list(real(study, manifest))
        simulation.program.cancel()
        return iter(answers)

    archive = evolve(simulation.program.archive("new"), withdraws=SimpleNamespace(withdraw=cancelled))
    simulation.program._archives._opened["new"] = archive
    take_back(simulation)
    simulation.restart()
    assert simulation.examine() == []
    assert "withdrawn" not in states(simulation)


def test_a_withdrawal_spares_what_an_earlier_attempt_stored_and_only_the_target_has_now(planned: Make) -> None:
    simulation = planned()
    simulation.target.plan.faults += [Lose(on="store", nth=1)]
    assert transfer(simulation).incomplete == 1
    assert simulation.examine() == []
    lacking = next(identity(d) for d in simulation.source.files.values() if d not in simulation.target.files.values())
    assert lacking is not None
    place, last = next(
        (place, data)
        for place, data in simulation.source.files.items()
        if identity(data) != lacking and (identity(data) or ("",))[0] == lacking[0]
    )
    del simulation.source.files[place]
    simulation.step(Program.take_inventory)
    simulation.step(lambda program: program.catch_up(sample=0))
    transfer(simulation, retry=True)
    assert simulation.examine() == []
    assert take_back(simulation).kept == 1
    assert simulation.examine() == []
    assert last in simulation.target.files.values()
    assert "source-copy-gone" in kinds(simulation)


def test_an_object_that_the_target_lists_and_never_serves_is_told_of(planned: Make) -> None:
    simulation = planned()
    simulation.target.plan.faults += [Drop(on="fetch", nth=nth) for nth in range(1, 50)]
    assert transfer(simulation).transferred == 0
    assert simulation.examine() == []
    assert kinds(simulation) == {"not-readable-at-target"}
