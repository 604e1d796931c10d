"""As killed_program, in which rests of minutes pass in a moment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    log_path, point, nth, when, *verb = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from killed_program import die_at, log_links

    from peers.hasty import hasten
    from vna_lifecycle.cli import main

    log_links(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    hasten()
    if point != "-":
        die_at(point, int(nth), when)
    sys.exit(main(verb))
