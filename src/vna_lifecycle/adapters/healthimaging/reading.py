"""The reading side: studies by search, instances by image set metadata, objects by DICOMweb.

The service keeps no original bytes: what is fetched holds the same attributes and pixels in the stored transfer syntax.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import ImageSet, place_of
from vna_lifecycle.adapters.healthimaging.retrieval import Retrieval
from vna_lifecycle.adapters.query import matches, summarize
from vna_lifecycle.errors import ArchiveError, DiskFull
from vna_lifecycle.model.identity import PatientKey, StudyRef, StudyUID
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, Spool, StudyQuery

SETS_PER_PART: Final = 100
_LAST_SECOND: Final = 4_102_444_800  # the year 2100
_FAILURES: Final = {
    "NotAcceptableException": ("not-acceptable", "the service cannot serve it in its stored transfer syntax"),
    "406": ("not-acceptable", "the service cannot serve it in its stored transfer syntax"),
    "ConflictException": ("changing", "its image set is being changed or deleted"),
}
_MISSING: Final = ("missing-instance", "there is no such instance in the data store any more")


class Reader:
    """Reads a data store."""

    def __init__(self, access: Access, library: Library, retrieval: Retrieval) -> None:
        """All three belong to the same data store."""
        self._access = access
        self._library = library
        self._retrieval = retrieval

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies of primary image sets, as readers see them.

        The service finds by one attribute and tells no issuers: where the query asks for one, metadata is read.
        """
        by_study: dict[str, list[ImageSet]] = {}
        for image_set in self._library.fitting(query):
            if image_set.primary:
                by_study.setdefault(str(image_set.tags.get("DICOMStudyInstanceUID", "")), []).append(image_set)
        for _, image_sets in sorted(by_study.items()):
            if query.issuer_of_patient_id:
                stored = list(self._library.contents(image_sets))
                study = summarize(one.record for one in stored) if stored else _claimed(image_sets)
            else:
                study = _claimed(image_sets)
            if matches(query, study):
                yield study

    def parts(self) -> Iterator[Part]:
        """Ranges of seconds in which image sets were created, with about `SETS_PER_PART` image sets each."""
        start, first, count, last = 0, 1, 0, -1
        for image_set in self._library.created_between(0, _LAST_SECOND):
            second = int(image_set.created)
            if count >= SETS_PER_PART and second != last:
                yield _part(start, second, first, count)
                start, first, count = second, first + count, 0
            count, last = count + 1, second
        if count:
            yield _part(start, _LAST_SECOND, first, count)

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each instance of the image sets of a part; of non-primary ones too, flagged. Studies may span parts."""
        start, end = _range(part)
        within = self._library.created_between(start, end)
        held = sorted((one for one in within if start <= one.created < end), key=lambda one: (one.created, one.id))
        for stored in self._library.contents(held):
            yield stored.record

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """The instances of a study's primary image sets: what readers by DICOMweb are shown.

        So what a job put beside them does not count as read back. `inventory` has it, and `fetch` serves it.
        """
        primary = [image_set for image_set in self._library.of_study(study.study_uid) if image_set.primary]
        for stored in self._library.contents(primary):
            yield stored.record

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted instance in its stored transfer syntax. A read moves image sets to the frequent tier.

        Raises:
            ArchiveError: the data store cannot be read.
            DiskFull: the spool has no room.
        """
        running: deque[Future[Fetched | FetchFailure]] = deque()
        try:
            for record in wanted:
                if self._access.site.cancelled.is_set():
                    break
                if len(running) >= self._access.settings.concurrency:
                    yield running.popleft().result()
                running.append(self._access.pool.submit(self._fetch, record, spool.new_file(record.size)))
            while running:
                yield running.popleft().result()
        finally:
            _settle(running)

    def _fetch(self, record: InstanceRecord, path: Path) -> Fetched | FetchFailure:
        try:
            image_set, series, sop_instance = place_of(record.locator)
        except ValueError:
            return FetchFailure(record=record, code="bad-locator", message="this data store issued no such locator")
        try:
            self._retrieval.download(
                path, study=record.study_uid, series=series, sop_instance=sop_instance, image_set=image_set
            )
        except ClientError as error:
            code, message = _FAILURES.get(code_of(error), _MISSING)
            return FetchFailure(record=record, code=code, message=message)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "free some disk space; then resume"
                raise DiskFull("no space is left for a fetched object", path=path.parent, hint=hint) from None
            raise
        return Fetched(record=record, path=path)

    def close(self) -> None:
        """End connections and threads."""
        self._retrieval.close()
        self._access.close()


def _settle(running: deque[Future[Fetched | FetchFailure]]) -> None:
    """Wait for what cannot be called off any more: its file belongs to a task that ends now."""
    for future in running:
        future.cancel()
    for future in running:
        if not future.cancelled():
            future.exception()


def _claimed(image_sets: Sequence[ImageSet]) -> StudyRecord:
    """A study as a search tells of it. One primary image set is one series; how many instances it has is not said."""
    first = min(image_sets, key=lambda one: one.id).tags

    def text(name: str) -> str:
        return str(first.get(name, "")).strip(" \0")

    modalities: set[Any] = {one.tags.get("DICOMSeriesModality", "") for one in image_sets}
    return StudyRecord(
        study_uid=StudyUID(text("DICOMStudyInstanceUID")),
        patient=PatientKey(issuer="", id=text("DICOMPatientId")),
        patient_name=text("DICOMPatientName"),
        patient_birth_date=text("DICOMPatientBirthDate"),
        patient_sex=text("DICOMPatientSex"),
        study_id=text("DICOMStudyId"),
        study_date=text("DICOMStudyDate"),
        study_time=text("DICOMStudyTime"),
        accession_number=text("DICOMAccessionNumber"),
        description=text("DICOMStudyDescription"),
        modalities=tuple(sorted(str(one) for one in modalities if one)),
        series_count=len({one.tags.get("DICOMSeriesInstanceUID") for one in image_sets}),
        availability=Availability.ONLINE,
        basis=Basis.NONE,
    )


def _part(start: int, end: int, first: int, count: int) -> Part:
    return Part(key=f"{start}-{end}", title=f"image sets {first} to {first + count - 1}")


def _range(part: Part) -> tuple[int, int]:
    start, _, end = part.key.partition("-")
    if not (start.isdigit() and end.isdigit()):
        raise ArchiveError("this part was not issued by this archive")
    return int(start), int(end)
