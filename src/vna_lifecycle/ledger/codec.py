"""Events as canonical JSON: the bytes that are stored are the bytes that are hashed.

Canonical: keys sorted by code point, no white space, UTF-8 without escapes where JSON needs none; only objects,
arrays, strings, integers, true, false and null. The format is specified in ``docs/reference/ledger-format.md``.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from vna_lifecycle.errors import SchemaTooNew
from vna_lifecycle.model.event import EVENTS, Event, RecordedEvent

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"
Data: TypeAlias = "dict[str, Json]"

UPCASTERS: Final[dict[tuple[str, int], Callable[[Data], Data]]] = {
    ("study-stored", 1): lambda data: {**data, "receipts_ref": ""},
    ("study-incomplete", 1): lambda data: {**data, "read_back_ref": ""},
}
"""How data written as (kind, version) becomes data of the next version, so that an old ledger always opens."""

ENVELOPE: Final = frozenset({"actor", "data", "key", "kind", "origin", "sequence", "time", "version"})
_INTEGERS: Final = range(-(2**63), 2**63)

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
_CLASSES: Final[Mapping[str, type[Event]]] = {event.kind: event for event in EVENTS}


def _refuse_float(text: str) -> typing.NoReturn:
    raise ValueError("a number that is not an integer")


_decode = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_float).raw_decode


def canonical(value: Json) -> bytes:
    """The canonical bytes of a JSON value that holds no floats.

    Raises:
        ValueError: a string is not Unicode (a lone surrogate).
    """
    return _encode(value).encode()


def parse(body: bytes) -> Data:
    """Read an envelope. It is canonical exactly if `canonical` gives the same bytes again.

    Raises:
        ValueError: these bytes are not an envelope.
    """
    text = body.decode()
    envelope, end = _decode(text)
    if end != len(text) or type(envelope) is not dict or envelope.keys() != ENVELOPE:
        raise ValueError("not an envelope")
    return envelope


def encode(event: Event, *, origin: str, sequence: int, time: str, actor: str, key: str) -> bytes:
    """The canonical bytes of an event in its envelope.

    Raises:
        ValueError: a field's value is not of the type that its event declares (a float, a lone surrogate, ...).
    """
    envelope: Data = {
        "actor": actor,
        "data": event_data(event),
        "key": key,
        "kind": event.kind,
        "origin": origin,
        "sequence": sequence,
        "time": time,
        "version": event.version,
    }
    return canonical(envelope)


def event_data(event: Event) -> Data:
    """An event's fields as JSON, each checked against its declared type.

    Raises:
        ValueError: a value is not of the declared type.
    """
    data: Data = {}
    for name, hint, simple in _FIELDS[event.kind]:
        value = getattr(event, name)
        if type(value) is not simple or (simple is int and value not in _INTEGERS):
            value = _as_json(value, hint, f"{event.kind}.{name}")
        data[name] = value
    return data


def event_of(kind: str, version: int, data: Data) -> Event:
    """The event that was stored as (kind, version), brought up to the version in use.

    Raises:
        SchemaTooNew: the kind or its version is newer than this software.
        ValueError: the data does not fit the event.
    """
    while (upcast := UPCASTERS.get((kind, version))) is not None:
        data, version = upcast(data), version + 1
    event_class = _CLASSES.get(kind)
    if event_class is None or version > event_class.version:
        raise SchemaTooNew(
            f"event {kind} version {version} is not known", hint="use the newer version of this software"
        )
    if version != event_class.version or data.keys() != _NAMES[kind]:
        raise ValueError(f"fields that are not those of {kind} version {event_class.version}")
    values: dict[str, Any] = {}
    for name, hint, simple in _FIELDS[kind]:
        value: Any = data[name]
        values[name] = value if type(value) is simple else _from_json(value, hint, f"{kind}.{name}")
    return event_class(**values)


def recorded(envelope: Data, leaf: str) -> RecordedEvent:
    """An envelope as a value.

    Raises:
        SchemaTooNew: as `event_of`.
        ValueError: the envelope's own fields are of the wrong type, or as `event_of`.
    """
    kind, version, data = envelope["kind"], envelope["version"], envelope["data"]
    sequence, time = envelope["sequence"], envelope["time"]
    actor, key = envelope["actor"], envelope["key"]
    if (
        type(kind) is str
        and type(version) is int
        and type(data) is dict
        and type(sequence) is int
        and type(time) is str
        and type(actor) is str
        and type(key) is str
    ):
        event = event_of(kind, version, data)
        return RecordedEvent(sequence=sequence, time=time, actor=actor, key=key, event=event, leaf=leaf)
    raise ValueError("an envelope with a field of the wrong type")


def _as_json(value: object, hint: Any, where: str) -> Json:
    if isinstance(value, tuple) and typing.get_origin(hint) is tuple:
        return [_as_json(item, item_hint, where) for item, item_hint in _items(value, hint, where)]
    _check(value, hint, where)
    return typing.cast(Json, value)


def _from_json(value: Json, hint: Any, where: str) -> object:
    if isinstance(value, list) and typing.get_origin(hint) is tuple:
        return tuple(_from_json(item, item_hint, where) for item, item_hint in _items(value, hint, where))
    _check(value, hint, where)
    return value


def _items(values: tuple[Any, ...] | list[Json], hint: Any, where: str) -> list[tuple[Any, Any]]:
    hints = typing.get_args(hint)
    if len(hints) == 2 and hints[1] is Ellipsis:
        return [(value, hints[0]) for value in values]
    if len(values) != len(hints):
        raise ValueError(f"{where} has {len(values)} items, not {len(hints)}")
    return list(zip(values, hints, strict=True))


def _check(value: object, hint: Any, where: str) -> None:
    allowed = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if type(value) not in allowed or (type(value) is int and value not in _INTEGERS):
        raise ValueError(f"{where} holds {type(value).__name__}, which does not fit")


def _fields(event_class: type[Event]) -> tuple[tuple[str, Any, type[str] | type[int] | type[bool] | None], ...]:
    hints = typing.get_type_hints(event_class)
    simple = (str, int, bool)
    return tuple(
        (field.name, hints[field.name], hints[field.name] if hints[field.name] in simple else None)
        for field in attrs.fields(event_class)
    )


_FIELDS: Final = {event.kind: _fields(event) for event in EVENTS}
_NAMES: Final = {kind: frozenset(name for name, _, _ in fields) for kind, fields in _FIELDS.items()}
