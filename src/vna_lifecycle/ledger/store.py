"""The ledger: appending, reading, proving, and keeping its signed head."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, text

from vna_lifecycle.database import device_failed, open_sqlite, writing
from vna_lifecycle.errors import (
    IntegrityError,
    LeaseLost,
    LedgerCorrupt,
    StateError,
    StorageError,
    UnexpectedSize,
)
from vna_lifecycle.ledger import merkle, tables
from vna_lifecycle.ledger.checkpoint import public_key_text, sign_checkpoint
from vna_lifecycle.ledger.codec import encode, parse, recorded
from vna_lifecycle.ledger.head_file import keep_note, read_note
from vna_lifecycle.ledger.keys import KeyIndex
from vna_lifecycle.ledger.proof import ConsistencyProof, InclusionProof, prove_consistency, prove_inclusion
from vna_lifecycle.ledger.tables import EventRow, Head, read_head, read_rows
from vna_lifecycle.ledger.verification import (
    Verification,
    check_beginning,
    check_end,
    check_note,
    root_at,
    verify_ledger,
)
from vna_lifecycle.model.event import Event, RecordedEvent
from vna_lifecycle.ports import Clock

_INSERT: Final = text("INSERT INTO events (sequence, key, body, tree) VALUES (:sequence, :key, :body, :tree)")
_ADVANCE: Final = text("UPDATE head SET size = :size, root = :root, note = :note, indexed = :indexed WHERE id = 1")


@frozen(kw_only=True)
class Draft:
    """An event to be appended, with its idempotency ``key``; ``actor`` is a person for decisions, else the service."""

    event: Event
    key: str
    actor: str


class Ledger:
    """An append-only Merkle log of events in one SQLite file. Use one object from any threads; open one per process.

    Beside the file, ``<stem>-head`` holds the signed head of the last clean end. `open`, `create` make one.
    """

    def __init__(self, path: Path, engine: Engine, head: Head, clock: Clock, key: Ed25519PrivateKey | None) -> None:
        self.origin = head.origin
        self.public_key = head.public_key
        self.path = path
        self._engine = engine
        self._clock = clock
        self._key = key
        self._lock = threading.Lock()
        self._edge: tuple[str, int, list[bytes]] = (merkle.EMPTY_ROOT.hex(), 0, [])
        self._keys = KeyIndex()
        self._failed = False
        self._appended = False

    @classmethod
    def create(cls, path: Path, *, origin: str, clock: Clock, signing_key: Ed25519PrivateKey | None = None) -> Ledger:
        """Make a ledger. ``origin`` names it for ever, and is the key name in its checkpoints (no spaces, no ``+``).

        With a signing key, every head is signed and appending always needs the key.

        Raises:
            StorageError: there is a ledger already, or it cannot be written.
            ValueError: the origin cannot be a key name.
        """
        root = merkle.EMPTY_ROOT.hex()
        note = sign_checkpoint(origin, 0, root, signing_key) if signing_key else ""
        public = public_key_text(signing_key) if signing_key else ""
        head = Head(origin=origin, public_key=public, size=0, root=root, note=note)
        made: list[bool] = []

        def build(connection: Connection) -> None:
            tables.create(connection, head_row=head)
            made.append(True)

        engine = open_sqlite(path, schema=tables.schema(build), create=True)
        if not made:
            engine.dispose()
            raise StorageError("there is a ledger already", path=path)
        return cls(path, engine, head, clock, signing_key)

    @classmethod
    def open(
        cls, path: Path, *, clock: Clock, signing_key: Ed25519PrivateKey | None = None, read_only: bool = False
    ) -> Ledger:
        """Open a ledger. Reading checks what it reads and appending checks the end; `verify` checks the whole.

        Raises:
            LedgerCorrupt: there is no telling what is in this file.
            StorageError: there is no ledger, it cannot be read, or the key is not this ledger's.
            SchemaTooNew: a newer version of this software wrote it.
        """
        engine = open_sqlite(path, schema=tables.schema(tables.metadata.create_all), read_only=read_only)
        try:
            with engine.connect() as connection:
                head = read_head(connection)
            if signing_key is not None and public_key_text(signing_key) != head.public_key:
                raise StorageError("the signing key is not this ledger's", path=path, hint="check the keys' directory")
        except BaseException:
            engine.dispose()
            raise
        return cls(path, engine, head, clock, signing_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keep the signed head beside the ledger, if this object appended to it; let go of the file.

        Raises:
            StorageError: the head cannot be written; the file is let go of, and no event is lost.
        """
        try:
            if self._key is not None and self._appended and not self._failed:
                self.checkpoint()
        finally:
            self._engine.dispose()

    def size(self) -> int:
        """How many events there are now."""
        return self.head().size

    def root(self) -> str:
        """The Merkle root over all events, in hexadecimal."""
        return self.head().root

    def root_at(self, size: int) -> str:
        """The Merkle root over the first ``size`` events, in hexadecimal, without reading all of them.

        Raises:
            LedgerCorrupt: there are not as many events.
        """
        root, known, _ = self._edge
        if size == known:
            return root
        with self._engine.connect() as connection:
            return root_at(connection, size)

    def check_end(self) -> None:
        """See that the head follows from the events, that it was signed, and that it goes on from the head file.

        Reads some rows only. What is not read here is checked when it is, or by `verify`.

        Raises:
            LedgerCorrupt: the end was changed, or the head file.
            LedgerReplaced: the head file is of a newer ledger, or of another one.
        """
        note = read_note(self.head_file)  # first: others may append, and end, meanwhile
        with self._engine.connect() as connection:
            head = read_head(connection)
            edge = check_end(connection, head)
            if note and self.public_key:
                check_note(connection, head, note)
        self._edge = (head.root, head.size, edge)

    def check_beginning(self, size: int, root: str, *, of: str) -> None:
        """See that the first ``size`` events are those with this root, as ``of`` knows them.

        Raises:
            LedgerReplaced: they are not, or there are fewer.
        """
        if size != self._edge[1] or root != self._edge[0]:
            with self._engine.connect() as connection:
                check_beginning(connection, read_head(connection), size, root, of=of)

    def head(self) -> Head:
        """Size, root and signed note, of one moment."""
        with self._engine.connect() as connection:
            return read_head(connection)

    def append(
        self, drafts: Sequence[Draft], *, epoch: int | None = None, expected_size: int | None = None
    ) -> tuple[RecordedEvent, ...]:
        """Append in one durable transaction; returns one recorded event per draft, in order.

        A key that is there already is not appended again: its recorded event is returned. Retrying after a lost answer
        is therefore safe, also with the ``expected_size`` of the first try.

        Args:
            drafts: what to append.
            epoch: the lease's, for effects; None for decisions.
            expected_size: the size on which a decision was based.

        Raises:
            LeaseLost: another coordinator took the lease since.
            UnexpectedSize: others have appended since.
            IntegrityError: the same key was used for another event.
            StorageError: nothing was appended; after an I/O error this object refuses to append again.
        """
        if self.public_key and self._key is None:
            raise StateError("this ledger is signed: appending needs its signing key", hint="open it with its key")
        with self._lock:
            if self._failed:
                raise StorageError("an earlier append failed", path=self.path, hint="open the ledger again")
            try:
                return self._append(drafts, epoch, expected_size)
            except StorageError as exc:
                self._failed = device_failed(exc)  # after a failed fsync, nobody knows what is on the disk
                raise

    def _append(
        self, drafts: Sequence[Draft], epoch: int | None, expected_size: int | None
    ) -> tuple[RecordedEvent, ...]:
        with writing(self._engine) as connection:
            head = read_head(connection)
            if epoch is not None and epoch != head.epoch:
                raise LeaseLost("another coordinator took over", hint="stop this one; the other one goes on")
            known = self._known(connection, head, [draft.key for draft in drafts])
            edge = list(self._edge_at(connection, head))
            time = timestamp(self._clock())
            size = head.size
            rows: list[dict[str, object]] = []
            results: list[RecordedEvent] = []
            for draft in drafts:
                event = known.get(draft.key)
                if event is None:
                    body = encode(
                        draft.event, origin=self.origin, sequence=size, time=time, actor=draft.actor, key=draft.key
                    )
                    tree = merkle.append(edge, size, merkle.leaf_hash(body))
                    rows.append({"sequence": size, "key": draft.key, "body": body, "tree": b"".join(tree)})
                    event = known[draft.key] = RecordedEvent(
                        sequence=size,
                        time=time,
                        actor=draft.actor,
                        key=draft.key,
                        event=draft.event,
                        leaf=tree[0].hex(),
                    )
                    size += 1
                elif event.event != draft.event:
                    raise IntegrityError(f"the key of event {event.sequence} was used again for another event")
                results.append(event)
            if not rows:
                return tuple(results)
            if expected_size is not None and expected_size != head.size:
                raise UnexpectedSize(
                    "others have appended to the ledger", expected=expected_size, actual=head.size, hint="look again"
                )
            root = merkle.root_of(edge).hex()
            note = sign_checkpoint(self.origin, size, root, self._key) if self._key else ""
            connection.execute(_INSERT, rows)
            indexed = self._keys.settle(connection, head)
            connection.execute(_ADVANCE, {"size": size, "root": root, "note": note, "indexed": indexed})
        self._edge = (root, size, edge)  # only now: the commit may have failed
        self._appended = True
        return tuple(results)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[RecordedEvent]:
        """Events from ``start`` up to ``stop`` (None: all that are there when the first is read), in flat memory.

        Raises:
            LedgerCorrupt: an event is missing or not what was hashed; ``sequence`` tells which.
        """
        if start < 0:
            raise ValueError("events are counted from 0")
        with self._engine.connect() as connection:
            size = read_head(connection).size
        stop = size if stop is None else min(stop, size)
        while start < stop:
            with self._engine.connect() as connection:  # a short transaction per chunk: the caller may take its time
                chunk = list(read_rows(connection, start, min(start + 1000, stop)))
            for row in chunk:
                yield self._recorded(row, start)
                start += 1
            if not chunk:
                raise LedgerCorrupt(f"event {start} is missing", sequence=start)

    def find(self, key: str) -> RecordedEvent | None:
        """The event with this idempotency key."""
        with self._lock, self._engine.connect() as connection:
            return self._known(connection, read_head(connection), [key]).get(key)

    def now(self) -> str:
        """The time by this ledger's clock, as it writes it."""
        return timestamp(self._clock())

    def take_epoch(self) -> int:
        """Begin a new lease epoch, durably: from now on, appends with an older one are refused. See `Lease.take`."""
        with writing(self._engine) as connection:
            connection.execute(text("UPDATE head SET epoch = epoch + 1 WHERE id = 1"))
            return read_head(connection).epoch

    def cursor(self, name: str) -> int:
        """How many events the subscriber ``name`` has dealt with; 0 for an unknown one."""
        with self._engine.connect() as connection:
            found = connection.execute(text("SELECT position FROM cursors WHERE name = :name"), {"name": name})
            return int(found.scalar_one_or_none() or 0)

    def move_cursor(self, name: str, position: int) -> None:
        """Remember that the subscriber ``name`` has dealt with all events before ``position``."""
        with writing(self._engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO cursors (name, position) VALUES (:name, :position)"
                    " ON CONFLICT (name) DO UPDATE SET position = excluded.position"
                ),
                {"name": name, "position": position},
            )

    def checkpoint(self) -> str:
        """The signed head as a C2SP checkpoint, also written durably to `head_file`; post it where you cannot edit it.

        Raises:
            StateError: this ledger is not signed.
        """
        note = self.head().note
        if not note:
            raise StateError("this ledger is not signed, so it has no checkpoints")
        keep_note(self.head_file, note)
        return note

    @property
    def head_file(self) -> Path:
        """Where the signed head of the last clean end lies."""
        return self.path.with_name(f"{self.path.stem}-head")

    def verify(
        self, *, deep: bool = False, checkpoint: str | None = None, public_key: str | None = None
    ) -> Verification:
        """Check everything that can be checked: see `Verification`.

        Args:
            deep: also that every event is canonical, fits its kind, and that each study's events can follow each other.
            checkpoint: a signed note from elsewhere, which this ledger must be the same as or go on from.
            public_key: the signer's key (base64) from elsewhere; None takes the ledger's own word for it.
        """
        with self._engine.connect() as connection:
            return verify_ledger(
                connection, self.head_file, deep=deep, checkpoint=checkpoint, public_key=public_key or self.public_key
            )

    def prove(self, sequence: int) -> InclusionProof:
        """That the event is in the ledger of now, without reading all of it.

        Raises:
            StateError: there is no such event.
        """
        with self._engine.connect() as connection:
            return prove_inclusion(connection, sequence)

    def prove_consistency(self, old_size: int) -> ConsistencyProof:
        """That the ledger of ``old_size`` events is the beginning of the one of now.

        Raises:
            StateError: the ledger is not that long.
        """
        with self._engine.connect() as connection:
            return prove_consistency(connection, old_size)

    def _edge_at(self, connection: Connection, head: Head) -> list[bytes]:
        root, size, edge = self._edge
        if (root, size) != (head.root, head.size):  # another process has appended
            edge = check_end(connection, head)
        return edge

    def _known(self, connection: Connection, head: Head, keys: Sequence[str]) -> dict[str, RecordedEvent]:
        return {row.key: self._recorded(row, row.sequence) for row in self._keys.find(connection, head, keys)}

    def _recorded(self, row: EventRow, sequence: int) -> RecordedEvent:
        try:
            leaf = merkle.leaf_hash(row.body)
            event = recorded(parse(row.body), leaf.hex())
            if row.tree[:32] == leaf and (row.sequence, event.sequence, event.key) == (sequence, sequence, row.key):
                return event
        except (TypeError, ValueError):
            pass
        raise LedgerCorrupt(f"event {sequence} is not what was recorded", sequence=sequence, hint="verify the ledger")


def timestamp(moment: dt.datetime) -> str:
    """A moment as the ledger writes it: UTC, ISO 8601, microseconds, ``Z``."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
