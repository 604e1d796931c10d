"""What was folded from the ledger by other software is folded anew; what was found at archives is kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from tests.unit.catalog.updating import fold_anew

from vna_lifecycle.catalog import projection
from vna_lifecycle.catalog.schema import migration
from vna_lifecycle.database import writing
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2) for i in (1, 2)]


def test_an_updated_software_folds_the_state_anew_and_needs_no_new_inventory(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.transfer("all")
        program.catch_up(sample=1)
        w.source.add(dicom_bytes(ObjectSpec(study=3, instance=1, patient_id="P3")))
        program.take_inventory()
        before = program.status()
        with writing(program.catalog._engine) as connection:  # as a fold with a defect would have left it
            connection.execute(update(migration).values(state="planned"))
            projection.keep(connection, "fold", projection.FOLD - 1)
    with w.open() as program:
        assert program.status() == before
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert w.same_bytes()


def test_a_state_that_is_up_to_date_is_not_folded_again(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        with writing(program.catalog._engine) as connection:
            connection.execute(update(migration).values(code="kept"))
    with w.open() as program:
        label = program.vault.label(SPECS[0].study_uid)
        assert program.catalog.work_on(label).code == "kept"
        fold_anew(program.catalog)
    with w.open() as program:
        assert program.catalog.work_on(label).code == ""
