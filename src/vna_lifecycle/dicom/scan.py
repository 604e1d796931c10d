"""Headers to index attributes, bounded: any bytes give a record or a typed refusal, quickly and in little memory.

"It parses" is not verification. Every length at every depth must agree with the bytes that are there, a deflated data
set must reach its end marker, and an object must have what its SOP class cannot do without (`completeness`). So a file
that was cut anywhere is refused, with one exception that no reader of the file alone can see: a cut exactly between
two top-level elements *after* the last element that the SOP class requires. What can lie there: elements after the
pixel data (signatures, padding, private groups), optional elements at the end of objects without pixel data, and all
elements of private SOP classes without Rows. Sizes and digests in manifests notice those.

Offsets in refusals count from the beginning of the file; within a deflated data set, from that of its inflated bytes.

Oddities that do not prevent reading are flags of the record:

``no-preamble``, ``no-meta``, ``no-transfer-syntax``
    parts of PS3.10 7.1 are missing; without a stated transfer syntax the record has the one that was recognised.
``executable-preamble``
    the 128 bytes before DICM begin like a program, script or archive. They are kept.
``vr-mismatch``
    the data set is explicit VR where its transfer syntax says implicit, or the other way round.
``meta-mismatch``
    the file meta information names another SOP class or instance than the data set; the data set's are recorded.
``elements-out-of-order``
    tags do not ascend, or repeat; of repeated elements the last counts.
``group-length-mismatch``
    the data set's last group is shorter than its group length says: perhaps cut between two elements.
``short-pixel-data``
    native pixel data has fewer bytes than its own description (rows, columns, ...) needs.
``trailing-zeros``
    zeros follow the data set, as on padded media.
``oversized-value``
    an index attribute's value is too large to be one and was left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from vna_lifecycle.dicom.index import collect
from vna_lifecycle.dicom.limits import LIMITS, Limits, refused
from vna_lifecycle.dicom.part10 import MEDIA_DIRECTORY, begin
from vna_lifecycle.dicom.record import assemble
from vna_lifecycle.dicom.source import Source, bytes_source, file_source, inflated, stream_source
from vna_lifecycle.model.inventory import InstanceRecord


def scan_file(path: Path | str, *, locator: str | None = None, limits: Limits = LIMITS) -> InstanceRecord:
    """The index attributes of one file. ``locator`` defaults to the path; ``size`` is the file's.

    Raises:
        DicomRefused: the file is not a DICOM instance that can be trusted (`limits.REASONS` lists the codes).
        OSError: the file cannot be opened or read.
    """
    with file_source(path) as source:
        return scan(source, str(path) if locator is None else locator, limits)


def scan_bytes(data: bytes, *, locator: str = "", limits: Limits = LIMITS) -> InstanceRecord:
    """As `scan_file`, for a whole file in memory."""
    return scan(bytes_source(data), locator, limits)


def scan_stream(stream: BinaryIO, *, locator: str = "", limits: Limits = LIMITS) -> InstanceRecord:
    """As `scan_file`, for an open binary stream that can seek."""
    return scan(stream_source(stream), locator, limits)


def scan(source: Source, locator: str, limits: Limits) -> InstanceRecord:
    """The index attributes of the file whose bytes ``source`` holds."""
    beginning = begin(source, limits)
    if beginning.media_sop_class == MEDIA_DIRECTORY:
        raise refused("media-directory", 0)
    if beginning.deflated:
        with inflated(source, beginning.start, limits) as dataset:
            return assemble(collect(dataset, 0, beginning, limits), beginning, dataset.size, source.size, locator)
    return assemble(collect(source, beginning.start, beginning, limits), beginning, source.size, source.size, locator)
