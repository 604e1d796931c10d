"""The command line ``vna-lifecycle``: one file for each group of verbs, loaded only when one of them is called."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Final

_COLLECTIONS: Final = (50_000, 20, 50)
"""How seldom cycles are looked for. This process makes few and many values; to look takes a twentieth of its time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: What stands after ``vna-lifecycle``; None takes it from the process.

    Returns:
        The exit code: see ``docs/reference/command-line.md``.
    """
    if argv is None:
        gc.set_threshold(*_COLLECTIONS)
    from vna_lifecycle.cli.app import run

    if argv is not None:
        return run(list(argv))
    try:
        return run(sys.argv[1:])
    finally:
        gc.freeze()  # it ends: to look for cycles once more in all that it holds takes a tenth of a second
