"""Questions over all studies of a wave, answered from what was found: streamed, in SQL, each linear in its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, TypeAlias

from attrs import frozen
from sqlalchemy import (
    CTE,
    LABEL_STYLE_TABLENAME_PLUS_COL,
    ColumnElement,
    Engine,
    RowMapping,
    ScalarSelect,
    Select,
    distinct,
    func,
    or_,
    select,
)

from vna_lifecycle.catalog import canonical, people
from vna_lifecycle.catalog.asking import reference, stream
from vna_lifecycle.catalog.loading import LEAST_AVAILABLE_LAST
from vna_lifecycle.catalog.people import key_of
from vna_lifecycle.catalog.schema import (
    current,
    header,
    instance,
    migration,
    part,
    patient,
    shape,
    source,
    study,
    summary,
    variant,
)
from vna_lifecycle.catalog.summary import listed_instances
from vna_lifecycle.model.inventory import Availability
from vna_lifecycle.ports import (
    Collision,
    Contradiction,
    DescriptionUse,
    Namesakes,
    Oddity,
    PatientFacts,
    SpreadSeries,
    StudyFacts,
)

KEYWORDS: Final = {
    # column of ``header``: keyword (PS3.6)
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "accession_number": "AccessionNumber",
    "issuer_of_accession_number": "IssuerOfAccessionNumberSequence",
    "study_description": "StudyDescription",
    "procedure_code": "ProcedureCodeSequence",
}
_FAR: Final = (Availability.OFFLINE, Availability.UNAVAILABLE)

_Row: TypeAlias = RowMapping


@frozen
class WaveQuestions:
    """What the latest inventories say of a wave's studies, as of the last `Catalog.refresh_studies`."""

    _engine: Engine
    _wave: str

    def studies(self) -> Iterator[StudyFacts]:
        """Every study that is listed, by label."""
        yield from map(_facts, self._rows(self._of_studies().order_by(migration.c.label)))

    def histories(self) -> Iterator[tuple[StudyFacts, ...]]:
        """Studies grouped by patient; without those that have no Patient ID."""
        query = self._of_studies().where(patient.c.patient_id != "").order_by(patient.c.id, migration.c.label)
        for _, rows in groupby(self._rows(query), key=lambda row: (row[patient.c.issuer], row[patient.c.patient_id])):
            yield tuple(map(_facts, rows))

    def issuers(self) -> Iterator[str]:
        """Every issuer that a header in the sources states."""
        there = select(patient.c.issuer).where(patient.c.issuer != "", patient.c.id.in_(_present_patients()))
        for (issuer,) in stream(self._engine, there.distinct().order_by(patient.c.issuer)):
            yield canonical.read(issuer)

    def contradictions(self) -> Iterator[Contradiction]:
        """What the headers of a study say differently, attribute by attribute."""
        columns = [patient.c.issuer, patient.c.patient_id, *(header.c[name] for name in KEYWORDS)]
        query = (
            select(study.c.uid, study.c.label, *columns)
            .join_from(summary, current, current.c.study == summary.c.study)
            .join(header, header.c.id == current.c.header)
            .join(patient, patient.c.id == header.c.patient)
            .join(study, study.c.id == summary.c.study)
            .where(summary.c.headers > 1, summary.c.study.in_(select(self._members().c.study)))
            .distinct()
            .order_by(study.c.label)
        )
        for label, rows in groupby(self._rows(query), key=lambda row: row[study.c.label]):
            yield from _contradictions(label, list(rows))

    def patients(self) -> Iterator[PatientFacts]:
        """Every patient identity of the wave, with everybody whom headers in the sources call by it."""
        return people.patients(self._engine, self._members())

    def namesakes(self) -> Iterator[Namesakes]:
        """Identities with the same ID under different issuers, then those with the same demographics."""
        yield from people.same_id(self._engine, self._members())
        yield from people.same_demographics(self._engine, self._members())

    def spread_series(self) -> Iterator[SpreadSeries]:
        """Series UIDs of the wave that several studies have."""
        members = self._members()
        ours = (
            select(variant.c.series_uid)
            .join_from(current, variant, variant.c.id == current.c.variant)
            .where(current.c.study.in_(select(members.c.study)), variant.c.series_uid != "", current.c.instances > 0)
        )
        held = (
            select(variant.c.series_uid, current.c.study)
            .join_from(current, variant, variant.c.id == current.c.variant)
            .where(current.c.instances > 0, variant.c.series_uid.in_(ours))
        )
        spread = (
            held.with_only_columns(variant.c.series_uid)
            .group_by(variant.c.series_uid)
            .having(func.min(current.c.study) != func.max(current.c.study))
        )
        found = held.where(variant.c.series_uid.in_(spread)).distinct().subquery()
        query = (
            select(found.c.series_uid, study.c.uid, study.c.label, found.c.study.in_(select(members.c.study)))
            .join_from(found, study, study.c.id == found.c.study)
            .order_by(found.c.series_uid, study.c.label)
        )
        for uid, rows in groupby(stream(self._engine, query), key=lambda row: row[0]):
            refs = [(reference(each, label), ours) for _, each, label, ours in rows]
            yield SpreadSeries(
                series_uid=canonical.read(uid),
                studies=tuple(ref for ref, ours in refs if ours),
                elsewhere=tuple(ref for ref, ours in refs if not ours),
            )

    def descriptions(self) -> Iterator[DescriptionUse]:
        """Description and procedure code with each modality of a study, as its leading header has them."""
        members = self._members()
        made = (
            select(current.c.study, variant.c.modality)
            .join_from(current, variant, variant.c.id == current.c.variant)
            .where(current.c.study.in_(select(members.c.study)), variant.c.modality != "")
            .distinct()
            .subquery()
        )
        by = (made.c.modality, header.c.study_description, header.c.procedure_code)
        query = (
            # SQLite gives ``uid`` from the row that has the least label
            select(*by, func.count(), study.c.uid, func.min(study.c.label))
            .join_from(made, summary, summary.c.study == made.c.study)
            .join(header, header.c.id == summary.c.header)
            .join(study, study.c.id == made.c.study)
            .group_by(*by)
            .order_by(*by)
        )
        for modality, description, code, studies, uid, label in stream(self._engine, query):
            yield DescriptionUse(
                modality=canonical.read(modality),
                description=canonical.read(description),
                procedure_code=canonical.read(code),
                studies=studies,
                example=reference(uid, label),
            )

    def oddities(self) -> Iterator[Oddity]:
        """Listed objects with flags, or not near."""
        far = [LEAST_AVAILABLE_LAST.index(availability) for availability in _FAR]
        odd = select(shape.c.id).where((shape.c.flags != "[]") | shape.c.availability.in_(far))
        query = (
            select(
                study.c.uid,
                study.c.label,
                instance.c.sop_instance_uid,
                source.c.archive,
                instance.c.locator,
                shape.c.flags,
                shape.c.availability,
            )
            .select_from(
                listed_instances()
                .join(shape, shape.c.id == instance.c.shape)
                .join(study, study.c.id == current.c.study)
            )
            .where(current.c.study.in_(select(self._members().c.study)), instance.c.shape.in_(odd))
            .order_by(study.c.label, instance.c.sop_instance_uid, source.c.rank, instance.c.locator)
        )
        for uid, label, sop_instance_uid, archive, locator, flags, availability in stream(self._engine, query):
            yield Oddity(
                study=reference(uid, label),
                sop_instance_uid=canonical.read(sop_instance_uid),
                archive=archive,
                locator=canonical.read(locator),
                flags=tuple(json.loads(flags)),
                availability=LEAST_AVAILABLE_LAST[availability],
            )

    def several_objects(self) -> Iterator[Collision]:
        """SOP Instance UIDs of the wave under which the sources list objects that cannot all be copies of one.

        They differ in what their headers say, in encoding or in size. Objects that differ in nothing that is listed
        are not told.
        """
        passes = select(part.c.id).join_from(part, source, source.c.inventory == part.c.inventory)
        differ = (
            func.min(instance.c.variant) != func.max(instance.c.variant),
            func.min(instance.c.shape) != func.max(instance.c.shape),
            func.min(instance.c.size) != func.max(instance.c.size),
        )
        each = (
            select(instance.c.sop_instance_uid).where(instance.c.part.in_(passes)).group_by(instance.c.sop_instance_uid)
        )
        # Sorting the UIDs alone first is several times faster than carrying what is compared through the sort.
        suspect = each.where(instance.c.sop_instance_uid.in_(each.having(func.count() > 1))).having(or_(*differ))
        query = (
            select(
                instance.c.sop_instance_uid,
                study.c.uid,
                study.c.label,
                source.c.archive,
                instance.c.locator,
                current.c.study.in_(select(self._members().c.study)).label("ours"),
            )
            .select_from(listed_instances().join(study, study.c.id == current.c.study))
            .where(instance.c.sop_instance_uid.in_(suspect))
            .order_by(instance.c.sop_instance_uid, source.c.rank, study.c.label, instance.c.locator)
        )
        for uid, found in groupby(stream(self._engine, query), key=lambda row: row[0]):
            rows = list(found)
            studies = {reference(row.uid, row.label): bool(row.ours) for row in rows}
            if any(studies.values()):
                yield Collision(
                    sop_instance_uid=canonical.read(uid),
                    studies=tuple(ref for ref, ours in studies.items() if ours),
                    elsewhere=tuple(ref for ref, ours in studies.items() if not ours),
                    copies=tuple((row.archive, canonical.read(row.locator)) for row in rows),
                    conflict=None,
                )

    # ------------------------------------------------------------------------------------------------ pieces

    def _rows(self, query: Select[*tuple[Any, ...]]) -> Iterator[_Row]:
        return (row._mapping for row in stream(self._engine, query.set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)))

    def _members(self) -> CTE:
        return (
            select(study.c.id.label("study"))
            .join_from(migration, study, study.c.label == migration.c.label)
            .where(migration.c.wave == self._wave, migration.c.wave != "")  # "": studies that no wave has
            .cte("members")
        )

    def _of_studies(self) -> Select[*tuple[Any, ...]]:
        facts = (summary.c.series, summary.c.instances, summary.c.headers, summary.c.modalities)
        return (
            select(
                migration.c.state,
                study.c.uid,
                study.c.label,
                patient.c.issuer,
                patient.c.patient_id,
                *(header.c[name] for name in KEYWORDS),
                *facts,
                _of_series("body_part"),
                _of_series("laterality"),
            )
            .join_from(migration, study, study.c.label == migration.c.label)
            .join(summary, summary.c.study == study.c.id)
            .join(header, header.c.id == summary.c.header)
            .join(patient, patient.c.id == header.c.patient)
            .where(migration.c.wave == self._wave, migration.c.wave != "")
        )


def _present_patients() -> Select[int]:
    return select(header.c.patient).where(header.c.id.in_(select(current.c.header)))


def _of_series(name: str) -> ColumnElement[Any]:
    found: ScalarSelect[Any] = (
        select(func.json_group_array(distinct(variant.c[name])))
        .join_from(current, variant, variant.c.id == current.c.variant)
        .where(current.c.study == summary.c.study, current.c.instances > 0)
        .scalar_subquery()
    )
    return found.label(name)


def _facts(row: _Row) -> StudyFacts:
    text = {name: canonical.read(row[header.c[name]]) for name in KEYWORDS}
    return StudyFacts(
        study=reference(row[study.c.uid], row[study.c.label]),
        patient=key_of(row),
        patient_name=text["patient_name"],
        patient_birth_date=text["patient_birth_date"],
        patient_sex=text["patient_sex"],
        study_date=text["study_date"],
        accession_number=text["accession_number"],
        issuer_of_accession_number=text["issuer_of_accession_number"],
        description=text["study_description"],
        procedure_code=text["procedure_code"],
        modalities=tuple(sorted(set(json.loads(row[summary.c.modalities])) - {""})),
        body_parts=tuple(sorted(json.loads(row["body_part"]))),
        lateralities=tuple(sorted(json.loads(row["laterality"]))),
        series=row[summary.c.series],
        instances=row[summary.c.instances] or 0,
        headers=row[summary.c.headers],
        state=row[migration.c.state],
    )


def _contradictions(label: str, rows: list[_Row]) -> Iterator[Contradiction]:
    ref = reference(rows[0][study.c.uid], label)
    stated: dict[str, set[str]] = {"PatientID": {f"{key_of(row).issuer}: {key_of(row).id}" for row in rows}}
    for name, keyword in KEYWORDS.items():
        stated[keyword] = {canonical.read(row[header.c[name]]) for row in rows}
    for keyword, values in stated.items():
        if len(values) > 1:
            yield Contradiction(study=ref, attribute=keyword, values=tuple(sorted(values)))
