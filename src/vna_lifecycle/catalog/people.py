"""Who is named by which patient identity, over the latest inventories: streamed in SQL, grouped as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, TypeAlias

from sqlalchemy import CTE, LABEL_STYLE_TABLENAME_PLUS_COL, Engine, RowMapping, Select, func, select

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.asking import reference, stream
from vna_lifecycle.catalog.schema import current, header, patient, study
from vna_lifecycle.model.identity import PatientKey, StudyRef
from vna_lifecycle.policy.person import Person, same_people
from vna_lifecycle.ports import Demographics, Namesakes, PatientFacts

_Row: TypeAlias = RowMapping


def key_of(row: _Row) -> PatientKey:
    """The patient identity of a row that has the columns of ``patient``."""
    return PatientKey(issuer=canonical.read(row[patient.c.issuer]), id=canonical.read(row[patient.c.patient_id]))


def patients(engine: Engine, members: CTE) -> Iterator[PatientFacts]:
    """Every patient identity of the members' studies, with everybody whom headers in the sources call by it."""
    theirs = header.c.patient.in_(_patients(members))
    query = _people(members).where(theirs, patient.c.patient_id != "").order_by(header.c.patient, study.c.label)
    return _grouped(_rows(engine, query))


def same_id(engine: Engine, members: CTE) -> Iterator[Namesakes]:
    """Identities with the same Patient ID under different issuers, at least one of them of the members' studies."""
    several = select(patient.c.patient_id).group_by(patient.c.patient_id).having(func.count() > 1)
    ours = select(patient.c.patient_id).where(patient.c.id.in_(_patients(members)), patient.c.patient_id != "")
    query = _people(members).where(patient.c.patient_id.in_(several), patient.c.patient_id.in_(ours))
    ordered = query.order_by(patient.c.patient_id, patient.c.issuer, study.c.label)
    for _, rows in groupby(_rows(engine, ordered), key=lambda row: row[patient.c.patient_id]):
        found = tuple(_grouped(rows))
        if len(found) > 1 and any(each.studies for each in found):
            yield Namesakes(same="id", patients=found)


def same_demographics(engine: Engine, members: CTE) -> Iterator[Namesakes]:
    """Identities that name the same person, at least one of them of the members' studies; needs a birth date."""
    stated = (patient.c.patient_id != "", header.c.patient_birth_date != "", header.c.patient_name != "")
    ours = (
        select(header.c.patient_birth_date)
        .join_from(current, header, header.c.id == current.c.header)
        .where(current.c.study.in_(select(members.c.study)))
    )
    query = _people(members).where(*stated, header.c.patient_birth_date.in_(ours))
    ordered = query.order_by(header.c.patient_birth_date, header.c.patient, study.c.label)
    for _, rows in groupby(_rows(engine, ordered), key=lambda row: row[header.c.patient_birth_date]):
        found = list(_grouped(rows))
        for group in same_people([[_person(each) for each in one.named] for one in found]):
            alike = tuple(found[number] for number in group)
            if any(each.studies for each in alike):
                yield Namesakes(same="demographics", patients=alike)


def _rows(engine: Engine, query: Select[*tuple[Any, ...]]) -> Iterator[_Row]:
    return (row._mapping for row in stream(engine, query.set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)))


def _patients(members: CTE) -> Select[int]:
    return (
        select(header.c.patient)
        .join_from(current, header, header.c.id == current.c.header)
        .where(current.c.study.in_(select(members.c.study)))
    )


def _people(members: CTE) -> Select[*tuple[Any, ...]]:
    """Who is named by which identity in which study; ``ours`` says whether that is one of the members'."""
    here = select(current.c.study).where(current.c.study == header.c.study, current.c.header == header.c.id)
    return (
        select(
            header.c.patient,
            patient.c.issuer,
            patient.c.patient_id,
            header.c.patient_name,
            header.c.patient_birth_date,
            header.c.patient_sex,
            study.c.uid,
            study.c.label,
            header.c.study.in_(select(members.c.study)).label("ours"),
        )
        .join_from(header, patient, patient.c.id == header.c.patient)
        .join(study, study.c.id == header.c.study)
        .where(here.exists())
    )


def _grouped(rows: Iterable[_Row]) -> Iterator[PatientFacts]:
    """One patient identity after the other; the rows come in their order."""
    for _, group in groupby(rows, key=lambda row: row[header.c.patient]):
        first, *others = group
        named: set[Demographics] = set()
        studies: dict[str, StudyRef] = {}
        for row in (first, *others):
            named.add(_demographics(row))
            if row["ours"]:
                studies[row[study.c.label]] = reference(row[study.c.uid], row[study.c.label])
        yield PatientFacts(
            patient=key_of(first), named=tuple(sorted(named, key=_person)), studies=tuple(studies.values())
        )


def _demographics(row: _Row) -> Demographics:
    return Demographics(
        name=canonical.read(row[header.c.patient_name]),
        birth_date=canonical.read(row[header.c.patient_birth_date]),
        sex=canonical.read(row[header.c.patient_sex]),
    )


def _person(named: Demographics) -> Person:
    return Person(named.name, named.birth_date, named.sex)
