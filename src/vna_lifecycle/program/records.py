"""What a program keeps of itself: vault, ledger and catalog, opened together, and who may add to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from vna_lifecycle._version import __version__
from vna_lifecycle.catalog import Catalog
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import CatalogCorrupt, StateError
from vna_lifecycle.ledger import Lease, Ledger, load_key
from vna_lifecycle.model.event import LeaseTaken
from vna_lifecycle.model.wave import Wave
from vna_lifecycle.plugin import Plugins
from vna_lifecycle.ports import Clock
from vna_lifecycle.program.beginning import SERVICE
from vna_lifecycle.program.layout import Layout
from vna_lifecycle.vault import Vault


class Records:
    """The vault, the ledger and the catalog of a program, with the catalog brought up to the ledger.

    Raises:
        LedgerCorrupt, CatalogCorrupt, StorageError: something is damaged.
        LedgerReplaced: the ledger is older than, or another than, the one that was here.
    """

    def __init__(self, layout: Layout, clock: Clock, plugins: Plugins) -> None:
        self._lease = layout.lease
        self._set_aside = partial(_set_aside, layout.catalog, clock)
        self._plugins = plugins
        with ExitStack() as opened:
            self.vault = Vault.open(layout.vault, layout.keys)
            opened.callback(self.vault.close)
            self.ledger = Ledger.open(layout.ledger, clock=clock, signing_key=load_key(layout.signing_key))
            opened.callback(self.ledger.close)
            self.ledger.check_end()
            self.catalog = _open_catalog(layout, self.ledger, self.vault, clock)
            opened.callback(self.catalog.close)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close all three; what fails to close keeps none of the others open. A damaged catalog is set aside."""
        try:
            self._opened.close()
        finally:
            if self.catalog.damages:
                self._set_aside()

    def journal(self, epoch: int | None = None) -> Journal:
        """What puts events on record: decisions, or effects under the lease of that epoch."""
        notify = self._plugins.notify if self._plugins.listening else None
        return Journal(self.ledger, self.catalog, self.vault, actor=SERVICE, epoch=epoch, notify=notify)

    def synced(self) -> Journal:
        """A journal for decisions, after all that other processes put on record."""
        journal = self.journal()
        journal.sync()
        return journal

    @contextmanager
    def effects(self, verb: str) -> Iterator[Journal]:
        """Hold the lease, and put on record what for and with which plug-ins.

        Raises:
            LeaseHeld: another process has it.
        """
        with Lease.take(self.ledger, self._lease, holder=verb) as lease:
            journal = self.journal(lease.epoch)
            taken = LeaseTaken(
                epoch=lease.epoch, verb=verb, software=f"vna_lifecycle {__version__}", plugins=self._plugins.versions
            )
            journal.record([(f"lease/{lease.epoch}", taken)])
            yield journal

    def wave(self, wave: str | Wave) -> str:
        """The name of a planned wave; ``""``, for all of them, is passed on.

        Raises:
            StateError: there is no such wave.
        """
        name = wave.name if isinstance(wave, Wave) else wave
        known = self.catalog.wave_names()
        if name and name not in known:
            raise StateError(f"there is no wave {name!r}", hint=f"Planned are: {', '.join(known) or 'none yet'}")
        return name

    def study(self, study: str) -> str:
        """The label of a study that is given by its UID, or by its label; ``""`` is passed on."""
        return study if not study or self.catalog.work_on(study) is not None else self.vault.label(study)


def _open_catalog(layout: Layout, ledger: Ledger, vault: Vault, clock: Clock) -> Catalog:
    """Open the catalog and bring it up to the ledger. A damaged one is set aside: all it held can be found.

    Raises:
        CatalogCorrupt: it is damaged.
        LedgerReplaced: the ledger is not the one that it was folded from.
    """
    try:
        with ExitStack() as opened:
            catalog = Catalog.open(layout.catalog, label=vault.label)
            opened.callback(catalog.close)
            catalog.forget_outdated()
            Journal(ledger, catalog, vault, actor=SERVICE).sync()
            opened.pop_all()
    except CatalogCorrupt as error:
        aside = _set_aside(layout.catalog, clock)
        raise CatalogCorrupt(f"{error} (it was set aside as {aside.name})", path=aside, hint=error.hint) from error
    return catalog


def _set_aside(path: Path, clock: Clock) -> Path:
    """Put a damaged catalog, with what SQLite keeps beside it, under another name: a new one is made in its place."""
    aside = path.with_name(f"catalog-damaged-{clock():%Y%m%dT%H%M%S}.db")
    for suffix in ("", "-wal", "-shm"):
        damaged = path.with_name(path.name + suffix)
        if damaged.exists():
            damaged.rename(aside.with_name(aside.name + suffix))
    return aside
