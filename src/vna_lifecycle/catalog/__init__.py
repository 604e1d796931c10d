"""The catalog: what was found where, planning over it, and the current state folded from the ledger."""

from vna_lifecycle.catalog.batches import BatchLine
from vna_lifecycle.catalog.decisions import (
    AttemptLine,
    CatchUpLine,
    CutoverLine,
    Decisions,
    OpenFindings,
    ProfileLine,
    SignOffLine,
    TruthLine,
    WaiverLine,
)
from vna_lifecycle.catalog.listing import Listing
from vna_lifecycle.catalog.store import Catalog
from vna_lifecycle.catalog.values import (
    FindingLine,
    InventoryTotals,
    PartTotals,
    StudyDelta,
    StudySummary,
    StudyWork,
    Tally,
    WaveStatus,
)

__all__ = [
    "AttemptLine",
    "BatchLine",
    "Catalog",
    "CatchUpLine",
    "CutoverLine",
    "Decisions",
    "FindingLine",
    "InventoryTotals",
    "Listing",
    "OpenFindings",
    "PartTotals",
    "ProfileLine",
    "SignOffLine",
    "StudyDelta",
    "StudySummary",
    "StudyWork",
    "Tally",
    "TruthLine",
    "WaiverLine",
    "WaveStatus",
]
