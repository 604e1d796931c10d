"""What a check saw and how bad it is."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

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


class Origin(enum.Enum):
    """By which step a finding came on record, which decides when it is settled.

    A ``transfer`` finding is settled by the study's next attempt, a ``withdraw`` finding by its next withdrawal, a
    ``catch-up`` finding when the study has moved again, a ``check`` finding when its wave is examined again, a
    ``hold`` finding when its study is released. A ``remedy`` finding stays until its study is withdrawn.
    """

    TRANSFER = "transfer"
    WITHDRAW = "withdraw"
    CATCH_UP = "catch-up"
    CHECK = "check"
    HOLD = "hold"
    REMEDY = "remedy"


STEPS: Final = frozenset({Origin.TRANSFER.value, Origin.WITHDRAW.value, Origin.CATCH_UP.value, Origin.REMEDY.value})
"""What ``check`` says of findings that a step of the engine made: no acceptance check may have such a name."""

LASTING: Final = "stored-with-warning-"
"""How the kinds of transfer findings begin that a new attempt does not settle: the target does not warn again of what
it has already."""


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
