"""Acceptance, waivers, sign-offs and cutover while events are folded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from vna_lifecycle.catalog import settling
from vna_lifecycle.catalog.schema import (
    CAUGHT_UP,
    DECIDED,
    attempt,
    catch_up,
    covered,
    cutover,
    profile,
    sign_off,
    truth,
    waiver,
)
from vna_lifecycle.model import event as on_record

Members: TypeAlias = Callable[[str], Iterable[tuple[str, str]]]
"""Gives the pairs behind a vault address; the first of each is a study's label, or a finding's address."""

COVERED_AT_ONCE: Final = 10_000


def apply(connection: Connection, recorded: on_record.RecordedEvent, members: Members) -> bool:
    """Whether the event was one of these."""
    when: dict[str, int | str] = {"sequence": recorded.sequence, "time": recorded.time}
    match recorded.event:
        case on_record.SampleDrawn() as event:
            names = ("wave", "attempt", "seed", "confidence", "max_defect_rate", "population", "size")
            values = _copied(event, *names, "population_ref", "policy_sha256")
            this = (attempt.c.wave == event.wave, attempt.c.attempt == event.attempt)
            connection.execute(delete(attempt).where(*this))
            connection.execute(insert(attempt).values(**when, **values))
            settling.follow(connection, recorded.sequence, event)
        case on_record.WaveExamined() as event:
            lists = {name: json.dumps(getattr(event, name)) for name in ("checks", "not_assessed")}
            values = _copied(event, "outcome", "sampled", "defective", "blockers", "warnings", "result_ref")
            this = (attempt.c.wave == event.wave, attempt.c.attempt == event.attempt)
            connection.execute(update(attempt).where(*this).values(**values, **lists))
        case on_record.FindingsWaived() as event:
            values = _copied(event, "waiver", "wave", "finding", "findings", "covers_ref", "reason", *DECIDED)
            connection.execute(insert(waiver).values(**when, **values))
            rows = [{"waiver": event.waiver, "evidence_ref": ref} for ref, _ in members(event.covers_ref)]
            for start in range(0, len(rows), COVERED_AT_ONCE):
                connection.execute(insert(covered), rows[start : start + COVERED_AT_ONCE])
        case on_record.WaiverWithdrawn() as event:
            ended = {"withdrawn": recorded.time, "withdrawn_by": event.by, "withdrawn_reason": event.reason}
            connection.execute(update(waiver).where(waiver.c.waiver == event.waiver).values(**ended))
        case on_record.SignedOff() as event:
            connection.execute(
                insert(sign_off).values(**when, **_copied(event, "wave", "attempt", "meaning", *DECIDED))
            )
        case on_record.CutoverRefused() as event:
            values = _copied(event, "by", "reason", "reasons", "gate_ref")
            connection.execute(insert(cutover).values(**when, allowed=False, **values))
        case on_record.CutoverAllowed() as event:
            values = _copied(event, "by", "reason", "gate_ref")
            connection.execute(insert(cutover).values(**when, allowed=True, reasons=0, **values))
        case on_record.TruthRecorded() as event:
            values = _copied(event, "studies", "deleted", "hidden", "unusable", "extract_sha256")
            _latest(connection, truth, {"archive": event.archive, **when, **values})
        case on_record.ProfileRecorded() as event:
            values = _copied(event, "observations", "profile_ref")
            _latest(connection, profile, {"archive": event.archive, **when, **values})
        case on_record.CatchUpCompleted() as event:
            news = event.added or event.changed or event.vanished or event.differing
            before = connection.execute(select(catch_up.c.equal).where(catch_up.c.archive == event.archive)).scalar()
            equal = 0 if news else (before or 0) + 1
            _latest(
                connection, catch_up, {"archive": event.archive, **when, **_copied(event, *CAUGHT_UP), "equal": equal}
            )
            return False  # the number of the pass is kept elsewhere, too
        case _:
            return False
    return True


def _copied(event: on_record.Event, *names: str) -> dict[str, int | str]:
    return {name: getattr(event, name) for name in names}


def _latest(connection: Connection, table: Table, values: dict[str, int | str]) -> None:
    row = upsert(table).values(**values)
    changed = {name: row.excluded[name] for name in values if name != "archive"}
    connection.execute(row.on_conflict_do_update(index_elements=["archive"], set_=changed))
