"""How an instance is encoded: what its digests as an equivalent instance leave out, so that a difference has a name.

Two instances are equivalent by the canonical header and by the pixels (see `canonical` and `digest`). All that these
leave out is digested here aspect by aspect. So of two equivalent instances it can be said in what their encodings
differ from what manifests hold, long after the objects are gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final

from vna_lifecycle.dicom.canonical import PADDING, little_endian, unpadded, word
from vna_lifecycle.dicom.dataset import Dataset, open_dataset
from vna_lifecycle.dicom.dictionary import TEXT_VRS, vr_of
from vna_lifecycle.dicom.elements import (
    FRAGMENTS,
    ITEM,
    ITEM_END,
    LONG_VRS,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Element,
)
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.part10 import DEFLATED
from vna_lifecycle.dicom.source import file_source
from vna_lifecycle.model.encoding import Encoding, EncodingClass
from vna_lifecycle.model.inventory import ManifestEntry

_DIGITS: Final = 16
_OFFSET_TABLES: Final = frozenset({0x7FE00001, 0x7FE00002})
_TAG: Final = (Struct("<HH").pack, Struct(">HH").pack)
_WHAT: Final = Struct("<L2s").pack
_NUMBER: Final = Struct("<Q").pack


def encoding_of(path: Path | str, *, limits: Limits = LIMITS) -> Encoding:
    """How the instance in a file of any size is encoded, in flat memory.

    Raises:
        DicomRefused: as `scan.scan_file`.
        OSError: the file cannot be opened or read.
    """
    with file_source(path) as source, open_dataset(source, limits) as dataset:
        aspects = _Aspects(dataset)
        for element in dataset.walk(limits):
            aspects.note(element)
        return aspects.encoding()


def encoding_classes(one: ManifestEntry, other: ManifestEntry) -> tuple[EncodingClass, ...]:
    """In what the encodings of two equivalent instances differ; nothing where they are the same to the byte.

    Where how one of them is encoded is not on record, only what other fields show is told: it may be nothing.
    """
    a, b = one.digest, other.digest
    classes = set()
    if one.transfer_syntax != other.transfer_syntax:
        classes.add(EncodingClass.TRANSFER_SYNTAX)
    elif a.dataset_sha256 == b.dataset_sha256:
        return ()
    if a.header_sha256 != b.header_sha256:  # of equivalent ones it is only this
        classes.add(EncodingClass.PIXEL_DESCRIPTION)
    if a.encoding is not None and b.encoding is not None:
        classes.update(_differing(a.encoding, b.encoding, same_pixels=a.pixel_sha256 == b.pixel_sha256))
        if not classes:
            deflated = one.transfer_syntax in DEFLATED
            classes.add(EncodingClass.DEFLATION if deflated else EncodingClass.UNEXPLAINED)
    return tuple(each for each in EncodingClass if each in classes)


def _differing(a: Encoding, b: Encoding, *, same_pixels: bool) -> Iterator[EncodingClass]:
    if a.group_lengths != b.group_lengths:
        yield EncodingClass.GROUP_LENGTHS
    if a.sequence_lengths != b.sequence_lengths:
        yield EncodingClass.SEQUENCE_LENGTHS
    if a.value_padding != b.value_padding:
        yield EncodingClass.VALUE_PADDING
    if a.trailing_padding != b.trailing_padding:
        yield EncodingClass.TRAILING_PADDING
    alike = bool(a.fragments) == bool(b.fragments)  # what follows from another kind of transfer syntax has its name
    if a.stated and b.stated:
        if a.stated != b.stated or (alike and a.stated_pixels != b.stated_pixels):
            yield EncodingClass.VALUE_REPRESENTATIONS
        if a.stated_private != b.stated_private:
            yield EncodingClass.PRIVATE_REPRESENTATIONS
    if alike and same_pixels:
        if a.native != b.native:
            yield EncodingClass.PIXEL_PADDING
        if a.fragments != b.fragments:
            yield EncodingClass.FRAGMENTS
        if a.offset_tables != b.offset_tables:
            yield EncodingClass.OFFSET_TABLES


class _Aspect:
    """A digest that is ``""`` until there is something to digest."""

    __slots__ = ("_digest", "_seen")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._seen = False

    def update(self, data: bytes) -> None:
        self._digest.update(data)
        self._seen = True

    def digest(self) -> str:
        return self._digest.hexdigest()[:_DIGITS] if self._seen else ""


class _Aspects:
    """All aspects of one data set, as a walk passes over it."""

    def __init__(self, dataset: Dataset) -> None:
        self._source = dataset.source
        self._start = dataset.start
        self._explicit = dataset.beginning.explicit
        self._group_lengths = _Aspect()
        self._sequence_lengths = _Aspect()
        self._stated = _Aspect()
        self._stated_private = _Aspect()
        self._stated_pixels = _Aspect()
        self._value_padding = _Aspect()
        self._native = _Aspect()
        self._fragments = _Aspect()
        self._offset_tables = _Aspect()
        self._trailing_padding = _Aspect()
        self._in_pixels = self._tabled = False

    def encoding(self) -> Encoding:
        """The aspects of what was walked over."""
        return Encoding(
            group_lengths=self._group_lengths.digest(),
            sequence_lengths=self._sequence_lengths.digest(),
            stated=self._stated.digest(),
            stated_private=self._stated_private.digest(),
            stated_pixels=self._stated_pixels.digest(),
            value_padding=self._value_padding.digest(),
            native=self._native.digest(),
            fragments=self._fragments.digest(),
            offset_tables=self._offset_tables.digest(),
            trailing_padding=self._trailing_padding.digest(),
        )

    def note(self, element: Element) -> None:
        """The next element of the walk."""
        tag, vr, offset, length, depth, big = element
        if tag in (ITEM_END, SEQUENCE_END):
            return
        if tag == ITEM:
            if vr != FRAGMENTS:
                self._sequence_lengths.update(b"\1" if length == UNDEFINED else b"\0")
            elif self._in_pixels:
                self._fragment(offset, length)
            return
        if not depth:
            self._in_pixels = tag in PIXEL_DATA and vr == FRAGMENTS
        if tag == 0 and not depth and offset != self._start + 8:
            self._trailing_padding.update(_NUMBER(length))
        elif tag == PADDING:
            self._value(self._trailing_padding, tag, offset, length)
        elif not tag & 0xFFFF:
            self._value(self._group_lengths, tag, offset, length, "I" if big else "")
        elif not depth and tag in _OFFSET_TABLES:
            self._value(self._offset_tables, tag, offset, length)
        elif not depth and tag in PIXEL_DATA:
            self._pixels(element)
        else:
            self._attribute(element)

    def _attribute(self, element: Element) -> None:
        tag, vr, offset, length, _, big = element
        if vr == b"SQ":
            undefined = self._source.read(offset - 4, 4) == b"\xff\xff\xff\xff"
            self._sequence_lengths.update(b"\1" if undefined else b"\0")
        if vr in (b"SQ", FRAGMENTS):
            vr = self._vr_before(tag, offset, big=big)
        elif length and vr_of(tag) in TEXT_VRS:
            self._padding(tag, offset, length)
        if self._explicit:
            (self._stated_private if tag >> 16 & 1 else self._stated).update(_WHAT(tag, vr))

    def _vr_before(self, tag: int, offset: int, *, big: bool) -> bytes:
        """The VR that the file states of an element with items, whose value begins at ``offset``."""
        begin = offset - 12
        if begin < self._start:
            return b""
        head = self._source.read(begin, 6)
        return head[4:] if head[:4] == _TAG[big](tag >> 16, tag & 0xFFFF) and head[4:] in LONG_VRS else b""

    def _padding(self, tag: int, offset: int, length: int) -> None:
        if self._source.read(offset + length - 1, 1) not in b"\0 ":
            return
        kept = unpadded(self._source, offset, length)
        self._value_padding.update(_WHAT(tag, b"") + _NUMBER(length - kept))
        for chunk in self._source.chunks(offset + kept, length - kept):
            self._value_padding.update(chunk)

    def _pixels(self, element: Element) -> None:
        tag, vr, offset, length, _, big = element
        if vr == FRAGMENTS:
            self._fragments.update(_WHAT(tag, b""))
            self._tabled = False
            vr = self._vr_before(tag, offset, big=big)
        else:
            self._native.update(_NUMBER(length))
            # in big endian words the pad byte changes places with the last byte of the pixels
            swapped = big and word(tag, vr) == "H"
            self._native.update(self._last(offset, length, 2 if swapped else 1))
        if self._explicit:
            self._stated_pixels.update(_WHAT(tag, vr))

    def _last(self, offset: int, length: int, nth: int) -> bytes:
        return self._source.read(offset + length - nth, 1) if length >= nth else b""

    def _fragment(self, offset: int, length: int) -> None:
        if self._tabled:
            self._fragments.update(_NUMBER(length))
            return
        self._tabled = True
        if length:
            self._value(self._offset_tables, ITEM, offset, length)

    def _value(self, aspect: _Aspect, tag: int, offset: int, length: int, code: str = "") -> None:
        aspect.update(_WHAT(tag, b"") + _NUMBER(length))
        for chunk in little_endian(self._source, offset, length, code):
            aspect.update(chunk)
