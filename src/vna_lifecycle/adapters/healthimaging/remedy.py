"""Non-primary image sets: what disagrees with what readers are shown, and the changes that settle it.

Each change names the version that was looked at; the service refuses it when there is a newer one. Only the image set
that lies aside is ever changed: what was in the data store before, and is shown, stays as it is. The service itself
keeps versions, but not who made them: that is the program's to record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of, request_id
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.change import AttributeChange
from vna_lifecycle.model.identity import SeriesUID, StudyRef
from vna_lifecycle.ports import Changed, ChangeRefused, Disagreement, SetAside

PATIENT: Final = frozenset(
    {"IssuerOfPatientID", "OtherPatientIDs", "PatientBirthDate", "PatientBirthTime", "PatientComments", "PatientID"}
    | {"PatientName", "PatientSex"}
)
"""Attributes that the service keeps at the level of the patient, of those that make image sets conflict."""

STUDY: Final = frozenset(
    {"AccessionNumber", "ReferringPhysicianName", "StudyDate", "StudyDescription", "StudyID", "StudyTime"}
)
"""Those at the level of the study. All others are the series'."""

_SERIES: Final = frozenset({"SeriesNumber"})
_BY_FORCE: Final = frozenset({"StudyID"})  # UpdateImageSetMetadata changes it with ``force`` only, as it does UIDs
_BUSY: Final = "ConflictException"
_INVALID: Final = "ValidationException"
_PATIENCE: Final = 300.0  # seconds for which a change is waited for
_LOOK: Final = 2.0
_T = TypeVar("_T")


class Remedies:
    """Changes image sets of one data store, at the pace of ``changes_per_second``."""

    def __init__(self, access: Access, library: Library) -> None:
        """Both belong to the same data store."""
        self._access = access
        self._library = library

    def set_aside(self, study: StudyRef) -> Iterator[SetAside]:
        """The study's non-primary image sets, each held against the primary one of its series, else of its study.

        Raises:
            ArchiveError: the data store cannot be asked.
        """
        found = self._library.of_study(study.study_uid)
        shown = [one for one in found if one.primary]
        levels = {one.id: self._library.levels(one) for one in found}
        held = {stored.record.sop_instance_uid for stored in self._library.contents(shown)}
        for image_set in found:
            own = levels[image_set.id]
            if image_set.primary or own is None or self._library.state(image_set.id) != "ACTIVE":
                continue
            records = tuple(stored.record for stored in self._library.contents([image_set]))
            series = own.series_uid
            same_series = [one for one in shown if (each := levels[one.id]) and each.series_uid == series]
            against = next((levels[one.id] for one in (*same_series, *shown)), None)
            compared = PATIENT | STUDY | (_SERIES if same_series else frozenset())
            disagreements = tuple(
                Disagreement(keyword=keyword, aside=own.values.get(keyword), shown=against.values.get(keyword))
                for keyword in sorted(compared)
                if against is not None and own.values.get(keyword) != against.values.get(keyword)
            )
            yield SetAside(
                place=image_set.id,
                version=image_set.version,
                series_uid=SeriesUID(series),
                instances=records,
                disagreements=disagreements,
                hindrance=_hindrance(disagreements, {record.sop_instance_uid for record in records} & held),
            )

    def correct(
        self, place: str, version: str, series_uid: SeriesUID, changes: Sequence[AttributeChange]
    ) -> Changed | ChangeRefused:
        """Give attributes of an image set other values, or take them out.

        Raises:
            ArchiveError: the service refuses, or does not get done.
        """
        updates: dict[str, Any] = {}
        for name, wanted in (
            ("updatableAttributes", [change for change in changes if change.value is not None]),
            ("removableAttributes", [change for change in changes if change.value is None]),
        ):
            if wanted:
                updates[name] = json.dumps(_document(wanted, series_uid)).encode()
        answer = self._changed(
            lambda: self._access.client.update_image_set_metadata(
                datastoreId=self._access.datastore_id,
                imageSetId=place,
                latestVersionId=version,
                updateImageSetMetadataUpdates={"DICOMUpdates": updates},  # type: ignore[typeddict-item]  # built above
            )
        )
        if isinstance(answer, ChangeRefused):
            return answer
        self._settled(place)
        return Changed(version_before=version, version_after=answer["latestVersionId"], request=request_id(answer))

    def admit(self, place: str, version: str) -> Changed | ChangeRefused:
        """Let an image set become primary, or join its series' primary one. The instances get another image set's ID.

        Raises:
            ArchiveError: the service refuses, or does not get done.
        """
        answer = self._changed(
            lambda: self._access.client.copy_image_set(
                datastoreId=self._access.datastore_id,
                sourceImageSetId=place,
                copyImageSetInformation={"sourceImageSet": {"latestVersionId": version}},
                promoteToPrimary=True,
            )
        )
        if isinstance(answer, ChangeRefused):
            return answer
        self._settled(place)
        self._settled(answer["destinationImageSetProperties"]["imageSetId"])
        after = answer["sourceImageSetProperties"]["latestVersionId"]
        return Changed(version_before=version, version_after=after, request=request_id(answer))

    def discard(self, place: str, version: str) -> Changed | ChangeRefused:
        """Delete what is left of an image set whose instances were promoted.

        Raises:
            ArchiveError: the service refuses.
        """
        if self._library.state(place) != "ACTIVE":  # it is going, or gone
            return Changed(version_before=version, version_after="")
        answer = self._changed(
            lambda: self._access.client.delete_image_set(datastoreId=self._access.datastore_id, imageSetId=place)
        )
        if isinstance(answer, ChangeRefused):
            return answer
        return Changed(version_before=version, version_after="", request=request_id(answer))

    def _changed(self, call: Callable[[], _T]) -> _T | ChangeRefused:
        self._access.changes.wait()
        try:
            return self._access.attempt(call, expected=(_BUSY, _INVALID))
        except ClientError as error:
            if code_of(error) == _INVALID:
                return ChangeRefused(code="not-changeable", message="the service does not change these attributes")
            message = "the image set conflicts with others, or was changed since it was looked at"
            return ChangeRefused(code="conflict", message=message)

    def _settled(self, image_set: str) -> None:
        """Wait until a change is done."""
        deadline = self._access.now() + _PATIENCE
        while self._library.state(image_set) == "LOCKED":
            if self._access.now() >= deadline:
                name = self._access.site.name
                message = f"{name}: an image set is still being changed after {_PATIENCE:.0f} seconds"
                raise ArchiveError(message, archive=name, transient=True, hint="look at it again later")
            self._access.pause(_LOOK)


def _hindrance(disagreements: Iterable[Disagreement], twice: Iterable[str]) -> str:
    forced = sorted({each.keyword for each in disagreements} & _BY_FORCE)
    if forced:
        return f"{' and '.join(forced)} differs, which the service changes by force only"
    return "readers are shown other copies of the same instances" if any(twice) else ""


def _document(changes: Iterable[AttributeChange], series_uid: str) -> Mapping[str, Any]:
    """The service's form of an update: elements by level."""
    levels: dict[str, dict[str, Any]] = {"patient": {}, "study": {}, "series": {}}
    for change in changes:
        level = "patient" if change.keyword in PATIENT else "study" if change.keyword in STUDY else "series"
        value = change.value or ("",)
        levels[level][change.keyword] = value[0] if len(value) == 1 else list(value)
    document: dict[str, Any] = {"SchemaVersion": 1.1}
    if levels["patient"]:
        document["Patient"] = {"DICOM": levels["patient"]}
    study: dict[str, Any] = {"DICOM": levels["study"]} if levels["study"] else {}
    if levels["series"]:
        study["Series"] = {series_uid: {"DICOM": levels["series"]}}
    if study:
        document["Study"] = study
    return document
