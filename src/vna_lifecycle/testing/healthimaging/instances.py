"""From a DICOM file to what the service keeps of it: metadata as JSON, a data set, and frames that may be transcoded.

Lossless frames become JPEG 2000 (lossless), as in a data store of that storage format; HTJ2K cannot be encoded here.
Frames that the JPEG 2000 encoder does not take (under 32 pixels on a side, over 24 bits) become RLE Lossless; what that
does not take either is stored as it came, with the warning TRANSCODING_EXCEPTION. Lossy frames, HTJ2K and video stay as
they are. Without the extra ``pixels`` nothing is transcoded.
"""

from __future__ import annotations

import io
import uuid
import warnings
import zlib
from typing import Any, Final

from attrs import field, frozen
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filewriter import dcmwrite
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.testing.healthimaging.metadata import Levels, split

_LOSSLESS: Final = frozenset(
    "1.2.840.10008.1.2" + suffix for suffix in ("", ".1", ".1.99", ".2", ".4.57", ".4.70", ".4.80", ".5")
)
_SMALLEST: Final = 32  # pixels on a side that openjpeg's five resolutions need
_UNENCODABLE: Final = (AttributeError, ArithmeticError, LookupError, NotImplementedError, RuntimeError, ValueError)


class Unimportable(Exception):
    """A file that an import job cannot take; ``kind`` is the exception type in its results."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@frozen(kw_only=True)
class Frame:
    """One frame as it is stored. ``checksums`` are those of its decoded pixels, the full resolution last."""

    id: str
    data: bytes
    checksums: tuple[dict[str, int], ...] = ()
    smallest: int | None = None
    largest: int | None = None


@frozen(kw_only=True)
class Instance:
    """One instance as it is stored: ``data`` is a DICOM file in the stored transfer syntax."""

    data: bytes
    stored_syntax: str
    levels: Levels
    frames: tuple[Frame, ...] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID."""
        return str(self.levels.instance["SOPInstanceUID"])


def take_in(data: bytes) -> Instance:
    """What the service keeps of a DICOM file.

    Raises:
        Unimportable: it is no DICOM instance.
    """
    try:
        scan_bytes(data)
    except DicomRefused as refusal:
        raise Unimportable("ValidationException", f"DICOM P10 file cannot be read: {refusal.code}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(data))
        syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian))
        told: tuple[str, ...] = ()
        if "PixelData" in dataset and syntax in _LOSSLESS:
            told = () if _transcoded(dataset) else ("TRANSCODING_EXCEPTION",)
        return keep(dataset, told)


def keep(dataset: Dataset, told: tuple[str, ...] = ()) -> Instance:
    """The instance that holds a data set; encapsulated frames stay as they are. ``told`` are the import's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        if not syntax.is_compressed:  # big endian, implicit and deflated ones
            dataset.file_meta.TransferSyntaxUID = syntax = ExplicitVRLittleEndian
        written = io.BytesIO()
        dcmwrite(written, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
        return Instance(
            data=written.getvalue(),
            stored_syntax=str(syntax),
            levels=split(dataset),
            frames=tuple(_frames(written.getvalue(), dataset)),
            warnings=told,
        )


def _transcoded(dataset: Dataset) -> bool:
    """Whether the frames could be encoded in a lossless syntax; the data set then holds them."""
    original = dataset.file_meta.TransferSyntaxUID
    try:
        if original.is_compressed:
            dataset.decompress(as_rgb=False, generate_instance_uid=False)
    except _UNENCODABLE:
        return False
    small = min(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)) < _SMALLEST
    for syntax in (RLELossless,) if small else (JPEG2000Lossless, RLELossless):
        try:
            dataset.compress(syntax, generate_instance_uid=False)
            return True
        except _UNENCODABLE:
            continue
    return False


def _frames(file: bytes, dataset: Dataset) -> list[Frame]:
    if "PixelData" not in dataset:
        return []
    count = int(dataset.get("NumberOfFrames") or 1)
    value: bytes = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        pieces = list(generate_frames(value, number_of_frames=count))
    else:
        step = len(value) // count
        pieces = [value[at * step : (at + 1) * step] for at in range(count)]
    decoded = _decoded(file)
    return [
        Frame(id=uuid.uuid4().hex, data=piece, **(decoded[number] if number < len(decoded) else {}))
        for number, piece in enumerate(pieces)
    ]


def _decoded(file: bytes) -> list[dict[str, Any]]:
    """Checksums and range of each frame's decoded pixels, in allocated words; nothing where they cannot be decoded."""
    try:
        return [
            {
                "checksums": tuple(
                    {
                        "Width": int(level.shape[1]),
                        "Height": int(level.shape[0]),
                        "Checksum": zlib.crc32(level.astype(level.dtype.newbyteorder("<")).tobytes()),
                    }
                    for level in (pixels[::2, ::2], pixels)
                ),
                "smallest": int(pixels.min()),
                "largest": int(pixels.max()),
            }
            for pixels in iter_pixels(io.BytesIO(file), raw=True)
        ]
    except (*_UNENCODABLE, ImportError, TypeError):
        return []


def uncompressed(instance: Instance) -> bytes:
    """The instance as a DICOM file in Explicit VR Little Endian.

    Raises:
        Unimportable: its frames cannot be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(instance.data))
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            try:
                dataset.decompress(as_rgb=False, generate_instance_uid=False)
            except _UNENCODABLE as error:
                raise Unimportable("NotAcceptableException", "frames cannot be decoded") from error
        written = io.BytesIO()
        dcmwrite(written, dataset, enforce_file_format=True)
        return written.getvalue()
