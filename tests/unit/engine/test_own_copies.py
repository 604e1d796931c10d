"""What a program has put at a target is known by its receipts and read-backs, damaged or not, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from vna_lifecycle.engine import tasks
from vna_lifecycle.testing.faults import Corrupt, Drop, Effect
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

TWO = [ObjectSpec(study=1, instance=i, patient_id="P1") for i in (1, 2)]
FIRST = dicom_bytes(TWO[0])


def begun(world: Any, *faults: Any) -> Any:
    """A wave of one study, moved as far as it goes while its target has trouble."""
    w = world(TWO)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        w.target.plan.faults += faults
        program.transfer("all")
        w.target.plan.faults.clear()
    return w


def withdrawn(w: Any) -> Any:
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="damaged")
        assert (result.withdrawn, result.kept) == (1, 0)
        assert program.verify_ledger(deep=True).ok
    return result


def kinds(w: Any) -> set[str]:
    with w.open() as program:
        return {line.kind for line in program.findings("all") if line.check == "withdraw"}


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Corrupt(on="store", nth=1)], id="all answered"),
        pytest.param([Corrupt(on="store", nth=1), Drop(on="store", nth=2)], id="another attempt was needed"),
        pytest.param([Corrupt(on="store", nth=1), Corrupt(on="store", nth=2)], id="all of it"),
    ],
)
def test_what_was_damaged_on_its_way_is_withdrawn_and_can_be_moved_again(world: Any, faults: list[Any]) -> None:
    w = begun(world, *faults)
    assert not w.same_bytes()
    assert withdrawn(w).instances == 2
    assert w.target.files == {}
    assert kinds(w) == set()
    with w.open() as program:
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert w.same_bytes()


class Stopping(list[Effect]):
    """A log after whose first effect a person stops the program."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self._program = program

    def append(self, effect: Effect) -> None:
        super().append(effect)
        self._program.cancel()


def test_a_receipt_that_came_before_the_store_was_broken_off_counts(world: Any) -> None:
    w = world(TWO)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        w.target.plan.faults.append(Corrupt(on="store", nth=1))
        w.target.plan.log = Stopping(program)
        assert program.transfer("all").outcome == "cancelled"
        w.target.plan.faults.clear()
        w.target.plan.log = []
    assert len(w.target.files) == 1
    with w.open() as program:
        assert program.transfer("all").outcome == "incomplete"
    assert withdrawn(w).instances == 2
    assert w.target.files == {}


def test_damage_without_a_receipt_cannot_be_told_from_another_s_object_and_stays(world: Any) -> None:
    w = begun(world, Corrupt(on="store", nth=1), Drop(on="store", nth=1))
    damaged = next(data for data in w.target.files.values() if data not in (FIRST, dicom_bytes(TWO[1])))
    assert withdrawn(w).instances == 1
    assert list(w.target.files.values()) == [damaged]
    assert kinds(w) == {"not-ours-at-target"}


def test_what_another_put_in_the_place_of_a_damaged_copy_stays(world: Any) -> None:
    w = begun(world, Corrupt(on="store", nth=1))
    foreign = dicom_bytes(evolve(TWO[0], grey=99))
    (locator,) = [key for key, data in w.target.files.items() if data not in (FIRST, dicom_bytes(TWO[1]))]
    w.target.files[locator] = foreign
    with w.open() as program:  # it is read back once more: now what lies there is not what followed the receipt
        program.transfer("all", retry=True)
    assert withdrawn(w).instances == 1
    assert list(w.target.files.values()) == [foreign]


def test_a_source_that_replaced_what_was_damaged_on_its_way_decides_whether_that_may_go(world: Any) -> None:
    w = begun(world, Corrupt(on="store", nth=1))
    (locator,) = [key for key, data in w.source.files.items() if data == FIRST]
    w.source.files[locator] = dicom_bytes(evolve(TWO[0], grey=99))
    with w.open() as program:
        assert program.withdraw("all", by="mallory", reason="damaged").kept == 1
    assert kinds(w) == {"source-copy-replaced"}


def test_the_same_object_that_another_stored_after_a_withdrawal_stays_at_the_next(world: Any) -> None:
    w = begun(world)
    withdrawn(w)
    w.target.add(FIRST)
    with w.open() as program:
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert withdrawn(w).instances == 1
    assert list(w.target.files.values()) == [FIRST]


def test_older_content_that_another_stores_after_a_withdrawal_is_not_ours(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = begun(world)
    withdrawn(w)
    (locator,) = [key for key, data in w.source.files.items() if data == FIRST]
    w.source.files[locator] = dicom_bytes(evolve(TWO[0], grey=99))
    store = tasks.store_study

    def preceded(*arguments: Any) -> Any:
        w.target.add(FIRST)  # after the target was looked at
        return store(*arguments)

    with w.open() as program:
        program.take_inventory()
        program.plan()
        monkeypatch.setattr(tasks, "store_study", preceded)
        program.transfer("all")
    assert withdrawn(w).instances == 1
    assert list(w.target.files.values()) == [FIRST]
    assert kinds(w) == {"not-ours-at-target"}
