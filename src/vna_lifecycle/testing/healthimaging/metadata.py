"""Image set metadata: a data set's elements by level, as the JSON that the service keeps, and changes to it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag

from vna_lifecycle.testing.healthimaging.trouble import invalid

if TYPE_CHECKING:
    from vna_lifecycle.testing.healthimaging.instances import Instance

_STUDY: Final = frozenset(
    {"AccessionNumber", "AdmissionID", "IssuerOfAccessionNumberSequence", "PatientAge", "PatientSize", "PatientWeight"}
    | {"PhysiciansOfRecord", "ProcedureCodeSequence", "ReferringPhysicianName", "StudyDate", "StudyDescription"}
    | {"StudyID", "StudyInstanceUID", "StudyTime", "TimezoneOffsetFromUTC"}
)
_SERIES: Final = frozenset(
    {"BodyPartExamined", "Laterality", "Modality", "PatientPosition", "ProtocolName", "SeriesDescription"}
    | {"SeriesInstanceUID", "SeriesNumber"}
)
_NOT_PATIENT: Final = frozenset({"PatientAge", "PatientSize", "PatientWeight"})
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE00001, 0x7FE00002})
_GROUPING: Final = ("StudyDate", "AccessionNumber", "StudyID", "StudyInstanceUID")


@frozen(kw_only=True)
class Levels:
    """The elements of an instance by level, by keyword; private ones are ``ggggeeee``. ``vrs`` are what else is needed.

    An element without a value is None.
    """

    patient: dict[str, Any]
    study: dict[str, Any]
    series: dict[str, Any]
    instance: dict[str, Any]
    vrs: dict[str, str]

    @property
    def study_key(self) -> str:
        """What must agree within a study for its image sets to be primary."""
        return json.dumps([self.patient, [self.study.get(name) for name in _GROUPING]], sort_keys=True)

    @property
    def series_key(self) -> str:
        """What must agree within a series."""
        own = [self.series.get(name) for name in ("SeriesInstanceUID", "SeriesNumber")]
        return f"{self.study_key}{json.dumps(own)}"


def split(dataset: Dataset) -> Levels:
    """A data set's elements by level. Pixel data is left out."""
    levels = Levels(patient={}, study={}, series={}, instance={}, vrs={})
    for element in dataset:
        if element.tag in _PIXELS or not element.tag & 0xFFFF:
            continue
        name = _name(element.tag)
        if element.tag.is_private or not keyword_for_tag(element.tag):
            levels.vrs[name] = element.VR
        if name in _STUDY:
            place = levels.study
        elif element.tag.group == 0x0010 and name not in _NOT_PATIENT:
            place = levels.patient
        else:
            place = levels.series if name in _SERIES else levels.instance
        place[name] = _value(element)
    return levels


def _name(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or f"{int(tag):08X}"


def _value(element: DataElement) -> Any:
    if element.VR == "SQ":
        return [{_name(inner.tag): _value(inner) for inner in item} for item in element.value]
    value = element.value
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, MultiValue):
        return [_single(one) for one in value]
    return _single(value)


def _single(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and not hasattr(value, "original_string"):
        return int(value)
    return value if type(value) is float else str(value)


def document(datastore: str, image_set: str, version: int, instances: Iterable[Instance]) -> dict[str, Any]:
    """An image set's metadata, as GetImageSetMetadata gives it when it is unpacked."""
    members = list(instances)
    first = members[0].levels
    return {
        "SchemaVersion": "1.1",
        "DatastoreID": datastore,
        "ImageSetID": image_set,
        "VersionID": str(version),
        "Patient": {"DICOM": first.patient},
        "Study": {
            "DICOM": first.study,
            "Series": {
                str(first.series["SeriesInstanceUID"]): {
                    "DICOM": first.series,
                    "Instances": {member.sop_instance_uid: _instance(member) for member in members},
                }
            },
        },
    }


def _instance(member: Instance) -> dict[str, Any]:
    return {
        "DICOM": member.levels.instance,
        "DICOMVRs": member.levels.vrs,
        "StoredTransferSyntaxUID": member.stored_syntax,
        "ChecksumType": "DECOMPRESSED",
        "ImageFrames": [
            {
                "ID": frame.id,
                "PixelDataChecksumFromBaseToFullResolution": list(frame.checksums),
                "MinPixelValue": frame.smallest,
                "MaxPixelValue": frame.largest,
                "FrameSizeInBytes": len(frame.data),
            }
            for frame in member.frames
        ],
    }


def packed(metadata: Mapping[str, Any]) -> bytes:
    """The blob that GetImageSetMetadata sends."""
    return gzip.compress(json.dumps(metadata).encode(), mtime=0)


def parse_update(raw: str) -> dict[str, Any]:
    """The JSON in ``updatableAttributes`` or ``removableAttributes``, which travels in base64.

    Raises:
        ServiceError: it is no such document.
    """
    try:
        found = json.loads(base64.b64decode(raw, validate=True))
    except ValueError:
        raise invalid("attributes must be a JSON document") from None
    if not isinstance(found, dict) or str(found.get("SchemaVersion")) != "1.1":
        raise invalid("SchemaVersion must be 1.1")
    return found


def elements_for(update: Mapping[str, Any], series: str, sop_instance: str) -> dict[str, Any]:
    """What an update document says of one instance, over all levels."""
    study = update.get("Study", {})
    own = study.get("Series", {}).get(series, {})
    levels = (update.get("Patient", {}), study, own, own.get("Instances", {}).get(sop_instance, {}))
    return {name: value for level in levels for name, value in level.get("DICOM", {}).items()}


def apply(dataset: Dataset, elements: Mapping[str, Any], *, remove: bool = False) -> None:
    """Give elements new values, or take them out.

    Raises:
        ServiceError: an element is unknown.
    """
    for name, value in elements.items():
        number = tag_for_keyword(name)
        tag = Tag(number) if number is not None else None
        if tag is None:
            raise invalid(f"{name} is no attribute")
        if remove:
            dataset.pop(tag, None)
        else:
            dataset[tag] = _element(tag, value)


def _element(tag: BaseTag, value: Any) -> DataElement:
    vr = dictionary_VR(tag)
    if vr == "SQ":
        items = []
        for item in value or []:
            inner = Dataset()
            apply(inner, item)
            items.append(inner)
        return DataElement(tag, vr, Items(items))
    if vr in _BINARY and value is not None:
        return DataElement(tag, vr, base64.b64decode(value))
    return DataElement(tag, vr, value)
