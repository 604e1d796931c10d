"""What happens to a program as a whole: its beginning, its leases, its inventories and plans."""

from __future__ import annotations

from typing import ClassVar

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

    ``part`` is the part's label; ``commitment`` covers its rows, salted by the vault (HMAC-SHA-256, hexadecimal).
    """

    kind: ClassVar[str] = "inventory-part-recorded"
    version: ClassVar[int] = 1
    inventory: int
    part: str
    instances: int
    refused: int
    size: int
    commitment: str


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
