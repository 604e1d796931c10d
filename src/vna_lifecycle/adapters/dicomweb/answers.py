"""What answers of searches say, as records (PS3.18 10.6, Annex F; attributes PS3.3 C.7.1-C.7.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from attrs import evolve, frozen

from vna_lifecycle.model.identity import PatientKey, SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, StudyRecord

STUDY_UID, SERIES_UID, SOP_UID, SOP_CLASS = "0020000D", "0020000E", "00080018", "00080016"
PATIENT_ID, ISSUER, PATIENT_NAME = "00100020", "00100021", "00100010"
STUDY_DATE, ACCESSION, DESCRIPTION, MODALITIES = "00080020", "00080050", "00081030", "00080061"
INSTANCE_COUNT, SERIES_INSTANCE_COUNT = "00201208", "00201209"
_AVAILABILITY, _SYNTAX = "00080056", "00083002"
_INTEGER: Final = re.compile(r"[0-9]{1,9}")

STUDY_FIELDS: Final = (ISSUER, DESCRIPTION, MODALITIES, "00201206", INSTANCE_COUNT, _AVAILABILITY)
"""What studies are asked for beyond what PS3.18 Table 10.6.3-3 obliges every archive to answer."""

INSTANCE_FIELDS: Final = (
    SERIES_UID,
    "00080060",
    "00200011",
    "0008103E",
    "00180015",
    "00200060",
    _AVAILABILITY,
    _SYNTAX,
)
"""What instances are asked for beyond Table 10.6.3-5: their series' attributes, and how they are stored."""

SERIES_FIELDS: Final = (*INSTANCE_FIELDS, SERIES_INSTANCE_COUNT)
"""What series are asked for."""


@frozen
class Answer:
    """One answer of a search: a data set in the DICOM JSON model. Whatever is not as it must be reads as absent."""

    elements: dict[str, Any]

    def values(self, tag: str) -> list[str]:
        """An attribute's values as text; a person name's groups (alphabetic, ideographic, phonetic) joined by ``=``."""
        element = self.elements.get(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        return [text for value in values if (text := _text(value))] if isinstance(values, list) else []

    def text(self, tag: str) -> str:
        """An attribute's values, joined as in a data set."""
        return "\\".join(self.values(tag))

    def number(self, tag: str) -> int | None:
        """A count, None where it is absent or none."""
        text = self.text(tag)
        return int(text) if _INTEGER.fullmatch(text) else None

    def items(self, tag: str) -> Iterator[Answer]:
        """The items of a sequence."""
        element = self.elements.get(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        for value in values if isinstance(values, list) else ():
            if isinstance(value, dict):
                yield Answer(value)


def answers_of(parsed: Any) -> list[Answer]:
    """The answers in a parsed body; None for what is no list of data sets.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(parsed, list) or not all(isinstance(one, dict) for one in parsed):
        raise ValueError("no list of data sets")
    return [Answer(one) for one in parsed]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        groups = [value.get(name) for name in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(group if isinstance(group, str) else "" for group in groups).rstrip("=").strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip(" \0") if isinstance(value, str | int | float) else ""


def _availability(answer: Answer, above: Availability = Availability.UNKNOWN) -> Availability:
    try:
        return Availability(answer.text(_AVAILABILITY))
    except ValueError:
        return above


def study_record(answer: Answer, *, basis: Basis = Basis.NONE) -> StudyRecord:
    """A study as it was answered."""
    count = answer.number(INSTANCE_COUNT)
    return StudyRecord(
        study_uid=StudyUID(answer.text(STUDY_UID)),
        patient=PatientKey(issuer=answer.text(ISSUER), id=answer.text(PATIENT_ID)),
        patient_name=answer.text(PATIENT_NAME),
        patient_birth_date=answer.text("00100030"),
        patient_sex=answer.text("00100040"),
        study_id=answer.text("00200010"),
        study_date=answer.text(STUDY_DATE),
        study_time=answer.text("00080030"),
        accession_number=answer.text(ACCESSION),
        description=answer.text(DESCRIPTION),
        modalities=tuple(sorted({one for value in answer.values(MODALITIES) for one in value.split("\\")})),
        series_count=answer.number("00201206"),
        instance_count=count,
        availability=_availability(answer),
        basis=Basis.STUDY_COUNT if basis is Basis.NONE and count else basis,
    )


def instance_record(study: StudyRecord, answer: Answer, series: Answer, flags: tuple[str, ...]) -> InstanceRecord:
    """An instance. ``series`` is what tells of its series: the same answer, or one to a search for series."""

    def of_series(tag: str) -> str:
        return answer.text(tag) or series.text(tag)

    uid, series_uid = SOPInstanceUID(answer.text(SOP_UID)), SeriesUID(of_series(SERIES_UID))
    syntaxes = answer.values(_SYNTAX)
    return InstanceRecord(
        locator=f"{study.study_uid}/{series_uid}/{uid}",
        sop_instance_uid=uid,
        sop_class_uid=answer.text(SOP_CLASS),
        transfer_syntax=syntaxes[0] if len(syntaxes) == 1 else "",
        instance_number=answer.number("00200013"),
        rows=answer.number("00280010"),
        columns=answer.number("00280011"),
        frames=answer.number("00280008"),
        availability=_availability(answer, study.availability),
        flags=flags,
        series=evolve(
            study.series(),
            series_uid=series_uid,
            series_number=of_series("00200011"),
            modality=of_series("00080060"),
            series_description=of_series("0008103E"),
            body_part=of_series("00180015"),
            laterality=of_series("00200060"),
        ),
    )
