"""The closed union of ledger events, and an event as the ledger holds it."""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from vna_lifecycle.model.event.acceptance import (
    CutoverAllowed,
    CutoverRefused,
    FindingsWaived,
    ProfileRecorded,
    SampleDrawn,
    SignedOff,
    StudyHeld,
    StudyReleased,
    TruthRecorded,
    WaiverWithdrawn,
    WaveExamined,
)
from vna_lifecycle.model.event.batch import (
    BatchClosed,
    BatchEnded,
    BatchOpened,
    BatchSwept,
    JobSubmitted,
    SweepIntended,
)
from vna_lifecycle.model.event.decision import (
    ContentChosen,
    WavePaused,
    WaveResumed,
)
from vna_lifecycle.model.event.program import (
    CatchUpCompleted,
    InventoryCompleted,
    InventoryPartRecorded,
    InventoryStarted,
    LeaseTaken,
    PlanDropped,
    ProgramCreated,
    StudiesExcluded,
    TransferEnded,
    TransferStarted,
    WavePlanned,
)
from vna_lifecycle.model.event.remedy import (
    ChangeMade,
    RemedyFailed,
    RemedyIntended,
    StudyRemedied,
)
from vna_lifecycle.model.event.study import (
    CommitmentAnswered,
    CommitmentIntended,
    FindingRecorded,
    FindingSettled,
    StoreIntended,
    StudyChanged,
    StudyFailed,
    StudyFetched,
    StudyIncomplete,
    StudyStored,
    StudyTransferred,
    StudyWithdrawn,
    TargetSurveyed,
    WithdrawIntended,
)

Event: TypeAlias = (
    ProgramCreated
    | LeaseTaken
    | InventoryStarted
    | InventoryPartRecorded
    | InventoryCompleted
    | WavePlanned
    | StudiesExcluded
    | PlanDropped
    | TransferStarted
    | TransferEnded
    | StudyFetched
    | TargetSurveyed
    | StoreIntended
    | StudyStored
    | CommitmentIntended
    | CommitmentAnswered
    | StudyTransferred
    | StudyIncomplete
    | StudyFailed
    | StudyChanged
    | FindingRecorded
    | FindingSettled
    | ContentChosen
    | WavePaused
    | WaveResumed
    | WithdrawIntended
    | StudyWithdrawn
    | BatchOpened
    | BatchClosed
    | JobSubmitted
    | BatchEnded
    | SweepIntended
    | BatchSwept
    | RemedyIntended
    | ChangeMade
    | StudyRemedied
    | RemedyFailed
    | CatchUpCompleted
    | TruthRecorded
    | ProfileRecorded
    | StudyHeld
    | StudyReleased
    | SampleDrawn
    | WaveExamined
    | FindingsWaived
    | WaiverWithdrawn
    | SignedOff
    | CutoverRefused
    | CutoverAllowed
)

EVENTS: Final[tuple[type[Event], ...]] = Event.__args__
"""Every event class, in the order of their first appearance in a program's life."""


@frozen(kw_only=True)
class RecordedEvent:
    """An event as the ledger holds it.

    ``sequence`` counts from 0. ``time`` is UTC, ISO 8601 with microseconds. ``actor`` is a person's name for
    decisions, the service's for effects. ``key`` is the idempotency key: appending the same key again has no effect.
    ``leaf`` is the RFC 6962 leaf hash in hexadecimal.
    """

    sequence: int
    time: str
    actor: str
    key: str
    event: Event
    leaf: str
