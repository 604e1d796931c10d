"""Image sets: the operations of the runtime plane. Each gives what the model's output has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen
from pydicom.dataset import Dataset

from vna_lifecycle.testing.healthimaging.instances import Instance, Unimportable, uncompressed
from vna_lifecycle.testing.healthimaging.metadata import apply, elements_for, packed, parse_update
from vna_lifecycle.testing.healthimaging.service import Answer, Service, page_of, stamp
from vna_lifecycle.testing.healthimaging.stores import Datastore, ImageSet, Version, changed, new_id
from vna_lifecycle.testing.healthimaging.trouble import ServiceError, conflict, invalid, not_found

_GUARDED: Final = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyID"})
_TAGS: Final = (
    ("DICOMPatientId", "patient", "PatientID"),
    ("DICOMPatientName", "patient", "PatientName"),
    ("DICOMPatientBirthDate", "patient", "PatientBirthDate"),
    ("DICOMPatientSex", "patient", "PatientSex"),
    ("DICOMStudyInstanceUID", "study", "StudyInstanceUID"),
    ("DICOMStudyId", "study", "StudyID"),
    ("DICOMStudyDescription", "study", "StudyDescription"),
    ("DICOMAccessionNumber", "study", "AccessionNumber"),
    ("DICOMStudyDate", "study", "StudyDate"),
    ("DICOMStudyTime", "study", "StudyTime"),
    ("DICOMSeriesInstanceUID", "series", "SeriesInstanceUID"),
    ("DICOMSeriesModality", "series", "Modality"),
    ("DICOMSeriesBodyPart", "series", "BodyPartExamined"),
    ("DICOMSeriesNumber", "series", "SeriesNumber"),
)


def _tags(instance: Instance) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, level, keyword in _TAGS:
        value = getattr(instance.levels, level).get(keyword)
        if value is not None:
            found[name] = int(value) if name == "DICOMSeriesNumber" else value
    return found


@frozen
class ImageSets:
    """The runtime plane of a service."""

    service: Service

    def _now(self) -> dt.datetime:
        return self.service.clock()

    def _touched(self, image_set: ImageSet) -> ImageSet:
        """An access moves an image set to the frequent tier."""
        image_set.accessed = self._now()
        return image_set

    def _readable(self, asked: Mapping[str, Any], name: str = "imageSetId") -> tuple[Datastore, ImageSet]:
        store = self.service.store(asked)
        found = store.image_set(asked[name])
        if found.state == "DELETED":
            raise not_found("image set")
        return store, found

    def search(self, asked: Mapping[str, Any]) -> Answer:
        """SearchImageSets. At most two filters, joined by AND; values of an EQUAL filter by OR."""
        store = self.service.store(asked)
        criteria = asked.get("searchCriteria", {})
        rules = criteria.get("filters", [])
        found = [one for one in _candidates(store, rules) if all(self._fits(one, rule) for rule in rules)]
        sort = criteria.get("sort", {"sortField": "updatedAt", "sortOrder": "DESC"})
        found.sort(key=lambda one: _sort_key(one, sort["sortField"]), reverse=sort["sortOrder"] == "DESC")
        page, more = page_of(found, asked)
        return {"imageSetsMetadataSummaries": [self._summary(store, one) for one in page], "sort": sort, **more}

    def _summary(self, store: Datastore, image_set: ImageSet) -> Answer:
        own = _tags(image_set.first())
        related = [one for one in store.of_study(own["DICOMStudyInstanceUID"]) if one.latest.primary]
        own["DICOMNumberOfStudyRelatedSeries"] = len(related)
        own["DICOMNumberOfStudyRelatedInstances"] = sum(len(one.latest.instances) for one in related)
        return {
            "imageSetId": image_set.id,
            "version": image_set.latest.number,
            "createdAt": stamp(image_set.created),
            "updatedAt": stamp(image_set.latest.created),
            "lastAccessedAt": stamp(image_set.accessed),
            "storageTier": image_set.tier(self._now()),
            "DICOMTags": own,
            "isPrimary": image_set.latest.primary,
        }

    def _fits(self, image_set: ImageSet, rule: Mapping[str, Any]) -> bool:
        values = [next(iter(value.items())) for value in rule["values"]]
        kind = values[0][0]
        if any(name != kind for name, _ in values):
            raise invalid("values of one filter must be of one attribute")
        own = _own_value(image_set, kind)
        wanted = [_comparable(kind, value) for _, value in values]
        if rule["operator"] == "BETWEEN":
            if len(wanted) != 2 or kind not in ("createdAt", "updatedAt", "DICOMStudyDateAndTime"):
                raise invalid("BETWEEN needs two times")
            return own is not None and wanted[0] <= own <= wanted[1]
        return own in wanted

    def get(self, asked: Mapping[str, Any]) -> Answer:
        """GetImageSet; also of a deleted one."""
        store = self.service.store(asked)
        found = store.image_set(asked["imageSetId"])
        version = found.version(asked.get("versionId"))
        told = {
            "datastoreId": store.id,
            "imageSetId": found.id,
            "versionId": str(version.number),
            "imageSetState": found.state,
            "imageSetWorkflowStatus": version.status,
            "createdAt": stamp(found.created),
            "updatedAt": stamp(version.created),
            "imageSetArn": store.arn_of(found),
            "isPrimary": version.primary,
            "lastAccessedAt": stamp(found.accessed),
            "storageTier": found.tier(self._now()),
        }
        told |= {"deletedAt": stamp(found.deleted)} if found.deleted else {}
        return told | ({"overrides": {"forced": True}} if version.forced else {})

    def metadata(self, asked: Mapping[str, Any]) -> Answer:
        """GetImageSetMetadata: JSON in gzip."""
        store, found = self._readable(asked)
        document = self._touched(found).document(store.id, found.version(asked.get("versionId")))
        return {
            "imageSetMetadataBlob": packed(document),
            "contentType": "application/json",
            "contentEncoding": "gzip",
        }

    def frame(self, asked: Mapping[str, Any]) -> Answer:
        """GetImageFrame: a frame's codestream."""
        _, found = self._readable(asked)
        wanted = asked["imageFrameInformation"]["imageFrameId"]
        for version in found.versions:
            for instance in version.instances.values():
                for frame in instance.frames:
                    if frame.id == wanted:
                        self._touched(found)
                        return {"imageFrameBlob": frame.data, "contentType": "application/octet-stream"}
        raise not_found("image frame")

    def instance(self, path: Mapping[str, str], image_set_id: str, accept: str) -> bytes:
        """DICOMweb's RetrieveInstance (PS3.18 10.4): a DICOM file, in the stored or an uncompressed syntax."""
        store = self.service.store(path)
        if image_set_id:
            found: ImageSet | None = self._readable({**path, "imageSetId": image_set_id})[1]
        else:
            found = store.primary_of(path["series"])
        held = found.latest.instances.get(path["instance"]) if found else None
        if (
            held is None
            or found is None
            or held.levels.study["StudyInstanceUID"] != path["study"]
            or held.levels.series["SeriesInstanceUID"] != path["series"]
        ):
            raise not_found("instance")
        self._touched(found)
        kind, _, syntax = accept.replace(" ", "").partition(";transfer-syntax=")
        if kind in ("application/dicom", "*/*") and syntax in ("*", held.stored_syntax):
            return held.data
        if kind in ("application/dicom", "*/*") and syntax in ("", "1.2.840.10008.1.2.1"):
            try:
                return uncompressed(held)
            except Unimportable as refusal:
                raise ServiceError(refusal.kind, str(refusal), 406) from None
        raise ServiceError("NotAcceptableException", "transfer syntax is not available", 406)

    def versions(self, asked: Mapping[str, Any]) -> Answer:
        """ListImageSetVersions, the newest first."""
        found = self.service.store(asked).image_set(asked["imageSetId"])
        page, more = page_of(list(reversed(found.versions)), asked)
        told = [
            {
                "imageSetId": found.id,
                "versionId": str(one.number),
                "imageSetState": found.state,
                "ImageSetWorkflowStatus": one.status,
                "createdAt": stamp(found.created),
                "updatedAt": stamp(one.created),
                "isPrimary": one.primary,
            }
            for one in page
        ]
        return {"imageSetPropertiesList": told, **more}

    def update(self, asked: Mapping[str, Any]) -> Answer:
        """UpdateImageSetMetadata, guarded by the version that the caller knows."""
        store, found = self._readable(asked)
        found.require_latest(asked["latestVersionId"])
        wanted = asked["updateImageSetMetadataUpdates"]
        forced = bool(asked.get("force", False))
        if "revertToVersionId" in wanted:
            instances: Mapping[str, Instance] = found.version(wanted["revertToVersionId"]).instances
        else:
            instances = _updated(found.latest, wanted.get("DICOMUpdates", {}), forced)
        if not instances:
            raise invalid("an image set must keep an instance")
        version = found.add(self._now(), status="UPDATED", instances=instances, forced=forced)
        self._require_consistent(store, found)
        store.keep(found)
        return {
            "datastoreId": store.id,
            "imageSetId": found.id,
            "latestVersionId": str(version.number),
            "imageSetState": found.state,
            "imageSetWorkflowStatus": version.status,
            "createdAt": stamp(found.created),
            "updatedAt": stamp(version.created),
        }

    def _require_consistent(self, store: Datastore, image_set: ImageSet) -> None:
        """A primary image set must go on agreeing with the others of its study."""
        own = image_set.first().levels
        others = {
            one.first().levels.study_key
            for one in store.of_study(str(own.study["StudyInstanceUID"]))
            if one is not image_set and one.latest.primary
        }
        if image_set.latest.primary and others - {own.study_key}:
            image_set.versions.pop()
            raise conflict("metadata conflicts with other primary image sets of the study")

    def copy(self, asked: Mapping[str, Any]) -> Answer:
        """CopyImageSet: into a new one, into another one, or to become primary (which gives a new ID)."""
        store, source = self._readable(asked, "sourceImageSetId")
        wanted = asked["copyImageSetInformation"]
        source.require_latest(wanted["sourceImageSet"]["latestVersionId"])
        now = self._now()
        if asked.get("promoteToPrimary"):
            target = self._promoted(store, source, now)
        elif "destinationImageSet" in wanted:
            target = store.image_set(wanted["destinationImageSet"]["imageSetId"])
            target.require_latest(wanted["destinationImageSet"]["latestVersionId"])
            forced = bool(asked.get("force", False))
            if not forced and target.first().levels.series_key != source.first().levels.series_key:
                raise conflict("source and destination metadata are inconsistent")
            merged = {**target.latest.instances, **source.latest.instances}
            target.add(now, status="COPIED", instances=merged, forced=forced)
        else:
            target = self._copied(store, source, now, primary=False)
        source.add(now, status="COPIED", primary=source.latest.primary)
        return {
            "datastoreId": store.id,
            "sourceImageSetProperties": _properties(store, source),
            "destinationImageSetProperties": _properties(store, target),
        }

    def _copied(self, store: Datastore, source: ImageSet, now: dt.datetime, *, primary: bool) -> ImageSet:
        version = Version(
            number=1, instances=source.latest.instances, status="COPIED", created=now, primary=primary, forced=False
        )
        made = ImageSet(id=new_id(), created=now, versions=[version], accessed=now)
        store.keep(made)
        return made

    def _promoted(self, store: Datastore, source: ImageSet, now: dt.datetime) -> ImageSet:
        levels = source.first().levels
        if source.latest.primary:
            raise conflict("image set is primary")
        primary = store.primary_of(str(levels.series["SeriesInstanceUID"]))
        if primary is None:
            if store.study_key_of(str(levels.study["StudyInstanceUID"])) not in (None, levels.study_key):
                raise conflict("metadata conflicts with the primary image sets of the study")
            return self._copied(store, source, now, primary=True)
        if primary.first().levels.series_key != levels.series_key:
            raise conflict("metadata conflicts with the primary image set of the series")
        if primary.latest.instances.keys() & source.latest.instances.keys():
            raise conflict("the primary image set holds the same instances")
        primary.add(now, status="COPIED", instances={**primary.latest.instances, **source.latest.instances})
        return primary

    def delete(self, asked: Mapping[str, Any]) -> Answer:
        """DeleteImageSet: asynchronous, LOCKED until it is done."""
        store, found = self._readable(asked)
        if found.state != "ACTIVE":
            raise conflict(f"image set is {found.state}")
        found.state = "LOCKED"
        store.leaving.append(found)
        found.gone_at = self._now() + dt.timedelta(seconds=self.service.deletion_seconds)
        found.versions[-1] = evolve(found.latest, status="DELETING")
        return {
            "datastoreId": store.id,
            "imageSetId": found.id,
            "imageSetState": "LOCKED",
            "imageSetWorkflowStatus": "DELETING",
        }


def _candidates(store: Datastore, rules: Sequence[Mapping[str, Any]]) -> Iterable[ImageSet]:
    """Where one study is asked for, its image sets; else all of them."""
    for rule in rules:
        if rule["operator"] == "EQUAL" and [*rule["values"][0]] == ["DICOMStudyInstanceUID"] and not rule["values"][1:]:
            return store.of_study(rule["values"][0]["DICOMStudyInstanceUID"])
    return store.present()


def _properties(store: Datastore, image_set: ImageSet) -> Answer:
    return {
        "imageSetId": image_set.id,
        "latestVersionId": str(image_set.latest.number),
        "imageSetState": image_set.state,
        "imageSetWorkflowStatus": image_set.latest.status,
        "createdAt": stamp(image_set.created),
        "updatedAt": stamp(image_set.latest.created),
        "imageSetArn": store.arn_of(image_set),
    }


def _updated(version: Version, wanted: Mapping[str, Any], forced: bool) -> dict[str, Instance]:
    given = parse_update(wanted["updatableAttributes"]) if "updatableAttributes" in wanted else {}
    taken = parse_update(wanted["removableAttributes"]) if "removableAttributes" in wanted else {}
    if not given and not taken:
        raise invalid("there is nothing to update")
    first = next(iter(version.instances.values()))
    series = str(first.levels.series["SeriesInstanceUID"])
    leaving = {
        uid
        for uid, item in taken.get("Study", {}).get("Series", {}).get(series, {}).get("Instances", {}).items()
        if not item.get("DICOM")
    }

    def change(dataset: Dataset, series: str, uid: str) -> None:
        elements = elements_for(given, series, uid)
        if not forced and _GUARDED & elements.keys():
            raise invalid("force is needed to change UIDs")
        apply(dataset, elements)
        apply(dataset, elements_for(taken, series, uid), remove=True)

    return changed(version, change, lambda uid: uid not in leaving)


def _own_value(image_set: ImageSet, kind: str) -> Any:
    if kind == "createdAt":
        return stamp(image_set.created)
    if kind == "updatedAt":
        return stamp(image_set.latest.created)
    if kind == "isPrimary":
        return image_set.latest.primary
    tags = _tags(image_set.first())
    if kind == "DICOMStudyDateAndTime":
        return tags.get("DICOMStudyDate")
    return tags.get(kind)


def _comparable(kind: str, value: Any) -> Any:
    return value["DICOMStudyDate"] if kind == "DICOMStudyDateAndTime" else value


def _sort_key(image_set: ImageSet, kind: str) -> Any:
    value = _own_value(image_set, kind)
    return ("" if value is None else value, image_set.id)


def operations(service: Service, runtime: ImageSets) -> dict[str, Callable[[Mapping[str, Any]], Answer]]:
    """Every operation of the service model, by its name there."""
    return {
        "CopyImageSet": runtime.copy,
        "CreateDatastore": service.create_datastore,
        "DeleteDatastore": service.delete_datastore,
        "DeleteImageSet": runtime.delete,
        "GetDICOMImportJob": service.get_dicom_import_job,
        "GetDatastore": service.get_datastore,
        "GetImageFrame": runtime.frame,
        "GetImageSet": runtime.get,
        "GetImageSetMetadata": runtime.metadata,
        "ListDICOMImportJobs": service.list_dicom_import_jobs,
        "ListDatastores": service.list_datastores,
        "ListImageSetVersions": runtime.versions,
        "ListTagsForResource": service.list_tags_for_resource,
        "SearchImageSets": runtime.search,
        "StartDICOMImportJob": service.start_dicom_import_job,
        "TagResource": service.tag_resource,
        "UntagResource": service.untag_resource,
        "UpdateImageSetMetadata": runtime.update,
    }
