"""Recording a part of an inventory: everything in one transaction, streamed, each distinct thing stored once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from attrs import evolve
from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import sqlite

from vna_lifecycle.catalog import canonical, schema
from vna_lifecycle.catalog.values import PartTotals
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, Refused, SeriesAttributes, StudyRecord

Item: TypeAlias = StudyRecord | InstanceRecord | Refused
Row: TypeAlias = tuple[object, ...]

BATCH: Final = 5_000
LEAST_AVAILABLE_LAST: Final = (
    Availability.UNKNOWN,
    Availability.ONLINE,
    Availability.NEARLINE,
    Availability.OFFLINE,
    Availability.UNAVAILABLE,
)
STRONGEST_FIRST: Final = tuple(Basis)
_RANK: Final = {availability.name: rank for rank, availability in enumerate(LEAST_AVAILABLE_LAST)}
FINGERPRINTS: Final = 1 << 40  # their sums over 8 million parts fit a 64-bit integer


def rank(availability: Availability) -> int:
    """Position in `LEAST_AVAILABLE_LAST`."""
    return _RANK[availability.name]


def statement(table: Table, names: Sequence[str], *, returning: bool = False) -> str:
    """An INSERT of ``names`` into ``table`` with positional parameters, for the driver."""
    sql = insert(table)
    if returning:
        sql = sql.returning(table.c.id)
    return str(sql.compile(dialect=sqlite.dialect(paramstyle="qmark"), column_keys=list(names)))


def _bulk(table: Table) -> str:
    return statement(table, [column.name for column in table.columns])


_INSTANCES: Final = _bulk(schema.instance)
_HOLDINGS: Final = _bulk(schema.holding)
_CLAIMS: Final = _bulk(schema.claim)
_REFUSED: Final = _bulk(schema.refused)
_INTERNED: Final = {
    # table: (look it up, add it)
    table.name: (
        f"SELECT id FROM {table.name} WHERE " + " AND ".join(f"{name}=?" for name in by),  # noqa: S608 - own names only
        statement(table, [column.name for column in table.columns if column.name != "id"], returning=True),
    )
    for table, by in (
        (schema.study, ("uid",)),
        (schema.patient, ("issuer", "patient_id")),
        (schema.header, ("digest",)),
        (schema.variant, ("digest",)),
        (schema.shape, ("digest",)),
    )
}


class _Variant:
    """A variant within the part being recorded, and what the part holds of it."""

    __slots__ = ("availability", "fingerprint", "id", "instances", "key", "repeats", "size", "unsized")

    def __init__(self, identity: int, digest: str) -> None:
        self.id = identity
        self.key = digest
        self.instances = self.repeats = self.size = self.unsized = self.availability = self.fingerprint = 0


class PartLoader:
    """Writes one part. ``label`` gives a study's short label.

    Known objects are remembered for this part only: memory is bounded by the part.
    """

    def __init__(self, connection: Connection, inventory: int, part: int, label: Callable[[str], str]) -> None:
        self._connection = connection
        self._inventory = inventory
        self._part = part
        self._label = label
        self._ids: dict[tuple[str, object], int] = {}
        self._variants: dict[SeriesAttributes, _Variant] = {}
        self._shapes: dict[Row, tuple[int, str, str]] = {}
        self._seen: set[str] = set()
        self._digests: list[bytes] = []
        self._instances: list[Row] = []
        self._claims: list[Row] = []
        self._refused: list[Row] = []
        self._claim_count = self._refused_count = 0

    def load(self, items: Iterable[Item]) -> PartTotals:
        """Write every item, and give the totals."""
        last_series, variant = None, None
        for item in items:
            if isinstance(item, InstanceRecord):
                if variant is None or item.series is not last_series:  # adapters share one object per series
                    last_series, variant = item.series, self._variant(item.series)
                self._add_instance(item, variant)
            elif isinstance(item, StudyRecord):
                self._add_claim(item)
            else:
                self._add_refused(item)
        self._flush()
        holdings = [
            (
                self._inventory,
                self._part,
                v.id,
                v.instances,
                v.repeats,
                v.size,
                v.unsized,
                v.availability,
                v.fingerprint,
            )
            for v in self._variants.values()
        ]
        self._many(_HOLDINGS, sorted(holdings))
        self._digests.sort()
        return PartTotals(
            instances=sum(variant.instances for variant in self._variants.values()),
            refused=self._refused_count,
            size=sum(variant.size for variant in self._variants.values()),
            studies=self._claim_count,
            content_sha256=hashlib.sha256(b"".join(self._digests)).hexdigest(),
        )

    def _add_instance(self, item: InstanceRecord, variant: _Variant) -> None:
        locator, uid, size = item.locator, item.sop_instance_uid, item.size
        availability = _RANK[item.availability.name]
        facts = (item.sop_class_uid, item.transfer_syntax, item.rows, item.columns, item.frames)
        shape, shape_key, content = self._shape(facts, availability, item.flags)
        repeated = uid in self._seen
        if not repeated:
            self._seen.add(uid)
        variant.instances += 1
        variant.repeats += repeated
        variant.availability = max(variant.availability, availability)
        if size is None:
            variant.unsized += 1
        else:
            variant.size += size
        # What the object is, apart from where it lies and how near: equal sums mean that none came, went or grew.
        marked = f"{uid}\n{size}\n{content}".encode("utf-8", "surrogatepass")
        mark = int.from_bytes(hashlib.blake2b(marked, digest_size=5).digest(), "big")
        variant.fingerprint = (variant.fingerprint + mark) % FINGERPRINTS
        row = f"{len(locator)}:{locator}{len(uid)}:{uid}{size},{item.instance_number},{shape_key}{variant.key}"
        self._digests.append(hashlib.sha256(row.encode("utf-8", "surrogatepass")).digest())
        position = len(self._digests)
        self._instances.append(
            (
                self._part,
                variant.id,
                position,
                shape,
                locator if locator.isascii() else canonical.stored(locator),
                uid if uid.isascii() else canonical.stored(uid),
                size,
                item.instance_number,
            )
        )
        if len(self._instances) >= BATCH:
            self._flush()

    def _add_claim(self, item: StudyRecord) -> None:
        attributes = SeriesAttributes(
            patient_id=item.patient.id,
            issuer_of_patient_id=item.patient.issuer,
            patient_name=item.patient_name,
            patient_birth_date=item.patient_birth_date,
            patient_sex=item.patient_sex,
            study_uid=item.study_uid,
            study_id=item.study_id,
            study_date=item.study_date,
            study_time=item.study_time,
            accession_number=item.accession_number,
            issuer_of_accession_number=item.issuer_of_accession_number,
            study_description=item.description,
            procedure_code=item.procedure_code,
        )
        study, header, header_key = self._header(attributes)
        for modality in item.modalities or ("",):
            self._variant(evolve(attributes, modality=modality))
        counts = (item.series_count, item.instance_count, item.size)
        modalities = json.dumps(item.modalities)
        availability = rank(item.availability)
        text = ("study", modalities, *map(str, counts), item.availability.name, item.basis.value, header_key)
        self._digests.append(hashlib.sha256(canonical.packed(*text)).digest())
        position = len(self._digests)
        self._claim_count += 1
        basis = STRONGEST_FIRST.index(item.basis)
        self._claims.append(
            (self._inventory, self._part, position, study, header, modalities, *counts, availability, basis)
        )
        if len(self._claims) >= BATCH:
            self._flush()

    def _add_refused(self, item: Refused) -> None:
        text = ("refused", item.locator, item.code, item.reason, str(item.offset), str(item.size))
        self._digests.append(hashlib.sha256(canonical.packed(*text)).digest())
        self._refused_count += 1
        stored = map(canonical.stored, (item.locator, item.code, item.reason))
        self._refused.append((self._part, len(self._digests), *stored, item.offset, item.size))
        if len(self._refused) >= BATCH:
            self._flush()

    def _variant(self, series: SeriesAttributes) -> _Variant:
        known = self._variants.get(series)
        if known is None:
            study, header, header_key = self._header(series)
            texts = [getattr(series, name) for name in schema.SERIES_TEXTS]
            digest = canonical.key(header_key, *texts)
            identity = self._id("variant", (digest,), (digest, study, header, *map(canonical.stored, texts)))
            known = self._variants[series] = _Variant(identity, digest.hex())
        return known

    def _header(self, series: SeriesAttributes) -> tuple[int, int, str]:
        uid = canonical.stored(series.study_uid)
        study = self._id("study", (uid,), (uid, self._label(series.study_uid)))
        person = (canonical.stored(series.issuer_of_patient_id), canonical.stored(series.patient_id))
        patient = self._id("patient", person, person)
        texts = [getattr(series, name) for name in schema.HEADER_TEXTS]
        digest = canonical.key(series.study_uid, series.issuer_of_patient_id, series.patient_id, *texts)
        day, clock = canonical.day(series.study_date), canonical.clock(series.study_time)
        derived = (day, clock, canonical.folded(series.study_description))
        row = (digest, study, patient, *map(canonical.stored, texts), *derived)
        return study, self._id("header", (digest,), row), digest.hex()

    def _shape(self, facts: Row, availability: int, flags: tuple[str, ...]) -> tuple[int, str, str]:
        key = (facts, availability, flags)
        known = self._shapes.get(key)
        if known is None:
            content = canonical.packed(*map(str, facts)).decode("utf-8", "surrogatepass")
            words = json.dumps(flags)
            digest = canonical.key(content, str(availability), words)
            texts = [canonical.stored(fact) if isinstance(fact, str) else fact for fact in facts]
            identity = self._id("shape", (digest,), (digest, *texts, availability, words))
            known = self._shapes[key] = (identity, digest.hex(), content)
        return known

    def _id(self, table: str, by: Row, row: Row) -> int:
        """The id of the row that is found by ``by``, added if it is new."""
        known = self._ids.get((table, by))
        if known is None:
            look_up, add = _INTERNED[table]
            known = self._connection.exec_driver_sql(look_up, by).scalar()
            if known is None:
                known = self._connection.exec_driver_sql(add, row).scalar_one()
            self._ids[table, by] = known
        return known

    def _flush(self) -> None:
        for sql, rows in ((_INSTANCES, self._instances), (_CLAIMS, self._claims), (_REFUSED, self._refused)):
            self._many(sql, rows)
            rows.clear()

    def _many(self, sql: str, rows: list[Row]) -> None:
        if rows:
            self._connection.exec_driver_sql(sql, rows)
