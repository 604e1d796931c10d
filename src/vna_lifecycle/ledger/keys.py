"""Which idempotency keys there are, at a cost that does not grow with the ledger.

Keys are random, so an index that took each append at once would rewrite a page per event: at 200,000 events that had
halved the speed. Hence recent keys are kept in memory, read from the event rows when a process begins, and go to the
index in sorted runs, within an append's own transaction. ``head.indexed`` says up to which event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import BindParameter, Connection, bindparam, text

from vna_lifecycle.errors import LedgerCorrupt
from vna_lifecycle.ledger.tables import EventRow, Head

_RUN: Final = 32_768
_AT_ONCE: Final = 500  # SQLite builds with few variables allow 999
_SOME: Final[BindParameter[int]] = bindparam("some", expanding=True)
_LOOK_UP: Final = text("SELECT sequence FROM keys WHERE digest IN :some").bindparams(_SOME)
_ROWS: Final = text("SELECT sequence, key, body, tree FROM events WHERE sequence IN :some").bindparams(_SOME)
_RECENT: Final = text("SELECT key, sequence FROM events WHERE sequence >= :start AND sequence < :stop")
_TWICE: Final = text("SELECT max(sequence) FROM events GROUP BY key HAVING count(*) > 1 ORDER BY 1 LIMIT 1")
_KEYS: Final = text("SELECT sequence, key FROM events WHERE sequence < :indexed ORDER BY sequence")
_INDEX: Final = text("SELECT sequence, digest FROM keys ORDER BY sequence, digest")
_INSERT: Final = text("INSERT INTO keys (digest, sequence) VALUES (:digest, :sequence)")


def key_digest(key: str) -> int:
    """What the index knows a key by: the first 8 bytes of its SHA-256, as a signed number."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)


class KeyIndex:
    """Finds events by key. Not for use from several threads at once."""

    def __init__(self) -> None:
        self._recent: dict[str, int] = {}
        self._start = self._end = 0  # recent keys are those of the events from start up to end

    def find(self, connection: Connection, head: Head, keys: Sequence[str]) -> Iterator[EventRow]:
        """The event rows that have one of these keys, and others of the same digest. ``head`` is the transaction's."""
        self._catch_up(connection, head)
        wanted = set(keys)
        found = {self._recent[key] for key in wanted if key in self._recent}
        if head.indexed:
            digests = sorted(key_digest(key) for key in wanted if key not in self._recent)
            for some in _chunks(digests):
                found.update(connection.execute(_LOOK_UP, {"some": some}).scalars())
        for some in _chunks(sorted(found)):
            for row in connection.execute(_ROWS, {"some": some}):
                yield EventRow(*row)

    def settle(self, connection: Connection, head: Head) -> int:
        """Move recent keys into the index once they are many; returns what ``head.indexed`` is after that."""
        if head.size - head.indexed < _RUN:
            return head.indexed
        self._catch_up(connection, head)
        run = sorted((key_digest(key), sequence) for key, sequence in self._recent.items())
        connection.execute(_INSERT, [{"digest": digest, "sequence": sequence} for digest, sequence in run])
        return head.size

    def _catch_up(self, connection: Connection, head: Head) -> None:
        if self._start != head.indexed:  # a run was settled
            self._recent.clear()
            self._start = self._end = head.indexed
        if self._end < head.size:
            for key, sequence in connection.execute(_RECENT, {"start": self._end, "stop": head.size}):
                if type(key) is not str:
                    raise LedgerCorrupt(f"event {sequence} is damaged", sequence=sequence, hint="verify the ledger")
                self._recent[key] = sequence
            self._end = head.size


def check_keys(connection: Connection, head: Head) -> tuple[int | None, str]:
    """The first event whose key was used before, or whose key the index does not know; and what is wrong."""
    twice = connection.execute(_TWICE).scalar_one_or_none()
    if twice is not None:
        return twice, "its key was used before"
    stream = {"yield_per": 1000}
    index = iter(connection.execute(_INDEX, execution_options=stream))
    for sequence, key in connection.execute(_KEYS, {"indexed": head.indexed}, execution_options=stream):
        if next(index, None) != (sequence, key_digest(key)):
            return sequence, "the index of keys is damaged"
    return (None, "") if next(index, None) is None else (head.indexed, "the index of keys is damaged")


def _chunks(values: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
