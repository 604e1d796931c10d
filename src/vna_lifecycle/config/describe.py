"""What a table takes, for people: the source of ``vna-lifecycle plugins`` and of the reference."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NewType, get_args
from zoneinfo import ZoneInfo

import attrs
from attrs import frozen

from vna_lifecycle.config.keys import keys_of, origin_of, without_none
from vna_lifecycle.execution.windows import Window
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.plugin import SecretReference

_TITLES: Final[Mapping[object, str]] = MappingProxyType(
    {
        str: "text",
        bool: "true or false",
        int: "whole number",
        float: "number",
        Path: "path",
        dt.date: "date",
        ZoneInfo: "time zone",
        Rung: "hashed | equivalent",
        SecretReference: "env:NAME or file:PATH",
        Window: "window",
    }
)


@frozen(kw_only=True)
class Setting:
    """One key of a table: what it takes (``type``), what holds without it (``default``, None if required), its help.

    ``default`` is as it would stand in the file, ``""`` where the absence itself says it.
    """

    key: str
    type: str
    required: bool
    default: str | None
    help: str


def describe(settings: type[object]) -> tuple[Setting, ...]:
    """The keys that a settings class takes, in order."""
    return tuple(
        Setting(
            key=key.name,
            type=_title(key.type),
            required=key.required,
            default=None if key.required else _shown(_default(key.field.default)),
            help=key.help,
        )
        for key in keys_of(settings)
    )


def _default(default: object) -> object:
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # attrs types its class as a function
        factory: object = default.factory()  # type: ignore[attr-defined]  # the same
        return factory
    return default


def _title(annotation: object) -> str:
    annotation, _ = without_none(annotation)
    if annotation in _TITLES:
        return _TITLES[annotation]
    if isinstance(annotation, NewType):
        return _title(annotation.__supertype__)
    if origin_of(annotation) is tuple:
        return f"list of {_title(get_args(annotation)[0])}"
    if origin_of(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " | ".join(str(member.value) for member in annotation)
    if isinstance(annotation, type) and attrs.has(annotation):
        return f"table of {', '.join(key.name for key in keys_of(annotation))}"
    return str(annotation)


def _shown(value: object) -> str:
    match value:
        case None | ():
            return ""
        case bool():
            return str(value).lower()
        case Rung():
            return value.name.lower()
        case enum.Enum():
            return str(value.value)
        case tuple():
            return f"[{', '.join(_shown(item) for item in value)}]"
        case _:
            return str(value)
