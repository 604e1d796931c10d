"""Values of any attribute, private and nested ones too, that their own kind does not allow: in the sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind, few
from vna_lifecycle.checks.forms import problem_of
from vna_lifecycle.checks.settings import AttributeValuesSettings
from vna_lifecycle.checks.values import INDEXED
from vna_lifecycle.dicom.texts import texts_of
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.ports import StudyCase

ABOUT: Final = About(
    check="attribute-values",
    proves="In the sampled studies, every text attribute of every object, at any depth and private ones too, has the "
    "length and the form of its value representation (PS3.5 6.2).",
    cannot="Numbers in binary form are not looked at, and a legal value need not be true. The attributes by which "
    "studies are indexed are those of *values*, in every study.",
    kinds=(
        Kind(
            word="attribute-too-long",
            severity=Severity.WARNING,
            means="A value of some attribute is longer than its value representation allows.",
            remedy="See whether the target kept it whole; shorten it by a rule if it must be legal",
        ),
        Kind(
            word="attribute-not-allowed",
            severity=Severity.WARNING,
            means="A value of some attribute has characters, or a form, that its value representation does not allow.",
            remedy="See whether readers cope with it; correct it by a rule if it must be legal",
        ),
    ),
)

_TOLD: Final = {
    "attribute-too-long": "attributes are longer than their value representation allows",
    "attribute-not-allowed": "attributes have values that their value representation does not allow",
}


@frozen
class AttributeValues:
    """See `ABOUT`."""

    settings: AttributeValuesSettings

    def examine(self, case: StudyCase) -> Iterable[Finding]:
        """One finding of each kind, with the first value of every attribute that has the problem."""
        problems: dict[str, dict[str, str]] = {}
        for item in case.originals:
            try:
                for text in texts_of(item.path):
                    if text.keyword in INDEXED and not text.depth:
                        continue
                    for value in text.values:
                        if problem := problem_of(value, text.representation):
                            problems.setdefault(f"attribute-{problem}", {}).setdefault(text.keyword, value)
            except (DicomRefused, OSError):
                continue  # that it cannot be read is another check's finding
        for word, found in sorted(problems.items()):
            keywords = sorted(found)
            yield ABOUT.finding(
                word,
                f"{len(found)} {_TOLD[word]}: {', '.join(few(keywords))}",
                study=case.study,
                subjects=keywords,
                details=[(keyword, found[keyword]) for keyword in keywords],
            )
