"""The codestreams of an object's frames, without decoding them (PS3.5 A.4, annex A.4 tables, and 8.2).

How fragments belong to frames is found in this order, and `FrameIndex.basis` says which it was:

``native``
    not encapsulated; frames of equal length follow each other.
``native-bits``
    as before, but a frame does not end at a byte (1 bit per pixel): one piece holds them all.
``extended-offset-table``, ``basic-offset-table``
    the object's own table, if it points at fragments, begins at 0 and has as many entries as there are frames.
``single-frame``
    one frame: all fragments are its codestream.
``fragment-per-frame``
    as many fragments as frames.
``codestream-start``
    as many fragments begin like a JPEG or JPEG 2000 codestream as there are frames; the others continue theirs.
``stream``
    video and everything that none of the above explains: one codestream holds all frames.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.dicom.dataset import Dataset, open_dataset
from vna_lifecycle.dicom.index import Found, collect
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.pixels import Pixels
from vna_lifecycle.dicom.record import frame_count, native_length
from vna_lifecycle.dicom.source import Source, file_source

_STARTS: Final = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")
_OFFSETS: Final = 0x7FE00001
_VIDEO: Final = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
_TABLE_BYTES: Final = 8 << 20


@frozen(kw_only=True)
class Codestream:
    """One frame's codestream: ``number`` from 0, and (begin, end) of its pieces in the data set's bytes."""

    number: int
    pieces: tuple[tuple[int, int], ...]

    @property
    def offset(self) -> int:
        """Where its first piece begins."""
        return self.pieces[0][0] if self.pieces else 0

    @property
    def length(self) -> int:
        """Bytes of all pieces."""
        return sum(end - begin for begin, end in self.pieces)


@frozen(kw_only=True)
class FrameIndex:
    """The frames of one object. ``count`` is Number of Frames, ``starts`` the number of each codestream's first piece.

    ``pieces`` holds begin and end of each piece in turn.
    """

    basis: str
    count: int
    pieces: array[int]
    starts: array[int]

    def __iter__(self) -> Iterator[Codestream]:
        last = len(self.pieces) // 2
        for number, start in enumerate(self.starts):
            stop = self.starts[number + 1] if number + 1 < len(self.starts) else last
            places = tuple((self.pieces[2 * at], self.pieces[2 * at + 1]) for at in range(start, stop))
            yield Codestream(number=number, pieces=places)


@contextmanager
def open_frames(path: Path, *, limits: Limits = LIMITS) -> Iterator[tuple[FrameIndex | None, Source]]:
    """A file's frames, and the source from which their pieces are read; None where it has no pixel data.

    Raises:
        DicomRefused: as `scan.scan_file`.
        OSError: the file cannot be opened or read.
    """
    with file_source(path) as source, open_dataset(source, limits) as dataset:
        yield index_frames(dataset, limits), dataset.source


def index_frames(dataset: Dataset, limits: Limits) -> FrameIndex | None:
    """Where the frames of a data set are; None where it has no pixel data."""
    beginning = dataset.beginning
    found = collect(dataset.source, dataset.start, beginning, limits)
    pixels = Pixels(native=native_length(found.values, big=beginning.big))
    extended: array[int] | None = None
    for tag, _, offset, length, depth, _ in pixels.noting(dataset.walk(limits)):
        if tag == _OFFSETS and not depth and length <= _TABLE_BYTES:
            extended = _numbers(dataset.source.read(offset, length), "Q")
    if not pixels.present:
        return None
    count = frame_count(found.values)
    if not pixels.encapsulated:
        return _native(pixels, count)
    basis, starts = _starts(dataset, found, pixels, extended, count)
    return FrameIndex(basis=basis, count=count, pieces=pixels.bounds, starts=array("Q", starts))


def _native(pixels: Pixels, count: int) -> FrameIndex:
    begin, end = pixels.bounds[0], pixels.bounds[1]
    length = pixels.native or end - begin
    if count == 1 or length % count or length > end - begin:
        basis = "native" if count == 1 else "native-bits"
        return FrameIndex(basis=basis, count=count, pieces=pixels.bounds, starts=array("Q", [0]))
    step = length // count
    pieces = array("Q", (begin + step * number for at in range(count) for number in (at, at + 1)))
    return FrameIndex(basis="native", count=count, pieces=pieces, starts=array("Q", range(count)))


def _starts(
    dataset: Dataset, found: Found, pixels: Pixels, extended: array[int] | None, count: int
) -> tuple[str, list[int]]:
    fragments = pixels.bounds[::2]
    if not fragments:
        return "stream", []
    if count == 1:
        return "single-frame", [0]
    begin, end = pixels.table
    basic = _numbers(dataset.source.read(begin, end - begin), "I") if 0 < end - begin <= _TABLE_BYTES else None
    # offsets count from the first byte of the first fragment's item tag
    first = fragments[0]
    index = {offset - first: at for at, offset in enumerate(fragments)}
    for basis, table in (("extended-offset-table", extended), ("basic-offset-table", basic)):
        if table and len(table) == count and table[0] == 0 and all(offset in index for offset in table):
            starts = [index[offset] for offset in table]
            if starts == sorted(set(starts)):
                return basis, starts
    if len(fragments) == count:
        return "fragment-per-frame", list(range(count))
    if not dataset.beginning.transfer_syntax.startswith(_VIDEO):
        heads = (
            dataset.source.read(offset, min(6, pixels.bounds[2 * at + 1] - offset))
            for at, offset in enumerate(fragments)
        )
        starts = [at for at, head in enumerate(heads) if head.startswith(_STARTS)]
        if len(starts) == count and starts[0] == 0:
            return "codestream-start", starts
    return "stream", [0]


def _heads(source: Source, pixels: Pixels) -> Iterator[bytes]:
    for at in range(0, len(pixels.bounds), 2):
        yield source.read(pixels.bounds[at], min(6, pixels.bounds[at + 1] - pixels.bounds[at]))


def _numbers(raw: bytes, code: str) -> array[int] | None:
    """Little endian numbers: encapsulated pixel data is never big endian."""
    numbers: array[int] = array(code)
    if len(raw) % numbers.itemsize:
        return None
    numbers.frombytes(raw)
    if array("H", b"\1\0")[0] != 1:
        numbers.byteswap()
    return numbers
