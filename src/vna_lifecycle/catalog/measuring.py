"""What a pass over an archive comes to: shares and extremes, by which archives can be compared."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Engine, Subquery, case, distinct, func, select

from vna_lifecycle.catalog import canonical, passes, schema
from vna_lifecycle.catalog.schema import header, holding, instance, part, patient, shape, variant
from vna_lifecycle.catalog.values import InventoryTotals

_ABSENT: Final = {
    "PatientID": patient.c.patient_id,
    "IssuerOfPatientID": patient.c.issuer,
    "PatientName": header.c.patient_name,
    "AccessionNumber": header.c.accession_number,
    "StudyDate": header.c.study_date,
}


@frozen(kw_only=True)
class Measures:
    """One pass in numbers. Counters are of objects, ``absent`` of studies by the keyword that a header lacks.

    ``character_sets`` and ``modalities`` have ``""`` where none is stated. ``repeated`` counts objects beyond the first
    under a SOP Instance UID, ``refused`` what could not be trusted, by code. Sizes are bytes; None: not told.
    """

    totals: InventoryTotals
    modalities: Counter[str]
    character_sets: Counter[str]
    sop_classes: Counter[str]
    transfer_syntaxes: Counter[str]
    flags: Counter[str]
    refused: Counter[str]
    absent: Counter[str]
    repeated: int
    several_headers: int
    largest_object: int | None
    median_study: int
    largest_study: int


def measure(engine: Engine, inventory: int) -> Measures:
    """The measures of a pass; linear in its objects."""
    with engine.connect() as connection:
        parts = select(part.c.id).where(part.c.inventory == inventory)
        here = instance.c.part.in_(parts)
        objects, uids, largest = connection.execute(
            select(func.count(), func.count(distinct(instance.c.sop_instance_uid)), func.max(instance.c.size)).where(
                here
            )
        ).one()
        of_shapes = (
            select(shape, func.count().label("objects"))
            .join_from(instance, shape, shape.c.id == instance.c.shape)
            .where(here)
            .group_by(shape.c.id)
        )
        classes, syntaxes, flags = Counter[str](), Counter[str](), Counter[str]()
        for row in connection.execute(of_shapes):
            classes[canonical.read(row.sop_class_uid)] += row.objects
            syntaxes[canonical.read(row.transfer_syntax)] += row.objects
            flags.update(dict.fromkeys(json.loads(row.flags), row.objects))
        codes = select(schema.refused.c.code, func.count()).where(schema.refused.c.part.in_(parts))
        median, most = _studies(connection, inventory)
        return Measures(
            totals=passes.totals(connection, inventory),
            modalities=_held(connection, inventory, variant.c.modality),
            character_sets=_held(connection, inventory, variant.c.character_set),
            sop_classes=classes,
            transfer_syntaxes=syntaxes,
            flags=flags,
            refused=Counter(
                {
                    canonical.read(code): count
                    for code, count in connection.execute(codes.group_by(schema.refused.c.code))
                }
            ),
            absent=_absent(connection, inventory),
            repeated=objects - uids,
            several_headers=_several_headers(connection, inventory),
            largest_object=largest,
            median_study=median,
            largest_study=most,
        )


def _held(connection: Connection, inventory: int, column: ColumnElement[str]) -> Counter[str]:
    query = (
        select(column, func.sum(holding.c.instances))
        .join_from(holding, variant, variant.c.id == holding.c.variant)
        .where(holding.c.inventory == inventory, holding.c.instances > 0)
        .group_by(column)
    )
    return Counter({canonical.read(word): count for word, count in connection.execute(query)})


def _headers(inventory: int) -> Subquery:
    return (
        select(variant.c.study, variant.c.header)
        .join_from(holding, variant, variant.c.id == holding.c.variant)
        .where(holding.c.inventory == inventory)
        .distinct()
        .subquery()
    )


def _absent(connection: Connection, inventory: int) -> Counter[str]:
    headers = _headers(inventory)
    counts = (
        func.count(distinct(case((column == "", headers.c.study)))).label(name) for name, column in _ABSENT.items()
    )
    query = (
        select(*counts)
        .join_from(headers, header, header.c.id == headers.c.header)
        .join(patient, patient.c.id == header.c.patient)
    )
    return Counter(dict(connection.execute(query).mappings().one()))


def _several_headers(connection: Connection, inventory: int) -> int:
    headers = _headers(inventory)
    several = select(headers.c.study).group_by(headers.c.study).having(func.count() > 1).subquery()
    return connection.execute(select(func.count()).select_from(several)).scalar_one()


def _studies(connection: Connection, inventory: int) -> tuple[int, int]:
    """Objects of the study in the middle, and of the largest one."""
    sizes = (
        select(func.sum(holding.c.instances).label("objects"))
        .join_from(holding, variant, variant.c.id == holding.c.variant)
        .where(holding.c.inventory == inventory)
        .group_by(variant.c.study)
        .subquery()
    )
    count, most = connection.execute(select(func.count(), func.max(sizes.c.objects))).one()
    middle = select(sizes.c.objects).order_by(sizes.c.objects).limit(1).offset(max(count - 1, 0) // 2)
    return connection.execute(middle).scalar() or 0, most or 0
