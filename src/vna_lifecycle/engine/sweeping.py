"""Staged copies of batches whose studies were all read back and reconciled: these may go."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from vna_lifecycle.catalog import BatchLine
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import Batch

_DONE: Final = frozenset({MigrationState.TRANSFERRED, MigrationState.WITHDRAWN})


@frozen(kw_only=True)
class Swept:
    """Batches whose copies went (with ``dry_run``: may go), how much that was in bytes, and batches that keep theirs.

    A batch keeps its copies while its job has not answered, or a study of it is neither transferred nor withdrawn.
    """

    batches: int
    files: int
    size: int
    kept: int

    def __str__(self) -> str:
        what = f"{counted(self.files, 'staged file')} of {counted(self.batches, 'batch')}"
        return f"{what}, {self.size} bytes; {self.kept} keep theirs"


def sweep(journal: Journal, bench: Workbench, wave: str, target: str, *, dry_run: bool) -> Swept:
    """Let go of what is staged for a wave (``""``: for all), where it is of no use any more.

    Raises:
        StateError: the target stages nothing.
        ArchiveError: the place cannot be looked at, or does not let go.
    """
    staged = bench.archive(target).staged
    if staged is None:
        raise StateError(f"{target} stages nothing", hint="Only targets that import by jobs do")
    batches = files = size = kept = 0
    for line in journal.catalog.batches(wave or None):
        if not _is_done(journal, line):
            kept += 1
            continue
        batch = Batch(key=line.batch, wave=line.wave)
        found = staged.staged(batch) if dry_run else staged.let_go(batch)
        batches, files, size = batches + bool(found.files), files + found.files, size + found.size
    return Swept(batches=batches, files=files, size=size, kept=kept)


def _is_done(journal: Journal, line: BatchLine) -> bool:
    if line.state != "ended":
        return False
    for member in journal.facts(line.members_ref):
        work = journal.catalog.work_on(member["study"])
        if work is None or work.state not in _DONE:
            return False
    return True
