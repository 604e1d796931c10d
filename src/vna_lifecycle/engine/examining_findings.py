"""What a check may say: what it yields is a plug-in's word, and is looked at before it counts."""

from __future__ import annotations

import re
from typing import Final

from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef

MOST_OF_A_STUDY: Final = 1_000
"""More findings than this about one study are no findings: the check is out of hand."""

MOST_OF_A_WAVE: Final = 1_000_000
"""The same for a check of whole waves, whose findings are streamed."""

LONGEST: Final = 2**24
"""Characters that all texts of one finding may have together."""

_KIND: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_KIND: Final = 64


def fault_of(item: object) -> str:
    """What is wrong with something that a check yielded; ``""`` if it is a finding."""
    if type(item) is not Finding:
        return "it yielded something that is no Finding"
    if type(item.kind) is not str or len(item.kind) > _LONGEST_KIND or not _KIND.fullmatch(item.kind):
        return "it yielded a finding whose kind is no kebab-case word"
    if type(item.severity) is not Severity:
        return "it yielded a finding whose severity is none"
    texts = [item.message, item.remedy, *item.subjects, *(text for pair in item.details for text in pair)]
    if item.study is not None:
        if type(item.study) is not StudyRef:
            return "it yielded a finding whose study is no StudyRef"
        texts += [item.study.label, item.study.study_uid]
    if any(type(text) is not str for text in texts):
        return "it yielded a finding with something that is no text"
    if sum(map(len, texts)) > LONGEST:
        return "it yielded a finding that is too long"
    return ""


def class_name(error: BaseException) -> str:
    """The error's class, for messages: never its text, which may hold identifiers."""
    name = type(error).__name__
    return name if name.isascii() and name.isidentifier() and len(name) <= _LONGEST_KIND else "an error"


def trouble_finding(kind: str, why: str, check: str, study: StudyRef | None) -> Finding:
    """The blocker that stands for what a check did not say. ``kind`` says how it went wrong."""
    about = "this study" if study is not None else "this wave"
    return Finding(
        kind=kind,
        severity=Severity.BLOCKER,
        message=f"the check {check} gave no result for {about}: {why}",
        check=check,
        study=study,
        remedy=_REMEDIES[kind],
    )


ELSEWHERE: Final = "it yielded a finding about another study than it was shown"

CHECK_FAILED: Final = "check-failed"
CHECK_TIMED_OUT: Final = "check-timed-out"
CHECK_MISBEHAVED: Final = "check-misbehaved"

_REMEDIES: Final = {
    CHECK_FAILED: "Tell the author of the check; then accept the wave again, or waive what was not assessed",
    CHECK_TIMED_OUT: "Raise check_seconds in [acceptance] if the check is slow by nature; else tell its author",
    CHECK_MISBEHAVED: "Tell the author of the check; until then its findings cannot be relied upon",
}
