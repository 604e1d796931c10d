"""Writing results to standard output, for people or as JSON. What comes from archives cannot steer the terminal."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vna_lifecycle.errors import StorageError

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_json(value: Mapping[str, object], *, indent: int | None = 2) -> None:
    """One JSON object. Paths are text; anything but ASCII is escaped, so that no terminal or encoding matters."""
    sys.stdout.write(json.dumps(value, indent=indent, default=_plain) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def say(text: str = "") -> None:
    """A line of plain text."""
    sys.stdout.write(text + "\n")


def show(*renderables: RenderableType) -> None:
    """Tables and coloured text; where standard output is no terminal, tables of 80 columns and lines as they are."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    for each in renderables:
        console.print(each, soft_wrap=isinstance(each, Text) and not console.is_terminal)


def safe(text: str) -> str:
    """Text from an archive with everything that is not printable escaped: it may be hostile."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def write_file(path: Path, text: str) -> None:
    """Write an output file that a person asked for.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as exc:
        raise StorageError(f"the file cannot be written ({exc.strerror})", path=path) from exc


def read_file(path: Path) -> str:
    """Read an input file that a person named.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise StorageError(f"the file cannot be read ({reason})", path=path) from exc
