"""What is corrected at a target after it was stored: intended, carried out as change records, and read back."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class RemedyIntended:
    """Objects that the target set aside shall be corrected there, and let in. A person asked for it.

    ``turn`` counts the remedies of a study; ``attributes`` are the DICOM keywords that get other values. ``record_ref``
    is the vault address of what is meant: which objects, in which place and version, from which values to which.
    """

    kind: ClassVar[str] = "remedy-intended"
    version: ClassVar[int] = 1
    study: str
    wave: str
    turn: int
    by: str
    reason: str
    places: int
    instances: int
    attributes: tuple[str, ...]
    record_ref: str


@frozen(kw_only=True)
class ChangeMade:
    """The target carried out one step of a remedy: a change record.

    ``step`` is ``corrected``, ``admitted`` or ``discarded``; ``place`` the label of the target's own name for where the
    objects lie. Versions are the target's. ``request`` is its name for the request, ``""`` where the step was found
    done after an interruption. ``attributes`` are the DICOM keywords that got other values.
    """

    kind: ClassVar[str] = "change-made"
    version: ClassVar[int] = 1
    study: str
    wave: str
    turn: int
    step: str
    place: str
    version_before: str
    version_after: str
    attributes: tuple[str, ...]
    request: str


@frozen(kw_only=True)
class StudyRemedied:
    """Every instance was read back and reconciled at ``rung`` or better.

    Of ``explained`` instances the difference from what was moved is exactly what their change records say.
    ``expected_ref`` is what is expected from now on, ``read_back_ref`` what was read.
    """

    kind: ClassVar[str] = "study-remedied"
    version: ClassVar[int] = 1
    study: str
    wave: str
    turn: int
    instances: int
    size: int
    rung: str
    explained: int
    expected_ref: str
    read_back_ref: str


@frozen(kw_only=True)
class RemedyFailed:
    """A remedy came to its end, and not all of the study is proved to be at the target.

    ``code`` is a stable word. ``expected_ref`` is what is expected from now on: what was corrected is, and was proved
    to be, as its change records say.
    """

    kind: ClassVar[str] = "remedy-failed"
    version: ClassVar[int] = 1
    study: str
    wave: str
    turn: int
    code: str
    matched: int
    missing: int
    differ: int
    extra: int
    explained: int
    expected_ref: str
