"""Single frames against those of an instance's original: by the checksums that the service keeps, and by retrieval.

Of each instance a few frames are retrieved, one by one, as viewers do it (GetImageFrame), and held against the
original's codestream, or against its decoded frame where the service stores another lossless syntax. The checksums of
all its frames are compared too, but prove nothing yet: see `frames.UNPROVEN`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.frames import (
    UNPROVEN,
    Means,
    check_checksums,
    codestream,
    means_for,
)
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import Stored
from vna_lifecycle.dicom.decoded import UNDECODABLE, raw_frames
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.ports import Fetched, FrameLook

if TYPE_CHECKING:
    from pydicom import Dataset

    from vna_lifecycle.dicom.decoded import Pixels

_RETRIEVED: Final = 3  # frames of an instance: the first, the one in the middle, the last


@frozen
class FrameLooks:
    """Looks at frames of one data store."""

    _access: Access
    _library: Library

    def look_at_frames(self, study: StudyRef, originals: Sequence[Fetched]) -> Iterator[FrameLook]:
        """For each original: some frames as they are retrieved, then the checksums of all.

        Raises:
            ArchiveError: the data store cannot be read.
        """
        primary = [one for one in self._library.of_study(study.study_uid) if one.primary]
        stored = {one.record.sop_instance_uid: one for one in self._library.contents(primary)}
        for item in originals:
            if self._access.site.cancelled.is_set():
                return
            uid = item.record.sop_instance_uid
            if uid not in stored:
                basis = "no primary image set holds the instance"
                yield FrameLook(sop_instance_uid=uid, number=0, equal=False, basis=basis)
                continue
            yield from self._retrieved(item, stored[uid])
            for check in check_checksums(item.path, stored[uid]) if stored[uid].frames else ():
                # while the layout is unproven, a checksum that differs says nothing of the frame
                equal = check.equal if check.equal or check.basis != UNPROVEN else None
                basis = check.basis if equal is not None or check.equal is None else f"{UNPROVEN}: another checksum"
                yield FrameLook(sop_instance_uid=uid, number=check.number, equal=equal, basis=basis)

    def _retrieved(self, item: Fetched, stored: Stored) -> Iterator[FrameLook]:
        uid, count = item.record.sop_instance_uid, len(stored.frames)
        wanted = sorted({1, (count + 1) // 2, count} if count else ())[:_RETRIEVED]
        served = {n: codestream(self._access, stored.image_set, stored.frames[n - 1].id) for n in wanted}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield from _compared(uid, item.path, stored.stored_syntax, served)
        except (*UNDECODABLE, ImportError) as trouble:
            basis = f"cannot decode ({type(trouble).__name__})"
            yield FrameLook(sop_instance_uid=uid, number=0, equal=None, basis=basis)


def _compared(uid: SOPInstanceUID, path: Path, syntax: str, served: dict[int, bytes]) -> Iterator[FrameLook]:
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    if not served:
        return
    original = dcmread(path)
    own_syntax = original.file_meta.TransferSyntaxUID
    means = means_for(own_syntax, syntax)
    if means is Means.NONE:
        basis = "the service stores the frames with loss"
        yield FrameLook(sop_instance_uid=uid, number=0, equal=None, basis=basis)
    elif means is Means.CODESTREAM and own_syntax.is_encapsulated:
        frames = generate_frames(original.PixelData, number_of_frames=int(original.get("NumberOfFrames") or 1))
        for number, data in enumerate(frames, start=1):
            if number in served:
                equal = data.rstrip(b"\0") == served[number].rstrip(b"\0")
                yield FrameLook(sop_instance_uid=uid, number=number, equal=equal, basis=means.value)
    else:
        for number, pixels in enumerate(raw_frames(path), start=1):
            if number in served:
                equal = bool((_decoded_frame(original, syntax, served[number]) == pixels).all())
                yield FrameLook(sop_instance_uid=uid, number=number, equal=equal, basis=Means.DECODED.value)


def _decoded_frame(original: Dataset, syntax: str, data: bytes) -> Pixels:
    """A frame that was served, decoded as its original describes it."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.pixels.utils import iter_pixels
    from pydicom.uid import UID

    described = Dataset()
    for keyword in ("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored"):
        setattr(described, keyword, original[keyword].value)
    described.HighBit, described.PixelRepresentation = original.HighBit, original.PixelRepresentation
    if described.SamplesPerPixel > 1:
        described.PlanarConfiguration = 0
    described.file_meta = FileMetaDataset()
    described.file_meta.TransferSyntaxUID = UID(syntax)
    encapsulated = UID(syntax).is_encapsulated
    described.PixelData = encapsulate([data]) if encapsulated else data
    described["PixelData"].VR = "OB" if encapsulated else "OW"

    [frame] = iter_pixels(described, raw=True)
    return frame
