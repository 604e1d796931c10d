"""What the sources list of some studies, for hundreds at a time: as `asking.candidates`, with few queries for all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from attrs import frozen
from sqlalchemy import BindParameter, Connection, Engine, bindparam, select

from vna_lifecycle.catalog import canonical, schema
from vna_lifecycle.catalog.loading import LEAST_AVAILABLE_LAST, STRONGEST_FIRST
from vna_lifecycle.catalog.schema import current, header, instance, patient, shape, source, study, summary, variant
from vna_lifecycle.catalog.summary import listed_instances
from vna_lifecycle.model.identity import SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Basis, InstanceRecord, SeriesAttributes


@frozen(kw_only=True)
class Listing:
    """A study's listed objects, in order of precedence and then by locator; what that rests on, and what is claimed."""

    records: tuple[InstanceRecord, ...]
    basis: Basis
    claimed: int | None


_IDS: Final[BindParameter[int]] = bindparam("ids", expanding=True)
_STUDIES: Final = (
    select(study.c.id, study.c.label, summary.c.basis, summary.c.claimed)
    .join_from(summary, study, study.c.id == summary.c.study)
    .where(study.c.label.in_(bindparam("labels", expanding=True)))
)
_SERIES: Final = (
    select(
        variant.c.id,
        study.c.uid,
        patient.c.issuer,
        patient.c.patient_id,
        *(header.c[name] for name in schema.HEADER_TEXTS),
        *(variant.c[name] for name in schema.SERIES_TEXTS),
    )
    .distinct()
    .join_from(current, variant, variant.c.id == current.c.variant)
    .join(header, header.c.id == variant.c.header)
    .join(patient, patient.c.id == header.c.patient)
    .join(study, study.c.id == current.c.study)
    .where(current.c.study.in_(_IDS))
)
_TEXTS: Final = ("study_uid", "issuer_of_patient_id", "patient_id", *schema.HEADER_TEXTS, *schema.SERIES_TEXTS)
_SHAPES: Final = select(
    shape.c.id,
    shape.c.sop_class_uid,
    shape.c.transfer_syntax,
    shape.c.rows,
    shape.c.columns,
    shape.c.frames,
    shape.c.availability,
    shape.c.flags,
).where(shape.c.id.in_(_IDS))
_OBJECTS: Final = (
    select(
        current.c.study,
        current.c.variant,
        instance.c.shape,
        instance.c.locator,
        instance.c.sop_instance_uid,
        instance.c.size,
        instance.c.instance_number,
    )
    .select_from(listed_instances())
    .where(current.c.study.in_(_IDS))
    .order_by(source.c.rank, instance.c.locator, instance.c.part, instance.c.position)
)


def listings(engine: Engine, labels: Sequence[str]) -> dict[str, Listing]:
    """The listing of each of these studies, by label, as of the last `refresh_studies`; unlisted ones are left out."""
    with engine.connect() as connection:
        found = connection.execute(_STUDIES, {"labels": list(labels)}).all()
        ids = {"ids": [row.id for row in found]}
        series = {number: _series(texts) for number, *texts in connection.execute(_SERIES, ids)}
        objects = connection.execute(_OBJECTS, ids).all()
        shapes = _shapes(connection, {row[2] for row in objects})
    records: dict[int, list[InstanceRecord]] = {number: [] for number in ids["ids"]}
    for number, kind, form, locator, uid, size, position in objects:
        record = InstanceRecord(
            locator=canonical.read(locator),
            sop_instance_uid=SOPInstanceUID(canonical.read(uid)),
            size=size,
            instance_number=position,
            series=series[kind],
            **shapes[form],
        )
        records[number].append(record)
    return {
        label: Listing(records=tuple(records[number]), basis=STRONGEST_FIRST[basis], claimed=claimed)
        for number, label, basis, claimed in found
    }


def _series(texts: Sequence[str | bytes]) -> SeriesAttributes:
    # typed Any: columns are named for the attributes, some of which are more than str
    values: dict[str, Any] = {name: canonical.read(text) for name, text in zip(_TEXTS, texts, strict=True)}
    return SeriesAttributes(**{**values, "study_uid": StudyUID(values["study_uid"])})


def _shapes(connection: Connection, wanted: set[int]) -> dict[int, dict[str, Any]]:
    return {
        number: {
            "sop_class_uid": canonical.read(sop_class),
            "transfer_syntax": canonical.read(syntax),
            "rows": rows,
            "columns": columns,
            "frames": frames,
            "availability": LEAST_AVAILABLE_LAST[availability],
            "flags": tuple(json.loads(flags)),
        }
        for number, sop_class, syntax, rows, columns, frames, availability, flags in connection.execute(
            _SHAPES, {"ids": sorted(wanted)}
        )
    }
