"""Letting go of what was staged for import jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna_lifecycle.engine.sweeping import Swept, sweep
from vna_lifecycle.program.running import Pacing, local_bench

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def sweep_staged(program: Program, wave: str = "", *, dry_run: bool = False) -> Swept:
    """Remove staged copies of a wave (all, unless named) whose studies were read back; see `sweep`.

    Raises:
        StateError: there is no such wave, or the target stages nothing.
    """
    with program.records.effects("sweep") as journal:
        journal.sync()
        bench = local_bench(program, Pacing(program.config.execution, program.clock))
        return sweep(journal, bench, program.records.wave(wave), program.config.migration.target, dry_run=dry_run)
