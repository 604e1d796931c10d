"""The ledger's tables, and the reading of event rows in flat memory.

An event row carries the perfect subtrees that its leaf completes: ``tree`` is their SHA-256 hashes one after another,
the leaf's own first. So the Merkle tree needs no rows of its own, and any subtree is found by one primary key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from vna_lifecycle.database import Schema
from vna_lifecycle.errors import LedgerCorrupt

_APPLICATION_ID: Final = 0x564E414C  # "VNAL"
_VERSION: Final = 1
_PRAGMAS: Final = {"cache_size": -32_000}  # KiB: the index of keys is looked up all over

metadata: Final = MetaData()
_Number: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row id must be spelled INTEGER

events: Final = Table(
    "events",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("tree", LargeBinary, nullable=False),
)
keys: Final = Table(
    "keys",  # the idempotency keys of the events before ``head.indexed``; see keys.py
    metadata,
    Column("digest", _Number, primary_key=True, autoincrement=False),
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
head: Final = Table(
    "head",  # one row
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("size", _Number, nullable=False),
    Column("root", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("epoch", _Number, nullable=False),
    Column("indexed", _Number, nullable=False),
)
cursors: Final = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", _Number, nullable=False),
)

_TRIGGERS: Final = (
    "CREATE TRIGGER events_keep BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE TRIGGER events_stay BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    # INSERT OR REPLACE would delete first, and fires no delete trigger in other people's connections
    """CREATE TRIGGER events_once BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE sequence = NEW.sequence)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER head_keep BEFORE UPDATE OF id, origin, public_key ON head
    BEGIN SELECT RAISE(ABORT, 'the origin is fixed'); END""",
    "CREATE TRIGGER head_stay BEFORE DELETE ON head BEGIN SELECT RAISE(ABORT, 'the head stays'); END",
)

_ROWS: Final = text(
    "SELECT sequence, key, body, tree FROM events WHERE sequence >= :start AND sequence < :stop ORDER BY sequence"
)
_TREE: Final = text("SELECT tree FROM events WHERE sequence = :sequence")
_HEAD: Final = text("SELECT origin, public_key, size, root, note, epoch, indexed FROM head WHERE id = 1")
_CHUNK: Final = 1000


class Head(NamedTuple):
    """The one row of ``head``.

    The ledger's identity; its present end and the signature over it; the lease's epoch; how far keys are indexed.
    """

    origin: str
    public_key: str
    size: int
    root: str
    note: str
    epoch: int = 0
    indexed: int = 0


class EventRow(NamedTuple):
    """An event as stored. Types are what the database gives: after tampering, anything."""

    sequence: int
    key: str
    body: bytes
    tree: bytes


def schema(create: Callable[[Connection], object]) -> Schema:
    """What a ledger's database is known by; ``create`` makes it where there is none."""
    return Schema(
        name="ledger",
        application_id=_APPLICATION_ID,
        version=_VERSION,
        create=create,
        corrupt=LedgerCorrupt,
        pragmas=_PRAGMAS,
    )


def create(connection: Connection, *, head_row: Head) -> None:
    """Make the tables, the triggers that refuse change, and the head."""
    metadata.create_all(connection)
    for trigger in _TRIGGERS:
        connection.exec_driver_sql(trigger)
    connection.execute(head.insert(), {"id": 1, **head_row._asdict()})


def read_head(connection: Connection) -> Head:
    """The head.

    Raises:
        LedgerCorrupt: it is not there, or not a head.
    """
    row = connection.execute(_HEAD).one_or_none()
    if row is None or [type(value) for value in row] != [str, str, int, str, str, int, int]:
        raise LedgerCorrupt("the ledger's head is damaged")
    return Head(*row)


def read_rows(connection: Connection, start: int, stop: int) -> Iterator[EventRow]:
    """Event rows from ``start`` up to ``stop`` in order, a chunk at a time.

    Raises:
        LedgerCorrupt: the database cannot read a row; ``sequence`` is exact.
    """
    step = _CHUNK
    while start < stop:
        try:
            chunk = connection.execute(_ROWS, {"start": start, "stop": min(start + step, stop)}).all()
        except LedgerCorrupt as exc:
            if step == 1:
                raise LedgerCorrupt(str(exc), sequence=start, hint=exc.hint) from exc
            step = 1  # again, row by row, to give the good ones before the damage
            continue
        for row in chunk:
            yield EventRow(*row)
        start += step


def read_subtree(connection: Connection, level: int, position: int) -> bytes:
    """The hash of a perfect subtree (level, position), from the row of its last leaf.

    Raises:
        LedgerCorrupt: that row is missing or short.
    """
    last = (position + 1 << level) - 1
    tree = connection.execute(_TREE, {"sequence": last}).scalar_one_or_none()
    part = tree[32 * level : 32 * (level + 1)] if isinstance(tree, bytes) else b""
    if len(part) != 32:
        raise LedgerCorrupt(f"event {last} is missing or damaged", sequence=last)
    return part
