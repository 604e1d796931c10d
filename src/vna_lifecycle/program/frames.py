"""Looking at single frames of what a program moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna_lifecycle.engine.frames import FramesSeen, look_at_frames
from vna_lifecycle.engine.progress import Tell, silent
from vna_lifecycle.program.running import Pacing, local_bench

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def sample_frames(program: Program, wave: str, *, sample: int = 20, tell: Tell = silent) -> FramesSeen:
    """Hold frames of some transferred studies of a wave against their originals; see `look_at_frames`.

    Raises:
        StateError: there is no such wave, or the target serves no single frames.
    """
    with program.records.effects("frames") as journal:
        journal.sync()
        bench = local_bench(program, Pacing(program.config.execution, program.clock))
        return look_at_frames(journal, bench, program.records.wave(wave), program.config.migration.target, sample, tell)
