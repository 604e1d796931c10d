"""How a program comes to be, and how its catalog is opened."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.config import Config, load_config, template
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import CatalogCorrupt, ConfigurationError, StateError
from vna_lifecycle.ledger import Draft, Ledger, generate_key, load_key, public_key_text
from vna_lifecycle.model.event import ProgramCreated
from vna_lifecycle.plugin import Plugins
from vna_lifecycle.ports import Clock
from vna_lifecycle.program.layout import Layout
from vna_lifecycle.vault import Vault

SERVICE: Final = "vna-lifecycle"
"""Who acts where no person does."""


def begin(folder: Path, *, name: str, clock: Clock) -> Path:
    """Make a program in ``folder``; see `Program.init`."""
    layout = Layout(folder.resolve())
    begun = layout.ledger.exists()
    if begun:
        with Ledger.open(layout.ledger, clock=clock) as there:
            if there.size():
                hint = f"Open it, or begin another beside {layout.folder}"
                raise StateError("there is a program here already", hint=hint)
    layout.folder.mkdir(parents=True, exist_ok=True)
    layout.keys.mkdir(mode=0o700, exist_ok=True)
    name = name or layout.folder.name
    if not layout.config.exists():
        layout.config.write_text(template(name), encoding="utf-8")
    key = load_key(layout.signing_key) if layout.signing_key.exists() else generate_key(layout.signing_key)
    public = public_key_text(key)
    layout.public_key.write_text(f"{public}\n", encoding="ascii")
    if not layout.vault.exists():
        # Keys without a vault are from an interrupted beginning, or of a vault that is lost: never thrown away.
        for leftover in [*layout.keys.glob("root.key"), *layout.keys.glob("vault-keys.db*")]:
            leftover.rename(leftover.with_name(f"{leftover.name}.before-{clock():%Y%m%dT%H%M%S}"))
        Vault.create(layout.vault, layout.keys).close()
    # The ledger's first event comes last: where it is, there is a whole program.
    origin = f"vna-lifecycle/{secrets.token_hex(8)}"
    with (
        Ledger.open(layout.ledger, clock=clock, signing_key=key)
        if begun
        else Ledger.create(layout.ledger, origin=origin, clock=clock, signing_key=key)
    ) as ledger:
        ledger.append([Draft(event=ProgramCreated(name=name, public_key=public), key="program", actor=SERVICE)])
    return layout.config


def existing(layout: Layout, plugins: Plugins) -> Config:
    """What program.toml says, where there is a program; see `Program.open`."""
    if not layout.config.exists():
        raise ConfigurationError(f"no program.toml in {layout.folder}", hint="Make a program there: vna-lifecycle init")
    config = load_config(layout.config, plugins.registry)
    if not layout.ledger.exists():
        raise StateError("program.toml is there, the program is not", hint="Make it: vna-lifecycle init")
    return config


def open_records(layout: Layout, clock: Clock, opened: ExitStack) -> tuple[Vault, Ledger, Catalog]:
    """Open what a program keeps, each to be closed by ``opened``; see `Program.open`."""
    vault = Vault.open(layout.vault, layout.keys)
    opened.callback(vault.close)
    ledger = Ledger.open(layout.ledger, clock=clock, signing_key=load_key(layout.signing_key))
    opened.callback(ledger.close)
    ledger.check_end()
    catalog = _open_catalog(layout, ledger, vault, clock)
    opened.callback(catalog.close)
    return vault, ledger, catalog


def _open_catalog(layout: Layout, ledger: Ledger, vault: Vault, clock: Clock) -> Catalog:
    """Open the catalog and bring it up to the ledger. A damaged one is set aside: all it held can be found.

    Raises:
        CatalogCorrupt: it is damaged.
        LedgerReplaced: the ledger is not the one that it was folded from.
    """
    path = layout.catalog
    try:
        with ExitStack() as opened:
            catalog = Catalog.open(path, label=vault.label)
            opened.callback(catalog.close)
            Journal(ledger, catalog, vault, actor=SERVICE).sync()
            opened.pop_all()
    except CatalogCorrupt as error:
        aside = path.with_name(f"catalog-damaged-{clock():%Y%m%dT%H%M%S}.db")
        for suffix in ("", "-wal", "-shm"):
            damaged = path.with_name(path.name + suffix)
            if damaged.exists():
                damaged.rename(aside.with_name(aside.name + suffix))
        raise CatalogCorrupt(
            f"{error} (it was set aside as {aside.name})",
            path=aside,
            hint="Waves and states come back from the ledger. Then: vna-lifecycle inventory, plan, transfer",
        ) from error
    return catalog
