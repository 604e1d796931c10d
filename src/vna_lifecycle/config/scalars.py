"""Single values of program.toml, exactly: nothing is coerced."""

from __future__ import annotations

import datetime as dt
import difflib
import enum
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo, available_timezones

from vna_lifecycle.execution.windows import Window, parse_time_zone, parse_window
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.plugin import SecretReference

Problem = tuple[str, str]
Hook = Callable[[Any, Any], Any]
"""What cattrs calls: (value, annotation) -> value. Every hook here raises `Unusable` for what does not fit."""

_SECRET: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
_RUNGS: Final = {"hashed": Rung.HASHED, "equivalent": Rung.EQUIVALENT}
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (dt.datetime, "a date with a time"),
    (dt.date, "a date"),
    (dt.time, "a time of day"),
    (list, "a list"),
    (dict, "a table"),
)


class Unusable(Exception):
    """Problems of one value, each with its path below that value."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("unusable value")
        self.problems = tuple(problems)

    @classmethod
    def because(cls, message: str) -> Unusable:
        """One problem, of the value itself."""
        return cls((("", message),))


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A tail for a message: the nearest known word, or what is known when nothing is near."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    if near:
        return f"; did you mean {folded[near[0]]!r}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 30 else ""


def _kind(value: object) -> str:
    return next((title for kind, title in _KINDS if isinstance(value, kind)), type(value).__name__)


def wrong(expected: str, value: object) -> Unusable:
    """What a value of another type raises; the value itself is not repeated."""
    return Unusable.because(f"must be {expected}, not {_kind(value)}")


def text(value: object, _: object = None) -> str:
    """Text, and nothing else."""
    if not isinstance(value, str):
        raise wrong("text", value)
    return value


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise wrong("true or false", value)
    return value


def _whole(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong("a whole number", value)
    if not -(2**63) <= value < 2**63:
        raise Unusable.because("does not fit in 64 bits")
    return value


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Unusable.because("must be a finite number")
    return float(value)


def _date(value: object, _: object) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise wrong("a date such as 2025-01-31, without quotes", value)
    return value


def _zone(value: object, _: object) -> ZoneInfo:
    try:
        return parse_time_zone(text(value))
    except ValueError as exc:
        known = available_timezones()
        tail = did_you_mean(text(value), known) if known else "; this machine has no time zone database: install tzdata"
        raise Unusable.because(f"{exc}{tail}") from None


def _window(value: object, _: object) -> Window:
    if not isinstance(value, dict):
        raise wrong("a table", value)
    try:
        return parse_window(value)
    except ValueError as exc:
        raise Unusable.because(str(exc)) from None


def _secret(value: object, _: object) -> SecretReference:
    # The value is not repeated: it may be the secret itself.
    if not isinstance(value, str) or not _SECRET.fullmatch(value):
        raise Unusable.because("must be 'env:NAME' or 'file:PATH'; a secret itself never stands in the file")
    return SecretReference(value)


def _rung(value: object, _: object) -> Rung:
    name = text(value)
    if name not in _RUNGS:
        raise Unusable.because(f"{name!r} is not one of {', '.join(_RUNGS)}{_near(name, _RUNGS)}")
    return _RUNGS[name]


def enumeration(cls: type[enum.Enum]) -> Hook:
    """A member, named by its value."""

    def structure(value: object, _: object) -> enum.Enum:
        known = {str(member.value): member for member in cls}
        if text(value) not in known:
            raise Unusable.because(f"{value!r} is not one of {', '.join(known)}{_near(str(value), known)}")
        return known[str(value)]

    return structure


def choice(annotation: object) -> Hook:
    """One of the texts of a Literal."""

    def structure(value: object, _: object) -> object:
        known = [str(choice) for choice in get_args(annotation)]
        if text(value) not in known:
            raise Unusable.because(f"{value!r} is not one of {', '.join(known)}{_near(str(value), known)}")
        return value

    return structure


def _near(word: str, known: Collection[str]) -> str:
    tail = did_you_mean(word, known)
    return tail if "did you mean" in tail else ""


SCALARS: Final[Mapping[object, Hook]] = MappingProxyType(
    {
        str: text,
        bool: _truth,
        int: _whole,
        float: _number,
        dt.date: _date,
        ZoneInfo: _zone,
        Rung: _rung,
        SecretReference: _secret,
        Window: _window,
    }
)
"""Hooks by annotation."""
