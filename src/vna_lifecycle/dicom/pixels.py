"""Where an object's pixels are: one native value, or the fragments of an encapsulated one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from attrs import define, field

from vna_lifecycle.dicom.canonical import little_endian, word
from vna_lifecycle.dicom.elements import FRAGMENTS, ITEM, PIXEL_DATA, Element
from vna_lifecycle.dicom.source import Source


@define
class Pixels:
    """Pixel data as a walk passes over it. ``native`` is how long a native value is by its description, if known.

    ``bounds`` holds begin and end of each piece in turn; ``table`` those of the basic offset table, (0, 0) without one.
    ``words`` is the `array` type code of big endian words. ``padded`` tells of a pad byte.
    """

    native: int | None = None
    present: bool = False
    encapsulated: bool = False
    padded: bool = False
    words: str = ""
    table: tuple[int, int] = (0, 0)
    bounds: array[int] = field(factory=lambda: array("Q"))

    def noting(self, elements: Iterable[Element]) -> Iterator[Element]:
        """The same elements, noting the pixel data of the top level among them."""
        inside = False
        for element in elements:
            tag, vr, offset, length, depth, big = element
            if depth and not inside:
                pass
            elif not depth:
                inside = False
                if tag in PIXEL_DATA:
                    self.present = True
                    if vr == FRAGMENTS:
                        inside = self.encapsulated = True
                        self.table = (0, 0)
                    else:
                        self.padded = length - 1 == self.native
                        self.words = word(tag, vr) if big else ""
                        # in big endian words the pad byte changes places with the last byte of the pixels
                        self.bounds.extend((offset, offset + length - (self.padded and not self.words)))
            elif tag == ITEM:
                if self.table == (0, 0):
                    self.table = (offset, offset + length)
                else:
                    self.bounds.extend((offset, offset + length))
            yield element

    def places(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each piece that is not empty."""
        for at in range(0, len(self.bounds), 2):
            if self.bounds[at] < self.bounds[at + 1]:
                yield self.bounds[at], self.bounds[at + 1]

    def chunks(self, source: Source) -> Iterator[bytes]:
        """The pixels as they are digested, in pieces of at most 1 MiB."""
        for begin, end in self.places():
            left = end - begin - (self.padded and bool(self.words))
            for chunk in little_endian(source, begin, end - begin, self.words):
                yield chunk[:left]
                left -= len(chunk)
