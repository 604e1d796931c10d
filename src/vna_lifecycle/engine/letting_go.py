"""What sources sent to us and was moved: once that is on record, it need not lie on our disk any longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.ports import LetsGoOfArrivals

_PAGE: Final = 500


class LettingGo:
    """Lets go of the arrivals of studies that were read back and reconciled in full, and of no others."""

    def __init__(self, journal: Journal, keepers: Sequence[LetsGoOfArrivals]) -> None:
        self._journal = journal
        self._keepers = keepers

    def of_study(self, label: str) -> None:
        """Of one study, if the record says that it was transferred.

        Raises:
            StorageError: something cannot be removed.
        """
        work = self._journal.catalog.work_on(label) if self._keepers else None
        if work is not None and work.state is MigrationState.TRANSFERRED:
            self._of(work)

    def of_wave(self, wave: str) -> None:
        """Of a wave's studies, since an earlier run may have ended between the record and the removal.

        Raises:
            StorageError: something cannot be removed.
        """
        catalog, after = self._journal.catalog, ""
        while self._keepers and (page := catalog.work(wave, (MigrationState.TRANSFERRED,), after, _PAGE)):
            after = page[-1].label
            for work in page:
                self._of(work)

    def _of(self, work: StudyWork) -> None:
        manifest = self._journal.manifest(work.manifest_ref)
        for keeper in self._keepers:
            keeper.let_go(manifest)
