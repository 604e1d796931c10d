"""Values that their own kind does not allow: too long, of the wrong form, in a character set that nobody can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.forms import problem_of
from vna_lifecycle.checks.settings import ValuesSettings
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes
from vna_lifecycle.ports import StudyCase

ABOUT: Final = About(
    check="values",
    proves="The attributes by which archives index a study (patient, study, series and object) have the length and the "
    "form of their value representation (PS3.5 6.2), and their text can be read in the character set that the object "
    "states.",
    cannot="Other attributes are looked at by *attribute-values*, in the sample; and a legal value need not be true. "
    "The bytes are kept as they are: these findings warn of what a target or a reader may cut, refuse or misread.",
    kinds=(
        Kind(
            word="value-too-long",
            severity=Severity.WARNING,
            means="A value is longer than its value representation allows: targets cut it, or refuse the object.",
            remedy="See how the target shows it; shorten it by a rule if it must be legal",
        ),
        Kind(
            word="value-not-allowed",
            severity=Severity.WARNING,
            means="A value has characters, or a form, that its value representation does not allow.",
            remedy="See how the target finds and shows it; correct it by a rule if it must be legal",
        ),
        Kind(
            word="character-set-unusable",
            severity=Severity.WARNING,
            means="The object states a character set that DICOM does not define, or its text is not in the one it "
            "states: names are shown with replacement characters, or wrongly.",
            remedy="Find out what the modality really wrote, and state that character set by a rule",
        ),
    ),
)

_REPLACED: Final = "\ufffd"

_TERMS: Final = frozenset(
    {"", "ISO_IR 6", "ISO_IR 192", "GB18030", "GBK", "ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 159"}
    | {"ISO 2022 IR 149", "ISO 2022 IR 58"}
    | {f"{form}{number}" for form in ("ISO_IR ", "ISO 2022 IR ")
       for number in (100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166)}
)  # fmt: skip
"""Defined Terms of Specific Character Set (PS3.3 C.12.1.1.2); ISO_IR 6 is the default's own name."""


_OF_SERIES: Final = (
    # field of SeriesAttributes, keyword, value representation
    ("patient_id", "PatientID", "LO"),
    ("issuer_of_patient_id", "IssuerOfPatientID", "LO"),
    ("patient_name", "PatientName", "PN"),
    ("patient_birth_date", "PatientBirthDate", "DA"),
    ("patient_sex", "PatientSex", "CS"),
    ("study_uid", "StudyInstanceUID", "UI"),
    ("study_id", "StudyID", "SH"),
    ("study_date", "StudyDate", "DA"),
    ("study_time", "StudyTime", "TM"),
    ("accession_number", "AccessionNumber", "SH"),
    ("study_description", "StudyDescription", "LO"),
    ("series_uid", "SeriesInstanceUID", "UI"),
    ("series_number", "SeriesNumber", "IS"),
    ("modality", "Modality", "CS"),
    ("series_description", "SeriesDescription", "LO"),
    ("body_part", "BodyPartExamined", "CS"),
    ("laterality", "Laterality", "CS"),
)


_OF_INSTANCE: Final = ("SOPInstanceUID", "SOPClassUID")
INDEXED: Final = frozenset({keyword for _, keyword, _ in _OF_SERIES} | set(_OF_INSTANCE))
"""Keywords of the attributes that are looked at here."""


@frozen
class Values:
    """See `ABOUT`."""

    settings: ValuesSettings

    def examine(self, case: StudyCase) -> Iterable[Finding]:
        """One finding of each kind, with every attribute and value."""
        problems: dict[str, dict[tuple[str, str], None]] = {}
        seen: set[SeriesAttributes] = set()
        for record in case.records:
            for word, keyword, value in _of_instance(record):
                problems.setdefault(word, {})[keyword, value] = None
            if record.series not in seen:
                seen.add(record.series)
                for word, keyword, value in _of_series(record.series):
                    problems.setdefault(word, {})[keyword, value] = None
        for word, found in sorted(problems.items()):
            keywords = ", ".join(sorted({keyword for keyword, _ in found}))
            yield ABOUT.finding(
                word,
                f"{_TOLD[word]}: {keywords}",
                study=case.study,
                subjects=[case.study.study_uid],
                details=sorted(found),
            )


_TOLD: Final = {
    "value-too-long": "attributes of this study are longer than their value representation allows",
    "value-not-allowed": "attributes of this study have values that their value representation does not allow",
    "character-set-unusable": "text of this study cannot be read in the character set that it states",
}


def _of_instance(record: InstanceRecord) -> Iterator[tuple[str, str, str]]:
    values = (record.sop_instance_uid, record.sop_class_uid)
    for keyword, value in zip(_OF_INSTANCE, values, strict=True):
        yield from _problems(keyword, value, "UI")


def _of_series(series: SeriesAttributes) -> Iterator[tuple[str, str, str]]:
    for name, keyword, representation in _OF_SERIES:
        value: str = getattr(series, name)
        yield from _problems(keyword, value, representation)
        if _REPLACED in value:
            yield "character-set-unusable", keyword, value
    for term in series.character_set.split("\\"):
        if term not in _TERMS:
            yield "character-set-unusable", "SpecificCharacterSet", term


def _problems(keyword: str, value: str, representation: str) -> Iterator[tuple[str, str, str]]:
    if problem := problem_of(value, representation):
        yield f"value-{problem}", keyword, value
