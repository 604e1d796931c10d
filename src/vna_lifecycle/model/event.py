"""The closed union of ledger events.

Each class has a stable ``kind`` and ``version``; both are stored, so a class may be renamed but its kind may not.
Fields are str, int, bool, None, and tuples of those. ``study`` is always a study's label, never a UID; ``*_ref``
fields are vault addresses of what identifies people or objects. Times are UTC in ISO 8601.
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

from attrs import frozen


@frozen(kw_only=True)
class ProgramCreated:
    """A program began. ``public_key`` is the Ed25519 key (base64) that signs its checkpoints."""

    kind: ClassVar[str] = "program-created"
    version: ClassVar[int] = 1
    name: str
    public_key: str


@frozen(kw_only=True)
class LeaseTaken:
    """A coordinator took over effects. ``plugins`` pairs each loaded plug-in distribution with its version."""

    kind: ClassVar[str] = "lease-taken"
    version: ClassVar[int] = 1
    epoch: int
    verb: str
    software: str
    plugins: tuple[tuple[str, str], ...]


@frozen(kw_only=True)
class InventoryStarted:
    """A dated pass over an archive began. ``inventory`` numbers the passes of a program from 1."""

    kind: ClassVar[str] = "inventory-started"
    version: ClassVar[int] = 1
    inventory: int
    archive: str


@frozen(kw_only=True)
class InventoryPartRecorded:
    """One part of an inventory is in the catalog.

    ``part`` is the part's label; ``content_sha256`` commits to its rows.
    """

    kind: ClassVar[str] = "inventory-part-recorded"
    version: ClassVar[int] = 1
    inventory: int
    part: str
    instances: int
    refused: int
    size: int
    content_sha256: str


@frozen(kw_only=True)
class InventoryCompleted:
    """A pass is complete: totals over all of its parts."""

    kind: ClassVar[str] = "inventory-completed"
    version: ClassVar[int] = 1
    inventory: int
    archive: str
    parts: int
    studies: int
    instances: int
    refused: int
    size: int


@frozen(kw_only=True)
class WavePlanned:
    """A wave was filled. ``members_ref`` is the vault address of its studies' UIDs and labels.

    ``modification_time`` is the time that any rule of this wave writes into objects: fixed here, so that every retry
    of a study gives the same bytes. ``policy_sha256`` covers the policy's canonical JSON.
    """

    kind: ClassVar[str] = "wave-planned"
    version: ClassVar[int] = 1
    wave: str
    plan: int
    studies: int
    instances: int
    size: int
    members_ref: str
    policy_sha256: str
    modification_time: str


@frozen(kw_only=True)
class StudiesExcluded:
    """Studies were excluded from the migration, with the reason; ``members_ref`` as in `WavePlanned`."""

    kind: ClassVar[str] = "studies-excluded"
    version: ClassVar[int] = 1
    plan: int
    reason: str
    studies: int
    members_ref: str


@frozen(kw_only=True)
class PlanDropped:
    """An earlier plan's studies that had not moved were set free, before a new plan."""

    kind: ClassVar[str] = "plan-dropped"
    version: ClassVar[int] = 1
    plan: int
    reason: str


@frozen(kw_only=True)
class TransferStarted:
    """Work on a wave began or was taken up again."""

    kind: ClassVar[str] = "transfer-started"
    version: ClassVar[int] = 1
    wave: str
    pending: int


@frozen(kw_only=True)
class TransferEnded:
    """Work on a wave ended for now. ``outcome``: complete, incomplete, paused, cancelled or stopped."""

    kind: ClassVar[str] = "transfer-ended"
    version: ClassVar[int] = 1
    wave: str
    outcome: str
    transferred: int
    remaining: int


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
    """What the target said. A claim: only the read-back proves it."""

    kind: ClassVar[str] = "study-stored"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    stored: int
    already_present: int
    refused: int
    warnings: int


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
    """Not all of the study is proved to be at the target; the counts say why."""

    kind: ClassVar[str] = "study-incomplete"
    version: ClassVar[int] = 1
    study: str
    wave: str
    attempt: int
    matched: int
    missing: int
    differ: int
    extra: int
    held: int
    refused: int


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
class ContentChosen:
    """A person decided which of several contents under one SOP Instance UID is the true one."""

    kind: ClassVar[str] = "content-chosen"
    version: ClassVar[int] = 1
    study: str
    instance: str
    content: str
    by: str
    reason: str


@frozen(kw_only=True)
class WavePaused:
    """Work on a wave (``""``: on all) shall stop: no new study is begun, those in flight are finished."""

    kind: ClassVar[str] = "wave-paused"
    version: ClassVar[int] = 1
    wave: str
    by: str
    reason: str


@frozen(kw_only=True)
class WaveResumed:
    """Work on a wave (``""``: on all) may go on."""

    kind: ClassVar[str] = "wave-resumed"
    version: ClassVar[int] = 1
    wave: str
    by: str
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


@frozen(kw_only=True)
class CatchUpCompleted:
    """Two passes over a source were compared. Counts are studies; ``sampled`` untouched ones were fetched again."""

    kind: ClassVar[str] = "catch-up-completed"
    version: ClassVar[int] = 1
    archive: str
    inventory: int
    previous: int
    added: int
    changed: int
    vanished: int
    refetched: int
    sampled: int
    differing: int


Event: TypeAlias = (
    ProgramCreated
    | LeaseTaken
    | InventoryStarted
    | InventoryPartRecorded
    | InventoryCompleted
    | WavePlanned
    | StudiesExcluded
    | PlanDropped
    | TransferStarted
    | TransferEnded
    | StudyFetched
    | TargetSurveyed
    | StoreIntended
    | StudyStored
    | StudyTransferred
    | StudyIncomplete
    | StudyFailed
    | StudyChanged
    | FindingRecorded
    | ContentChosen
    | WavePaused
    | WaveResumed
    | WithdrawIntended
    | StudyWithdrawn
    | CatchUpCompleted
)

EVENTS: Final[tuple[type[Event], ...]] = Event.__args__
"""Every event class, in the order of their first appearance in a program's life."""


@frozen(kw_only=True)
class RecordedEvent:
    """An event as the ledger holds it.

    ``sequence`` counts from 0. ``time`` is UTC, ISO 8601 with microseconds. ``actor`` is a person's name for
    decisions, the service's for effects. ``key`` is the idempotency key: appending the same key again has no effect.
    ``leaf`` is the RFC 6962 leaf hash in hexadecimal.
    """

    sequence: int
    time: str
    actor: str
    key: str
    event: Event
    leaf: str
