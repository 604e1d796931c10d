"""Batches that a target imports by jobs, as folded from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import frozen
from sqlalchemy import Connection, Engine, insert, select, update

from vna_lifecycle.catalog.asking import stream
from vna_lifecycle.catalog.schema import batch
from vna_lifecycle.model import event as on_record

UNRESOLVED: Final = ("closed", "submitted")
"""Everything is staged, and the answer is not on record."""


@frozen(kw_only=True)
class BatchLine:
    """A batch as the ledger tells it. ``state``: open, closed, submitted or ended; refs are vault addresses.

    Counts of answers are 0 until it ended; ``size`` is bytes, times are UTC in ISO 8601.
    """

    batch: str
    wave: str
    state: str
    opened: str
    ended: str
    studies: int
    instances: int
    size: int
    job: str
    stored: int
    already_present: int
    refused: int
    unaccounted: int
    warnings: int
    members_ref: str
    results_ref: str


def apply(connection: Connection, recorded: on_record.RecordedEvent) -> bool:
    """Whether the event was about a batch."""
    match recorded.event:
        case on_record.BatchOpened() as event:
            row = {"batch": event.batch, "wave": event.wave, "state": "open", "opened": recorded.time}
            connection.execute(insert(batch).values(sequence=recorded.sequence, **row))
        case on_record.BatchClosed() as event:
            _set(connection, event.batch, "closed", event, "studies", "instances", "size", "members_ref")
        case on_record.JobSubmitted() as event:
            _set(connection, event.batch, "submitted", event, "job")
        case on_record.BatchEnded() as event:
            counts = ("stored", "already_present", "refused", "unaccounted", "warnings", "results_ref")
            _set(connection, event.batch, "ended", event, *counts)
            connection.execute(update(batch).where(batch.c.batch == event.batch).values(ended=recorded.time))
        case _:
            return False
    return True


def _set(connection: Connection, key: str, state: str, event: on_record.Event, *names: str) -> None:
    values = {name: getattr(event, name) for name in names}
    found = connection.execute(update(batch).where(batch.c.batch == key).values(state=state, **values))
    if found.rowcount != 1:
        raise ValueError(f"{event.kind} happened to a batch that was never opened")


def lines(engine: Engine, wave: str | None, *, unresolved: bool) -> Iterator[BatchLine]:
    """Batches in the order in which they were opened."""
    query = select(*(column for column in batch.c if column.name != "sequence")).order_by(batch.c.sequence)
    if wave is not None:
        query = query.where(batch.c.wave == wave)
    if unresolved:
        query = query.where(batch.c.state.in_(UNRESOLVED))
    for row in stream(engine, query):
        yield BatchLine(**row._mapping)
