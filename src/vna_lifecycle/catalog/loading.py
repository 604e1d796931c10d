"""Recording a part of an inventory: everything in one transaction, streamed, each distinct thing stored once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from attrs import evolve
from sqlalchemy import Connection

from vna_lifecycle.catalog import canonical, schema
from vna_lifecycle.catalog.interning import Entry, Interner, Row, Shape, statement
from vna_lifecycle.catalog.values import PartTotals
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, Refused, StudyRecord

Item: TypeAlias = StudyRecord | InstanceRecord | Refused

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


_INSTANCES: Final = statement(schema.instance)
_HOLDINGS: Final = statement(schema.holding)
_CLAIMS: Final = statement(schema.claim)
_REFUSED: Final = statement(schema.refused)


class PartLoader:
    """Writes one part. ``label`` gives a study's short label.

    Known objects are remembered for this part only: memory is bounded by the part.
    """

    def __init__(self, connection: Connection, inventory: int, part: int, label: Callable[[str], str]) -> None:
        self._connection = connection
        self._inventory = inventory
        self._part = part
        self._known = Interner(connection, label)
        self._seen: set[str] = set()
        self._digests: list[bytes] = []
        self._instances: list[tuple[Entry, int, Shape, str | bytes, str | bytes, int | None, int | None]] = []
        self._claims: list[tuple[int, bytes, str, int | None, int | None, int | None, int, int]] = []
        self._refused: list[Row] = []
        self._claim_count = self._refused_count = 0

    def load(self, items: Iterable[Item]) -> PartTotals:
        """Write every item, and give the totals."""
        last_series, variant = None, None
        for item in items:
            if isinstance(item, InstanceRecord):
                if variant is None or item.series is not last_series:  # adapters share one object per series
                    last_series, variant = item.series, self._known.variant(item.series)
                self._add_instance(item, variant)
            elif isinstance(item, StudyRecord):
                self._add_claim(item)
            else:
                self._add_refused(item)
        self._flush()
        held = self._known.variants.values()
        counts = sorted((entry.id, *(getattr(entry, name) for name in schema.HOLDING_COUNTS)) for entry in held)
        if counts:
            rows = [(self._inventory, self._part, *row) for row in counts]
            self._connection.exec_driver_sql(_HOLDINGS, rows)
        self._digests.sort()
        return PartTotals(
            instances=sum(entry.instances for entry in held),
            refused=self._refused_count,
            size=sum(entry.size for entry in held),
            studies=self._claim_count,
            content_sha256=hashlib.sha256(b"".join(self._digests)).hexdigest(),
        )

    def _add_instance(self, item: InstanceRecord, variant: Entry) -> None:
        locator, uid, size = item.locator, item.sop_instance_uid, canonical.size(item.size)
        number = canonical.number(item.instance_number)
        availability = _RANK[item.availability.name]
        facts = (item.sop_class_uid, item.transfer_syntax, item.rows, item.columns, item.frames)
        shape = self._known.shape(facts, availability, item.flags)
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
        marked = f"{uid}\n{size}\n{shape.content}".encode("utf-8", "surrogatepass")
        mark = int.from_bytes(hashlib.blake2b(marked, digest_size=5).digest(), "big")
        variant.fingerprint = (variant.fingerprint + mark) % FINGERPRINTS
        row = f"{len(locator)}:{locator}{len(uid)}:{uid}{size},{number},{shape.key}{variant.key}"
        self._digests.append(hashlib.sha256(row.encode("utf-8", "surrogatepass")).digest())
        position = len(self._digests)
        self._instances.append(
            (
                variant,
                position,
                shape,
                locator if locator.isascii() else canonical.stored(locator),
                uid if uid.isascii() else canonical.stored(uid),
                size,
                number,
            )
        )
        if len(self._instances) >= BATCH:
            self._flush()

    def _add_claim(self, item: StudyRecord) -> None:
        attributes = item.series()
        header = self._known.header(attributes)
        for modality in item.modalities or ("",):
            self._known.variant(evolve(attributes, modality=modality))
        counts = (canonical.number(item.series_count), canonical.number(item.instance_count), canonical.size(item.size))
        modalities = json.dumps(item.modalities)
        availability = rank(item.availability)
        text = ("study", modalities, *map(str, counts), item.availability.name, item.basis.value, header.hex())
        self._digests.append(hashlib.sha256(canonical.packed(*text)).digest())
        self._claim_count += 1
        basis = STRONGEST_FIRST.index(item.basis)
        self._claims.append((len(self._digests), header, modalities, *counts, availability, basis))
        if len(self._claims) >= BATCH:
            self._flush()

    def _add_refused(self, item: Refused) -> None:
        text = ("refused", item.locator, item.code, item.reason, str(item.offset), str(item.size))
        self._digests.append(hashlib.sha256(canonical.packed(*text)).digest())
        self._refused_count += 1
        stored = map(canonical.stored, (item.locator, item.code, item.reason))
        self._refused.append(
            (self._part, len(self._digests), *stored, canonical.size(item.offset) or 0, canonical.size(item.size))
        )
        if len(self._refused) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        self._known.resolve()
        part, headers = self._part, self._known.headers
        instances: list[Row] = [
            (part, variant.id, at, shape.id, *rest) for variant, at, shape, *rest in self._instances
        ]
        claims: list[Row] = [(self._inventory, part, at, *headers[key], *rest) for at, key, *rest in self._claims]
        for sql, rows in ((_INSTANCES, instances), (_CLAIMS, claims), (_REFUSED, self._refused)):
            if rows:
                self._connection.exec_driver_sql(sql, rows)
        self._instances, self._claims, self._refused = [], [], []
