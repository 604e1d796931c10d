"""What counts as "the same instance": SHA-256 over bytes, over the canonical header, and over the frames.

``dataset_sha256``
    the file's bytes from the first after preamble, ``DICM`` and group 0002 to the last, as they are; a deflated data
    set stays deflated, padding counts.
``header_sha256``
    the canonical header, see `canonical`.
``pixel_sha256``
    the value of the top level's Pixel Data, Float or Double Float Pixel Data; ``""`` where there is none. Native pixels
    are little endian (big endian files are swapped in words of their VR), without the pad byte that follows an odd
    number of bytes as described by Rows, Columns, Samples per Pixel, Bits Allocated and Number of Frames. Encapsulated
    pixels are the bytes of all fragments in order, joined, pad bytes included, without the basic offset table (the
    first item, PS3.5 A.4). So neither another fragmentation nor another offset table changes the digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.dicom.canonical import canonical_header
from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.index import collect
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.part10 import begin
from vna_lifecycle.dicom.pixels import Pixels
from vna_lifecycle.dicom.record import assemble, native_length
from vna_lifecycle.dicom.source import Source, file_source
from vna_lifecycle.model.inventory import Digest, InstanceRecord

_JOINED: Final = 1 << 18


@frozen(kw_only=True)
class Examined:
    """What one reading of a file tells: its index attributes and its digests."""

    record: InstanceRecord
    digest: Digest


def examine_file(path: Path | str, *, locator: str | None = None, limits: Limits = LIMITS) -> Examined:
    """Scan and digest a file of any size in flat memory. ``locator`` defaults to the path.

    Raises:
        DicomRefused: as `scan.scan_file`.
        OSError: the file cannot be opened or read.
    """
    with file_source(path) as source:
        return examine(source, str(path) if locator is None else locator, limits)


def dataset_sha256(path: Path | str, *, limits: Limits = LIMITS) -> tuple[str, int]:
    """``dataset_sha256`` and ``dataset_size`` alone, for reading back what was stored: nothing else is checked.

    Raises:
        DicomRefused: no data set can be found in the file.
        OSError: the file cannot be opened or read.
    """
    whole, size, _ = dataset_as_labelled(path, limits=limits)
    return whole, size


def dataset_as_labelled(path: Path | str, *, limits: Limits = LIMITS) -> tuple[str, int, str]:
    """As `dataset_sha256`, with the transfer syntax by which the file says that these bytes are to be read.

    Raises:
        DicomRefused: no data set can be found in the file.
        OSError: the file cannot be opened or read.
    """
    with file_source(path) as source:
        beginning = begin(source, limits)
        size = source.size - beginning.start
        return _sha256(source.chunks(beginning.start, size)), size, beginning.transfer_syntax


def examine(source: Source, locator: str, limits: Limits) -> Examined:
    """As `examine_file`, for the file whose bytes ``source`` holds."""
    with open_dataset(source, limits) as dataset:
        found = collect(dataset.source, dataset.start, dataset.beginning, limits)
        record = assemble(found, dataset.beginning, dataset.source.size, source.size, locator)
        pixels = Pixels(native=native_length(found.values, big=dataset.beginning.big))
        header = _sha256(_joined(canonical_header(pixels.noting(dataset.walk(limits)), dataset.source)))
        start = dataset.beginning.start
        if dataset.source is source and not pixels.words:
            whole, frames = _together(source, start, pixels)
        else:
            whole, frames = _sha256(source.chunks(start, source.size - start)), _sha256(pixels.chunks(dataset.source))
    digest = Digest(
        dataset_sha256=whole,
        header_sha256=header,
        pixel_sha256=frames if pixels.present else "",
        dataset_size=source.size - start,
    )
    return Examined(record=record, digest=digest)


def _joined(pieces: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Small pieces put together: hashing each by itself costs more than its bytes."""
    waiting: list[bytes] = []
    size = 0
    for _, piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size > _JOINED:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    yield b"".join(waiting)


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _together(source: Source, start: int, pixels: Pixels) -> tuple[str, str]:
    """The digests of the data set and of the pixels within it, from one reading of the file."""
    whole, frames = hashlib.sha256(), hashlib.sha256()
    places = iter(pixels.places())
    begin, end = next(places, (source.size, source.size))
    offset = start
    for chunk in source.chunks(start, source.size - start):
        whole.update(chunk)
        view = memoryview(chunk)
        stop = offset + len(chunk)
        while begin < stop:
            frames.update(view[max(begin - offset, 0) : end - offset])
            if end > stop:
                break
            begin, end = next(places, (source.size, source.size))
        offset = stop
    return whole.hexdigest(), frames.hexdigest()
