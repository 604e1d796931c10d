"""Cutting a listing into parts: ranges of names, so that they leave no gap even where objects come and go."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Part

PER_PART: Final = 2000
"""About how many instances a part has."""


def cut(items: Iterable[tuple[str, int]], kind: str, limit: int = PER_PART) -> list[Part]:
    """Parts of weighed names, in the order of the listing; a part weighs at most ``limit``, or has one name.

    There is one part with everything where the server lists in an order of its own: ranges would then leave names out.
    """
    ends: list[tuple[str, int]] = []  # the last name of each part, and how many names that makes in all
    count = weight = 0
    before = ""
    for name, added in items:
        if count and name <= before:
            return [_part("", None, f"all {kind}")]
        if weight and weight + added > limit:
            ends.append((before, count))
            weight = 0
        before = name
        count += 1
        weight += added
    parts = []
    after, first = "", 1
    for last, number in ends:
        parts.append(_part(after, last, f"{kind} {first} to {number}"))
        after, first = last, number + 1
    if count:
        parts.append(_part(after, None, f"{kind} {first} to {count}"))
    return parts


def _part(after: str, last: str | None, title: str) -> Part:
    return Part(key=json.dumps([after, last]), title=title)


def range_of(part: Part) -> tuple[str, str | None]:
    """After which name a part begins, and its last name; None where it goes to the end.

    Raises:
        ArchiveError: no archive of this kind issued the part.
    """
    try:
        after, last = json.loads(part.key)
    except (ValueError, TypeError):
        after, last = None, None
    if not isinstance(after, str) or not (last is None or isinstance(last, str)):
        raise ArchiveError("this part was not issued by this archive")
    return after, last
