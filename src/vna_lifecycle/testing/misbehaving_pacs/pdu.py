"""Protocol data units, written and read by hand so that they can be wrong (PS3.8 9.3, PS3.7 6.3 and Annex D)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import field, frozen
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"
_IMPLEMENTATION: Final = "1.2.826.0.1.3680043.10.1999.9"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
NO_DATA_SET: Final = 0x0101


@frozen(kw_only=True)
class Proposal:
    """A presentation context of a request."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@frozen(kw_only=True)
class Request:
    """An A-ASSOCIATE-RQ. ``roles`` are SOP classes for which the requestor offers to be the SCP."""

    called: str
    calling: str
    max_pdu: int
    proposals: tuple[Proposal, ...]
    roles: tuple[str, ...] = field(factory=tuple)


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """A PDU; ``length`` is what its header says, where that shall not be the truth."""
    return struct.pack(">BxL", kind, len(body) if length is None else length) + body


def read_request(body: bytes) -> Request:
    """The content of an A-ASSOCIATE-RQ."""
    proposals: list[Proposal] = []
    roles: list[str] = []
    max_pdu = 0
    for kind, value in _items(body[68:]):
        if kind == 0x20:
            parts = list(_items(value[4:]))
            abstract = next(_text(raw) for inner, raw in parts if inner == 0x30)
            syntaxes = tuple(_text(raw) for inner, raw in parts if inner == 0x40)
            proposals.append(Proposal(id=value[0], abstract_syntax=abstract, transfer_syntaxes=syntaxes))
        elif kind == 0x50:
            for inner, raw in _items(value):
                if inner == 0x51:
                    (max_pdu,) = struct.unpack(">L", raw)
                elif inner == 0x54 and raw[-1]:
                    roles.append(_text(raw[2:-2]))
    return Request(
        called=_text(body[4:20]),
        calling=_text(body[20:36]),
        max_pdu=max_pdu,
        proposals=tuple(proposals),
        roles=tuple(roles),
    )


def acceptance(request: Request, accepted: Mapping[int, str], max_pdu: int) -> bytes:
    """An A-ASSOCIATE-AC; ``accepted`` are transfer syntaxes by presentation context ID, the others are refused."""
    contexts = [
        _item(0x21, bytes((one.id, 0, 0 if one.id in accepted else 3, 0)) + _syntax(0x40, accepted.get(one.id, "")))
        for one in request.proposals
    ]
    roles = [_item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\0\1") for uid in request.roles]
    return pdu(ASSOCIATE_AC, _association(request.called, request.calling, contexts, max_pdu, roles))


def association_request(called: str, calling: str, proposals: Iterable[Proposal], max_pdu: int) -> bytes:
    """An A-ASSOCIATE-RQ."""
    contexts = [
        _item(
            0x20,
            bytes((one.id, 0, 0, 0))
            + _syntax(0x30, one.abstract_syntax)
            + b"".join(_syntax(0x40, uid) for uid in one.transfer_syntaxes),
        )
        for one in proposals
    ]
    return pdu(ASSOCIATE_RQ, _association(called, calling, contexts, max_pdu, []))


def read_acceptance(body: bytes) -> set[int]:
    """The presentation context IDs that an A-ASSOCIATE-AC agrees to."""
    return {value[0] for kind, value in _items(body[68:]) if kind == 0x21 and value[2] == 0}


def message(context: int, command: Dataset, data: bytes | None, max_pdu: int) -> Iterator[bytes]:
    """A command set and its data set, if any, as PDUs."""
    command.CommandDataSetType = NO_DATA_SET if data is None else 1
    body = encoded(command, implicit=True)
    whole = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    yield pdu(DATA, struct.pack(">LBB", len(whole) + 2, context, 3) + whole)
    if data is not None:
        step = max_pdu - 6
        for begin in range(0, max(len(data), 1), step):
            piece = data[begin : begin + step]
            last = 2 if begin + step >= len(data) else 0
            yield pdu(DATA, struct.pack(">LBB", len(piece) + 2, context, last) + piece)


def values(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context, control byte and bytes of each value of a P-DATA-TF."""
    begin = 0
    while begin < len(body):
        length, context, control = struct.unpack_from(">LBB", body, begin)
        yield context, control, body[begin + 6 : begin + 4 + length]
        begin += 4 + length


def encoded(dataset: Dataset, *, implicit: bool, big: bool = False) -> bytes:
    """A data set as bytes."""
    written = DicomBytesIO()
    written.is_implicit_VR, written.is_little_endian = implicit, not big
    write_dataset(written, dataset)
    return bytes(written.getvalue())


def decoded(data: bytes, transfer_syntax: str) -> Dataset:
    """A data set from its bytes, which are not deflated."""
    syntax = UID(transfer_syntax)
    return read_dataset(io.BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)


def _association(called: str, calling: str, contexts: list[bytes], max_pdu: int, roles: list[bytes]) -> bytes:
    user = [_item(0x51, struct.pack(">L", max_pdu)), _item(0x52, _IMPLEMENTATION.encode()), *roles]
    items = [_syntax(0x10, _CONTEXT_NAME), *contexts, _item(0x50, b"".join(user))]
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    return struct.pack(">HH", 1, 0) + titles + bytes(32) + b"".join(items)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _syntax(kind: int, uid: str) -> bytes:
    return _item(kind, uid.encode())


def _items(raw: bytes) -> Iterator[tuple[int, bytes]]:
    begin = 0
    while begin < len(raw):
        kind, length = struct.unpack_from(">BxH", raw, begin)
        yield kind, raw[begin + 4 : begin + 4 + length]
        begin += 4 + length


def _text(raw: bytes) -> str:
    return raw.decode("latin_1").strip(" \0")
