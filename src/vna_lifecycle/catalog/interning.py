"""Each distinct study, patient, header, variant and shape is stored once: found or added in bulk, by its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.dialects.sqlite import insert as upsert

from vna_lifecycle.catalog import canonical, schema
from vna_lifecycle.errors import StorageError
from vna_lifecycle.model.inventory import SeriesAttributes

Value: TypeAlias = str | bytes | int | None
Facts: TypeAlias = tuple[str, str, int | None, int | None, int | None]
Row: TypeAlias = tuple[Value, ...]

_AT_ONCE: Final = 200


def statement(table: Table) -> str:
    """An INSERT of whole rows (an ``id`` apart) with positional parameters, for the driver; what is known stays."""
    names = [column.name for column in table.columns if column.name != "id"]
    sql = upsert(table)
    if "id" in table.c:
        sql = sql.on_conflict_do_nothing()
    return str(sql.compile(dialect=dialect(paramstyle="qmark"), column_keys=names))


_ADD: Final = {
    table.name: statement(table)
    for table in (schema.study, schema.patient, schema.header, schema.variant, schema.shape)
}


class Entry:
    """A variant of the part being recorded, and what the part holds of it.

    ``id`` is set by `Interner.resolve`; ``key`` is its digest in hexadecimal.
    """

    __slots__ = ("availability", "fingerprint", "id", "instances", "key", "repeats", "size", "unsized")

    def __init__(self, key: str) -> None:
        self.id = 0
        self.key = key
        self.instances = self.repeats = self.size = self.unsized = self.availability = self.fingerprint = 0


class Shape:
    """What many instances of the part have in common. ``content`` tells it apart from how near they are."""

    __slots__ = ("content", "id", "key", "row")

    def __init__(self, key: str, content: str, row: Row) -> None:
        self.id = 0
        self.key = key
        self.content = content
        self.row = row


class Interner:
    """Variants, headers and shapes of one part by what they say; memory is bounded by the part."""

    def __init__(self, connection: Connection, label: Callable[[str], str]) -> None:
        self._connection = connection
        self._label = label
        self.variants: dict[SeriesAttributes, Entry] = {}
        self.headers: dict[bytes, tuple[int, int]] = {}
        """Ids of study and header, by a header's digest; set by `resolve`."""
        self._shapes: dict[tuple[Facts, int, tuple[str, ...]], Shape] = {}
        self._new_headers: dict[bytes, SeriesAttributes] = {}
        self._new_variants: list[tuple[bytes, bytes, list[str], Entry]] = []
        self._new_shapes: list[Shape] = []

    def variant(self, series: SeriesAttributes) -> Entry:
        """The entry of a variant."""
        known = self.variants.get(series)
        if known is None:
            header = self.header(series)
            texts = [getattr(series, name) for name in schema.SERIES_TEXTS]
            digest = canonical.key(header.hex(), *texts)
            known = self.variants[series] = Entry(digest.hex())
            self._new_variants.append((digest, header, texts, known))
        return known

    def header(self, series: SeriesAttributes) -> bytes:
        """The digest of a header: all that ``series`` says about patient and study."""
        texts = [getattr(series, name) for name in schema.HEADER_TEXTS]
        digest = canonical.key(series.study_uid, series.issuer_of_patient_id, series.patient_id, *texts)
        if digest not in self.headers:
            self._new_headers[digest] = series
        return digest

    def shape(self, facts: Facts, availability: int, flags: tuple[str, ...]) -> Shape:
        """The shape of instances with these facts (SOP Class, Transfer Syntax, rows, columns, frames)."""
        key = (facts, availability, flags)
        known = self._shapes.get(key)
        if known is None:
            content = canonical.packed(*map(str, facts)).decode("utf-8", "surrogatepass")
            words = json.dumps(flags)
            digest = canonical.key(content, str(availability), words)
            texts = [canonical.stored(fact) if isinstance(fact, str) else canonical.number(fact) for fact in facts]
            known = self._shapes[key] = Shape(digest.hex(), content, (digest, *texts, availability, words))
            self._new_shapes.append(known)
        return known

    def resolve(self) -> None:
        """Store what is new, and set the ids of all that was asked for since the last time."""
        if self._new_headers:
            self._resolve_headers()
        rows: dict[Row, Row] = {}
        for digest, header, texts, _ in self._new_variants:
            rows[(digest,)] = (digest, *self.headers[header], *map(canonical.stored, texts))
        variants = self._ids(schema.variant, ("digest",), rows)
        for digest, _, _, entry in self._new_variants:
            entry.id = variants[(digest,)]
        shapes = self._ids(schema.shape, ("digest",), {(shape.row[0],): shape.row for shape in self._new_shapes})
        for shape in self._new_shapes:
            shape.id = shapes[(shape.row[0],)]
        self._new_headers, self._new_variants, self._new_shapes = {}, [], []

    def _resolve_headers(self) -> None:
        new = self._new_headers
        uids = {canonical.stored(series.study_uid): series.study_uid for series in new.values()}
        studies = self._ids(schema.study, ("uid",), {(key,): (key, self._label(uid)) for key, uid in uids.items()})
        persons: dict[Row, Row] = {_person(series): _person(series) for series in new.values()}
        patients = self._ids(schema.patient, ("issuer", "patient_id"), persons)
        owners: dict[bytes, int] = {}
        rows: dict[Row, Row] = {}
        for digest, series in new.items():
            texts = [canonical.stored(getattr(series, name)) for name in schema.HEADER_TEXTS]
            owners[digest] = studies[(canonical.stored(series.study_uid),)]
            ids = (owners[digest], patients[_person(series)])
            day, clock = canonical.day(series.study_date), canonical.clock(series.study_time)
            rows[(digest,)] = (digest, *ids, *texts, day, clock, canonical.folded(series.study_description))
        headers = self._ids(schema.header, ("digest",), rows)
        for digest, study in owners.items():
            self.headers[digest] = (study, headers[(digest,)])

    def _ids(self, table: Table, by: Sequence[str], rows: Mapping[Row, Row]) -> dict[Row, int]:
        """Ids by key; rows whose key is not known yet are added."""
        if not rows:
            return {}
        self._connection.exec_driver_sql(_ADD[table.name], list(rows.values()))
        keys = list(rows)
        one = f"({','.join('?' * len(by))})"
        query = (
            f"SELECT id, {','.join(by)} FROM {table.name} "  # noqa: S608 - our own names, and question marks
            f"WHERE ({','.join(by)}) IN (VALUES {','.join([one] * min(_AT_ONCE, len(keys)))})"
        )
        found: dict[Row, int] = {}
        for start in range(0, len(keys), _AT_ONCE):
            chunk = keys[start : start + _AT_ONCE]
            chunk += chunk[-1:] * (min(_AT_ONCE, len(keys)) - len(chunk))  # one statement for all chunks
            flat = tuple(value for key in chunk for value in key)
            for identity, *key in self._connection.exec_driver_sql(query, flat):
                found[tuple(key)] = identity
        if len(found) < len(keys):
            raise StorageError(
                "two studies have the same short label, so the catalog cannot hold both",
                hint="begin the program anew: its labels come from a key that is drawn at its start",
            )
        return found


def _person(series: SeriesAttributes) -> Row:
    return canonical.stored(series.issuer_of_patient_id), canonical.stored(series.patient_id)
