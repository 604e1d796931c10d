"""Whose study it is: one identity for one person, and one person under one identity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind, few
from vna_lifecycle.checks.settings import IdentitySettings
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import PatientKey
from vna_lifecycle.policy.person import Likeness, Person, likeness
from vna_lifecycle.ports import Demographics, Namesakes, PatientFacts, WaveCase

_ONE_PERSON: Final = 200
"""An ID with more entries than this is not one person's, however they are spelt: '0', 'UNKNOWN', 'TEST'."""

_CHOOSE: Final = "Ask the department whose study it is. Then correct it at the source, or exclude it with the reason"

ABOUT: Final = About(
    check="identity",
    proves="Every study states one patient, by an ID that is unique in the program; nobody else is called by that ID, "
    "and nobody whose name and birth date are stated has another one.",
    cannot="Headers are all it sees: an image taken under the wrong patient's name is consistent, and passes. Persons "
    "without a birth date are not compared, and names in different scripts are never taken for the same.",
    kinds=(
        Kind(
            word="missing-patient-id",
            severity=Severity.BLOCKER,
            means="The study has no Patient ID: no reader can find it by patient.",
            remedy=_CHOOSE,
        ),
        Kind(
            word="missing-issuer",
            severity=Severity.BLOCKER,
            means="The study's Patient ID has no issuer, while IDs of several issuers are in the sources.",
            remedy="Find out which system issued the ID, and assign that issuer by a rule",
        ),
        Kind(
            word="several-patients-in-study",
            severity=Severity.BLOCKER,
            means="Objects of one study state different patients.",
            remedy="Ask the department which objects belong to whom; split the study at the source, or exclude it",
        ),
        Kind(
            word="patient-id-for-several-people",
            severity=Severity.BLOCKER,
            means="One Patient ID (with its issuer) stands for people of different names, or of different birth dates "
            "and sexes.",
            remedy=_CHOOSE,
        ),
        Kind(
            word="patient-demographics-vary",
            severity=Severity.WARNING,
            means="One Patient ID comes with names, birth dates or sexes that may be one person's: a new family name, "
            "a corrected date.",
            remedy="Compare with the master patient index, and correct what is stale",
        ),
        Kind(
            word="one-person-under-several-issuers",
            severity=Severity.BLOCKER,
            means="The same ID, name, birth date and sex appear under several issuers, or with and without one.",
            remedy="Let the master patient index say which issuer is right, and assign it by a rule",
        ),
        Kind(
            word="one-person-under-several-ids",
            severity=Severity.WARNING,
            means="The same name, birth date and sex appear under several Patient IDs: perhaps an unmerged patient, "
            "whose priors are not found; perhaps namesakes.",
            remedy="Compare with the master patient index; merge the patient there if it is one",
        ),
        Kind(
            word="patient-id-with-and-without-issuer",
            severity=Severity.WARNING,
            means="The same ID is there with an issuer and without one, for people who do not agree.",
            remedy="Find out which system issued the ID that has no issuer, and assign that issuer by a rule",
        ),
    ),
)


@frozen
class Identity:
    """See `ABOUT`."""

    settings: IdentitySettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Findings of studies first, then of patients, then of people."""
        yield from _studies(case)
        for contradiction in case.contradictions():
            if contradiction.attribute == "PatientID":
                yield ABOUT.finding(
                    "several-patients-in-study",
                    f"objects of this study state {len(contradiction.values)} different patients",
                    study=contradiction.study,
                    subjects=contradiction.values,
                )
        for patient in case.patients():
            yield from _patient(patient)
        for namesakes in case.namesakes():
            yield from _same_demographics(namesakes) if namesakes.same == "demographics" else _same_id(namesakes)


def _studies(case: WaveCase) -> Iterator[Finding]:
    several = len(set(case.issuers())) > 1
    for facts in case.studies():
        if not facts.patient.id:
            yield ABOUT.finding("missing-patient-id", "this study has no Patient ID", study=facts.study)
        elif several and not facts.patient.issuer:
            message = "the Patient ID of this study has no issuer, and the sources have IDs of several issuers"
            yield ABOUT.finding("missing-issuer", message, study=facts.study, subjects=[facts.patient.id])


def _patient(patient: PatientFacts) -> Iterator[Finding]:
    worst = _worst(patient.named)
    if worst is Likeness.OTHER:
        for study in patient.studies:
            yield ABOUT.finding(
                "patient-id-for-several-people",
                f"the Patient ID of this study stands for several people ({len(patient.named)} entries)",
                study=study,
                subjects=[_told(patient.patient)],
                details=_entries(patient),
            )
    elif worst is Likeness.VARIANT:
        yield ABOUT.finding(
            "patient-demographics-vary",
            f"a patient of {counted(len(patient.studies), 'study')} is described in {len(patient.named)} ways",
            subjects=[_told(patient.patient)],
            details=_entries(patient),
        )


def _worst(named: Sequence[Demographics]) -> Likeness:
    if len(named) > _ONE_PERSON:
        return Likeness.OTHER
    found = {Likeness.SAME}
    for one, other in combinations(map(_person, named), 2):
        found.add(likeness(one, other))
        if Likeness.OTHER in found:
            return Likeness.OTHER
    return Likeness.VARIANT if Likeness.VARIANT in found else Likeness.SAME


def _same_demographics(namesakes: Namesakes) -> Iterator[Finding]:
    by_id: dict[str, list[PatientFacts]] = {}
    for patient in namesakes.patients:
        by_id.setdefault(patient.patient.id, []).append(patient)
    for alike in by_id.values():
        if len(alike) > 1:
            for study in (study for patient in alike for study in patient.studies):
                yield ABOUT.finding(
                    "one-person-under-several-issuers",
                    f"the patient of this study is there under {len(alike)} issuers with the same ID",
                    study=study,
                    subjects=[_told(patient.patient) for patient in few(alike)],
                )
    if len(by_id) > 1:
        yield ABOUT.finding(
            "one-person-under-several-ids",
            f"the same name, birth date and sex are there under {len(by_id)} Patient IDs",
            subjects=[_told(patient.patient) for patient in few(namesakes.patients)],
            details=[entry for patient in few(namesakes.patients) for entry in _entries(patient)],
        )


def _same_id(namesakes: Namesakes) -> Iterator[Finding]:
    without = [patient for patient in namesakes.patients if not patient.patient.issuer]
    stated = [patient for patient in namesakes.patients if patient.patient.issuer]
    if without and stated and not any(_alike(without[0], patient) for patient in stated):
        yield ABOUT.finding(
            "patient-id-with-and-without-issuer",
            f"a Patient ID is there without an issuer, and under {len(stated)} issuers",
            subjects=[_told(patient.patient) for patient in few(namesakes.patients)],
            details=[entry for patient in few(namesakes.patients) for entry in _entries(patient)],
        )


def _alike(a: PatientFacts, b: PatientFacts) -> bool:
    """Whether both name the same person for certain: that is another finding."""
    return any(
        one.birth_date and other.birth_date and likeness(_person(one), _person(other)) is Likeness.SAME
        for one in a.named
        for other in b.named
    )


def _person(named: Demographics) -> Person:
    return Person(named.name, named.birth_date, named.sex)


def _told(patient: PatientKey) -> str:
    return f"{patient.issuer or '(no issuer)'}: {patient.id}"


def _entries(patient: PatientFacts) -> list[tuple[str, str]]:
    told = _told(patient.patient)
    return [(told, f"{each.name}, {each.birth_date}, {each.sex}") for each in few(patient.named)]
