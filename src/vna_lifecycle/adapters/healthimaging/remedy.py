"""Resolving non-primary image sets: their metadata is made to agree, and they become primary.

Each step names the version that was looked at; the service refuses it when there is a newer one. What was changed comes
back as a value to be recorded: the service itself keeps versions, but not who made them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import request_id
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.change import AttributeChange

PATIENT: Final = frozenset(
    {"IssuerOfPatientID", "OtherPatientIDs", "PatientBirthDate", "PatientBirthTime", "PatientComments", "PatientID"}
    | {"PatientName", "PatientSex"}
)
"""Attributes that the service keeps at the level of the patient, of those that make image sets conflict."""

STUDY: Final = frozenset(
    {"AccessionNumber", "ReferringPhysicianName", "StudyDate", "StudyDescription", "StudyID", "StudyTime"}
)
"""Those at the level of the study. All others are the series'."""

_BUSY: Final = "ConflictException"
_PATIENCE: Final = 300.0  # seconds for which a change is waited for
_LOOK: Final = 2.0
_T = TypeVar("_T")


@frozen(kw_only=True)
class ImageSetChange:
    """A change that the service made: the record of who asked for it, and why, is the program's to keep.

    ``what`` is ``updated``, ``promoted`` or ``removed``; ``target`` the image set that holds the instances afterwards.
    """

    what: str
    image_set: str
    version_before: str
    version_after: str
    target: str
    changes: tuple[AttributeChange, ...] = ()
    request: str = ""


class Remedies:
    """Changes image sets of one data store, at the pace of ``changes_per_second``."""

    def __init__(self, access: Access, library: Library) -> None:
        """Both belong to the same data store."""
        self._access = access
        self._library = library

    def update(
        self, image_set: str, version: str, series_uid: str, changes: Sequence[AttributeChange]
    ) -> ImageSetChange:
        """Give attributes of an image set other values, or take them out.

        Raises:
            ArchiveError: there is a newer version, or the service refuses.
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
                imageSetId=image_set,
                latestVersionId=version,
                updateImageSetMetadataUpdates={"DICOMUpdates": updates},  # type: ignore[typeddict-item]  # built above
            )
        )
        self._settled(image_set)
        return ImageSetChange(
            what="updated",
            image_set=image_set,
            version_before=version,
            version_after=answer["latestVersionId"],
            target=image_set,
            changes=tuple(changes),
            request=request_id(answer),
        )

    def promote(self, image_set: str, version: str) -> ImageSetChange:
        """Let an image set become primary, or join its series' primary one. The instances get another image set's ID.

        Raises:
            ArchiveError: it still conflicts, there is a newer version, or the service refuses.
        """
        answer = self._changed(
            lambda: self._access.client.copy_image_set(
                datastoreId=self._access.datastore_id,
                sourceImageSetId=image_set,
                copyImageSetInformation={"sourceImageSet": {"latestVersionId": version}},
                promoteToPrimary=True,
            )
        )
        target = answer["destinationImageSetProperties"]["imageSetId"]
        self._settled(image_set)
        self._settled(target)
        return ImageSetChange(
            what="promoted",
            image_set=image_set,
            version_before=version,
            version_after=answer["sourceImageSetProperties"]["latestVersionId"],
            target=target,
            request=request_id(answer),
        )

    def remove(self, image_set: str, version: str, target: str) -> ImageSetChange:
        """Delete what is left of an image set whose instances were promoted into ``target``.

        Raises:
            ArchiveError: the service refuses.
        """
        answer = self._changed(
            lambda: self._access.client.delete_image_set(datastoreId=self._access.datastore_id, imageSetId=image_set)
        )
        return ImageSetChange(
            what="removed",
            image_set=image_set,
            version_before=version,
            version_after="",
            target=target,
            request=request_id(answer),
        )

    def resolve(
        self, image_set: str, version: str, series_uid: str, changes: Sequence[AttributeChange]
    ) -> tuple[ImageSetChange, ...]:
        """Update, promote, and remove what was promoted. A step that is refused leaves the steps before it.

        Raises:
            ArchiveError: as `update` and `promote`.
        """
        steps: list[ImageSetChange] = []
        if changes:
            steps.append(self.update(image_set, version, series_uid, changes))
            version = steps[-1].version_after
        steps.append(self.promote(image_set, version))
        steps.append(self.remove(image_set, steps[-1].version_after, steps[-1].target))
        return tuple(steps)

    def _changed(self, call: Callable[[], _T]) -> _T:
        self._access.changes.wait()
        try:
            return self._access.attempt(call, expected=(_BUSY,))
        except ClientError:
            name = self._access.site.name
            message = f"{name}: the image set conflicts with others, or was changed since it was looked at"
            hint = "look at its metadata and version again, then decide anew"
            raise ArchiveError(message, archive=name, hint=hint) from None

    def _settled(self, image_set: str) -> None:
        """Wait until a change is done."""
        deadline = self._access.now() + _PATIENCE
        while self._library.state(image_set) == "LOCKED":
            if self._access.now() >= deadline:
                name = self._access.site.name
                message = f"{name}: an image set is still being changed after {_PATIENCE:.0f} seconds"
                raise ArchiveError(message, archive=name, transient=True, hint="look at it again later")
            self._access.pause(_LOOK)


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
