"""What a check saw and how bad it is."""

from __future__ import annotations

import enum

from attrs import frozen

from vna_lifecycle.model.identity import StudyRef


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
    subjects: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    remedy: str = ""
