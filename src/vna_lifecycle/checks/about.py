"""What a check says of itself: for its documentation, and as the only source of its findings' words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from attrs import frozen

from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef

FEW: Final = 20
_T = TypeVar("_T")


def few(items: Sequence[_T]) -> Sequence[_T]:
    """The first `FEW` of what may be without end: an ID or a UID that thousands of studies share is told in each."""
    return items[:FEW]


@frozen(kw_only=True)
class Kind:
    """A kind of finding: its stable word, what it means, and what to do about it."""

    word: str
    severity: Severity
    means: str
    remedy: str


@frozen(kw_only=True)
class About:
    """What a check proves, what it cannot, and every kind of finding that it can have."""

    check: str
    proves: str
    cannot: str
    kinds: tuple[Kind, ...]

    def finding(
        self,
        word: str,
        message: str,
        *,
        study: StudyRef | None = None,
        subjects: Iterable[str] = (),
        details: Iterable[tuple[str, str]] = (),
    ) -> Finding:
        """A finding of the kind ``word``; ``message`` is without patient data and UIDs.

        Raises:
            StopIteration: the check has no such kind; a defect of the check.
        """
        kind = next(kind for kind in self.kinds if kind.word == word)
        return Finding(
            kind=kind.word,
            severity=kind.severity,
            message=message,
            check=self.check,
            study=study,
            subjects=subjects,
            details=details,
            remedy=kind.remedy,
        )
