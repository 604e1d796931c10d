"""A small world: a program whose archives are in memory, so that it can crash and begin again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.program import Program
from vna_lifecycle.testing import memory
from vna_lifecycle.testing.memory import MemoryState, fill, forget, memory_state
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

_numbers = itertools.count()

CONFIG = """
[program]
name = "small"
[archives.old]
plugin = "memory"
name = "{old}"
[archives.new]
plugin = "memory"
name = "{new}"
imports = {imports}
{target}
[migration]
sources = ["old"]
target = "new"
verify = "{verify}"
[execution]
workers = 2
reserve_bytes = 0
{more}
"""


class World:
    """A program and its two archives."""

    def __init__(
        self,
        folder: Path,
        specs: list[ObjectSpec],
        more: str = "",
        *,
        imports: bool = False,
        verify: str = "hashed",
        target: str = "",
    ) -> None:
        number = next(_numbers)
        self.old, self.new = f"old-{number}", f"new-{number}"
        self.folder = folder / "program"
        self.folder.mkdir(parents=True)
        text = CONFIG.format(
            old=self.old, new=self.new, more=more, imports=str(imports).lower(), verify=verify, target=target
        )
        (self.folder / "program.toml").write_text(text)
        fill(self.old, [dicom_bytes(spec) for spec in specs])
        self.plugins = load_plugins(extra=[memory])
        Program.init(self.folder)

    @property
    def source(self) -> MemoryState:
        return memory_state(self.old)

    @property
    def target(self) -> MemoryState:
        return memory_state(self.new)

    def open(self) -> Program:
        return Program.open(self.folder, plugins=self.plugins)

    def close(self) -> None:
        forget(self.old)
        forget(self.new)

    def same_bytes(self) -> bool:
        """Whether the target holds exactly the source's objects."""
        return sorted(self.source.files.values()) == sorted(self.target.files.values())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(specs: list[ObjectSpec], more: str = "", **settings: Any) -> World:
        worlds.append(World(tmp_path / str(len(worlds)), specs, more, **settings))
        return worlds[-1]

    yield make
    for made in worlds:
        made.close()
