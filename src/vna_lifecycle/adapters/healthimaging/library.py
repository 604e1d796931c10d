"""Looking into a data store: searches for image sets, and what they hold."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.records import (
    ImageSet,
    Levels,
    Stored,
    Unreadable,
    read_levels,
    read_metadata,
)
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import StudyQuery

if TYPE_CHECKING:
    from types_boto3_medical_imaging.type_defs import SearchCriteriaTypeDef

GONE: Final = ("ResourceNotFoundException", "404")
_PAGE: Final = 50
_REMEMBERED: Final = 1_000  # studies
_FIRST_DAY, _LAST_DAY = "00010101", "99991231"


class Library:
    """What is in the data store."""

    def __init__(self, access: Access) -> None:
        """``access`` says which."""
        self._access = access
        self._recent: dict[str, tuple[float, list[ImageSet]]] = {}
        self._lock = threading.Lock()

    def search(self, criteria: SearchCriteriaTypeDef | None = None) -> Iterator[ImageSet]:
        """The image sets that fit, page by page.

        Raises:
            ArchiveError: the data store cannot be searched.
        """
        asked: dict[str, Any] = {"datastoreId": self._access.datastore_id, "maxResults": _PAGE}
        if criteria:
            asked["searchCriteria"] = criteria
        while True:
            self._access.searches.wait()
            page = self._access.attempt(lambda: self._access.client.search_image_sets(**asked))
            for found in page["imageSetsMetadataSummaries"]:
                yield ImageSet(
                    id=found["imageSetId"],
                    version=str(found.get("version", "")),
                    created=found["createdAt"].timestamp() if "createdAt" in found else 0.0,
                    primary=bool(found.get("isPrimary", True)),
                    tags=found.get("DICOMTags", {}),
                    archived=found.get("storageTier") == "ARCHIVE_INSTANT_ACCESS",
                )
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]

    def of_study(self, study_uid: str, *, within: float = 0.0) -> list[ImageSet]:
        """The image sets of a study, primary and not.

        With ``within``, what was found so many seconds ago will do, once: a second look is a new search.

        Raises:
            ArchiveError: the data store cannot be searched.
        """
        now = self._access.now()
        with self._lock:
            at, known = self._recent.pop(study_uid, (float("-inf"), []))
        if now - at < within:
            return known
        found = list(self.search(_equal("DICOMStudyInstanceUID", study_uid)))
        if not within:
            with self._lock:
                if len(self._recent) >= _REMEMBERED:
                    self._recent.clear()
                self._recent[study_uid] = now, found
        return found

    def created_between(self, first: int, last: int) -> Iterator[ImageSet]:
        """The image sets that were created in these seconds, by time of creation.

        Raises:
            ArchiveError: the data store cannot be searched.
        """
        times = [{"createdAt": dt.datetime.fromtimestamp(second, dt.UTC)} for second in (first, last)]
        criteria: Any = {
            "filters": [{"values": times, "operator": "BETWEEN"}],
            "sort": {"sortField": "createdAt", "sortOrder": "ASC"},
        }
        return self.search(criteria)

    def fitting(self, query: StudyQuery) -> Iterator[ImageSet]:
        """At least the image sets of the studies that a query means: the service can look for one thing at a time.

        Raises:
            ArchiveError: the data store cannot be searched.
        """
        for name, value in (
            ("DICOMStudyInstanceUID", query.study_uid),
            ("DICOMAccessionNumber", query.accession_number),
            ("DICOMPatientId", query.patient_id),
        ):
            if value:
                return self.search(_equal(name, value))
        if query.studied:
            first = f"{query.studied.first:%Y%m%d}" if query.studied.first else _FIRST_DAY
            last = f"{query.studied.last:%Y%m%d}" if query.studied.last else _LAST_DAY
            days: Any = [{"DICOMStudyDateAndTime": {"DICOMStudyDate": day}} for day in (first, last)]
            return self.search({"filters": [{"values": days, "operator": "BETWEEN"}]})
        return self.search()

    def versions(self, image_set_id: str) -> list[str]:
        """The versions of an image set, the newest first; none where it is gone.

        Raises:
            ArchiveError: they cannot be listed.
        """
        asked: dict[str, Any] = {"datastoreId": self._access.datastore_id, "imageSetId": image_set_id}
        found: list[str] = []
        while True:
            try:
                page = self._access.attempt(lambda: self._access.client.list_image_set_versions(**asked), expected=GONE)
            except ClientError:
                return []
            found += [one["versionId"] for one in page["imageSetPropertiesList"]]
            if not page.get("nextToken"):
                return found
            asked["nextToken"] = page["nextToken"]

    def state(self, image_set_id: str) -> str:
        """ACTIVE, LOCKED while it is changed or deleted, or DELETED; also where the service knows of it no more.

        Raises:
            ArchiveError: the service does not say.
        """
        try:
            answer = self._access.attempt(
                lambda: self._access.client.get_image_set(
                    datastoreId=self._access.datastore_id, imageSetId=image_set_id
                ),
                expected=GONE,
            )
        except ClientError:
            return "DELETED"
        return answer["imageSetState"]

    def contents(self, image_sets: Iterable[ImageSet]) -> Iterator[Stored]:
        """The instances of image sets, in the order of the image sets. What was deleted meanwhile has none.

        Raises:
            ArchiveError: metadata cannot be had, or cannot be read.
        """
        known = list(image_sets)
        for image_set, blob in zip(known, self._access.pool.map(self._metadata, known), strict=True):
            if blob is None:
                continue
            try:
                yield from read_metadata(blob, image_set)
            except Unreadable as trouble:
                raise ArchiveError(f"{self._access.site.name}: {trouble}", archive=self._access.site.name) from None

    def levels(self, image_set: ImageSet) -> Levels | None:
        """What an image set says of its patient, study and series; None where it was deleted meanwhile.

        Raises:
            ArchiveError: metadata cannot be had, or cannot be read.
        """
        blob = self._metadata(image_set)
        try:
            return None if blob is None else read_levels(blob)
        except Unreadable as trouble:
            raise ArchiveError(f"{self._access.site.name}: {trouble}", archive=self._access.site.name) from None

    def _metadata(self, image_set: ImageSet) -> bytes | None:
        asked = {"datastoreId": self._access.datastore_id, "imageSetId": image_set.id}
        if image_set.earlier:
            asked["versionId"] = image_set.version
        self._access.metadata.wait()

        def get() -> bytes:
            return self._access.client.get_image_set_metadata(**asked)["imageSetMetadataBlob"].read()

        try:
            return self._access.attempt(get, expected=GONE)
        except ClientError as error:
            if code_of(error) in GONE:
                return None
            raise


def _equal(name: str, value: str) -> Any:
    return {"filters": [{"values": [{name: value}], "operator": "EQUAL"}]}
