"""Counts and sizes in sentences for people: one thing is not told of as if it were several."""

from __future__ import annotations

import re
from typing import Final

_SINGULAR: Final = {"are": "is", "were": "was", "have": "has", "they": "it", "them": "it"}
_PREFIXES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_PLURAL_WORD: Final = re.compile(rf"\b({'|'.join(_SINGULAR)})\b")


def counted(count: int, noun: str) -> str:
    """A count with its noun, which is given in the singular: ``1 study``, ``2,345 studies``, ``2 series``."""
    if count == 1 or noun.endswith("s"):
        return f"{count:,} {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{count:,} {plural}"


def told_of(count: int, noun: str, predicate: str) -> str:
    """What is said of so many things: ``1 object is at the target``, ``2 objects are at the target``.

    ``predicate`` is given in the plural. For one thing, each of its are, were, have, they and them becomes singular, so
    it must speak of nothing else by these words.
    """
    if count == 1:
        predicate = _PLURAL_WORD.sub(lambda found: _SINGULAR[found[1]], predicate)
    return f"{counted(count, noun)} {predicate}"


def bytes_text(size: int) -> str:
    """A number of bytes in powers of 1000: ``12.3 GB``."""
    amount = float(size)
    for prefix in _PREFIXES:
        if amount < 1000 or prefix == _PREFIXES[-1]:
            break
        amount /= 1000
    return f"{size} B" if prefix == "B" else f"{amount:.1f} {prefix}"


def size_text(size: int, instances: int) -> str:
    """The bytes of so many instances, as far as known; of archives that list no sizes (DIMSE, mostly), nothing is."""
    return bytes_text(size) if size or not instances else "size not told"


def measured_text(value: float) -> str:
    """What was measured, to the two digits that mean something: ``0.056``, ``44``, ``130``."""
    return f"{float(f'{value:.2g}'):.12g}"
