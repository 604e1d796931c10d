"""When a finding is open and when it is settled, while events are folded. Settled findings stay on record."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, insert, not_, update

from vna_lifecycle.catalog.schema import finding
from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.finding import LASTING, STEPS, Origin

_LASTING: Final = finding.c.kind.startswith(LASTING)
_INSERT: Final = insert(finding)


def record(connection: Connection, sequence: int, event: on_record.FindingRecorded) -> None:
    """A finding is open from now on, unless the very same is open already."""
    names = ("severity", "check", "study", "wave", "subjects", "evidence_ref")
    origin = Origin(event.check) if event.check in STEPS else Origin.CHECK
    row = {name: getattr(event, name) for name in names}
    connection.execute(_INSERT, row | {"sequence": sequence, "kind": event.finding, "origin": origin.value})


def follow(connection: Connection, sequence: int, event: on_record.Event) -> None:
    """Settle what an event settles; most settle nothing."""
    match event:
        case on_record.StudyFetched():
            settle(connection, sequence, *_of(event.study, Origin.TRANSFER), not_(_LASTING))
        case on_record.StudyTransferred():
            settle(connection, sequence, *_of(event.study, Origin.CATCH_UP))
        case on_record.StudyRemedied():
            settle(connection, sequence, *_of(event.study, Origin.TRANSFER), not_(_LASTING))
            settle(connection, sequence, *_of(event.study, Origin.CATCH_UP))
            settle(connection, sequence, *_of(event.study, Origin.WITHDRAW))
        case on_record.WithdrawIntended():
            settle(connection, sequence, *_of(event.study, Origin.WITHDRAW))
        case on_record.StudyWithdrawn():
            settle(connection, sequence, finding.c.study == event.study)
        case on_record.StudyHeld():
            settle(connection, sequence, *_of(event.study, Origin.HOLD), finding.c.evidence_ref != event.evidence_ref)
            this = (finding.c.study == event.study, finding.c.evidence_ref == event.evidence_ref)
            held = update(finding).where(finding.c.settled.is_(None), *this).values(origin=Origin.HOLD.value)
            connection.execute(held)
        case on_record.StudyReleased():
            settle(connection, sequence, *_of(event.study, Origin.HOLD))
        case on_record.SampleDrawn():
            settle(connection, sequence, finding.c.wave == event.wave, finding.c.origin == Origin.CHECK.value)
        case on_record.FindingSettled():
            this = (finding.c.study == event.study, finding.c.evidence_ref == event.evidence_ref)
            settle(connection, sequence, finding.c.wave == event.wave, *this)
        case _:
            pass


def settle(connection: Connection, sequence: int, *conditions: ColumnElement[bool]) -> None:
    """The open findings that fulfil all conditions are settled by the event at ``sequence``."""
    connection.execute(update(finding).where(finding.c.settled.is_(None), *conditions).values(settled=sequence))


def _of(study: str, origin: Origin) -> tuple[ColumnElement[bool], ...]:
    return finding.c.study == study, finding.c.origin == origin.value
