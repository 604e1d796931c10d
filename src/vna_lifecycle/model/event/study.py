"""What happens to one study on its way."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class StudyFetched:
    """All that can be had of a study lies in the spool. ``manifest_ref`` is the source manifest in the vault.

    ``held`` counts objects of several contents under one UID, ``failed`` those that could not be fetched or were
    refused.
    """

    kind: ClassVar[str] = "study-fetched"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    instances: int
    size: int
    held: int
    failed: int
    manifest_ref: str


@frozen(kw_only=True)
class TargetSurveyed:
    """What the target listed of a study before this program first stored anything of it: those copies are not its own.

    ``present_ref`` is the vault address of their SOP Instance UIDs.
    """

    kind: ClassVar[str] = "target-surveyed"
    version: ClassVar[int] = 1
    study: str
    wave: str
    present: int
    present_ref: str


@frozen(kw_only=True)
class StoreIntended:
    """The study is about to be stored.

    ``token`` is the same at every retry; ``expected_ref`` is the expected manifest.
    """

    kind: ClassVar[str] = "store-intended"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    token: str
    expected_ref: str


@frozen(kw_only=True)
class StudyStored:
    """What the target said, also where it is to be tried again. A claim: only the read-back proves it.

    ``receipts_ref`` is the manifest of what it said that it stored, ``""`` where that is nothing.
    """

    kind: ClassVar[str] = "study-stored"
    version: ClassVar[int] = 2
    study: str
    wave: str
    attempt: int
    stored: int
    already_present: int
    refused: int
    warnings: int
    receipts_ref: str = ""


@frozen(kw_only=True)
class CommitmentIntended:
    """The target is about to be asked to take responsibility for a study's instances (Storage Commitment).

    ``transaction`` is the Transaction UID that we minted for this request (0008,1195); ``turn`` counts the requests of
    one attempt: whoever takes up work that was broken off asks again, since the answer may have been lost meanwhile.
    """

    kind: ClassVar[str] = "commitment-intended"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    turn: int
    transaction: str


@frozen(kw_only=True)
class CommitmentAnswered:
    """What the target committed to, and what not; ``unanswered`` instances are those of which nothing came in time.

    A claim, as any other: only the read-back proves what is there.
    """

    kind: ClassVar[str] = "commitment-answered"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    transaction: str
    committed: int
    refused: int
    unanswered: int


@frozen(kw_only=True)
class StudyTransferred:
    """Every instance was read back independently and reconciled at ``rung`` or better.

    ``read_back_ref`` is what was read.
    """

    kind: ClassVar[str] = "study-transferred"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    instances: int
    size: int
    rung: str
    read_back_ref: str


@frozen(kw_only=True)
class StudyIncomplete:
    """Not all of the study is proved to be at the target; the counts say why.

    ``read_back_ref`` is what was read, ``""`` where nothing was.
    """

    kind: ClassVar[str] = "study-incomplete"
    version: ClassVar[int] = 2
    study: str
    wave: str
    attempt: int
    matched: int
    missing: int
    differ: int
    extra: int
    held: int
    refused: int
    read_back_ref: str = ""


@frozen(kw_only=True)
class StudyFailed:
    """A phase (fetch, store or verify) failed as a whole.

    ``code`` names the error; ``retry_at`` is a time, or ``""``.
    """

    kind: ClassVar[str] = "study-failed"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    phase: str
    code: str
    transient: bool
    retry_at: str


@frozen(kw_only=True)
class StudyChanged:
    """A study that had been transferred is not what the source now holds."""

    kind: ClassVar[str] = "study-changed"
    version: ClassVar[int] = 1
    study: str
    wave: str
    inventory: int
    reason: str


@frozen(kw_only=True)
class FindingRecorded:
    """A finding. ``evidence_ref`` is the whole `Finding` in the vault.

    ``study`` and ``wave`` are ``""`` where none applies.
    """

    kind: ClassVar[str] = "finding-recorded"
    version: ClassVar[int] = 1
    finding: str
    severity: str
    check: str
    study: str
    wave: str
    subjects: int
    evidence_ref: str


@frozen(kw_only=True)
class FindingSettled:
    """Somebody looked again, and what was found is so no more. ``evidence_ref`` is the settled finding's own.

    Only for findings that no later step settles by itself, such as those about a source (``wave`` is ``""``).
    """

    kind: ClassVar[str] = "finding-settled"
    version: ClassVar[int] = 1
    finding: str
    study: str
    wave: str
    evidence_ref: str
    reason: str


@frozen(kw_only=True)
class WithdrawIntended:
    """This program's own copies are about to be removed from the target, the source copy verified present."""

    kind: ClassVar[str] = "withdraw-intended"
    version: ClassVar[int] = 1
    study: str
    wave: str
    token: str
    instances: int
    manifest_ref: str
    by: str
    reason: str


@frozen(kw_only=True)
class StudyWithdrawn:
    """The copies are gone, and the target was asked again to be sure."""

    kind: ClassVar[str] = "study-withdrawn"
    version: ClassVar[int] = 1
    study: str
    wave: str
    token: str
    instances: int
