"""The catalog: what was found where, planning over it, and the current state folded from the ledger."""

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
    "Catalog",
    "FindingLine",
    "InventoryTotals",
    "PartTotals",
    "StudyDelta",
    "StudySummary",
    "StudyWork",
    "Tally",
    "WaveStatus",
]
