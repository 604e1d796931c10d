"""How a program comes to be."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from vna_lifecycle.config import Config, load_config, template
from vna_lifecycle.errors import ConfigurationError, StateError
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
                go_on = f"Go on with it: vna-lifecycle status --program {layout.folder}"
                hint = f"{go_on}. Or make another one elsewhere: vna-lifecycle init FOLDER"
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
        hint = "Go to a program's folder, or name it: --program FOLDER. To make a program: vna-lifecycle init FOLDER"
        raise ConfigurationError(f"no program.toml in {layout.folder}", hint=hint)
    config = load_config(layout.config, plugins.registry)
    if not layout.ledger.exists():
        raise StateError("program.toml is there, the program is not", hint="Make it: vna-lifecycle init")
    return config
