"""Association requests and answers as bytes (PS3.8 9.3.2 to 9.3.4, PS3.7 Annex D).

Every length is checked against the bytes that are there, and items that are not known are passed over, as PS3.8 9.3.1
asks. Text of a peer goes nowhere but into the values that are returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from attrs import field, frozen

from vna_lifecycle.adapters.dimse.wire.reasons import violation

IMPLEMENTATION_CLASS: Final = "2.25.140487422080692936475278378061240750611"
IMPLEMENTATION_VERSION: Final = "VNA_LIFECYCLE"
_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"

_FIXED: Final = Struct(">HH16s16s32s")
_ITEM: Final = Struct(">BxH")
_PDU: Final = Struct(">BxL")
_SHORT: Final = Struct(">H")
_LONG: Final = Struct(">L")


@frozen(kw_only=True)
class Proposed:
    """A presentation context of a request."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@frozen(kw_only=True)
class Result:
    """The answer to one presentation context: 0 is acceptance."""

    id: int
    result: int
    transfer_syntax: str = ""


@frozen(kw_only=True)
class Role:
    """SCP/SCU role selection for one SOP class: what the requestor may be (PS3.7 D.3.3.4)."""

    scu: bool
    scp: bool


@frozen(kw_only=True)
class Negotiation:
    """The content of an A-ASSOCIATE-RQ (``proposed``) or A-ASSOCIATE-AC (``results``).

    ``max_pdu`` is the longest P-DATA-TF body that its sender takes, 0 for any. ``extended`` is SOP class extended
    negotiation by SOP class, as it is on the wire (PS3.7 D.3.3.5).
    """

    called: str
    calling: str
    max_pdu: int
    proposed: tuple[Proposed, ...] = ()
    results: tuple[Result, ...] = ()
    roles: dict[str, Role] = field(factory=dict)
    extended: dict[str, bytes] = field(factory=dict)
    application_context: str = _APPLICATION_CONTEXT
    implementation: str = IMPLEMENTATION_VERSION
    version: int = 1


def encode(kind: int, negotiation: Negotiation) -> bytes:
    """The whole PDU; ``kind`` is 1 for a request, 2 for an acceptance.

    Raises:
        ValueError: an AE title or UID is not ASCII, or there is too much to propose.
    """
    user = [
        _item(0x51, _LONG.pack(negotiation.max_pdu)),
        _item(0x52, IMPLEMENTATION_CLASS.encode()),
        *(_item(0x54, _sized(uid) + bytes((role.scu, role.scp))) for uid, role in negotiation.roles.items()),
        _item(0x55, negotiation.implementation.encode("ascii")),
        *(_item(0x56, _sized(uid) + raw) for uid, raw in negotiation.extended.items()),
    ]
    items = [
        _item(0x10, negotiation.application_context.encode("ascii")),
        *(_proposal(context) for context in negotiation.proposed),
        *(
            _item(0x21, bytes((context.id, 0, context.result, 0)) + _item(0x40, context.transfer_syntax.encode()))
            for context in negotiation.results
        ),
        _item(0x50, b"".join(user)),
    ]
    titles = (title.encode("ascii").ljust(16) for title in (negotiation.called, negotiation.calling))
    body = _FIXED.pack(negotiation.version, 0, *titles, b"") + b"".join(items)
    return _PDU.pack(kind, len(body)) + body


def encode_rejection(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ PDU."""
    return _PDU.pack(3, 4) + bytes((0, result, source, reason))


def decode(body: bytes) -> Negotiation:
    """The content of an A-ASSOCIATE-RQ or -AC, without its PDU header.

    Raises:
        ArchiveError: its items do not fit into it.
    """
    if len(body) < _FIXED.size:
        raise violation("an association message is too short")
    version, _, called, calling, _ = _FIXED.unpack_from(body)
    proposed: list[Proposed] = []
    results: list[Result] = []
    user = _User()
    application_context = ""
    for kind, value in _items(body[_FIXED.size :]):
        if kind == 0x10:
            application_context = _text(value)
        elif kind == 0x20:
            proposed.append(_proposed(value))
        elif kind == 0x21:
            results.append(_result(value))
        elif kind == 0x50:
            user = _user(value)
    return Negotiation(
        called=_text(called),
        calling=_text(calling),
        max_pdu=user.max_pdu,
        proposed=tuple(proposed),
        results=tuple(results),
        roles=user.roles,
        extended=user.extended,
        application_context=application_context,
        implementation=user.implementation,
        version=version,
    )


@frozen
class _User:
    max_pdu: int = 0
    roles: dict[str, Role] = field(factory=dict)
    extended: dict[str, bytes] = field(factory=dict)
    implementation: str = ""


def _user(raw: bytes) -> _User:
    max_pdu, implementation = 0, ""
    roles: dict[str, Role] = {}
    extended: dict[str, bytes] = {}
    for kind, value in _items(raw):
        if kind == 0x51:
            if len(value) != 4:
                raise violation("the maximum length of an association message has not 4 bytes")
            (max_pdu,) = _LONG.unpack(value)
        elif kind == 0x54:
            uid, rest = _uid_first(value)
            if len(rest) != 2:
                raise violation("a role selection is malformed")
            roles[uid] = Role(scu=rest[0] == 1, scp=rest[1] == 1)
        elif kind == 0x55:
            implementation = _text(value)
        elif kind == 0x56:
            uid, extended_value = _uid_first(value)
            extended[uid] = extended_value
    return _User(max_pdu, roles, extended, implementation)


def _proposed(raw: bytes) -> Proposed:
    if len(raw) < 4:
        raise violation("a presentation context is malformed")
    syntaxes = list(_items(raw[4:]))
    return Proposed(
        id=raw[0],
        abstract_syntax=next((_text(value) for kind, value in syntaxes if kind == 0x30), ""),
        transfer_syntaxes=tuple(_text(value) for kind, value in syntaxes if kind == 0x40),
    )


def _result(raw: bytes) -> Result:
    if len(raw) < 4:
        raise violation("a presentation context is malformed")
    syntax = ""
    if raw[2] == 0:  # otherwise it is not significant (PS3.8 9.3.3.2)
        syntax = next((_text(value) for kind, value in _items(raw[4:]) if kind == 0x40), "")
    return Result(id=raw[0], result=raw[2], transfer_syntax=syntax)


def _items(raw: bytes) -> Iterator[tuple[int, bytes]]:
    pos, end = 0, len(raw)
    while pos < end:
        if pos + 4 > end:
            raise violation("an association message ends within an item")
        kind, length = _ITEM.unpack_from(raw, pos)
        pos += 4
        if pos + length > end:
            raise violation("an item of an association message is longer than the message")
        yield kind, raw[pos : pos + length]
        pos += length


def _uid_first(raw: bytes) -> tuple[str, bytes]:
    if len(raw) < 2 or len(raw) < 2 + (length := _SHORT.unpack_from(raw)[0]):
        raise violation("an item of an association message is malformed")
    return _text(raw[2 : 2 + length]), raw[2 + length :]


def _proposal(context: Proposed) -> bytes:
    syntaxes: Iterable[bytes] = (_item(0x40, uid.encode("ascii")) for uid in context.transfer_syntaxes)
    value = bytes((context.id, 0, 0, 0)) + _item(0x30, context.abstract_syntax.encode("ascii")) + b"".join(syntaxes)
    return _item(0x20, value)


def _item(kind: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise ValueError("an item of an association message has more than 65,535 bytes")
    return _ITEM.pack(kind, len(value)) + value


def _sized(uid: str) -> bytes:
    raw = uid.encode("ascii")
    return _SHORT.pack(len(raw)) + raw


def _text(raw: bytes) -> str:
    return raw.decode("latin_1").strip(" \0")
