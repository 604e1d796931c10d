"""A pass counts once it is on record, and not before."""

from __future__ import annotations

from typing import Any

import pytest

from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.model.event import InventoryCompleted
from vna_lifecycle.testing.memory import fill
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=study, patient_id=f"P{study}") for study in (1, 2, 3)]


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_nothing_goes_by_a_pass_whose_end_is_not_on_record(
    world: Any, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    w = world(SPECS)
    record = Journal.record

    def dying(self: Journal, events: Any, **options: Any) -> Any:
        ends = any(isinstance(event, InventoryCompleted) and event.inventory == 2 for _, event in events)
        if ends and late:
            record(self, events, **options)
        if ends:
            raise Killed
        return record(self, events, **options)

    with w.open() as program:
        program.take_inventory()
    fill(w.old, [dicom_bytes(ObjectSpec(study=4, patient_id="P4"))])
    with pytest.raises(Killed), w.open() as program:
        monkeypatch.setattr(Journal, "record", dying)
        program.take_inventory()
    monkeypatch.undo()
    with w.open() as program:
        assert program.catalog.latest_inventory("old") == 1 + late
        (again,) = program.take_inventory()
        assert (again.inventory, again.resumed) == ((3, False) if late else (2, True))
        on_record = [
            item.event.inventory
            for item in program.ledger.read(0, program.ledger.size())
            if isinstance(item.event, InventoryCompleted)
        ]
        assert on_record == list(range(1, again.inventory + 1))
