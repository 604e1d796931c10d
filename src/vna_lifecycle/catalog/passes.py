"""Inventories and their parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update

from vna_lifecycle.catalog import canonical, schema
from vna_lifecycle.catalog.loading import Item, PartLoader
from vna_lifecycle.catalog.schema import holding, instance, inventory, part, recorded_inventory, variant
from vna_lifecycle.catalog.values import InventoryTotals, PartTotals
from vna_lifecycle.errors import StateError

_PART_TOTALS: Final = ("instances", "refused", "size", "studies", "content_sha256")
_TOTALS: Final = ("parts", "studies", "instances", "refused", "size")


def following(connection: Connection) -> int:
    """One more than any pass here or on record."""
    found = [connection.execute(select(func.max(t.c.number))).scalar() for t in (inventory, recorded_inventory)]
    return max(number or 0 for number in found) + 1


def begin(connection: Connection, number: int, archive: str) -> None:
    """Begin a pass unless it was begun."""
    found = connection.execute(select(inventory.c.archive).where(inventory.c.number == number)).scalar()
    if found is None:
        connection.execute(insert(inventory).values(number=number, archive=archive, complete=False))
    elif found != archive:
        raise StateError(f"inventory {number} is of another archive, {found}", hint="take the next number")


def parts(connection: Connection, number: int) -> frozenset[str]:
    """Keys of the recorded parts."""
    keys = connection.execute(select(part.c.key).where(part.c.inventory == number)).scalars()
    return frozenset(canonical.read(key) for key in keys)


def record(
    connection: Connection, number: int, key: str, items: Iterable[Item], label: Callable[[str], str]
) -> PartTotals:
    """Record everything in a part, in place of what was recorded of it."""
    if connection.execute(select(inventory.c.number).where(inventory.c.number == number)).first() is None:
        raise StateError(f"inventory {number} was not begun")
    known = connection.execute(select(part.c.id).where(*_same(number, key))).scalar()
    if known is None:
        added = insert(part).values(inventory=number, key=canonical.stored(key)).returning(part.c.id)
        known = connection.execute(added).scalar_one()
    else:
        for table in (instance, schema.refused):
            connection.execute(delete(table).where(table.c.part == known))
        for table in (holding, schema.claim):
            connection.execute(delete(table).where(table.c.inventory == number, table.c.part == known))
    totals = PartLoader(connection, number, known, label).load(items)
    values = {name: getattr(totals, name) for name in _PART_TOTALS}
    connection.execute(update(part).where(part.c.id == known).values(**values))
    return totals


def part_totals(connection: Connection, number: int, key: str) -> PartTotals:
    """What `record` told of a part."""
    query = select(*(part.c[name] for name in _PART_TOTALS)).where(*_same(number, key))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise StateError(f"inventory {number} has no such part")
    return PartTotals(**row)


def counted(connection: Connection, number: int) -> InventoryTotals:
    """What the parts recorded of a pass come to."""
    sums = (func.coalesce(func.sum(part.c[name]), 0) for name in ("instances", "refused", "size"))
    row = connection.execute(select(func.count(), *sums).where(part.c.inventory == number)).one()
    counts = dict(zip(("parts", "instances", "refused", "size"), row, strict=True))
    counts["studies"] = count_studies(connection, number)
    return InventoryTotals(**counts)


def complete(connection: Connection, number: int, counts: InventoryTotals) -> bool:
    """Close a pass with its totals; False if it is not here."""
    values = {name: getattr(counts, name) for name in _TOTALS}
    ended = update(inventory).where(inventory.c.number == number).values(complete=True, **values)
    return connection.execute(ended).rowcount > 0


def totals(connection: Connection, number: int) -> InventoryTotals:
    """What `complete` told of a pass; zeros before."""
    query = select(*(inventory.c[name] for name in _TOTALS)).where(inventory.c.number == number)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise StateError(f"inventory {number} was not begun")
    return InventoryTotals(**row)


def latest(connection: Connection, archive: str, *, complete: bool = True) -> int | None:
    """The number of the latest pass over an archive."""
    query = select(inventory.c.number).where(inventory.c.archive == archive)
    if complete:
        query = query.where(inventory.c.complete)
    return connection.execute(query.order_by(inventory.c.number.desc()).limit(1)).scalar()


def earlier(connection: Connection, archive: str, wanted: int) -> int | None:
    """The complete pass ``wanted`` over an archive, or else the first, if a later one is complete too."""
    query = select(inventory.c.number).where(inventory.c.archive == archive, inventory.c.complete)
    before = list(connection.execute(query.order_by(inventory.c.number)).scalars())[:-1]
    if wanted in before:
        return wanted
    return before[0] if before else None


def lost(connection: Connection, archive: str, since: int) -> bool:
    """Whether passes after ``since`` are on record that are not here: they went with an earlier catalog."""
    here = select(func.min(inventory.c.number)).where(inventory.c.archive == archive, inventory.c.complete)
    first = connection.execute(here).scalar() or 0
    gone = select(recorded_inventory.c.number).where(
        recorded_inventory.c.archive == archive, recorded_inventory.c.complete, recorded_inventory.c.number < first
    )
    return since < first and connection.execute(gone.limit(1)).first() is not None


def studies_of(number: int) -> Select[int]:
    """The distinct studies of a pass, listed or only claimed (a claim has a holding too)."""
    held = select(variant.c.study).join_from(holding, variant, variant.c.id == holding.c.variant)
    return held.where(holding.c.inventory == number).distinct()


def count_studies(connection: Connection, number: int) -> int:
    """How many distinct studies a pass found."""
    return connection.execute(select(func.count()).select_from(studies_of(number).subquery())).scalar_one()


def _same(number: int, key: str) -> tuple[ColumnElement[bool], ...]:
    return (part.c.inventory == number, part.c.key == canonical.stored(key))
