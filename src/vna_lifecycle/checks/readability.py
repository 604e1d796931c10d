"""What the sources hold that cannot be read, or not be trusted, or not be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.settings import ReadabilitySettings
from vna_lifecycle.model.counting import counted, told_of
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import Availability
from vna_lifecycle.ports import Oddity, WaveCase

ABOUT: Final = About(
    check="readability",
    proves="Everything that the sources list could be read as a DICOM object whose lengths agree with its bytes, and "
    "no study of the wave is empty or out of reach. What was refused is told once for the program, by source and "
    "reason.",
    cannot="It does not look at pictures: a readable object may show noise. A refused object has no study that could "
    "be trusted, so it is told for the program, not for a wave.",
    kinds=(
        Kind(
            word="objects-refused",
            severity=Severity.BLOCKER,
            means="Objects of a source are damaged or hostile, and were not taken: truncated, malformed, without what "
            "their kind requires.",
            remedy="Look for another copy of each on the source's media. Then waive the loss before cutover",
        ),
        Kind(
            word="files-not-dicom",
            severity=Severity.WARNING,
            means="Files of a source are no DICOM objects.",
            remedy="Look whether any of them was an image; keep the rest elsewhere if somebody needs it",
        ),
        Kind(
            word="objects-unexpected",
            severity=Severity.WARNING,
            means="A source sent objects that it does not list, or that were not asked for. They are kept apart, and "
            "do not move.",
            remedy="Find out what they are. Take another inventory once the source lists them; else remove the files",
        ),
        Kind(
            word="objects-without-patient",
            severity=Severity.WARNING,
            means="A source holds objects that belong to no patient or study: hanging protocols, palettes.",
            remedy="They do not move with the studies. Export them for the target's administrator if they are needed",
        ),
        Kind(
            word="media-directories",
            severity=Severity.NOTE,
            means="A source holds DICOMDIRs. They index other objects, and do not move.",
            remedy="Nothing is to be done",
        ),
        Kind(
            word="study-without-objects",
            severity=Severity.BLOCKER,
            means="The source knows the study and has no object of it.",
            remedy="Exclude the study, with the reason; or look for its objects on the source's media",
        ),
        Kind(
            word="objects-damaged",
            severity=Severity.BLOCKER,
            means="Objects of the study have fewer bytes of pixels than they describe.",
            remedy="Look at them at the source, and for another copy on its media",
        ),
        Kind(
            word="objects-doubtful",
            severity=Severity.WARNING,
            means="Objects of the study contradict themselves: their order, encoding, lengths or file information.",
            remedy="Look at one of each kind at the target: some readers refuse them",
        ),
        Kind(
            word="objects-unusual",
            severity=Severity.NOTE,
            means="Objects of the study lack parts of the file format, or have bytes around it that readers ignore.",
            remedy="Nothing is to be done if the target shows them",
        ),
        Kind(
            word="objects-unavailable",
            severity=Severity.BLOCKER,
            means="The source says that objects of the study cannot be had.",
            remedy="Look for another copy on the source's media, or exclude the study with the reason",
        ),
        Kind(
            word="objects-offline",
            severity=Severity.WARNING,
            means="Objects of the study lie on media that somebody must fetch.",
            remedy="Have the media mounted before the wave moves",
        ),
    ),
)

_NAMED: Final = 10_000
"""At most so many objects are named; all are counted, and the inventory has them."""

_OF_CODE: Final = {
    "not-dicom": "files-not-dicom",
    "media-directory": "media-directories",
    "non-patient-object": "objects-without-patient",
    "sent-but-not-listed": "objects-unexpected",
    "unexpected-object": "objects-unexpected",
}
_OF_FLAG: Final = {
    "short-pixel-data": "objects-damaged",
    "no-preamble": "objects-unusual",
    "no-meta": "objects-unusual",
    "executable-preamble": "objects-unusual",
    "trailing-zeros": "objects-unusual",
}
_OF_AVAILABILITY: Final = {
    Availability.OFFLINE: "objects-offline",
    Availability.UNAVAILABLE: "objects-unavailable",
}


@frozen
class Readability:
    """See `ABOUT`."""

    settings: ReadabilitySettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Of the program: findings by source and reason. Of a wave: study by study."""
        named: dict[tuple[str, str], list[str]] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for archive, refused in case.refused():
            counts[archive, refused.code] += 1
            if counts[archive, refused.code] <= _NAMED:
                named.setdefault((archive, refused.code), []).append(refused.locator)
        for (archive, code), count in sorted(counts.items()):
            yield ABOUT.finding(
                _OF_CODE.get(code, "objects-refused"),
                f"at {archive} {told_of(count, 'object', 'were refused')}: {code.replace('-', ' ')}",
                subjects=named[archive, code],
                details=[("archive", archive), ("code", code), ("objects", str(count))],
            )
        for facts in case.studies():
            if not facts.instances:
                yield ABOUT.finding(
                    "study-without-objects", "the source has no object of this study", study=facts.study
                )
        for study, odd in groupby(case.oddities(), key=lambda item: item.study):
            yield from _study(study, odd)


def _study(study: StudyRef, odd: Iterable[Oddity]) -> Iterator[Finding]:
    by_kind: dict[str, dict[str, set[str]]] = {}
    for item in odd:
        words = {flag: _OF_FLAG.get(flag, "objects-doubtful") for flag in item.flags}
        if item.availability in _OF_AVAILABILITY:
            words[item.availability.value] = _OF_AVAILABILITY[item.availability]
        for why, word in words.items():
            by_kind.setdefault(word, {}).setdefault(item.sop_instance_uid, set()).add(why)
    for word, found in sorted(by_kind.items()):
        reasons = ", ".join(sorted(set().union(*found.values())))
        yield ABOUT.finding(
            word,
            f"{counted(len(found), 'object')} of this study: {reasons}",
            study=study,
            subjects=sorted(found),
            details=[(uid, ", ".join(sorted(why))) for uid, why in sorted(found.items())],
        )
