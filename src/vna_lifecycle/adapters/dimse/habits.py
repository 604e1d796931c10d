"""What was seen of an archive once and must be borne in mind from then on, kept in a file of its workspace."""

from __future__ import annotations

import json
from pathlib import Path

from vna_lifecycle.ports import Site


def known_cap(site: Site) -> int | None:
    """The number of studies at which the archive was seen to cut an answer short; None if it never was."""
    try:
        return int(json.loads(_place(site).read_text())["cap"])
    except (FileNotFoundError, ValueError, KeyError):  # nothing was seen, or the file is of no use
        return None


def remember_cap(site: Site, cap: int) -> None:
    """Keep the lowest number that was seen."""
    before = known_cap(site)
    part = _place(site).with_suffix(".part")
    part.write_text(json.dumps({"cap": cap if before is None else min(cap, before)}))
    part.replace(_place(site))


def _place(site: Site) -> Path:
    return site.workspace / "behaviour.json"
