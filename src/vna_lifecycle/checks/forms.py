"""The length and form of each text value representation, PS3.5 6.2."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Final

_CODE: Final = re.compile(r"[A-Z0-9_ ]*")
_UID: Final = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*", re.ASCII)
_DAY: Final = re.compile(r"\d{8}", re.ASCII)
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}(?:\d{2}){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?", re.ASCII)
_AGE: Final = re.compile(r"\d{3}[DWMY]", re.ASCII)
_WHOLE: Final = re.compile(r" *[+-]?\d+", re.ASCII)
_DECIMAL: Final = re.compile(r" *[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_CONTROLS_OF_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # but for TAB, LF, FF, CR and ESC


def _is_day(value: str) -> bool:
    if not _DAY.fullmatch(value):
        return False
    try:
        dt.date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _is_line(value: str) -> bool:
    return not _CONTROLS.search(value)


def _is_text(value: str) -> bool:
    return not _CONTROLS_OF_TEXT.search(value)


_FORMS: Final[dict[str, tuple[int | None, Callable[[str], object]]]] = {
    # value representation: characters at most (None: its form says it, or there is no limit), form
    "AE": (16, _is_line),
    "AS": (None, _AGE.fullmatch),
    "CS": (16, _CODE.fullmatch),
    "DA": (None, _is_day),
    "DS": (16, _DECIMAL.fullmatch),
    "DT": (26, _MOMENT.fullmatch),
    "IS": (12, _WHOLE.fullmatch),
    "LO": (64, _is_line),
    "LT": (10240, _is_text),
    "PN": (64, _is_line),  # each component group
    "SH": (16, _is_line),
    "ST": (1024, _is_text),
    "TM": (None, _TIME.fullmatch),
    "UI": (64, _UID.fullmatch),
}


def problem_of(value: str, representation: str) -> str:
    """``too-long``, ``not-allowed``, or ``""`` for a value that its VR allows, that is empty, or whose VR has no rule.

    ``value`` is one value, decoded, without its padding.
    """
    longest, allowed = _FORMS.get(representation, (None, bool))
    if not value:
        return ""
    pieces = value.split("=") if representation == "PN" else [value]
    if longest is not None and any(len(piece) > longest for piece in pieces):
        return "too-long"
    return "" if allowed(value) else "not-allowed"
