"""One digest for all lossless encodings of an instance: asked for only where the codestreams differ.

``DecodedDigest.sha256`` covers the canonical header (see `canonical`) without Photometric Interpretation (0028,0004)
and Planar Configuration (0028,0006), then the Photometric Interpretation of the decoded frames, then every frame as
pydicom's decoders give it: words of Bits Allocated, little endian, samples of one pixel side by side, no colour
transform but the reversible one of JPEG 2000 (YBR_RCT decodes to RGB; PS3.5 8.2.4), no look-up table. Bits above Bits
Stored are set to 0, because codecs do not keep them, unless an overlay lies in them (60xx,0102; PS3.5 8.1.2): then they
are content. Float pixels are taken as they are.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from vna_lifecycle.dicom.canonical import canonical_header
from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.source import file_source

if TYPE_CHECKING:
    import numpy as np
    from pydicom import Dataset

    Pixels = np.ndarray[Any, np.dtype[Any]]

LOSSLESS: Final = frozenset(
    "1.2.840.10008.1.2" + suffix
    for suffix in ("", ".1", ".1.98", ".1.99", ".2", ".4.57", ".4.70", ".4.80", ".4.90", ".4.201", ".4.202", ".5")
)
"""Transfer syntaxes that cannot lose anything (PS3.5 annex A, PS3.6 table A-1)."""

_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_OVERLAYS: Final = range(0x6000, 0x6020, 2)
_FOLLOWS_SYNTAX: Final = frozenset({0x00280004, 0x00280006})
UNDECODABLE: Final = (AttributeError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What decoders raise for frames that they cannot decode."""


@frozen(kw_only=True)
class DecodedDigest:
    """SHA-256 in hexadecimal of header and frames, and of the frames alone; ``""`` and a reason where undecodable."""

    sha256: str = ""
    frames_sha256: str = ""
    reason: str = ""


def comparable_decoded(one: str, other: str) -> bool:
    """Whether objects of these two transfer syntaxes may be held against each other by what they decode to."""
    return one != other and {one, other} <= LOSSLESS


def decoded_digest(path: Path, *, limits: Limits = LIMITS) -> DecodedDigest:
    """Decode an object of a `LOSSLESS` syntax frame by frame. Needs the extra ``pixels``.

    Raises:
        DicomRefused: it is not a DICOM instance that can be trusted.
        OSError: the file cannot be opened or read.
    """
    try:
        import numpy  # noqa: F401
        from pydicom import dcmread
    except ImportError:
        return DecodedDigest(reason="the extra 'pixels' is not installed")
    header = _header(path, limits)
    frames = hashlib.sha256()
    with _silence:
        try:
            described = dcmread(path, stop_before_pixels=True)
            for frame in _frames(described, path):
                frames.update(frame)
            photometric = str(described.get("PhotometricInterpretation", ""))
        except UNDECODABLE as exc:
            return DecodedDigest(reason=f"cannot decode ({type(exc).__name__})")
    header.update(("RGB" if photometric == "YBR_RCT" else photometric).encode())
    header.update(frames.digest())
    return DecodedDigest(sha256=header.hexdigest(), frames_sha256=frames.hexdigest())


def raw_frames(path: Path, *, described: Dataset | None = None, correct_unused_bits: bool = True) -> Iterator[Pixels]:
    """A file's frames as they are stored: no colour transform, no look-up table.

    ``described`` is its data set without pixels, for whoever has read that already.
    ``correct_unused_bits``: bits above Bits Stored are set as the sign has it, as pydicom does.

    Raises:
        ImportError: the extra ``pixels`` is not installed.
        ValueError: or another of `UNDECODABLE`: they cannot be decoded.
    """
    from pydicom import dcmread
    from pydicom.pixels.utils import iter_pixels

    header = described if described is not None else dcmread(path, stop_before_pixels=True)
    syntax = header.file_meta.get("TransferSyntaxUID", "")
    # frames are read one by one from a file, unless the whole must be inflated first
    source: Any = dcmread(path) if syntax == _DEFLATED else path
    yield from iter_pixels(source, raw=True, correct_unused_bits=correct_unused_bits)


class _Silence:
    """Keeps what pydicom warns of to ourselves, in whatever threads: to the caller, a warning may be an error.

    Python's filters are the whole process's. Each thread that put back what it found could put back another one's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._caught.__exit__(None, None, None)


_silence: Final = _Silence()


def _header(path: Path, limits: Limits) -> hashlib._Hash:
    digest = hashlib.sha256()
    with file_source(path) as source, open_dataset(source, limits) as dataset:
        for tag, piece in canonical_header(dataset.walk(limits), dataset.source):
            if tag not in _FOLLOWS_SYNTAX:
                digest.update(piece)
    return digest


def _frames(described: Dataset, path: Path) -> Iterator[bytes]:
    """Each frame's words in little endian, without what lies above Bits Stored."""
    import numpy as np

    allocated, stored = int(described.BitsAllocated), int(described.get("BitsStored", described.BitsAllocated))
    overlaid = any((group, 0x0102) in described and described[group, 0x0102].value for group in _OVERLAYS)
    mask = (1 << (allocated if overlaid else stored)) - 1
    word = np.dtype(f"<u{max(allocated // 8, 1)}")
    for frame in raw_frames(path, described=described, correct_unused_bits=False):
        if frame.dtype.kind == "f":
            yield np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).tobytes()
        else:
            yield (frame.astype(word, copy=False) & word.type(mask)).tobytes()
