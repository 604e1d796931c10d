"""What a remedy means to change, as it is kept in the vault, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from vna_lifecycle.model.change import AttributeChange, ChangeReason
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID
from vna_lifecycle.ports import SetAside


@frozen(kw_only=True)
class RemedyRequest:
    """What a person asks for, and why. ``study`` is the label of the only one that is meant, if one is.

    With ``dry_run`` the target is looked at, and nothing is changed or recorded.
    """

    by: str
    reason: str
    study: str = ""
    dry_run: bool = False


@frozen(kw_only=True)
class Correction:
    """An attribute that gets another value, by its DICOM keyword; values as in `vna_lifecycle.ports.Disagreement`."""

    keyword: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None


@frozen(kw_only=True)
class Subject:
    """An object that is corrected, as it was before.

    ``dataset_sha256`` is of what was moved, ``rest_sha256`` of all its attributes at the target but those that are
    corrected, ``pixel_sha256`` of its codestreams there.
    """

    uid: SOPInstanceUID
    dataset_sha256: str
    rest_sha256: str
    pixel_sha256: str


@frozen(kw_only=True)
class Place:
    """What is changed in one place of the target, as it was looked at in ``version``; ``hindrance``: why nothing is."""

    place: str
    version: str
    series_uid: SeriesUID
    corrections: tuple[Correction, ...]
    subjects: tuple[Subject, ...]
    hindrance: str = ""

    @property
    def changes(self) -> tuple[AttributeChange, ...]:
        """What the target is asked for."""
        return tuple(
            AttributeChange(keyword=each.keyword, value=each.after, reason=ChangeReason.CORRECT)
            for each in self.corrections
        )

    def differs(self, here: SetAside) -> bool:
        """Whether any of the corrections is still to be made."""
        now = {each.keyword: each.aside for each in here.disagreements}
        return any(each.keyword in now and now[each.keyword] != each.after for each in self.corrections)

    def to_json(self) -> dict[str, Any]:
        """For the vault."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Place:
        """From the vault."""
        corrections = tuple(
            Correction(keyword=each["keyword"], before=_values(each["before"]), after=_values(each["after"]))
            for each in raw["corrections"]
        )
        return cls(**{**raw, "corrections": corrections, "subjects": tuple(Subject(**one) for one in raw["subjects"])})


def _values(raw: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if raw is None else tuple(raw)


@frozen(kw_only=True)
class StudyRemedy:
    """What became of one study.

    ``outcome``: ``remedied``, ``failed`` (it ended otherwise than hoped), ``broken-off`` (the same command goes on),
    ``hindered`` (nothing was changed); of a dry run also ``possible`` and ``resumable``.
    """

    study: str
    study_uid: str
    outcome: str
    message: str
    places: tuple[Place, ...]


@frozen(kw_only=True)
class RemedyResult:
    """What became of the studies of a wave of which something was set aside."""

    wave: str
    studies: tuple[StudyRemedy, ...]

    def count(self, outcome: str) -> int:
        """How many studies came to an outcome."""
        return sum(study.outcome == outcome for study in self.studies)

    def __str__(self) -> str:
        words = dict.fromkeys(study.outcome for study in self.studies)
        told = ", ".join(f"{counted(self.count(word), 'study')} {word}" for word in words)
        return f"{self.wave}: {told or 'nothing is set aside of it'}"
