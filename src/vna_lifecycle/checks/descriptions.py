"""Whether studies can be found and hung by what they are called: descriptions, codes, and the priors they lead to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import comb
from typing import Final

from attrs import define, field, frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.settings import DescriptionsSettings
from vna_lifecycle.model.counting import told_of
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.ports import DescriptionUse, StudyFacts, WaveCase

ABOUT: Final = About(
    check="descriptions",
    proves="Every study of the wave has a description or a procedure code; within a modality one code has one "
    "description and one description one code; and it measures how many priors a usual relevance rule would miss.",
    cannot="It does not know what was examined. Two studies of one patient count as relevant to each other when they "
    "share a modality and a description; the rule that is measured finds them when they share a procedure code, or a "
    "body part with the same laterality. Priors outside the wave are not counted.",
    kinds=(
        Kind(
            word="no-description",
            severity=Severity.WARNING,
            means="Studies of a modality have neither a description nor a procedure code.",
            remedy="Take them from the RIS by a rule; hanging protocols and relevance rules do not see these studies",
        ),
        Kind(
            word="code-with-several-descriptions",
            severity=Severity.WARNING,
            means="Within a modality, one procedure code comes with several descriptions.",
            remedy="Map each code to one description, by a rule",
        ),
        Kind(
            word="description-with-several-codes",
            severity=Severity.WARNING,
            means="Within a modality, one description comes with several procedure codes.",
            remedy="Map each description to one code, by a rule",
        ),
        Kind(
            word="priors-missed",
            severity=Severity.WARNING,
            means="A relevance rule by modality, body part with laterality, and procedure code would miss a larger "
            "share of the relevant priors than `max_missed_share`.",
            remedy="Map body parts, lateralities and codes by a rule before readers rely on automatic priors",
        ),
    ),
)


@define
class _Uses:
    """What is used within one modality."""

    nameless: int = 0
    examples: list[DescriptionUse] = field(factory=list)
    by_code: dict[str, dict[str, str]] = field(factory=dict)
    by_description: dict[str, dict[str, str]] = field(factory=dict)


@frozen
class Descriptions:
    """See `ABOUT`."""

    settings: DescriptionsSettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Findings modality by modality, then that about priors."""
        by_modality: dict[str, _Uses] = {}
        for use in case.descriptions():
            _note(by_modality.setdefault(use.modality, _Uses()), use)
        for modality, uses in sorted(by_modality.items()):
            yield from _modality(modality, uses)
        relevant = missed = 0
        for history in case.histories():
            of_patient = _priors(history)
            relevant, missed = relevant + of_patient[0], missed + of_patient[1]
        if missed and missed / relevant > self.settings.max_missed_share:
            share = f"{missed / relevant:.1%}"
            yield ABOUT.finding(
                "priors-missed",
                f"a relevance rule would miss {missed} of {relevant} relevant priors ({share})",
                details=[("missed", str(missed)), ("relevant", str(relevant)), ("share", f"{missed / relevant:.4f}")],
            )


def _note(uses: _Uses, use: DescriptionUse) -> None:
    if use.description and use.procedure_code:
        # keyed by what is compared, so that case and spaces make no difference; the first spelling is told
        key = _alike(use.description)
        uses.by_code.setdefault(use.procedure_code, {}).setdefault(key, use.description)
        uses.by_description.setdefault(key, {}).setdefault(use.procedure_code, use.description)
    elif not use.description and not use.procedure_code:
        uses.nameless += use.studies
        uses.examples.append(use)


def _modality(modality: str, uses: _Uses) -> Iterator[Finding]:
    if uses.nameless:
        yield ABOUT.finding(
            "no-description",
            told_of(uses.nameless, "study", "of one modality have neither a description nor a procedure code"),
            subjects=[use.example.study_uid for use in uses.examples],
            details=[("modality", modality), ("studies", str(uses.nameless))],
        )
    codes = [(code, "; ".join(texts.values())) for code, texts in sorted(uses.by_code.items()) if len(texts) > 1]
    if codes:
        message = f"{len(codes)} procedure codes of one modality come with several descriptions"
        yield ABOUT.finding("code-with-several-descriptions", message, subjects=[modality], details=codes)
    texts = [
        (next(iter(found.values())), "; ".join(found))
        for _, found in sorted(uses.by_description.items())
        if len(found) > 1
    ]
    if texts:
        message = f"{len(texts)} descriptions of one modality come with several procedure codes"
        yield ABOUT.finding("description-with-several-codes", message, subjects=[modality], details=texts)


def _priors(history: Sequence[StudyFacts]) -> tuple[int, int]:
    """Pairs of a patient's studies that are relevant to each other, and how many of them the rule would miss."""
    groups: dict[tuple[tuple[str, ...], str], list[StudyFacts]] = {}
    for facts in history:
        if facts.modalities and facts.description:
            groups.setdefault((facts.modalities, _alike(facts.description)), []).append(facts)
    relevant = missed = 0
    for alike in groups.values():
        pairs = comb(len(alike), 2)
        codes = [facts.procedure_code for facts in alike]
        regions = [_region(facts) for facts in alike]
        both = [(code, region) if code and region else None for code, region in zip(codes, regions, strict=True)]
        relevant += pairs
        missed += pairs - (_equal_pairs(codes) + _equal_pairs(regions) - _equal_pairs(both))
    return relevant, missed


def _region(facts: StudyFacts) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    parts = tuple(part.casefold() for part in facts.body_parts if part)
    return (parts, facts.lateralities) if parts else None


def _equal_pairs(values: Iterable[object]) -> int:
    return sum(comb(count, 2) for count in Counter(value for value in values if value).values())


def _alike(description: str) -> str:
    return " ".join(description.casefold().split())
