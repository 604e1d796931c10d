"""What a data store is seen to do, on a small sample: storage syntaxes, tiers, and the layout of its frame checksums.

And what would keep anything from being stored in it, such as a bucket that is not there.

Looking at an image set counts as an access: it moves to the frequent tier, which costs more for the next 30 days. The
sample is small, and `probe` says how many image sets a verification of everything would move.
"""

from __future__ import annotations

import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.frames import LAYOUTS
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import ImageSet, Stored
from vna_lifecycle.adapters.healthimaging.retrieval import Retrieval
from vna_lifecycle.dicom.decoded import UNDECODABLE, raw_frames
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Observation

_SEARCHED: Final = 500  # image sets
_OPENED: Final = 5
_ACTIVE: Final = "ACTIVE"
_COMING: Final = "CREATING"
_ADVICE: Final = (  # the advice of buckets in words of this archive, whose region is that of its data store
    ("endpoint_url", "s3_endpoint_url"),
    ("set region = ", "name a bucket in the region of the data store, not in "),
)


class Probing:
    """Probes one data store."""

    def __init__(self, access: Access, library: Library, retrieval: Retrieval) -> None:
        """All three belong to the same data store."""
        self._access = access
        self._library = library
        self._retrieval = retrieval

    def probe(self) -> Iterator[Observation]:
        """Ask without changing anything but the tier of the few image sets that are opened.

        Of a data store that is not ACTIVE, nothing but its status is asked for: it has no image sets to look at.

        Raises:
            ArchiveError: the data store cannot be asked.
        """
        answer = self._access.attempt(lambda: self._access.client.get_datastore(datastoreId=self._access.datastore_id))[
            "datastoreProperties"
        ]
        status = answer["datastoreStatus"]
        yield Observation(name="datastore-status", value=status)
        yield from self._obstacles(status)
        if "losslessStorageFormat" in answer:
            yield Observation(name="lossless-storage-format", value=answer["losslessStorageFormat"])
        yield Observation(name="keeps-original-bytes", value="no")
        yield Observation(name="reading-moves-to-frequent-tier", value="yes")
        if status != _ACTIVE:
            return
        found = list(islice(self._library.search(), _SEARCHED))
        yield Observation(name="image-sets-searched", value=str(len(found)))
        yield Observation(name="image-sets-non-primary", value=str(sum(not one.primary for one in found)))
        yield Observation(name="image-sets-in-archive-tier", value=str(sum(one.archived for one in found)))
        yield from self._opened(found[:_OPENED])

    def _obstacles(self, status: str) -> Iterator[Observation]:
        """Why nothing would be stored: the data store's status, and each of the two buckets that cannot be listed."""
        name = self._access.site.name
        if status != _ACTIVE:
            advice = (
                "wait until it is ACTIVE, then call vna-lifecycle check again"
                if status == _COMING
                else "set datastore_id to one that is ACTIVE"
            )
            why = f"{name}: the data store is {status}, so nothing can be imported into it: {advice}"
            yield Observation(name="cannot-store", value=why)
        for setting, bucket in (("staging", self._access.staging), ("results", self._access.results)):
            try:
                next(bucket.listing(), None)
            except ArchiveError as error:
                advice = error.hint
                for theirs, ours in _ADVICE:
                    advice = advice.replace(theirs, ours)
                why = ": ".join(filter(None, (setting, str(error), advice)))
                yield Observation(name="cannot-store", value=why)

    def _opened(self, found: list[ImageSet]) -> Iterator[Observation]:
        stored = list(self._library.contents(found))
        for syntax, count in sorted(Counter(one.stored_syntax for one in stored).items()):
            yield Observation(name="stored-transfer-syntax", value=f"{syntax} x {count}")
        with_frames = next((one for one in stored if one.frames and one.frames[0].checksums), None)
        if with_frames is not None:
            yield Observation(name="frame-checksum-layout", value=self._layout(with_frames))

    def _layout(self, stored: Stored) -> str:
        """Which layout the service's checksum of the first frame was computed over: found by trying each."""
        record = stored.record
        columns, rows, crc = stored.frames[0].checksums[-1]
        with tempfile.TemporaryDirectory(dir=self._access.site.workspace) as folder:
            path = Path(folder, "probed.dcm")
            try:
                self._retrieval.download(
                    path,
                    study=record.study_uid,
                    series=record.series_uid,
                    sop_instance=record.sop_instance_uid,
                    image_set=stored.image_set,
                )
                pixels = next(iter(raw_frames(path)))
            except (ClientError, StopIteration, ImportError, *UNDECODABLE) as trouble:
                return f"unknown: cannot decode ({type(trouble).__name__})"
        if pixels.shape[:2] != (rows, columns):
            return "unknown: the last checksum is not of the full resolution"
        fitting = [name for name, layout in LAYOUTS.items() if zlib.crc32(layout(pixels)) == crc]
        return fitting[0] if fitting else "unknown: none of the known layouts fits"
