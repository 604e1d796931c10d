"""Small synthetic objects, each with one peculiarity that archives are known to change (PS3.5 6.2, 7.2, 7.5, 7.8)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from struct import pack
from typing import Final

from attrs import frozen

from vna_lifecycle.dicom.part10 import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

PATIENT_ID: Final = "VNALIFECYCLE-CANARY"
"""By which the objects are found at the archive, by whoever wants to remove them."""

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_UNDEFINED: Final = 0xFFFFFFFF
_LONG: Final = frozenset({b"OB", b"OW", b"SQ", b"UN"})

Element = tuple[int, bytes, bytes]
"""Tag, VR, and the value as it is written, of even length."""


@frozen(kw_only=True)
class Canary:
    """A peculiarity, and the data set that has it."""

    peculiarity: str
    sop_instance_uid: str
    transfer_syntax: str
    data: bytes

    def file(self) -> bytes:
        """The object as a DICOM file (PS3.10 7.1)."""
        meta = b"".join(
            _element(item, explicit=True, order="<")
            for item in (
                (0x00020001, b"OB", b"\0\1"),
                (0x00020002, b"UI", _uid(SECONDARY_CAPTURE)),
                (0x00020003, b"UI", _uid(self.sop_instance_uid)),
                (0x00020010, b"UI", _uid(self.transfer_syntax)),
                (0x00020012, b"UI", _uid("2.25.1")),
            )
        )
        length = _element((0x00020000, b"UL", pack("<L", len(meta))), explicit=True, order="<")
        return bytes(128) + b"DICM" + length + meta + self.data


def study_uid(archive: str) -> str:
    """The study of all canaries of one archive: the same at every run, so that they are stored once."""
    return _made(f"{archive}/study")


def canaries(archive: str) -> list[Canary]:
    """All of them."""
    return [
        _canary(archive, 1, "nothing peculiar", []),
        _canary(archive, 2, "implicit little endian", [], syntax=IMPLICIT_LITTLE),
        _canary(archive, 3, "explicit big endian", [], syntax=EXPLICIT_BIG),
        _canary(archive, 4, "private elements", [(0x00090010, b"LO", b"CANARY"), (0x00091001, b"LO", b"kept")]),
        _canary(archive, 5, "sequence of undefined length", [(0x00081140, b"SQ", _sequence())]),
        _canary(archive, 6, "group lengths", [(0x00100000, b"UL", pack("<L", 0))]),
        _canary(archive, 7, "values padded otherwise", [(0x00081030, b"LO", b"odd\0"), (0x00080050, b"SH", b"A1  ")]),
        _canary(archive, 8, "data set trailing padding", [(0xFFFCFFFC, b"OB", bytes(8))]),
        _canary(archive, 9, "element that no dictionary has", [(0x00089FF1, b"UN", b"kept")]),
    ]


def _canary(
    archive: str, number: int, peculiarity: str, more: Sequence[Element], *, syntax: str = EXPLICIT_LITTLE
) -> Canary:
    order = ">" if syntax == EXPLICIT_BIG else "<"
    uid = _made(f"{archive}/{number}")
    short = [
        (0x00280002, 1), (0x00280010, 2), (0x00280011, 2), (0x00280100, 8), (0x00280101, 8), (0x00280102, 7),
        (0x00280103, 0),
    ]  # fmt: skip
    elements: list[Element] = [
        (0x00080016, b"UI", _uid(SECONDARY_CAPTURE)),
        (0x00080018, b"UI", _uid(uid)),
        (0x00080020, b"DA", b"20000101"),
        (0x00080030, b"TM", b"120000"),
        (0x00080060, b"CS", b"OT"),
        (0x00080064, b"CS", b"SYN "),
        (0x00100010, b"PN", b"Canary^Synthetic"),
        (0x00100020, b"LO", PATIENT_ID.encode().ljust(20)),
        (0x0020000D, b"UI", _uid(study_uid(archive))),
        (0x0020000E, b"UI", _uid(_made(f"{archive}/series"))),
        (0x00200013, b"IS", f"{number} ".encode()),
        (0x00280004, b"CS", b"MONOCHROME2 "),
        *((tag, b"US", pack(order + "H", value)) for tag, value in short),
        (0x7FE00010, b"OB" if syntax == EXPLICIT_LITTLE else b"OW", bytes((1, 2, 3, 4))),
    ]
    given = {tag for tag, _, _ in more}
    whole = sorted([*(item for item in elements if item[0] not in given), *more])
    data = b"".join(_element(item, explicit=syntax != IMPLICIT_LITTLE, order=order) for item in whole)
    return Canary(peculiarity=peculiarity, sop_instance_uid=uid, transfer_syntax=syntax, data=data)


def _element(item: Element, *, explicit: bool, order: str) -> bytes:
    tag, vr, value = item
    length = _UNDEFINED if vr == b"SQ" else len(value)
    head = pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + pack(order + "L", length) + value
    if vr in _LONG:
        return head + vr + pack(order + "HL", 0, length) + value
    return head + vr + pack(order + "H", length) + value


def _sequence() -> bytes:
    """One item of undefined length, and the end of the sequence (PS3.5 7.5.1)."""
    inner = _element((0x00081150, b"UI", _uid(SECONDARY_CAPTURE)), explicit=True, order="<")
    inner += _element((0x00081155, b"UI", _uid("2.25.2")), explicit=True, order="<")
    item, item_end, end = ((0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD))
    return pack("<HHL", *item, _UNDEFINED) + inner + pack("<HHL", *item_end, 0) + pack("<HHL", *end, 0)


def _made(what: str) -> str:
    """A UID that is a digest (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(what.encode()).digest()[:15], 'big')}"


def _uid(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
