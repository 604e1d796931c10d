"""How much a transfer would move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vna_lifecycle.engine.transfer import UNFINISHED, UNSUCCESSFUL
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.lifecycle import MigrationState

if TYPE_CHECKING:
    from vna_lifecycle.catalog import StudyWork
    from vna_lifecycle.program import Program

_AT_ONCE = 500


@frozen(kw_only=True)
class Pending:
    """What a transfer of a wave would take up now, as the sources list it; ``size`` is in bytes."""

    wave: str
    studies: int
    instances: int
    size: int


def pending(program: Program, wave: str, *, retry: bool) -> Pending:
    """Count what `Program.transfer` would take up.

    Raises:
        StateError: there is no such wave.
    """
    if wave not in program.waves():
        raise StateError(f"there is no wave {wave!r}", hint=f"Planned are: {', '.join(program.waves()) or 'none yet'}")
    studies = instances = size = 0
    after = ""
    while page := program.catalog.work(wave, (*UNFINISHED, *UNSUCCESSFUL), after=after, limit=_AT_ONCE):
        after = page[-1].label
        for work in page:
            if retry or _goes_on(work, program.config.execution.attempts):
                listed = program.catalog.study(work.study_uid)
                studies += 1
                instances += (listed.instances or 0) if listed else work.instances
                size += listed.size if listed else work.size
    return Pending(wave=wave, studies=studies, instances=instances, size=size)


def _goes_on(work: StudyWork, attempts: int) -> bool:
    """Whether a transfer takes this study up without ``--retry``."""
    if work.state is MigrationState.FAILED:
        return work.transient and work.attempt < attempts
    return work.state in UNFINISHED
