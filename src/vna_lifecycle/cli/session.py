"""The program that a verb acts on, opened for the time of one verb."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vna_lifecycle.cli.interrupts import stoppable

if TYPE_CHECKING:
    from vna_lifecycle.program import Program


@contextmanager
def opened(folder: Path) -> Iterator[Program]:
    """Open the program in ``folder``; Ctrl-C asks its work to stop.

    Raises:
        VnaLifecycleError: it cannot be opened; see `Program.open`.
        KeyboardInterrupt: the work was asked to stop, and has.
    """
    from vna_lifecycle.program import Program

    with Program.open(folder) as program, stoppable(program.cancel):
        yield program
