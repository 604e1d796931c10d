"""What is looked at before a wave may be used, and what people accept, sign and switch over."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class TruthRecorded:
    """A source's own database was read, and says something new.

    Counts are studies; ``unusable`` counts records with something that cannot be used. ``extract_sha256`` is a salted
    commitment to everything that was read.
    """

    kind: ClassVar[str] = "truth-recorded"
    version: ClassVar[int] = 1
    archive: str
    studies: int
    deleted: int
    hidden: int
    unusable: int
    extract_sha256: str


@frozen(kw_only=True)
class ProfileRecorded:
    """How an archive behaves was observed; ``profile_ref`` is the vault address of all observations."""

    kind: ClassVar[str] = "profile-recorded"
    version: ClassVar[int] = 1
    archive: str
    observations: int
    profile_ref: str


@frozen(kw_only=True)
class StudyHeld:
    """A check saw, before anything was stored, what must be decided first. ``evidence_ref`` is its finding."""

    kind: ClassVar[str] = "study-held"
    version: ClassVar[int] = 1
    study: str
    wave: str
    finding: str
    evidence_ref: str


@frozen(kw_only=True)
class StudyReleased:
    """What held the study back is gone or was waived: it may move. ``reason`` says which."""

    kind: ClassVar[str] = "study-released"
    version: ClassVar[int] = 1
    study: str
    wave: str
    reason: str


@frozen(kw_only=True)
class SampleDrawn:
    """Acceptance of a wave began: from here on only its own findings count, and the seed can no longer be chosen.

    ``seed`` (hexadecimal) draws ``size`` of ``population`` studies; ``population_ref`` is the vault address of the
    list it draws from. Rates and confidence are decimal text. ``policy_sha256`` covers the acceptance policy.
    """

    kind: ClassVar[str] = "sample-drawn"
    version: ClassVar[int] = 1
    wave: str
    attempt: int
    seed: str
    confidence: str
    max_defect_rate: str
    population: int
    size: int
    population_ref: str
    policy_sha256: str


@frozen(kw_only=True)
class WaveExamined:
    """Acceptance of a wave ended. ``outcome``: passed, failed or unfinished.

    ``checks`` pairs each check that ran with the distribution and version that brought it; ``not_assessed`` names the
    required ones that gave no result. ``defective`` counts sampled studies with a blocker that is not waived.
    ``result_ref`` is the vault address of all figures.
    """

    kind: ClassVar[str] = "wave-examined"
    version: ClassVar[int] = 1
    wave: str
    attempt: int
    outcome: str
    sampled: int
    defective: int
    blockers: int
    warnings: int
    checks: tuple[tuple[str, str], ...]
    not_assessed: tuple[str, ...]
    result_ref: str


@frozen(kw_only=True)
class FindingsWaived:
    """A person accepts findings of one kind as they were on record, with a reason, until a day (``""``: no end).

    ``covers_ref`` is the vault address of the findings' own addresses: a finding that appears later is not covered.
    ``wave`` is ``""`` for findings about the program or a source. ``key`` is the fingerprint of the key that made
    ``signature`` over ``statement``, all ``""`` for a person without a key.
    """

    kind: ClassVar[str] = "findings-waived"
    version: ClassVar[int] = 1
    waiver: str
    wave: str
    finding: str
    findings: int
    covers_ref: str
    by: str
    role: str
    reason: str
    expires: str
    key: str
    statement: str
    signature: str


@frozen(kw_only=True)
class WaiverWithdrawn:
    """A waiver no longer holds."""

    kind: ClassVar[str] = "waiver-withdrawn"
    version: ClassVar[int] = 1
    waiver: str
    by: str
    reason: str


@frozen(kw_only=True)
class SignedOff:
    """A person stands for a wave as its acceptance number ``attempt`` found it, until a day (``""``: no end).

    ``meaning`` is what the signature means (21 CFR 11.50); ``key``, ``statement`` and ``signature`` as in
    `FindingsWaived`.
    """

    kind: ClassVar[str] = "signed-off"
    version: ClassVar[int] = 1
    wave: str
    attempt: int
    by: str
    role: str
    meaning: str
    expires: str
    key: str
    statement: str
    signature: str


@frozen(kw_only=True)
class CutoverRefused:
    """A person asked to switch reading to the target, and the gate said no. ``gate_ref`` holds every reason."""

    kind: ClassVar[str] = "cutover-refused"
    version: ClassVar[int] = 1
    by: str
    reason: str
    reasons: int
    gate_ref: str


@frozen(kw_only=True)
class CutoverAllowed:
    """A person switches reading to the target, and the gate allowed it. ``gate_ref`` holds what it was decided from."""

    kind: ClassVar[str] = "cutover-allowed"
    version: ClassVar[int] = 1
    by: str
    reason: str
    gate_ref: str
