"""Checking a whole ledger: stored bytes, columns, tree, signed heads and, in depth, what the events say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from attrs import frozen
from sqlalchemy import Connection, text

from vna_lifecycle.errors import IntegrityError, LedgerCorrupt, LedgerReplaced, SchemaTooNew
from vna_lifecycle.ledger import merkle
from vna_lifecycle.ledger.checkpoint import Checkpoint, verify_checkpoint
from vna_lifecycle.ledger.codec import Data, canonical, parse, recorded
from vna_lifecycle.ledger.head_file import read_note
from vna_lifecycle.ledger.keys import check_keys
from vna_lifecycle.ledger.tables import EventRow, Head, read_head, read_rows, read_subtree
from vna_lifecycle.model.event import ContentChosen, Event, ProgramCreated, TransferEnded
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState

_PLANNING: Final = frozenset({"wave-planned", "studies-excluded", "plan-dropped"})
_PER_STUDY: Final = frozenset(kind for _, kind in TRANSITIONS) - _PLANNING
_PLANNED: Final = frozenset({MigrationState.PLANNED})
_TRANSFERRED: Final = frozenset({MigrationState.TRANSFERRED})
_COMPARE: Final = "Verify the ledger, and compare with a backup and with checkpoints kept elsewhere"
_BRING_BACK: Final = (
    "Bring back the newest ledger. If it is lost, verify this one, then move catalog.db and ledger-head away: what is "
    "not in it is then not on record"
)


@frozen(kw_only=True)
class Verification:
    """What `Ledger.verify` found. ``reason`` is empty when everything holds.

    ``size`` and ``root`` (hexadecimal) are of the events that were seen to hold. ``first_bad`` is the sequence of the
    first event whose row contradicts the rows before it, a signed head, or the format; for removed events the first
    that is missing; None where the trouble is not at an event.
    """

    size: int
    root: str
    first_bad: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds."""
        return not self.reason


def check_end(connection: Connection, head: Head) -> list[bytes]:
    """The tree's edge, once it is seen that it gives the head's root, that nothing is behind it, and who signed it.

    Raises:
        LedgerCorrupt: one of these does not hold.
    """
    edge = merkle.edge_of(head.size, partial(read_subtree, connection))
    if merkle.root_of(edge).hex() != head.root:
        raise LedgerCorrupt("the ledger's head does not follow from its events", hint="verify the ledger")
    last = connection.execute(text("SELECT max(sequence) FROM events")).scalar_one()
    if last != (head.size - 1 if head.size else None):
        raise LedgerCorrupt("there are events after the ledger's head", sequence=head.size, hint="verify the ledger")
    if head.public_key:
        try:
            signed = verify_checkpoint(head.note, head.public_key)
        except IntegrityError as exc:
            raise LedgerCorrupt(f"the ledger's head cannot be trusted: {exc}") from exc
        if signed != Checkpoint(origin=head.origin, size=head.size, root=head.root):
            raise LedgerCorrupt("the ledger's head is not the one that was signed")
    return edge


def root_at(connection: Connection, size: int) -> str:
    """See `Ledger.root_at`."""
    return merkle.root_of(merkle.edge_of(size, partial(read_subtree, connection))).hex()


def check_note(connection: Connection, head: Head, note: str) -> None:
    """See that the ledger is the one of a note that was kept, or goes on from it; see `Ledger.check_end`."""
    try:
        kept = verify_checkpoint(note, head.public_key)
    except IntegrityError as exc:
        raise LedgerCorrupt(f"the head file cannot be trusted: {exc}", hint=_COMPARE) from exc
    if kept.origin != head.origin:
        raise LedgerReplaced("the head file is of another ledger", known=kept.size, size=head.size, hint=_BRING_BACK)
    check_beginning(connection, head, kept.size, kept.root, of="the head file")


def check_beginning(connection: Connection, head: Head, size: int, root: str, *, of: str) -> None:
    """See `Ledger.check_beginning`."""
    if size > head.size:
        message = f"the ledger is an older one: it has {head.size} events, and {of} knows {size}"
    elif root_at(connection, size) != root:
        message = f"the ledger is another one: its first {size} events are not those that {of} knows"
    else:
        return
    raise LedgerReplaced(message, known=size, size=head.size, hint=_BRING_BACK)


def verify_ledger(
    connection: Connection, head_file: Path, *, deep: bool, checkpoint: str | None, public_key: str
) -> Verification:
    """See `Ledger.verify`. ``public_key`` is ``""`` for a ledger that is not signed."""
    try:
        beside = read_note(head_file)  # first: others may append, and end, meanwhile
        head = read_head(connection)
        notes = [("the signed head", head.note)] if public_key else []
        if public_key and beside:
            notes.append(("the head file", beside))
        if checkpoint is not None:
            notes.append(("the checkpoint", checkpoint))
        heads = [("the head", Checkpoint(origin=head.origin, size=head.size, root=head.root))]
        broken = ""
        for name, note in notes:
            try:
                signed = verify_checkpoint(note, public_key)
            except IntegrityError as exc:
                broken = broken or f"{name} cannot be trusted: {exc}"
                continue
            if signed.origin != head.origin:
                broken = broken or f"{name} is of another ledger"
            else:
                heads.append((name, signed))
        rows = read_rows(connection, 0, head.size + 1)
        found = verify_rows(rows, origin=head.origin, heads=heads, deep=deep)
        first_bad, reason = found.first_bad, found.reason
        if deep and not reason:
            first_bad, reason = check_keys(connection, head)
        reason = reason or broken or _check_named_key(connection, head) or _check_structure(connection)
    except LedgerCorrupt as exc:
        return Verification(size=0, root=merkle.EMPTY_ROOT.hex(), first_bad=exc.sequence, reason=str(exc))
    return Verification(size=found.size, root=found.root, first_bad=first_bad, reason=reason)


def verify_rows(
    rows: Iterable[EventRow], *, origin: str, heads: Iterable[tuple[str, Checkpoint]], deep: bool
) -> Verification:
    """Check event rows, which come in order, against themselves and against trusted heads, each with a name.

    The first of ``heads`` is the ledger's own: it says how many events there are.
    """
    own, *others = heads
    waiting = sorted([own, *others], key=lambda named: named[1].size)
    edge: list[bytes] = []
    replay = _Replay()
    done = held = 0  # events seen to hold; events that a trusted head confirms

    def found(first_bad: int | None, reason: str) -> Verification:
        return Verification(size=done, root=merkle.root_of(edge).hex(), first_bad=first_bad, reason=reason)

    stream = iter(rows)
    while True:
        while waiting and waiting[0][1].size == done:
            name, checkpoint = waiting.pop(0)
            if checkpoint.root != merkle.root_of(edge).hex():
                return found(held, f"an event between {held} and {done} is not what {name} was made over")
            held = done
        try:
            row = next(stream, None)
        except LedgerCorrupt as exc:
            return found(exc.sequence, str(exc))
        if row is None:
            break
        if done >= own[1].size:
            return found(done, f"there are events after the end that {own[0]} tells")
        envelope, reason = _examine(row, done, origin, edge)
        if envelope is not None and deep:
            reason = _examine_deeply(row, envelope, replay)
        if reason:
            return found(done, f"event {done}: {reason}")
        done += 1
    if waiting:
        return found(done, f"events from {done} on are missing: {waiting[-1][0]} counts {waiting[-1][1].size}")
    return found(None, "")


def _examine(row: EventRow, sequence: int, origin: str, edge: list[bytes]) -> tuple[Data | None, str]:
    """The row's envelope, and then ``edge`` has grown by its leaf; or what is wrong with the row."""
    number, key, body, tree = row
    if number != sequence:
        return None, "missing"
    if type(body) is not bytes or type(tree) is not bytes or type(key) is not str:
        return None, "a column is not of its type"
    leaf = merkle.leaf_hash(body)
    if not tree.startswith(leaf):
        return None, "the stored bytes and their hash differ"
    try:
        envelope = parse(body)
    except ValueError:
        return None, "the stored bytes are not an envelope"
    if envelope["sequence"] != sequence or envelope["key"] != key or envelope["origin"] != origin:
        return None, "the columns and the envelope differ"
    grown = edge.copy()
    if b"".join(merkle.append(grown, sequence, leaf)) != tree:
        return None, "the stored tree does not follow from the events up to here"
    edge[:] = grown
    return envelope, ""


def _examine_deeply(row: EventRow, envelope: Data, replay: _Replay) -> str:
    try:
        if canonical(envelope) != row.body:
            return "the stored bytes are not canonical"
        return replay.step(recorded(envelope, "").event)
    except SchemaTooNew as exc:
        return str(exc)
    except ValueError:  # its text may hold what the event holds
        return "the envelope does not fit its kind"


class _Replay:
    """Folds each study's events. Which studies a plan names is in the vault: here, its effect is a possibility."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[frozenset[MigrationState], int]] = {}
        self._plans = 0
        self._moved: Counter[str] = Counter()  # by wave: no plan moves a study that is transferred

    def step(self, event: Event) -> str:
        """What cannot be in this event, given those before it; or nothing."""
        kind = event.kind
        if kind in _PLANNING:
            self._plans += 1
        if isinstance(event, TransferEnded) and event.transferred != self._moved[event.wave]:
            return f"it counts {event.transferred} studies as transferred, where {self._moved[event.wave]} are"
        if kind not in _PER_STUDY:
            return ""
        study: str = getattr(event, "study", "")
        before, plans = self._states.get(study, (_PLANNED, self._plans))
        if plans != self._plans:
            before = _after_plans(before)
        after = frozenset(TRANSITIONS[state, kind] for state in before if (state, kind) in TRANSITIONS)
        if isinstance(event, ContentChosen):
            after |= before  # a person decides at any time; a study that does not wait for it stays where it is
        if not after:
            return f"{kind} cannot happen to a study that is {' or '.join(sorted(state.value for state in before))}"
        self._states[study] = (after, self._plans)
        self._moved[getattr(event, "wave", "")] += (after == _TRANSFERRED) - (before == _TRANSFERRED)
        return ""


def _after_plans(states: frozenset[MigrationState]) -> frozenset[MigrationState]:
    """Every state that a study may be in after any number of plans."""
    reached, found = states, states
    while found:
        found = frozenset(TRANSITIONS[key] for key in TRANSITIONS if key[0] in found and key[1] in _PLANNING) - reached
        reached |= found
    return reached


def _check_named_key(connection: Connection, head: Head) -> str:
    """A program's first event names its key: who would replace the head's key has to rewrite everything."""
    for row in read_rows(connection, 0, min(1, head.size)):
        match parse(row.body):
            case {"kind": ProgramCreated.kind, "data": {"public_key": str(named)}} if named != head.public_key:
                return "the head is signed by another key than the first event names"
    return ""


def _check_structure(connection: Connection) -> str:
    """What SQLite finds wrong with the file's structure (above all, with the index of keys), or nothing."""
    found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
    return "" if found == "ok" else f"the database file is damaged: {found}"
