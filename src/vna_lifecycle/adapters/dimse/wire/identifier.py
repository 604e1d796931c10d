"""Small data sets: the keys of queries, their answers (PS3.4 C.4.1.1.3), and the lists of storage commitment.

They are read and written without pydicom, which would tell values that are not as they should be to its log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final, TypeAlias

from attrs import field, frozen

from vna_lifecycle.adapters.dimse.wire.reasons import violation
from vna_lifecycle.dicom.charset import codecs_of, decode
from vna_lifecycle.dicom.dictionary import TEXT_VRS, is_sequence, vr_of
from vna_lifecycle.dicom.elements import ITEM, LONG_VRS, walk
from vna_lifecycle.dicom.limits import LIMITS
from vna_lifecycle.dicom.part10 import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from vna_lifecycle.dicom.source import bytes_source
from vna_lifecycle.errors import DicomRefused

UNCOMPRESSED: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""Transfer syntaxes for everything but objects: the one that states VRs, then the one that everybody has."""

Keys: TypeAlias = Mapping[int, "str | Sequence[Keys]"]
"""What to ask for, by tag: text, several values joined by a backslash; or the items of a sequence."""

_CHARACTER_SET: Final = 0x00080005
_UTF8: Final = "ISO_IR 192"


@frozen(kw_only=True)
class Elements:
    """A small data set: raw values of its top level by tag, and those of the items of its sequences, one level deep."""

    values: dict[int, bytes] = field(factory=dict)
    items: dict[int, tuple[dict[int, bytes], ...]] = field(factory=dict)

    def text(self, tag: int) -> str:
        """A value in the data set's own character set, without padding; empty where it is absent."""
        raw = self.values.get(tag, b"")
        character_set = self.values.get(_CHARACTER_SET, b"").decode("latin_1").strip(" \0")
        return decode(raw, codecs_of(character_set)).strip(" \0")


@frozen(kw_only=True)
class Identifier:
    """One answer of a query, as it came. ``all_keys`` is False where optional keys were not supported (FF01)."""

    data: bytes
    transfer_syntax: str
    all_keys: bool = True

    def read(self) -> Elements:
        """What it says.

        Raises:
            ArchiveError: the bytes are no data set; other answers may be.
        """
        return read(self.data, self.transfer_syntax)


def read(data: bytes, transfer_syntax: str) -> Elements:
    """A small data set from its bytes, in one of the uncompressed transfer syntaxes.

    Raises:
        ArchiveError: the bytes are no data set.
    """
    values: dict[int, bytes] = {}
    items: dict[int, tuple[dict[int, bytes], ...]] = {}
    inner: list[dict[int, bytes]] = []
    elements = walk(
        bytes_source(data),
        0,
        explicit=transfer_syntax != IMPLICIT_LITTLE,
        big=transfer_syntax == EXPLICIT_BIG,
        limits=LIMITS,
        is_sequence=is_sequence,
    )
    sequence = 0
    try:
        for tag, vr, offset, length, depth, _ in elements:
            if vr == b"SQ":
                if not depth:
                    sequence, inner = tag, []
                    items[tag] = ()
            elif tag == ITEM:
                if depth == 1:
                    inner.append({})
                    items[sequence] = tuple(inner)
            elif tag >> 16 == 0xFFFE:
                continue  # the end of an item or sequence
            elif not depth:
                values[tag] = data[offset : offset + length]
            elif depth == 1 and inner:
                inner[-1][tag] = data[offset : offset + length]
    except DicomRefused:
        raise violation("a data set that is malformed") from None
    return Elements(values=values, items=items)


def write(keys: Keys, transfer_syntax: str) -> bytes:
    """The bytes of a small data set, in one of the uncompressed transfer syntaxes.

    Texts are written in UTF-8, and where they are not ASCII, the data set says so.

    Raises:
        ValueError: a tag is not in the dictionary, or its values are no text.
    """
    if _CHARACTER_SET not in keys and not _is_ascii(keys):
        keys = {**keys, _CHARACTER_SET: _UTF8}
    return _written(keys, transfer_syntax != IMPLICIT_LITTLE, ">" if transfer_syntax == EXPLICIT_BIG else "<")


def _written(keys: Keys, explicit: bool, order: str) -> bytes:
    pieces = []
    tag_and_length, tag_and_vr = Struct(order + "HHL"), Struct(order + "HH2sH")
    for tag, value in sorted(keys.items()):
        vr = vr_of(tag)
        if isinstance(value, str):
            if vr not in TEXT_VRS and (value or not vr):
                raise ValueError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is no text that can be asked for")
            raw = value.encode()
            raw += b"" if len(raw) % 2 == 0 else b"\0" if vr == b"UI" else b" "
        else:
            bodies = [_written(item, explicit, order) for item in value]
            raw = b"".join(tag_and_length.pack(ITEM >> 16, ITEM & 0xFFFF, len(body)) + body for body in bodies)
        if not explicit:
            pieces.append(tag_and_length.pack(tag >> 16, tag & 0xFFFF, len(raw)))
        elif vr in LONG_VRS:
            pieces.append(tag_and_vr.pack(tag >> 16, tag & 0xFFFF, vr, 0) + Struct(order + "L").pack(len(raw)))
        else:
            pieces.append(tag_and_vr.pack(tag >> 16, tag & 0xFFFF, vr, len(raw)))
        pieces.append(raw)
    return b"".join(pieces)


def _is_ascii(keys: Keys) -> bool:
    return all(
        value.isascii() if isinstance(value, str) else all(_is_ascii(item) for item in value) for value in keys.values()
    )
