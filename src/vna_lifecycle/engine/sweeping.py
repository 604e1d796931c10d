"""Staged copies of batches whose studies were all read back and reconciled: these may go.

What is to go is on record before it goes, and that it is gone afterwards: whatever breaks off, the next sweep goes on.
"""

from __future__ import annotations

import logging
from typing import Final

from attrs import frozen

from vna_lifecycle.catalog import BatchLine
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import ArchiveError, StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import BatchSwept, SweepIntended
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import Batch, LetsGoOfStaged, StagedCopies

_logger = logging.getLogger(__name__)
_DONE: Final = frozenset({MigrationState.TRANSFERRED, MigrationState.WITHDRAWN})


@frozen(kw_only=True)
class Swept:
    """Batches whose copies went (with ``dry_run``: may go), how much that was in bytes, and batches that keep theirs.

    A batch keeps its copies while its job has not answered, or a study of it is neither transferred nor withdrawn. One
    that was never submitted is of no use to anybody: its copies go.
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
        if journal.ledger.find(_key(line, "swept")) is not None:
            continue
        if not _is_done(journal, line):
            kept += 1
            continue
        found = staged.staged(Batch(key=line.batch, wave=line.wave))
        if not dry_run:
            _let_go(journal, staged, line, found)
        batches, files, size = batches + bool(found.files), files + found.files, size + found.size
    return Swept(batches=batches, files=files, size=size, kept=kept)


def sweep_when_verified(journal: Journal, bench: Workbench, wave: str, target: str) -> None:
    """As `sweep`, where the target says that copies go by themselves. What cannot be removed stays for later."""
    staged = bench.archive(target).staged
    if staged is None or not staged.when_verified or bench.cancelled.is_set():
        return
    try:
        sweep(journal, bench, wave, target, dry_run=False)
    except ArchiveError as error:
        _logger.warning("staged copies stay for now (%s): see vna-lifecycle jobs sweep", error)


def _let_go(journal: Journal, staged: LetsGoOfStaged, line: BatchLine, found: StagedCopies) -> None:
    intent = SweepIntended(wave=line.wave, batch=line.batch, files=found.files, size=found.size)
    if journal.ledger.find(_key(line, "sweep-intended")) is None:  # else an earlier sweep broke off: its counts hold
        journal.record([(_key(line, "sweep-intended"), intent)])
    staged.let_go(Batch(key=line.batch, wave=line.wave))
    journal.record([(_key(line, "swept"), BatchSwept(wave=line.wave, batch=line.batch))])


def _key(line: BatchLine, step: str) -> str:
    return f"batch/{line.batch}/{step}"


def _is_done(journal: Journal, line: BatchLine) -> bool:
    if line.state == "open":  # nobody goes on with it, and whoever asks holds the lease
        return True
    if line.state != "ended":
        return False
    for member in journal.facts(line.members_ref):
        work = journal.catalog.work_on(member["study"])
        if work is None or work.state not in _DONE:
            return False
    return True
