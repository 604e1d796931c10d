"""Command sets: implicit VR little endian, group 0000 only, one VR per element (PS3.7 6.3.1 and Annex E)."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, error
from typing import Final

from vna_lifecycle.adapters.dimse.wire.reasons import violation

AFFECTED_CLASS: Final = 0x0002
REQUESTED_CLASS: Final = 0x0003
FIELD: Final = 0x0100
MESSAGE_ID: Final = 0x0110
RESPONDED_TO: Final = 0x0120
MOVE_DESTINATION: Final = 0x0600
PRIORITY: Final = 0x0700
DATA_SET_TYPE: Final = 0x0800
STATUS: Final = 0x0900
ERROR_COMMENT: Final = 0x0902
AFFECTED_INSTANCE: Final = 0x1000
REQUESTED_INSTANCE: Final = 0x1001
EVENT_TYPE: Final = 0x1002
ACTION_TYPE: Final = 0x1008
REMAINING: Final = 0x1020
COMPLETED: Final = 0x1021
FAILED: Final = 0x1022
WARNED: Final = 0x1023
MOVE_ORIGINATOR: Final = 0x1030
MOVE_ORIGINATOR_MESSAGE_ID: Final = 0x1031

C_STORE_RQ: Final = 0x0001
C_GET_RQ: Final = 0x0010
C_FIND_RQ: Final = 0x0020
C_MOVE_RQ: Final = 0x0021
C_ECHO_RQ: Final = 0x0030
N_EVENT_REPORT_RQ: Final = 0x0100
N_ACTION_RQ: Final = 0x0130
C_CANCEL_RQ: Final = 0x0FFF
RESPONSE: Final = 0x8000
"""Set in the command field of every response."""

NO_DATA_SET: Final = 0x0101
DATA_SET: Final = 0x0001
MEDIUM: Final = 0

SUCCESS: Final = 0x0000
CANCELLED: Final = 0xFE00
PENDING: Final = frozenset({0xFF00, 0xFF01})

LIMIT: Final = 64 << 10
"""No command set is longer, in bytes; the longest real ones have some hundred."""

_UIDS: Final = frozenset({AFFECTED_CLASS, REQUESTED_CLASS, AFFECTED_INSTANCE, REQUESTED_INSTANCE})
_HEADER: Final = Struct("<HHL")
_NUMBER: Final = Struct("<HHLH").pack
_LENGTH: Final = Struct("<HHLL").pack
_WORD: Final = Struct("<H").unpack

Command = dict[int, bytes]
"""Raw values by element number (the group is always 0000)."""


def encode(elements: Mapping[int, int | str]) -> bytes:
    """A command set. Elements must be given in ascending order; numbers are US, texts UI, AE or LO.

    Raises:
        ValueError: a text is not ASCII.
    """
    pieces = []
    for element, value in elements.items():
        if isinstance(value, int):
            pieces.append(_NUMBER(0, element, 2, value))
            continue
        raw = value.encode("ascii")
        if len(raw) & 1:
            raw += b"\0" if element in _UIDS else b" "
        pieces.append(_HEADER.pack(0, element, len(raw)) + raw)
    body = b"".join(pieces)
    return _LENGTH(0, 0, 4, len(body)) + body


def decode(data: bytes) -> Command:
    """The elements of a command set. Unknown elements are kept, so that retired ones do no harm.

    Raises:
        ArchiveError: the bytes are no command set.
    """
    found: Command = {}
    pos, end = 0, len(data)
    unpack = _HEADER.unpack_from
    try:
        while pos < end:
            group, element, length = unpack(data, pos)
            pos += 8
            if group or pos + length > end:
                raise violation("a command set is malformed")
            found[element] = data[pos : pos + length]
            pos += length
    except error:
        raise violation("a command set is malformed") from None
    if FIELD not in found or DATA_SET_TYPE not in found:
        raise violation("a command set says neither what it is nor whether a data set follows")
    return found


def number(command: Command, element: int) -> int | None:
    """A US value, None where the element is absent or empty.

    Raises:
        ArchiveError: it is no US.
    """
    raw = command.get(element)
    if not raw:
        return None
    if len(raw) != 2:
        raise violation("a command element has the wrong length")
    return int(_WORD(raw)[0])


def text(command: Command, element: int) -> str:
    """A UI, AE or LO value without its padding, empty where the element is absent."""
    return command.get(element, b"").decode("latin_1").strip(" \0")


def required(command: Command, element: int) -> int:
    """A US value that must be there.

    Raises:
        ArchiveError: it is not, or is no US.
    """
    found = number(command, element)
    if found is None:
        raise violation(f"a command set has no element (0000,{element:04X})")
    return found
