"""A program that moves one folder of files into another: its settings, its record, and verbs in processes that die."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.program.bench import utc_now

_KILLED = Path(__file__).parents[1] / "integration" / "killed_program.py"
_PROGRAM = """
[program]
name = {name}
[archives.old]
plugin = "files"
path = {source}
[archives.new]
plugin = "files"
path = "new"
[migration]
sources = ["old"]
target = "new"
[execution]
reserve_bytes = 0
{more}
"""
PILOT_AND_REST = """
[[waves]]
name = "pilot"
modalities = ["CT"]
[[waves]]
name = "rest"
"""


def write_program(folder: Path, more: str = "", *, name: str = "Test", source: Path | str = "old") -> None:
    """The program.toml of a folder, and its two archives, empty. ``more`` is TOML, first of all of ``[execution]``."""
    for archive in (folder / source, folder / "new"):
        archive.mkdir(parents=True, exist_ok=True)
    text = _PROGRAM.format(name=json.dumps(name), source=json.dumps(str(source)), more=more)
    (folder / "program.toml").write_text(text, encoding="utf-8")


def that_dies(folder: Path, *verb: str, point: str = "-", nth: int = 0, when: str = "before") -> list[str]:
    """The command of a verb in a process that dies at a named point; see `killed_program`, whose log is beside."""
    return [sys.executable, str(_KILLED), str(log_of(folder)), point, str(nth), when, *verb, "--program", str(folder)]


def log_of(folder: Path) -> Path:
    """Where processes that may die log the names that they give and take back."""
    return folder.with_name(f"{folder.name}.log")


def events_of(folder: Path) -> tuple[RecordedEvent, ...]:
    """What is on record, while others may be writing."""
    with Ledger.open(folder / "ledger.db", clock=utc_now, read_only=True) as ledger:
        return tuple(ledger.read())
