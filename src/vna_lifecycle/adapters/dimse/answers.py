"""What answers of queries say, as records (PS3.4 C.6.2.1; attributes PS3.3 C.7.1-C.7.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from attrs import evolve

from vna_lifecycle.adapters.dimse.wire import Elements, Keys
from vna_lifecycle.model.identity import PatientKey, SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, SeriesAttributes, StudyRecord

LEVEL: Final = 0x00080052
STUDY_UID, SERIES_UID, SOP_UID = 0x0020000D, 0x0020000E, 0x00080018
SOP_CLASS: Final = 0x00080016
PATIENT_ID, ISSUER, PATIENT_NAME = 0x00100020, 0x00100021, 0x00100010
STUDY_DATE, STUDY_TIME, ACCESSION, DESCRIPTION = 0x00080020, 0x00080030, 0x00080050, 0x00081030
MODALITIES, MODALITY = 0x00080061, 0x00080060
_BIRTH_DATE, _SEX, _STUDY_ID = 0x00100030, 0x00100040, 0x00200010
_SERIES_COUNT, STUDY_INSTANCES, SERIES_INSTANCES = 0x00201206, 0x00201208, 0x00201209
_AVAILABILITY: Final = 0x00080056
_SERIES_NUMBER, _SERIES_DESCRIPTION, _BODY_PART, _LATERALITY = 0x00200011, 0x0008103E, 0x00180015, 0x00200060
_INSTANCE_NUMBER, _FRAMES = 0x00200013, 0x00280008
_CHARACTER_SET: Final = 0x00080005
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,9}")

_OF_STUDY: Final = (
    STUDY_DATE, STUDY_TIME, ACCESSION, _AVAILABILITY, MODALITIES, DESCRIPTION, PATIENT_NAME, PATIENT_ID, ISSUER,
    _BIRTH_DATE, _SEX, STUDY_UID, _STUDY_ID, _SERIES_COUNT, STUDY_INSTANCES,
)  # fmt: skip
_OF_SERIES: Final = (
    _AVAILABILITY, MODALITY, _SERIES_DESCRIPTION, _BODY_PART, SERIES_UID, _SERIES_NUMBER, _LATERALITY, SERIES_INSTANCES,
)  # fmt: skip
STUDY_KEYS: Final[Keys] = dict.fromkeys(_OF_STUDY, "") | {LEVEL: "STUDY"}
SERIES_KEYS: Final[Keys] = dict.fromkeys(_OF_SERIES, "") | {LEVEL: "SERIES"}
IMAGE_KEYS: Final[Keys] = dict.fromkeys((SOP_CLASS, SOP_UID, _AVAILABILITY, _INSTANCE_NUMBER, _FRAMES), "") | {
    LEVEL: "IMAGE"
}

_NEAREST_FIRST: Final = (Availability.ONLINE, Availability.NEARLINE, Availability.OFFLINE, Availability.UNAVAILABLE)


def number(answer: Elements, tag: int) -> int | None:
    """A count, None where it is absent or none."""
    text = answer.text(tag)
    return int(text) if _INTEGER.fullmatch(text) and int(text) >= 0 else None


def availability(answer: Elements) -> Availability:
    """Instance Availability (0008,0056), UNKNOWN where the answer does not say."""
    try:
        return Availability(answer.text(_AVAILABILITY))
    except ValueError:
        return Availability.UNKNOWN


def furthest(found: Iterable[Availability]) -> Availability:
    """The least available of several, as it counts at series and study level (PS3.4 C.4.1.1.3.2)."""
    known = [_NEAREST_FIRST.index(one) for one in found if one in _NEAREST_FIRST]
    return _NEAREST_FIRST[max(known)] if known else Availability.UNKNOWN


def study_record(answers: Sequence[Elements], *, basis: Basis = Basis.NONE) -> StudyRecord:
    """A study from one or several records of it: the first that states an attribute counts.

    Counts are the largest that are stated: a study that is split over records is not smaller than one of them.
    """

    def text(tag: int) -> str:
        return next((value for answer in answers if (value := answer.text(tag))), "")

    def most(tag: int) -> int | None:
        return max((found for answer in answers if (found := number(answer, tag)) is not None), default=None)

    modalities = {one.strip() for answer in answers for one in answer.text(MODALITIES).split("\\")}
    return StudyRecord(
        study_uid=StudyUID(text(STUDY_UID)),
        patient=PatientKey(issuer=text(ISSUER), id=text(PATIENT_ID)),
        patient_name=_name(text(PATIENT_NAME)),
        patient_birth_date=text(_BIRTH_DATE),
        patient_sex=text(_SEX),
        study_id=text(_STUDY_ID),
        study_date=text(STUDY_DATE),
        study_time=text(STUDY_TIME),
        accession_number=text(ACCESSION),
        description=text(DESCRIPTION),
        modalities=tuple(sorted(modalities - {""})),
        series_count=most(_SERIES_COUNT),
        instance_count=most(STUDY_INSTANCES),
        availability=furthest(availability(answer) for answer in answers),
        basis=basis,
    )


def series_attributes(study: StudyRecord, answer: Elements) -> SeriesAttributes:
    """What the instances of a series share."""
    return evolve(
        study.series(),
        series_uid=SeriesUID(answer.text(SERIES_UID)),
        series_number=answer.text(_SERIES_NUMBER),
        modality=answer.text(MODALITY),
        series_description=answer.text(_SERIES_DESCRIPTION),
        body_part=answer.text(_BODY_PART),
        laterality=answer.text(_LATERALITY),
        character_set=answer.text(_CHARACTER_SET),
    )


def instance_record(
    series: SeriesAttributes, answer: Elements, nearest: Availability, flags: tuple[str, ...]
) -> InstanceRecord:
    """An instance; ``nearest`` is the availability of its series. Sizes and transfer syntaxes no query tells."""
    uid = SOPInstanceUID(answer.text(SOP_UID))
    return InstanceRecord(
        locator=locator_of(series.series_uid, uid),
        sop_instance_uid=uid,
        sop_class_uid=answer.text(SOP_CLASS),
        instance_number=number(answer, _INSTANCE_NUMBER),
        frames=number(answer, _FRAMES),
        availability=furthest((availability(answer), nearest)),
        flags=flags,
        series=series,
    )


def locator_of(series_uid: str, sop_instance_uid: str) -> str:
    """Where an instance is found: its series and itself. No UID has a slash."""
    return f"{series_uid}/{sop_instance_uid}"


def place_of(locator: str) -> tuple[str, str]:
    """Series and SOP Instance UID of a locator."""
    series_uid, _, uid = locator.partition("/")
    return series_uid, uid


def _name(text: str) -> str:
    """A person name without the delimiters of empty trailing component groups (PS3.5 6.2.1.1)."""
    return text.rstrip("=")
