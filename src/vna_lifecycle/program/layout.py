"""Where a program keeps what: the one place that names its files."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen


@frozen
class Layout:
    """The files of a program, all within its folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """What the program shall do, written by people."""
        return self.folder / "program.toml"

    @property
    def ledger(self) -> Path:
        """The append-only record."""
        return self.folder / "ledger.db"

    @property
    def catalog(self) -> Path:
        """What was found where, and the current state; rebuildable."""
        return self.folder / "catalog.db"

    @property
    def vault(self) -> Path:
        """Evidence, encrypted."""
        return self.folder / "vault.db"

    @property
    def keys(self) -> Path:
        """Keys, to be kept out of ordinary backups."""
        return self.folder / "keys"

    @property
    def signing_key(self) -> Path:
        """The private key that signs checkpoints."""
        return self.keys / "program.key"

    @property
    def public_key(self) -> Path:
        """Its public half, to be given to whoever shall verify."""
        return self.folder / "program.pub"

    @property
    def spool(self) -> Path:
        """Objects on their way."""
        return self.folder / "spool"

    @property
    def reports(self) -> Path:
        """The report: a page, its facts, and tables."""
        return self.folder / "reports"

    @property
    def lease(self) -> Path:
        """Held by the one process that has effects."""
        return self.folder / "lease"
