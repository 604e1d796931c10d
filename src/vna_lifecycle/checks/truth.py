"""What the source's own database says of its studies, against what their headers say."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.settings import TruthSettings
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.policy.person import Likeness, name_likeness
from vna_lifecycle.ports import TruthDifference, WaveCase

_STALE: Final = "The header is stale, or the extract is. Ask the source's administrator, and correct it by a rule"

ABOUT: Final = About(
    check="truth",
    proves="For every study of the wave that an extract of its source's database tells of: patient, issuer, name, "
    "accession number, date and counts are what the headers say, and the database shows the study to readers.",
    cannot="It is as good as the extract, and knows nothing of a source without one. What the extract leaves empty is "
    "not compared.",
    kinds=(
        Kind(
            word="truth-patient-differs",
            severity=Severity.BLOCKER,
            means="The database files the study under another Patient ID or issuer than its headers state.",
            remedy=_STALE,
        ),
        Kind(
            word="truth-name-differs",
            severity=Severity.BLOCKER,
            means="The database calls the patient by a name that has no part in common with that in the headers.",
            remedy=_STALE,
        ),
        Kind(
            word="truth-name-varies",
            severity=Severity.WARNING,
            means="The database spells the patient's name differently, or in another script.",
            remedy="Compare with the master patient index",
        ),
        Kind(
            word="truth-accession-differs",
            severity=Severity.BLOCKER,
            means="The database has the study under another accession number than its headers state.",
            remedy=_STALE,
        ),
        Kind(
            word="truth-date-differs",
            severity=Severity.WARNING,
            means="The database dates the study differently.",
            remedy=_STALE,
        ),
        Kind(
            word="truth-counts-differ",
            severity=Severity.BLOCKER,
            means="The database counts other numbers of series or instances than the source lists.",
            remedy="Fewer listed than counted: objects are lost or hidden, look for them. More: the counts are stale",
        ),
        Kind(
            word="deleted-at-source",
            severity=Severity.BLOCKER,
            means="The database says that the study was deleted; its objects are still there, and planned.",
            remedy="Exclude the study, with the reason; or have it restored at the source",
        ),
        Kind(
            word="hidden-at-source",
            severity=Severity.BLOCKER,
            means="The database hides the study from readers; at the target they would see it.",
            remedy="Exclude the study, with the reason; or carry the rejection along",
        ),
        Kind(
            word="unknown-to-source",
            severity=Severity.WARNING,
            means="The database does not know the study.",
            remedy="Ask the source's administrator where its objects come from; perhaps the extract is too old",
        ),
    ),
)

_WORDS: Final = {
    # attribute of a truth difference: kind
    "PatientID": "truth-patient-differs",
    "IssuerOfPatientID": "truth-patient-differs",
    "AccessionNumber": "truth-accession-differs",
    "StudyDate": "truth-date-differs",
    "NumberOfStudyRelatedSeries": "truth-counts-differ",
    "NumberOfStudyRelatedInstances": "truth-counts-differ",
    "deleted": "deleted-at-source",
    "hidden": "hidden-at-source",
    "unknown": "unknown-to-source",
}
_MESSAGES: Final = {
    "deleted-at-source": "the source's database says that this study is deleted",
    "hidden-at-source": "the source's database hides this study from readers",
    "unknown-to-source": "the source's database does not know this study",
}


@frozen
class Truth:
    """See `ABOUT`."""

    settings: TruthSettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Findings study by study."""
        for study, differences in groupby(case.truth_differences(), key=lambda item: item.study):
            by_kind: dict[str, list[TruthDifference]] = {}
            for difference in differences:
                if (word := _word(difference)) is not None:
                    by_kind.setdefault(word, []).append(difference)
            for word, found in by_kind.items():
                attributes = ", ".join(difference.attribute for difference in found)
                yield ABOUT.finding(
                    word,
                    _MESSAGES.get(word, f"the source's database and the headers differ in {attributes}"),
                    study=study,
                    details=[(item.attribute, f"headers: {item.header}; database: {item.truth}") for item in found],
                )


def _word(difference: TruthDifference) -> str | None:
    if difference.attribute != "PatientName":
        return _WORDS[difference.attribute]
    match name_likeness(difference.header, difference.truth):
        case Likeness.SAME:
            return None
        case Likeness.OTHER:
            return "truth-name-differs"
        case _:
            return "truth-name-varies"
