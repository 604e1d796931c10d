"""Comparing frames with what the service says of them, and with what it serves.

The service keeps a CRC32 of each frame's decoded pixels. In which layout of bytes it is computed is not documented to
the last detail: until that was checked against the service itself, a result is marked as resting on an unproven layout
(see `LAYOUTS`, and `probing`, which checks it). Everything here needs the extra ``pixels``.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.records import Stored
from vna_lifecycle.dicom.decoded import LOSSLESS, UNDECODABLE, raw_frames

if TYPE_CHECKING:
    from vna_lifecycle.dicom.decoded import Pixels

UNPROVEN: Final = "unproven layout"
"""What a result rests on while the layout of the checksums was not checked against the service itself."""


class Means(enum.Enum):
    """How pixels must be compared. NONE: the service made a lossy image of a lossless one, or of another lossy one."""

    CODESTREAM = "codestream"
    DECODED = "decoded"
    NONE = "none"


def means_for(source_syntax: str, stored_syntax: str) -> Means:
    """How frames of one transfer syntax are compared with those that the service stored in another, or the same."""
    if source_syntax == stored_syntax:
        return Means.CODESTREAM
    return Means.DECODED if {source_syntax, stored_syntax} <= LOSSLESS else Means.NONE


@frozen(kw_only=True)
class FrameCheck:
    """What a look at one frame showed; ``number`` counts from 1, as in DICOMweb.

    ``equal`` is None where it could not be decided; ``basis`` is what the answer rests on, or why there is none.
    """

    number: int
    equal: bool | None
    basis: str


def _interleaved(pixels: Pixels) -> bytes:
    """Samples of a pixel side by side, allocated words, little endian."""
    return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def _planar(pixels: Pixels) -> bytes:
    return _interleaved(pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels)


def _big_endian(pixels: Pixels) -> bytes:
    return pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()


def _wide(pixels: Pixels) -> bytes:
    return pixels.astype("<i4").tobytes()


LAYOUTS: Final[Mapping[str, Callable[[Pixels], bytes]]] = {
    "interleaved-little-endian": _interleaved,
    "planar-little-endian": _planar,
    "interleaved-big-endian": _big_endian,
    "interleaved-32-bit": _wide,
}
"""Layouts of decoded pixels that a checksum may have been computed over; the first is the one that is assumed."""


def check_checksums(path: Path, stored: Stored) -> Iterator[FrameCheck]:
    """Compare each frame of a source file with the checksum that the service keeps of it, without reading its frame."""
    number = 0
    try:
        for number, pixels in enumerate(raw_frames(path), start=1):
            yield _checksum(number, pixels, stored)
    except (*UNDECODABLE, ImportError) as trouble:
        yield FrameCheck(number=number + 1, equal=None, basis=f"cannot decode ({type(trouble).__name__})")
        return
    for left in range(number + 1, len(stored.frames) + 1):
        yield FrameCheck(number=left, equal=False, basis="the source has no such frame")


def _checksum(number: int, pixels: Pixels, stored: Stored) -> FrameCheck:
    if number > len(stored.frames):
        return FrameCheck(number=number, equal=False, basis="the service has no such frame")
    rows, columns = pixels.shape[:2]
    kept = [crc for width, height, crc in stored.frames[number - 1].checksums if (width, height) == (columns, rows)]
    if not kept:
        return FrameCheck(number=number, equal=None, basis="the service keeps no checksum in full resolution")
    return FrameCheck(number=number, equal=zlib.crc32(_interleaved(pixels)) == kept[-1], basis=UNPROVEN)


def codestream(access: Access, image_set: str, frame: str) -> bytes:
    """One frame as the service stores it. Reading it moves its image set to the frequent tier.

    Raises:
        ArchiveError: it cannot be had.
    """
    return access.attempt(
        lambda: access.client.get_image_frame(
            datastoreId=access.datastore_id, imageSetId=image_set, imageFrameInformation={"imageFrameId": frame}
        )["imageFrameBlob"].read()
    )
