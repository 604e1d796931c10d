"""What was seen of an archive once and must be borne in mind from then on, kept in a file of its workspace."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vna_lifecycle.ports import Site


def known_cap(site: Site) -> int | None:
    """The number of studies at which the archive was seen to cut an answer short; None if it never was."""
    return _number(site, "cap")


def remember_cap(site: Site, cap: int) -> None:
    """Keep the lowest number that was seen."""
    before = known_cap(site)
    _remember(site, cap=cap if before is None else min(cap, before))


def known_associations(site: Site) -> int | None:
    """How many associations at once the archive was seen to bear without slowing; None before it was measured."""
    return _number(site, "associations")


def remember_associations(site: Site, associations: int) -> None:
    """Keep the number that was measured last."""
    _remember(site, associations=associations)


def known_crowded(site: Site) -> frozenset[str]:
    """The keys of windows that the last whole inventory had to divide."""
    found = _read(site).get("crowded", [])
    return frozenset(key for key in found if isinstance(key, str)) if isinstance(found, list) else frozenset()


def remember_crowded(site: Site, keys: Iterable[str]) -> None:
    """Keep those of the last whole inventory, and no older ones."""
    _remember(site, crowded=sorted(keys))


def _number(site: Site, name: str) -> int | None:
    found = _read(site).get(name)
    return found if isinstance(found, int) and found > 0 else None


def _read(site: Site) -> dict[str, Any]:
    try:
        found = json.loads(_place(site).read_text())
    except (FileNotFoundError, ValueError):  # nothing was seen, or the file is of no use
        return {}
    return found if isinstance(found, dict) else {}


def _remember(site: Site, **seen: object) -> None:
    before = _read(site)
    if (now := {**before, **seen}) == before:
        return
    part = _place(site).with_suffix(".part")
    part.write_text(json.dumps(now))
    part.replace(_place(site))


def _place(site: Site) -> Path:
    return site.workspace / "behaviour.json"
