"""What readiness requires, in words for whoever stands before the page: nothing of it needs a glossary.

Requirements name kinds of findings by their stable words, which machines go by. The page says what such a finding says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from vna_lifecycle.model.counting import counted
from vna_lifecycle.reporting.facts import FindingKind

_FOUND: Final = re.compile(
    r"(?P<count>[\d,]+) findings? of kind (?P<kind>[a-z0-9-]+) (?:(?:blocks?) the (?:wave|program)|(?:is|are) waived)"
)
_HELD: Final = re.compile(r"(?P<count>[\d,]+) (?:study|studies) held back before storing: (?P<kind>[a-z0-9-]+)")
_REPEATED: Final = re.compile(rf"(?:: |; )(?:{_FOUND.pattern.replace('?P<count>', '').replace('?P<kind>', '')})")
_HISTORY: Final = re.compile(r" \(acceptance \d[^()]*\)$")
_KEYWORD: Final = re.compile(r"\b(?:[A-Z][a-z]+){2,}(?:U?IDs?)?\b|\b(?:[A-Z][a-z]+)+U?IDs?\b")


@frozen
class Said:
    """A requirement in plain words, and the ``kind`` of finding that it is about, ``""`` if it is about none."""

    sentence: str
    kind: str = ""
    held: bool = False


def in_plain_words(detail: str, kinds: Sequence[FindingKind]) -> Said:
    """What a requirement's ``detail`` says. ``kinds`` are all findings on record, for their words."""
    if found := _FOUND.match(detail):
        count, kind = int(found["count"].replace(",", "")), found["kind"]
        return Said(_finding(kind, count, kinds) + detail[found.end() :], kind)
    if held := _HELD.fullmatch(detail):
        count, kind = int(held["count"].replace(",", "")), held["kind"]
        are = "is" if count == 1 else "are"
        why = _message(kind, kinds).replace("this study", "the study")
        return Said(f"{counted(count, 'study')} {are} held back: {why}", kind, held=True)
    return Said(without_repeats(detail))


def without_repeats(text: str) -> str:
    """What acceptance says, without the findings that are told one by one beside it, and without its history."""
    short = _HISTORY.sub("", _REPEATED.sub("", text))
    return f"{short}, by the findings named here" if short.endswith(" failed") else short


def _finding(kind: str, count: int, kinds: Sequence[FindingKind]) -> str:
    said = _message(kind, kinds).replace("this study", "a study")
    if count == 1:
        return said
    same = any(each.kind == kind and each.message for each in kinds)
    return f"{said} ({counted(count, 'finding')})" if same else f"{said}; and {count - 1:,} more like it"


def _message(kind: str, kinds: Sequence[FindingKind]) -> str:
    """What findings of the kind say, or the first of them where they differ."""
    for each in kinds:
        if each.kind == kind:
            return _KEYWORD.sub(_parted, each.message or each.examples[0].message)
    return kind.replace("-", " ")


def _parted(keyword: re.Match[str]) -> str:
    """An attribute's keyword (PS3.6) as people write it: ``Patient ID``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword[0])
