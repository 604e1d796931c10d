"""Reading what was found: studies, their objects, and tallies; streamed, never a whole table at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    LABEL_STYLE_TABLENAME_PLUS_COL,
    ColumnElement,
    Engine,
    Row,
    RowMapping,
    Select,
    distinct,
    func,
    select,
)

from vna_lifecycle.catalog import canonical, schema
from vna_lifecycle.catalog.loading import LEAST_AVAILABLE_LAST, STRONGEST_FIRST
from vna_lifecycle.catalog.schema import (
    current,
    header,
    instance,
    part,
    patient,
    shape,
    source,
    study,
    summary,
    variant,
)
from vna_lifecycle.catalog.summary import listed_instances
from vna_lifecycle.catalog.values import StudySummary, Tally
from vna_lifecycle.model.identity import PatientKey, SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, SeriesAttributes

ROWS_AT_ONCE = 1_000


def stream(engine: Engine, query: Select[*tuple[Any, ...]]) -> Iterator[Row[*tuple[Any, ...]]]:
    """The rows of a query as they come, over a connection of their own."""
    with engine.connect() as connection:
        yield from connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)


def reference(uid: str | bytes, label: str) -> StudyRef:
    """A study's reference, from stored text."""
    return StudyRef(study_uid=StudyUID(canonical.read(uid)), label=label)


def summaries(engine: Engine, *conditions: ColumnElement[bool]) -> Iterator[StudySummary]:
    """The studies that fulfil all conditions, by label."""
    with engine.connect() as connection:
        archives: dict[int, str] = dict(connection.execute(select(source.c.rank, source.c.archive)).all())
    query = (
        select(study.c.uid, study.c.label, patient.c.issuer, patient.c.patient_id, header, summary)
        .join_from(summary, study, study.c.id == summary.c.study)
        .join(header, header.c.id == summary.c.header)
        .join(patient, patient.c.id == header.c.patient)
        .where(*conditions)
        .order_by(study.c.label)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    )
    for row in stream(engine, query):
        yield _summary(row._mapping, archives)


def patients(engine: Engine, labels: Sequence[str]) -> dict[str, PatientKey]:
    """The patient of each of these studies, by the study's label."""
    query = (
        select(study.c.label, patient.c.issuer, patient.c.patient_id)
        .join_from(summary, study, study.c.id == summary.c.study)
        .join(header, header.c.id == summary.c.header)
        .join(patient, patient.c.id == header.c.patient)
        .where(study.c.label.in_(labels))
    )
    with engine.connect() as connection:
        return {
            label: PatientKey(issuer=canonical.read(issuer), id=canonical.read(patient_id))
            for label, issuer, patient_id in connection.execute(query)
        }


def _summary(row: RowMapping, archives: Mapping[int, str]) -> StudySummary:
    text = {name: canonical.read(row[header.c[name]]) for name in schema.HEADER_TEXTS}
    modalities = {canonical.read(modality) for modality in json.loads(row[summary.c.modalities])}
    return StudySummary(
        ref=reference(row[study.c.uid], row[study.c.label]),
        patient=PatientKey(issuer=canonical.read(row[patient.c.issuer]), id=canonical.read(row[patient.c.patient_id])),
        patient_name=text["patient_name"],
        patient_birth_date=text["patient_birth_date"],
        patient_sex=text["patient_sex"],
        study_id=text["study_id"],
        study_date=text["study_date"],
        study_time=text["study_time"],
        accession_number=text["accession_number"],
        issuer_of_accession_number=text["issuer_of_accession_number"],
        description=text["study_description"],
        procedure_code=text["procedure_code"],
        modalities=tuple(sorted(modalities - {""})),
        sources=tuple(archives[rank] for rank in sorted(json.loads(row[summary.c.sources]))),
        series=row[summary.c.series],
        instances=row[summary.c.instances],
        size=row[summary.c.size],
        unsized=row[summary.c.unsized],
        availability=LEAST_AVAILABLE_LAST[row[summary.c.availability]],
        headers=row[summary.c.headers],
        patients=row[summary.c.patients],
        claimed=row[summary.c.claimed],
        basis=STRONGEST_FIRST[row[summary.c.basis]],
    )


def candidates(engine: Engine, study_uid: str) -> Iterator[tuple[str, InstanceRecord]]:
    """Every object of a study that the latest inventories list, by precedence of archives, then locator."""
    query = (
        select(source.c.archive, study.c.uid, patient.c.issuer, patient.c.patient_id, header, variant, shape, instance)
        .select_from(
            listed_instances()
            .join(study, study.c.id == current.c.study)
            .join(shape, shape.c.id == instance.c.shape)
            .join(variant, variant.c.id == current.c.variant)
            .join(header, header.c.id == variant.c.header)
            .join(patient, patient.c.id == header.c.patient)
        )
        .where(study.c.uid == canonical.stored(study_uid))
        .order_by(source.c.rank, instance.c.locator, instance.c.part, instance.c.position)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    )
    series: dict[int, SeriesAttributes] = {}
    for found in stream(engine, query):
        row = found._mapping
        known = series.get(row[variant.c.id])
        if known is None:
            known = series[row[variant.c.id]] = _series(row)
        yield row[source.c.archive], _instance(row, known)


def _series(row: RowMapping) -> SeriesAttributes:
    # typed Any: columns are named for the attributes, some of which are more than str
    texts: dict[str, Any] = {name: canonical.read(row[header.c[name]]) for name in schema.HEADER_TEXTS}
    texts |= {name: canonical.read(row[variant.c[name]]) for name in schema.SERIES_TEXTS}
    return SeriesAttributes(
        **texts,
        study_uid=StudyUID(canonical.read(row[study.c.uid])),
        issuer_of_patient_id=canonical.read(row[patient.c.issuer]),
        patient_id=canonical.read(row[patient.c.patient_id]),
    )


def _instance(row: RowMapping, series: SeriesAttributes) -> InstanceRecord:
    return InstanceRecord(
        locator=canonical.read(row[instance.c.locator]),
        sop_instance_uid=SOPInstanceUID(canonical.read(row[instance.c.sop_instance_uid])),
        sop_class_uid=canonical.read(row[shape.c.sop_class_uid]),
        transfer_syntax=canonical.read(row[shape.c.transfer_syntax]),
        size=row[instance.c.size],
        instance_number=row[instance.c.instance_number],
        rows=row[shape.c.rows],
        columns=row[shape.c.columns],
        frames=row[shape.c.frames],
        availability=LEAST_AVAILABLE_LAST[row[shape.c.availability]],
        flags=tuple(json.loads(row[shape.c.flags])),
        series=series,
    )


def refused(engine: Engine, inventory: int) -> Iterator[Refused]:
    """What an inventory could not trust, by part and then in the order of listing."""
    table = schema.refused
    query = (
        select(table.c.locator, table.c.code, table.c.reason, table.c.offset, table.c.size)
        .join_from(table, part, part.c.id == table.c.part)
        .where(part.c.inventory == inventory)
        .order_by(part.c.key, table.c.position)
    )
    for locator, code, reason, offset, size in stream(engine, query):
        yield Refused(
            locator=canonical.read(locator),
            code=canonical.read(code),
            reason=canonical.read(reason),
            offset=offset,
            size=size,
        )


def tallies(engine: Engine) -> Iterator[Tally]:
    """What each archive's latest inventory lists, by modality and year, in order of precedence."""
    year = func.coalesce(func.substr(header.c.day, 1, 4), "")
    query = (
        select(
            source.c.archive,
            variant.c.modality,
            year,
            func.count(distinct(current.c.study)),
            func.sum(current.c.instances),
            func.sum(current.c.size),
        )
        .join_from(current, source, source.c.rank == current.c.source)
        .join(variant, variant.c.id == current.c.variant)
        .join(header, header.c.id == current.c.header)
        .group_by(source.c.rank, source.c.archive, variant.c.modality, year)
        .order_by(source.c.rank, variant.c.modality, year)
    )
    for archive, modality, studied, studies, instances, size in stream(engine, query):
        yield Tally(
            archive=archive,
            modality=canonical.read(modality),
            year=studied,
            studies=studies,
            instances=instances,
            size=size,
        )
