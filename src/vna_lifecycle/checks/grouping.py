"""What belongs together: a series to one study, and a study with one accession number and one date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import FEW, About, Kind
from vna_lifecycle.checks.settings import GroupingSettings
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import WaveCase

ABOUT: Final = About(
    check="grouping",
    proves="No series of the wave belongs to two studies, and the objects of each study agree on its accession number, "
    "date, time, ID, description and procedure.",
    cannot="A study that was split into two, each consistent in itself, is not seen; nor that all objects of a study "
    "agree on the wrong order.",
    kinds=(
        Kind(
            word="series-in-several-studies",
            severity=Severity.BLOCKER,
            means="One Series Instance UID is in several studies: archives file such a series under one of them.",
            remedy="Ask the department which study the series belongs to, and correct the other at the source",
        ),
        Kind(
            word="several-accession-numbers",
            severity=Severity.BLOCKER,
            means="Objects of one study state different accession numbers: orders and reports go to one of them.",
            remedy="Find the order in the RIS; correct the number at the source, or split the study there",
        ),
        Kind(
            word="several-study-dates",
            severity=Severity.BLOCKER,
            means="Objects of one study state different study dates: queries by date find it on one of them.",
            remedy="Correct the date at the source, or split the study there if it is two",
        ),
        Kind(
            word="study-attributes-vary",
            severity=Severity.WARNING,
            means="Objects of one study state other attributes of the study differently, or some of them not at all.",
            remedy="Look whether the study is one; correct what is stale at the source",
        ),
        Kind(
            word="study-without-date",
            severity=Severity.WARNING,
            means="The study has no Study Date: queries by date never find it.",
            remedy="Take the date from the series or the RIS, by a rule; or let the readers know",
        ),
    ),
)

_OF_STUDY: Final = {
    "AccessionNumber": "several-accession-numbers",
    "StudyDate": "several-study-dates",
    "StudyTime": "",
    "StudyID": "",
    "IssuerOfAccessionNumberSequence": "",
    "StudyDescription": "",
    "ProcedureCodeSequence": "",
}


@frozen
class Grouping:
    """See `ABOUT`."""

    settings: GroupingSettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Findings of series first, then of studies."""
        yield from _series(case)
        yield from _contradictions(case)
        for facts in case.studies():
            if facts.instances and not facts.study_date:
                yield ABOUT.finding("study-without-date", "this study has no Study Date", study=facts.study)


def _series(case: WaveCase) -> Iterator[Finding]:
    for spread in case.spread_series():
        everywhere = (*spread.studies, *spread.elsewhere)
        for study in spread.studies:
            yield ABOUT.finding(
                "series-in-several-studies",
                f"a series of this study is in {counted(len(everywhere), 'study')}",
                study=study,
                subjects=[spread.series_uid, *(other.study_uid for other in everywhere[: FEW + 1] if other != study)],
            )


def _contradictions(case: WaveCase) -> Iterator[Finding]:
    last: StudyRef | None = None
    varying: list[tuple[str, str]] = []
    for found in case.contradictions():
        if found.attribute not in _OF_STUDY:
            continue
        if last is not None and found.study != last:
            yield from _varying(last, varying)
            varying = []
        last = found.study
        stated = [value for value in found.values if value]
        word = _OF_STUDY[found.attribute]
        if word and len(stated) > 1:
            message = f"objects of this study state {len(stated)} different values of {found.attribute}"
            yield ABOUT.finding(word, message, study=found.study, subjects=stated)
        else:
            varying += [(found.attribute, value) for value in found.values]
    if last is not None:
        yield from _varying(last, varying)


def _varying(study: StudyRef, varying: list[tuple[str, str]]) -> Iterator[Finding]:
    if varying:
        attributes = sorted({attribute for attribute, _ in varying})
        message = f"objects of this study do not agree on {', '.join(attributes)}"
        yield ABOUT.finding("study-attributes-vary", message, study=study, details=varying)
