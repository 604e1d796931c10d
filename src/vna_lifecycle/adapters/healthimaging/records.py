"""Image set metadata as records: the JSON of GetImageSetMetadata, level by level.

The service keeps elements by keyword, values as JSON; an element without a value is null.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Availability, InstanceRecord, SeriesAttributes

NON_PRIMARY: Final = "non-primary"
"""Flag of an instance that lies beside its series' primary image set: readers by DICOMweb do not see it."""

_SEPARATOR: Final = "/"


@frozen(kw_only=True)
class Frame:
    """A frame of an instance. ``checksums`` are (columns, rows, CRC32 of the decoded pixels), the full one last."""

    id: str
    checksums: tuple[tuple[int, int, int], ...]


@frozen(kw_only=True)
class Stored:
    """An instance as an image set holds it. ``stored_syntax`` is its StoredTransferSyntaxUID."""

    record: InstanceRecord
    image_set: str
    version: str
    primary: bool
    stored_syntax: str
    frames: tuple[Frame, ...]


@frozen(kw_only=True)
class ImageSet:
    """What a search tells of an image set. ``tags`` are its DICOM tags, by the service's names.

    ``archived`` is whether it lies in the archive tier. ``earlier`` is whether ``version`` is not the newest.
    """

    id: str
    version: str
    created: float
    primary: bool
    tags: Mapping[str, Any]
    archived: bool = False
    earlier: bool = False


@frozen(kw_only=True)
class Levels:
    """What all instances of an image set share: values by keyword, as texts; empty without a value.

    Sequences and private elements are left out.
    """

    series_uid: str
    values: Mapping[str, tuple[str, ...]]


class Unreadable(ValueError):
    """Metadata that is not what the service documents."""


def locator_of(image_set: str, series: str, sop_instance: str) -> str:
    """Where an instance lies in its data store."""
    return _SEPARATOR.join((image_set, series, sop_instance))


def place_of(locator: str) -> tuple[str, str, str]:
    """Image set, series and SOP Instance UID of a locator.

    Raises:
        ValueError: this archive issues no such locators.
    """
    image_set, series, sop_instance = locator.split(_SEPARATOR)
    if not image_set.isalnum() or not all(part and set(part) <= set("0123456789.") for part in (series, sop_instance)):
        raise ValueError("no locator of a data store")
    return image_set, series, sop_instance


def read_metadata(blob: bytes, image_set: ImageSet) -> Iterator[Stored]:
    """The instances of an image set, from its metadata.

    Raises:
        Unreadable: it is not what the service documents.
    """
    try:
        document = json.loads(gzip.decompress(blob))
        study = document["Study"]
        shared = {**document["Patient"]["DICOM"], **study["DICOM"]}
        for series_uid, series in study["Series"].items():
            attributes = _series({**shared, **series["DICOM"]}, series_uid)
            sets: dict[str, SeriesAttributes] = {"": attributes}
            for uid, instance in series["Instances"].items():
                yield _stored(instance, uid, image_set, sets, {**shared, **series["DICOM"]})
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError, OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"image set metadata cannot be read ({type(error).__name__})") from None


def read_levels(blob: bytes) -> Levels:
    """What an image set says at the levels of patient, study and series, from its metadata.

    Raises:
        Unreadable: it is not what the service documents.
    """
    try:
        document = json.loads(gzip.decompress(blob))
        study = document["Study"]
        [(series_uid, series)] = study["Series"].items()
        shared = {**document["Patient"]["DICOM"], **study["DICOM"], **series["DICOM"]}
        values = {str(keyword): _values(value) for keyword, value in shared.items()}
        return Levels(series_uid=series_uid, values={name: own for name, own in values.items() if own is not None})
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError, OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"image set metadata cannot be read ({type(error).__name__})") from None


def _values(value: Any) -> tuple[str, ...] | None:
    several = value if isinstance(value, list) else [] if value is None else [value]
    return None if any(isinstance(one, dict | list) for one in several) else tuple(map(_text, several))


def _stored(
    instance: Mapping[str, Any],
    uid: str,
    image_set: ImageSet,
    sets: dict[str, SeriesAttributes],
    shared: Mapping[str, Any],
) -> Stored:
    own = instance["DICOM"]
    character_set = _text(own.get("SpecificCharacterSet", shared.get("SpecificCharacterSet")))
    if character_set not in sets:  # the one index attribute that instances of a series may have for themselves
        sets[character_set] = _series({**shared, "SpecificCharacterSet": character_set}, sets[""].series_uid)
    syntax = str(instance.get("StoredTransferSyntaxUID") or "")
    flags = () if image_set.primary else (NON_PRIMARY,)
    record = InstanceRecord(
        locator=locator_of(image_set.id, sets[""].series_uid, uid),
        sop_instance_uid=SOPInstanceUID(uid),
        sop_class_uid=_text(own.get("SOPClassUID")),
        transfer_syntax=syntax,
        instance_number=_number(own.get("InstanceNumber")),
        rows=_number(own.get("Rows")),
        columns=_number(own.get("Columns")),
        frames=_number(own.get("NumberOfFrames")),
        availability=Availability.ONLINE,
        flags=flags,
        series=sets[character_set],
    )
    return Stored(
        record=record,
        image_set=image_set.id,
        version=image_set.version,
        primary=image_set.primary,
        stored_syntax=syntax,
        frames=tuple(map(_frame, instance.get("ImageFrames") or ())),
    )


def _frame(found: Mapping[str, Any]) -> Frame:
    levels = found.get("PixelDataChecksumFromBaseToFullResolution") or ()
    checksums = tuple((int(one["Width"]), int(one["Height"]), int(one["Checksum"])) for one in levels)
    return Frame(id=str(found["ID"]), checksums=checksums)


def _series(values: Mapping[str, Any], series_uid: str) -> SeriesAttributes:
    def text(keyword: str) -> str:
        return _text(values.get(keyword))

    return SeriesAttributes(
        patient_id=text("PatientID"),
        issuer_of_patient_id=text("IssuerOfPatientID"),
        patient_name=text("PatientName").rstrip("="),
        patient_birth_date=text("PatientBirthDate"),
        patient_sex=text("PatientSex"),
        study_uid=StudyUID(text("StudyInstanceUID")),
        study_id=text("StudyID"),
        study_date=text("StudyDate"),
        study_time=text("StudyTime"),
        accession_number=text("AccessionNumber"),
        issuer_of_accession_number=_issuer(values.get("IssuerOfAccessionNumberSequence")),
        study_description=text("StudyDescription"),
        procedure_code=_code(values.get("ProcedureCodeSequence")),
        series_uid=SeriesUID(text("SeriesInstanceUID") or series_uid),
        series_number=text("SeriesNumber"),
        modality=text("Modality"),
        series_description=text("SeriesDescription"),
        body_part=text("BodyPartExamined"),
        laterality=text("Laterality"),
        character_set=text("SpecificCharacterSet"),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\\".join(_text(one) for one in value)
    return str(value).strip(" \0")


def _number(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text.lstrip("+-").isdigit() else None


def _first(value: Any) -> Mapping[str, Any]:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _issuer(sequence: Any) -> str:
    item = _first(sequence)
    return _text(item.get("LocalNamespaceEntityID")) or _text(item.get("UniversalEntityID"))


def _code(sequence: Any) -> str:
    item = _first(sequence)
    value = next((_text(item[name]) for name in ("CodeValue", "LongCodeValue", "URNCodeValue") if item.get(name)), "")
    return f"{value}^{_text(item.get('CodingSchemeDesignator'))}" if value else ""
