"""What a check saw and how bad it is."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from attrs import field, frozen

from vna_lifecycle.model.identity import StudyRef


def _texts(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(subjects)


def _pairs(details: Iterable[Iterable[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((word, text) for word, text in details)


class Severity(enum.Enum):
    """What a finding does to readiness: a blocker prevents it, a warning needs a look, a note is only told."""

    BLOCKER = "blocker"
    WARNING = "warning"
    NOTE = "note"


@frozen(kw_only=True)
class Finding:
    """One thing that a check, a reconcile or a transfer saw.

    ``kind`` is a stable kebab-case word, ``message`` a sentence without patient data or UIDs. ``subjects`` name what
    it is about (UIDs, locators: identifiers, kept in the vault) and ``details`` hold more, as pairs of word and text.
    ``study`` is None for findings about a wave or an archive. ``remedy`` says what to do.
    """

    kind: str
    severity: Severity
    message: str
    check: str
    study: StudyRef | None = None
    subjects: tuple[str, ...] = field(default=(), converter=_texts)
    details: tuple[tuple[str, str], ...] = field(default=(), converter=_pairs)
    remedy: str = ""
