"""How work on a wave ended."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vna_lifecycle.catalog import WaveStatus
from vna_lifecycle.engine.pending import UNFINISHED
from vna_lifecycle.engine.telling import Telling
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.lifecycle import MigrationState


@frozen(kw_only=True)
class TransferResult:
    """How work on a wave ended. ``outcome``: complete, incomplete, paused, cancelled or stopped.

    ``held`` studies were held back by what was seen of them before anything moved; ``held_for`` counts them by kind of
    finding.
    """

    wave: str
    outcome: str
    studies: int
    transferred: int
    incomplete: int
    failed: int
    remaining: int
    size: int
    seconds: float
    held: int = 0
    held_for: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(
        cls, status: WaveStatus, *, outcome: str, so_far: Telling, held_for: Sequence[tuple[str, int]]
    ) -> TransferResult:
        """How a wave stands that was worked on."""
        return cls(
            wave=status.name,
            outcome=outcome,
            studies=status.studies,
            transferred=status.imported,
            incomplete=status.count(MigrationState.INCOMPLETE) + status.count(MigrationState.REMEDYING),
            failed=status.count(MigrationState.FAILED),
            remaining=to_do(status),
            size=so_far.size,
            seconds=so_far.elapsed,
            held=status.count(MigrationState.HELD),
            held_for=tuple(held_for),
        )

    def __str__(self) -> str:
        rate = f" at {self.size / self.seconds / 1e6:.1f} MB/s" if self.seconds and self.size else ""
        trouble = "".join(
            f", {count} {word}"
            for count, word in (
                (self.incomplete, "incomplete"),
                (self.failed, "failed"),
                (self.held, "held back"),
                (self.remaining, "to do"),
            )
            if count
        )
        done = f"{self.transferred:,} of {counted(self.studies, 'study')} transferred"
        return f"{self.wave}: {done}{trouble} ({self.outcome}){rate}"


def outcome_of(ended: str, status: WaveStatus) -> str:
    """The word for how work ended that had nothing left to do (``done``) or was held up, by what it left."""
    if ended in ("done", "paused") and status.imported == status.studies:
        return "complete"
    return "incomplete" if ended == "done" else ended


def to_do(status: WaveStatus) -> int:
    """Studies of a wave that came to no end yet."""
    return sum(status.count(state) for state in UNFINISHED)
