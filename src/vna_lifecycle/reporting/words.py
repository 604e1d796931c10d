"""Numbers, times and foreign text as people read them."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from typing import Final

_LONGEST: Final = 600
_LONGEST_NAME: Final = 80
_MARKS_IN_A_ROW: Final = 4


def visible(text: str) -> str:
    """Text that does nothing but be read.

    What does not print (controls, direction overrides, lone surrogates) is shown as its escape, stacked marks beyond
    four too, and what is longer than 600 characters is cut, with the number of characters left out.
    """
    left = len(text) - _LONGEST
    return printable(text[:_LONGEST]) + (f" … ({number(left)} more characters)" if left > 0 else "")


def printable(text: str) -> str:
    """The whole text with what does not print, and stacked marks beyond four, shown as escapes."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        shown.append(char if char.isprintable() and marks <= _MARKS_IN_A_ROW else ascii(char)[1:-1])
    return "".join(shown)


def short(text: str) -> str:
    """The beginning of a name, for where it stands among other things."""
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def number(count: int) -> str:
    """``1,234``."""
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """A share in whole percent, which says 0 or 100 only where it is exactly so."""
    if whole <= 0:
        return "0 %"
    return f"{part * 100 // whole if part * 100 >= whole or part == 0 else '<1'} %"


def day(text: str) -> str:
    """``2026-05-03...`` as ``3 May 2026``; other text as it is."""
    try:
        found = dt.date.fromisoformat(text[:10])
    except ValueError:
        return text
    return f"{found.day} {found:%b %Y}"


def moment(text: str) -> str:
    """A time in ISO 8601 as ``3 May 2026, 09:14 UTC``; other text as it is."""
    found = parsed(text)
    return text if found is None else f"{found.day} {found:%b %Y, %H:%M} UTC"


def clock(text: str) -> str:
    """A time in ISO 8601 as ``3 May 2026 09:14:07``; other text as it is."""
    found = parsed(text)
    return text if found is None else f"{found.day} {found:%b %Y %H:%M:%S}"


def parsed(text: str) -> dt.datetime | None:
    """A time of the ledger, or None if the text is none."""
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except ValueError:
        return None


def sentence(text: str) -> str:
    """A text with a capital letter at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"


def joined(words: tuple[str, ...]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def commands(text: str) -> list[tuple[bool, str]]:
    """The parts of a text, in order, each with whether it is a command to type."""
    parts = re.split(r"(vna-lifecycle [^;]*)", text)
    return [(bool(place % 2), part) for place, part in enumerate(parts) if part]
