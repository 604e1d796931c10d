"""The canonical header: one byte sequence for all encodings of the same attributes.

The form is Implicit VR Little Endian (PS3.5 A.1) with every sequence and item of undefined length, because it is the
one standard encoding that holds what every archive keeps: an archive that stores implicit VR loses the VR of private
elements, and many rewrite lengths. In file order, each element is

- ``group`` and ``element`` as unsigned 16-bit little endian, ``length`` as unsigned 32-bit little endian, the value;
- a sequence with items: length FFFFFFFF; each item as FE FF 00 E0 FF FF FF FF, its elements, FE FF 0D E0 00 00 00 00;
  then FE FF DD E0 00 00 00 00. A sequence without items has length 0 and nothing more;
- encapsulated fragments other than the top level's pixel data: length FFFFFFFF; each fragment as FE FF 00 E0, its
  length, its bytes; then FE FF DD E0 00 00 00 00.

Left out at every level: group lengths (gggg,0000) and Data Set Trailing Padding (FFFC,FFFC). Left out at the top
level: Pixel Data, Float and Double Float Pixel Data, Extended Offset Table and its Lengths, and zeros after the end.
Lossy compression history (0028,2110-2114), Specific Character Set and signatures are content and stay.

Values are little endian; big endian ones are swapped in words of the VR that the file states. Where the dictionary
(PS3.6) gives a public tag a text VR, trailing spaces and NULs are removed, also to an odd length. Values of private
tags stay as they are. Where the file states no VR, or UN, a value is a sequence if it consists of well-formed items and
the dictionary does not know its tag as something else.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from vna_lifecycle.dicom.dictionary import TEXT_VRS, vr_of
from vna_lifecycle.dicom.elements import FRAGMENTS, ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, UNDEFINED, Element
from vna_lifecycle.dicom.source import Source

_HEADER: Final = Struct("<HHL").pack
_DELIMITERS: Final = {
    ITEM: b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    ITEM_END: b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
    SEQUENCE_END: b"\xfe\xff\xdd\xe0\x00\x00\x00\x00",
}
_WORDS: Final = {
    **dict.fromkeys((b"AT", b"OW", b"SS", b"US"), "H"),
    **dict.fromkeys((b"FL", b"OF", b"OL", b"SL", b"UL"), "I"),
    **dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), "Q"),
}
PADDING: Final = 0xFFFCFFFC
"""Data Set Trailing Padding (PS3.10 7.2)."""

_ENCODING_ONLY: Final = PIXEL_DATA | {0, 0x7FE00001, 0x7FE00002}
_WHOLE: Final = 1 << 16
_IS_TEXT: Final[dict[int, bool]] = {}  # what the dictionary says, by tag
_TAGS_KEPT: Final = 1 << 14


def canonical_header(elements: Iterable[Element], source: Source) -> Iterator[tuple[int, bytes]]:
    """The canonical bytes in pieces, each with the tag of the top-level element that it belongs to.

    ``elements`` is a walk over ``source`` that was given `dictionary.is_sequence`; only what is asked for is read.
    """
    top = pending = 0
    is_text, read = _IS_TEXT, source.read  # this loop is most of the cost of a digest of a small object
    if len(is_text) > _TAGS_KEPT:
        is_text.clear()
    for tag, vr, offset, length, depth, big in elements:
        if not depth:
            top = 0 if tag in _ENCODING_ONLY else tag
        if not top:
            continue
        if pending:
            if tag == SEQUENCE_END:  # nothing was in it
                yield top, _HEADER(pending >> 16, pending & 0xFFFF, 0)
                pending = 0
                continue
            yield top, _HEADER(pending >> 16, pending & 0xFFFF, UNDEFINED)
            pending = 0
        if vr == b"SQ":
            pending = tag
        elif vr == FRAGMENTS:
            if tag != ITEM:
                pending = tag
                continue
            yield top, _HEADER(0xFFFE, 0xE000, length)
            for chunk in source.chunks(offset, length):
                yield top, chunk
        elif tag in _DELIMITERS:
            yield top, _DELIMITERS[tag]
        elif tag & 0xFFFF and tag != PADDING:
            text = is_text.get(tag)
            if text is None:
                text = is_text[tag] = vr_of(tag) in TEXT_VRS
            if length <= _WHOLE and not big:
                value = read(offset, length)
                if text:
                    value = value.rstrip(b"\0 ")
                yield top, _HEADER(tag >> 16, tag & 0xFFFF, len(value)) + value
                continue
            if text:
                length = unpadded(source, offset, length)
            yield top, _HEADER(tag >> 16, tag & 0xFFFF, length)
            for chunk in little_endian(source, offset, length, word(tag, vr) if big else ""):
                yield top, chunk


def word(tag: int, vr: bytes) -> str:
    """The `array` type code of the words that a value consists of, ``""`` for bytes and text."""
    return _WORDS.get(vr if vr and vr != b"UN" else vr_of(tag), "")


def little_endian(source: Source, offset: int, length: int, code: str) -> Iterator[bytes]:
    """A value in pieces of at most 1 MiB; with a type code, from big endian words of that type."""
    if not code or length % array(code).itemsize:
        yield from source.chunks(offset, length)
        return
    for chunk in source.chunks(offset, length):
        words = array(code, chunk)
        words.byteswap()
        yield words.tobytes()


def unpadded(source: Source, offset: int, length: int) -> int:
    """The length without trailing spaces and NULs, found from the end in pieces."""
    while length:
        size = min(length, _WHOLE)
        kept = len(source.read(offset + length - size, size).rstrip(b"\0 "))
        length -= size - kept
        if kept:
            break
    return length
