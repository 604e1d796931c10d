"""Cutting a walk into parts. A part is a range of places, so that parts leave no gap even where files come and go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vna_lifecycle.adapters.files.tree import Position, locator_of, position_of
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Part


def cut(items: Iterable[tuple[Position, int]], *, limit: int, kind: str) -> Iterator[Part]:
    """Parts of weighed places in the order of the walk; a part weighs at most ``limit``, or has one place."""
    start: Position = ()
    first, count, weight = 1, 0, 0
    for position, added in items:
        if count and weight + added > limit:
            yield _part(start, position, first, count, kind)
            start, first, count, weight = position, first + count, 0, 0
        count += 1
        weight += added
    if count:
        yield _part(start, None, first, count, kind)


def _part(start: Position, end: Position | None, first: int, count: int, kind: str) -> Part:
    """The key is two locators; no locator holds a line feed. The title names no file: names may name patients."""
    key = f"{locator_of(start)}\n{locator_of(end) if end is not None else ''}"
    return Part(key=key, title=f"{kind} {first} to {first + count - 1}")


def range_of(part: Part) -> tuple[Position, Position | None]:
    """Where a part starts, and the first place behind it.

    Raises:
        ArchiveError: no archive of this kind issued the part.
    """
    start, separator, end = part.key.partition("\n")
    try:
        if not separator:
            raise ValueError("a part's key names two places")
        return (position_of(start) if start else ()), (position_of(end) if end else None)
    except ValueError as error:
        raise ArchiveError(f"this part was not issued by this archive: {error}") from None
