"""The current state, folded from the ledger: it carries the ledger size it was folded to, and can be rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import asdict
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from vna_lifecycle.catalog import batches, deciding, passes, settling
from vna_lifecycle.catalog.deciding import Members
from vna_lifecycle.catalog.folding import Studies, Value
from vna_lifecycle.catalog.schema import PROJECTED, fold, meta, pause, recorded_inventory, wave
from vna_lifecycle.catalog.values import InventoryTotals
from vna_lifecycle.errors import LedgerCorrupt, StateError
from vna_lifecycle.model import event as on_record

_NO_FAILURE: Final[Mapping[str, Value]] = {"phase": "", "code": "", "transient": 0, "retry_at": ""}
_CAUGHT_UP: Final = "caught-up/"
FOLD: Final = 1
"""Counts up whenever the same events come to another state, or into other columns, than they did before."""
_COUNTS: Final = ("matched", "missing", "differ", "extra", "held", "refused")


def folded(connection: Connection) -> tuple[int, str]:
    """How many ledger events are folded, and the Merkle root over them by which their ledger is known again."""
    row = connection.execute(select(fold.c.size, fold.c.root)).first()
    return (row.size, row.root) if row is not None else (0, "")


def latest_plan(connection: Connection) -> int:
    """The number of the latest plan on record, 0 before the first."""
    return connection.execute(select(meta.c.value).where(meta.c.name == "plan")).scalar() or 0


def caught_up(connection: Connection, archive: str) -> int:
    """The pass up to which changes at an archive were looked for, 0 before the first catch-up."""
    return connection.execute(select(meta.c.value).where(meta.c.name == _CAUGHT_UP + archive)).scalar() or 0


def outdated(connection: Connection) -> bool:
    """Whether what is folded was folded otherwise than now."""
    return connection.execute(select(meta.c.value).where(meta.c.name == "fold")).scalar() != FOLD


def clear(connection: Connection) -> None:
    """Forget everything that was folded; it is as before the first event now."""
    for table in PROJECTED:
        connection.execute(delete(table))
    numbers = (meta.c.name == "plan") | meta.c.name.startswith(_CAUGHT_UP)
    connection.execute(delete(meta).where(numbers))
    keep(connection, "fold", FOLD)


def apply(connection: Connection, events: Sequence[on_record.RecordedEvent], members: Members, root: str) -> None:
    """Fold events that continue what is folded; those that already are, are skipped.

    ``root`` is the ledger's over all events up to the last of these.

    Raises:
        StateError: events are missing between what is folded and what is given.
        LedgerCorrupt: an event cannot happen in the state that the earlier ones lead to.
    """
    before, _ = folded(connection)
    done = before
    studies = Studies(connection)
    for recorded in events:
        if recorded.sequence < done:
            continue
        if recorded.sequence > done:
            raise StateError(
                f"ledger event {done} comes next, but {recorded.sequence} was given",
                hint="fold the ledger from where the catalog stands",
            )
        try:
            if _apply_to_study(studies, recorded):
                settling.follow(connection, recorded.sequence, recorded.event)
            elif not (
                _apply_to_plan(connection, studies, recorded, members)
                or deciding.apply(connection, recorded, members)
                or batches.apply(connection, recorded)
            ):
                _apply_to_program(connection, recorded)
        except ValueError as exc:
            raise LedgerCorrupt(
                f"event {done} cannot be folded: {exc}",
                sequence=done,
                hint="verify the ledger: this software does not write such a history",
            ) from exc
        done += 1
    studies.write()
    if done > before:
        reach(connection, done, root)


def reach(connection: Connection, size: int, root: str) -> None:
    """Remember how many ledger events are folded, and the root over them."""
    row = upsert(fold).values(id=1, size=size, root=root)
    new = {"size": row.excluded.size, "root": row.excluded.root}
    connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=new))


def keep(connection: Connection, name: str, value: int) -> None:
    """Set a number that the catalog keeps about itself."""
    row = upsert(meta).values(name=name, value=value)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


def _copied(event: on_record.Event, *names: str) -> dict[str, Value]:
    return {name: getattr(event, name) for name in names}


def _apply_to_study(studies: Studies, recorded: on_record.RecordedEvent) -> bool:
    """Whether the event was about one study, which then has moved on."""
    event = recorded.event
    match event:
        case on_record.StudyFetched():
            found = _copied(event, "attempt", "instances", "size", "manifest_ref")
            studies.move(event.study, event.kind, **found, **_NO_FAILURE)
        case on_record.TargetSurveyed():
            studies.note(event.study, present_ref=event.present_ref)
        case on_record.StoreIntended():
            studies.move(event.study, event.kind, **_copied(event, "attempt", "token", "expected_ref"))
        case on_record.StudyStored():
            studies.move(event.study, event.kind, attempt=event.attempt)
        case on_record.StudyTransferred():
            proved = _copied(event, "attempt", "instances", "size", "rung", "read_back_ref")
            cleared = dict.fromkeys(_COUNTS, 0) | {"matched": event.instances}
            studies.move(event.study, event.kind, **proved, **cleared, **_NO_FAILURE)
            studies.touch(event.wave, recorded.sequence)
        case on_record.StudyIncomplete():
            studies.move(event.study, event.kind, **_copied(event, "attempt", *_COUNTS))
        case on_record.StudyFailed():
            failure = _copied(event, "attempt", "phase", "code", "retry_at")
            studies.move(event.study, event.kind, transient=int(event.transient), **failure)
        case on_record.StudyChanged():
            studies.move(event.study, event.kind, **{**_NO_FAILURE, "code": event.reason})
        case on_record.StudyHeld():
            studies.move(event.study, event.kind, **{**_NO_FAILURE, "code": event.finding})
        case on_record.StudyReleased():
            studies.move(event.study, event.kind, **_NO_FAILURE)
        case on_record.ContentChosen():  # by any process at any time: a study that is in flight sees it next time
            studies.choose(event.study, event.instance, event.content)
            studies.move_if_waiting(event.study, event.kind)
        case on_record.RemedyIntended():
            studies.move(event.study, event.kind)
        case on_record.StudyRemedied():
            proved = _copied(event, "instances", "size", "rung", "expected_ref", "read_back_ref")
            cleared = dict.fromkeys(_COUNTS, 0) | {"matched": event.instances}
            studies.move(event.study, event.kind, **proved, **cleared, **_NO_FAILURE)
            studies.touch(event.wave, recorded.sequence)
        case on_record.RemedyFailed():
            seen = _copied(event, "matched", "missing", "differ", "extra", "expected_ref", "code")
            studies.move(event.study, event.kind, **seen)
        case on_record.WithdrawIntended():
            studies.move(event.study, event.kind, token=event.token)
        case on_record.StudyWithdrawn():  # an expectation is kept as long as copies may be there
            studies.move(event.study, event.kind, expected_ref="", **_NO_FAILURE)
            studies.touch(event.wave, recorded.sequence)
        case _:
            return False
    return True


def _apply_to_plan(
    connection: Connection, studies: Studies, recorded: on_record.RecordedEvent, members: Members
) -> bool:
    """Whether the event placed many studies at once, or set them free."""
    match recorded.event:
        case on_record.WavePlanned() as event:
            placed: dict[str, Value] = {"wave": event.wave, "plan": event.plan, "reason": ""}
            studies.place(members(event.members_ref), event.kind, recorded.sequence, **placed)
            totals = _copied(event, "plan", "studies", "instances", "size")
            fixed = _copied(event, "members_ref", "policy_sha256", "modification_time")
            connection.execute(delete(wave).where(wave.c.name == event.wave, wave.c.plan == event.plan))
            connection.execute(insert(wave).values(name=event.wave, sequence=recorded.sequence, **totals, **fixed))
        case on_record.StudiesExcluded() as event:
            left_out: dict[str, Value] = {"wave": "", "plan": event.plan, "reason": event.reason}
            studies.place(members(event.members_ref), event.kind, recorded.sequence, **left_out)
        case on_record.PlanDropped() as event:
            studies.drop(event.plan, recorded.sequence)
        case _:
            return False
    keep(connection, "plan", max(latest_plan(connection), recorded.event.plan))
    return True


def _apply_to_program(connection: Connection, recorded: on_record.RecordedEvent) -> None:
    match recorded.event:
        case on_record.FindingRecorded() as event:
            settling.record(connection, recorded.sequence, event)
        case on_record.FindingSettled() as event:
            settling.follow(connection, recorded.sequence, event)
        case on_record.WavePaused() as event:
            connection.execute(delete(pause).where(pause.c.wave == event.wave))
            paused = {"wave": event.wave, "by": event.by, "reason": event.reason}
            connection.execute(insert(pause).values(sequence=recorded.sequence, **paused))
        case on_record.WaveResumed() as event:
            connection.execute(delete(pause).where(pause.c.wave == event.wave))
        case on_record.TransferStarted() as event:
            connection.execute(update(wave).where(wave.c.name == event.wave).values(outcome=""))
        case on_record.TransferEnded() as event:
            connection.execute(update(wave).where(wave.c.name == event.wave).values(outcome=event.outcome))
        case on_record.InventoryStarted() as event:
            started = recorded_inventory.c.number == event.inventory
            if connection.execute(select(recorded_inventory.c.number).where(started)).first() is None:
                row = {"number": event.inventory, "archive": event.archive, "complete": False}
                connection.execute(insert(recorded_inventory).values(**row))
        case on_record.InventoryCompleted() as event:
            counts = InventoryTotals(
                parts=event.parts,
                studies=event.studies,
                instances=event.instances,
                refused=event.refused,
                size=event.size,
            )
            ended = recorded_inventory.c.number == event.inventory
            connection.execute(update(recorded_inventory).where(ended).values(complete=True, **asdict(counts)))
            passes.complete(connection, event.inventory, counts)
        case on_record.CatchUpCompleted() as event:
            keep(connection, _CAUGHT_UP + event.archive, event.inventory)
        case _:
            pass  # history only: nothing is asked of it that the ledger itself does not answer
