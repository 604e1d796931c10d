"""Governing what is stored: tiers, recalls, holds and lawful erasure."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from typing import Protocol

from attrs import frozen

from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Availability, Manifest
from vna_lifecycle.ports.writing import Receipt, StoreFailure


class Urgency(enum.Enum):
    """How soon a recalled object is needed; archives map it to what they have."""

    EXPEDITED = "expedited"
    STANDARD = "standard"
    BULK = "bulk"


@frozen(kw_only=True)
class Placement:
    """Where one instance lies now.

    ``tier`` is the archive's own word (an S3 storage class); ``availability`` what a reader may expect (0008,0056).
    ``recalling`` is True while a recall is under way, ``available_until`` when a recalled copy goes away again.
    """

    sop_instance_uid: SOPInstanceUID
    tier: str
    availability: Availability
    recalling: bool = False
    available_until: dt.datetime | None = None


class Tiers(Protocol):
    """Moving objects between cheaper and quicker places."""

    def placements(self, study: StudyRef, manifest: Manifest) -> Iterator[Placement | StoreFailure]:
        """Where each instance of the manifest lies."""
        ...

    def move(self, study: StudyRef, manifest: Manifest, tier: str) -> Iterator[Receipt | StoreFailure]:
        """Move each instance to ``tier``; ALREADY_PRESENT where it lies there. Bytes, versions and locks stay."""
        ...


class Recalls(Protocol):
    """Bringing objects back from where they cannot be read at once."""

    def recall(
        self, study: StudyRef, manifest: Manifest, *, days: int, urgency: Urgency
    ) -> Iterator[Receipt | StoreFailure]:
        """Ask for each instance to be readable for ``days`` days. A receipt says that it was asked, not that it came.

        ALREADY_PRESENT where it is readable now. `Tiers.placements` tells how recalls stand.
        """
        ...


@frozen(kw_only=True)
class Hold:
    """What keeps one instance from being deleted, as the archive itself enforces it.

    ``legal_hold`` is independent of time; ``retain_until`` is a date before which nobody may delete it.
    """

    sop_instance_uid: SOPInstanceUID
    legal_hold: bool = False
    retain_until: dt.datetime | None = None


class Holds(Protocol):
    """Holds and retention dates that the archive itself enforces."""

    def holds(self, study: StudyRef, manifest: Manifest) -> Iterator[Hold | StoreFailure]:
        """What keeps each instance, as the archive tells it now."""
        ...

    def place(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        """Put each instance under legal hold."""
        ...

    def release(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        """Lift the legal hold of each instance. Retention dates stay."""
        ...

    def retain(self, study: StudyRef, manifest: Manifest, until: dt.datetime) -> Iterator[Receipt | StoreFailure]:
        """Let nobody delete an instance before ``until``. A later date that is there stays as it is."""
        ...


@frozen(kw_only=True)
class Remnant:
    """Something of an instance that is still there after it was erased: a version, a replica, a marker, an upload."""

    sop_instance_uid: SOPInstanceUID
    what: str
    locator: str


class Erases(Protocol):
    """Destroying objects for good. Only ever called when retention, holds and two people allow it."""

    def erase(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        """Erase every version of each instance. Receipts carry the archive's request ids in ``warnings``, if any."""
        ...

    def probe(self, study: StudyRef, manifest: Manifest) -> Iterator[Remnant]:
        """What is still there of each instance, in every version and place; nothing means that it is gone."""
        ...
