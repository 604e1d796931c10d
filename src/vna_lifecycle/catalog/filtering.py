"""`StudyFilter` as SQL conditions on ``summary``.

A study whose headers disagree is found under every patient, issuer and description that any of its headers states, so
that an exclusion cannot be missed; dates are those of its leading header.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator

from sqlalchemy import Column, ColumnElement, Connection, Select, false, insert, or_, select

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.loading import rank
from vna_lifecycle.catalog.schema import current, header, patient, pick, source, study, summary, variant
from vna_lifecycle.model.wave import StudyFilter


class Picks:
    """Lists of values to choose from, kept in a table: of any length, and no limit of parameters is met."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def __call__(self, values: Iterable[str]) -> Select[str]:
        """A query that gives ``values``."""
        number = next(self._numbers)
        rows = [{"list": number, "value": canonical.stored(value)} for value in sorted(set(values))]
        self._connection.execute(insert(pick), rows)
        return select(pick.c.value).where(pick.c.list == number)


def conditions(wanted: StudyFilter, picks: Picks) -> Iterator[ColumnElement[bool]]:
    """Every condition that ``wanted`` states; all must hold."""
    yield from _by_text(wanted, picks)
    if wanted.availability:
        yield summary.c.availability.in_(sorted(map(rank, wanted.availability)))
    if wanted.studied is not None:
        yield summary.c.day.is_not(None)
        if wanted.studied.first is not None:
            yield summary.c.day >= _da(wanted.studied.first)
        if wanted.studied.last is not None:
            yield summary.c.day <= _da(wanted.studied.last)
    if wanted.undated is not None:
        yield summary.c.day.is_(None) if wanted.undated else summary.c.day.is_not(None)
    if wanted.min_instances is not None:
        yield summary.c.instances >= wanted.min_instances
    if wanted.max_instances is not None:
        yield summary.c.instances <= wanted.max_instances
    if wanted.min_bytes is not None:  # what is known suffices
        yield summary.c.size >= wanted.min_bytes
    if wanted.max_bytes is not None:
        yield summary.c.size <= wanted.max_bytes
        yield summary.c.unsized == 0


def _by_text(wanted: StudyFilter, picks: Picks) -> Iterator[ColumnElement[bool]]:
    series = current.join(variant, variant.c.id == current.c.variant)
    headers = current.join(header, header.c.id == current.c.header)
    persons = headers.join(patient, patient.c.id == header.c.patient)
    sources = current.join(source, source.c.rank == current.c.source)
    for values, column, tables in (
        (wanted.sources, source.c.archive, sources),
        (wanted.modalities, variant.c.modality, series),
        (wanted.body_parts, variant.c.body_part, series),
        (wanted.issuers, patient.c.issuer, persons),
        (wanted.patient_ids, patient.c.patient_id, persons),
    ):
        if values:
            yield summary.c.study.in_(select(current.c.study).select_from(tables).where(column.in_(picks(values))))
    if wanted.studies:
        yield summary.c.study.in_(select(study.c.id).where(study.c.uid.in_(picks(wanted.studies))))
    if wanted.descriptions:
        described = or_(false(), *(_alike(header.c.description_key, pattern) for pattern in wanted.descriptions))
        yield summary.c.study.in_(select(current.c.study).select_from(headers).where(described))


def _alike(column: Column[str], pattern: str) -> ColumnElement[bool]:
    escaped = canonical.folded(pattern)
    for literal in "\\%_":
        escaped = escaped.replace(literal, f"\\{literal}")
    return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")


def _da(day: dt.date) -> str:
    return day.isoformat().replace("-", "")
