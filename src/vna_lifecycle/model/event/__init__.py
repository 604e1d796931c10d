"""The closed union of ledger events.

Each class has a stable ``kind`` and ``version``; both are stored, so a class may be renamed but its kind may not.
Fields are str, int, bool, None, and tuples of those. ``study`` is always a study's label, never a UID; ``*_ref``
fields are vault addresses of what identifies people or objects. Times are UTC in ISO 8601.
"""

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
    JobSubmitted,
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
from vna_lifecycle.model.event.study import (
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
from vna_lifecycle.model.event.union import EVENTS, Event, RecordedEvent

__all__ = [
    "EVENTS",
    "BatchClosed",
    "BatchEnded",
    "BatchOpened",
    "CatchUpCompleted",
    "ContentChosen",
    "CutoverAllowed",
    "CutoverRefused",
    "Event",
    "FindingRecorded",
    "FindingSettled",
    "FindingsWaived",
    "InventoryCompleted",
    "InventoryPartRecorded",
    "InventoryStarted",
    "JobSubmitted",
    "LeaseTaken",
    "PlanDropped",
    "ProfileRecorded",
    "ProgramCreated",
    "RecordedEvent",
    "SampleDrawn",
    "SignedOff",
    "StoreIntended",
    "StudiesExcluded",
    "StudyChanged",
    "StudyFailed",
    "StudyFetched",
    "StudyHeld",
    "StudyIncomplete",
    "StudyReleased",
    "StudyStored",
    "StudyTransferred",
    "StudyWithdrawn",
    "TargetSurveyed",
    "TransferEnded",
    "TransferStarted",
    "TruthRecorded",
    "WaiverWithdrawn",
    "WaveExamined",
    "WavePaused",
    "WavePlanned",
    "WaveResumed",
    "WithdrawIntended",
]
