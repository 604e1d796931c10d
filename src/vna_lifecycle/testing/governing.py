"""The governing powers of an archive in memory: tiers, recalls, holds and erasure, as the ports say.

Three tiers: ``fast`` (where everything begins), ``slow``, and ``deep``, from where nothing can be read before it was
recalled. A recall comes when the test says so (`Governed.finish_recalls`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeAlias

from attrs import define, evolve, field, frozen

from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Availability, InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.ports import (
    Archive,
    Clock,
    Fetched,
    FetchFailure,
    Hold,
    Outcome,
    Part,
    Placement,
    Receipt,
    Remnant,
    SourceAdapter,
    Spool,
    StoreFailure,
    StudyQuery,
    Urgency,
)

TIERS: Final = ("fast", "slow", "deep")
_Answer: TypeAlias = Receipt | StoreFailure


class Files(Protocol):
    """What governing needs of an archive in memory."""

    def find(self, uid: SOPInstanceUID) -> tuple[str, bytes] | None:
        """The first file under a SOP Instance UID, with its locator."""
        ...

    def remove(self, locator: str) -> None:
        """Take a file away."""
        ...


@define(kw_only=True)
class Governed:
    """How instances stand: what is not named is in the first tier, and free."""

    tiers: dict[SOPInstanceUID, str] = field(factory=dict)
    recalling: dict[SOPInstanceUID, int] = field(factory=dict)
    recalled: dict[SOPInstanceUID, dt.datetime] = field(factory=dict)
    holds: set[SOPInstanceUID] = field(factory=set)
    retained: dict[SOPInstanceUID, dt.datetime] = field(factory=dict)

    def finish_recalls(self, now: dt.datetime) -> None:
        """Let everything that was asked for be readable from now on."""
        for uid, days in self.recalling.items():
            self.recalled[uid] = now + dt.timedelta(days=days)
        self.recalling.clear()

    def archived(self, uid: SOPInstanceUID, now: dt.datetime) -> bool:
        """Whether an instance cannot be read now."""
        return self.tiers.get(uid) == "deep" and self.recalled.get(uid, now) <= now

    def forget(self, uid: SOPInstanceUID) -> None:
        """An instance is gone."""
        for known in (self.tiers, self.recalling, self.recalled, self.retained):
            known.pop(uid, None)


def govern(archive: Archive, files: Files, governed: Governed, clock: Clock) -> Archive:
    """The archive with the governing powers; what lies deep can then be read only after a recall."""
    powers = _Powers(files, governed, clock)
    reads = _Reads(archive.reads, governed, clock)
    return evolve(archive, reads=reads, tiers=powers, recalls=powers, holds=powers, erases=_Erases(powers))


@frozen
class _Powers:
    files: Files
    governed: Governed
    clock: Clock

    def each(self, manifest: Manifest, answer: Callable[[SOPInstanceUID], _Answer]) -> Iterator[_Answer]:
        for entry in manifest.entries:
            uid = entry.sop_instance_uid
            yield answer(uid) if self.files.find(uid) else _missing(uid)

    def placements(self, study: StudyRef, manifest: Manifest) -> Iterator[Placement | StoreFailure]:
        for entry in manifest.entries:
            uid = entry.sop_instance_uid
            archived = self.governed.archived(uid, self.clock())
            yield (
                Placement(
                    sop_instance_uid=uid,
                    tier=self.governed.tiers.get(uid, "fast"),
                    availability=Availability.NEARLINE if archived else Availability.ONLINE,
                    recalling=uid in self.governed.recalling,
                    available_until=None if archived else self.governed.recalled.get(uid),
                )
                if self.files.find(uid)
                else _missing(uid)
            )

    def move(self, study: StudyRef, manifest: Manifest, tier: str) -> Iterator[_Answer]:
        if tier not in TIERS:
            raise ArchiveError(f"there is no tier {tier}", hint=f"there are {', '.join(TIERS)}")

        def move(uid: SOPInstanceUID) -> _Answer:
            if self.governed.tiers.get(uid, "fast") == tier:
                return _receipt(uid, changed=False)
            if self.governed.archived(uid, self.clock()):
                return StoreFailure(sop_instance_uid=uid, code="archived", message="recall it first")
            self.governed.tiers[uid] = tier
            self.governed.recalled.pop(uid, None)
            return _receipt(uid, changed=True)

        return self.each(manifest, move)

    def recall(self, study: StudyRef, manifest: Manifest, *, days: int, urgency: Urgency) -> Iterator[_Answer]:
        def recall(uid: SOPInstanceUID) -> _Answer:
            if not self.governed.archived(uid, self.clock()):
                return _receipt(uid, changed=False)
            self.governed.recalling[uid] = max(days, self.governed.recalling.get(uid, 0))
            return _receipt(uid, changed=True)

        return self.each(manifest, recall)

    def holds(self, study: StudyRef, manifest: Manifest) -> Iterator[Hold | StoreFailure]:
        for entry in manifest.entries:
            uid = entry.sop_instance_uid
            held, until = uid in self.governed.holds, self.governed.retained.get(uid)
            yield (
                Hold(sop_instance_uid=uid, legal_hold=held, retain_until=until)
                if self.files.find(uid)
                else _missing(uid)
            )

    def place(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        def place(uid: SOPInstanceUID) -> _Answer:
            changed = uid not in self.governed.holds
            self.governed.holds.add(uid)
            return _receipt(uid, changed=changed)

        return self.each(manifest, place)

    def release(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        def release(uid: SOPInstanceUID) -> _Answer:
            changed = uid in self.governed.holds
            self.governed.holds.discard(uid)
            return _receipt(uid, changed=changed)

        return self.each(manifest, release)

    def retain(self, study: StudyRef, manifest: Manifest, until: dt.datetime) -> Iterator[_Answer]:
        def retain(uid: SOPInstanceUID) -> _Answer:
            changed = uid not in self.governed.retained or self.governed.retained[uid] < until
            if changed:
                self.governed.retained[uid] = until
            return _receipt(uid, changed=changed)

        return self.each(manifest, retain)


@frozen
class _Erases:
    powers: _Powers

    def erase(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        files, governed, now = self.powers.files, self.powers.governed, self.powers.clock()
        for entry in manifest.entries:
            uid = entry.sop_instance_uid
            if files.find(uid) and (uid in governed.holds or governed.retained.get(uid, now) > now):
                yield StoreFailure(sop_instance_uid=uid, code="held", message="it is under hold or retention")
                continue
            requests = []
            while (found := files.find(uid)) is not None:
                files.remove(found[0])
                requests.append(f"request-id:{found[0]}")
            governed.forget(uid)
            yield evolve(_receipt(uid, changed=bool(requests)), warnings=tuple(requests))

    def probe(self, study: StudyRef, manifest: Manifest) -> Iterator[Remnant]:
        for entry in manifest.entries:
            if (found := self.powers.files.find(entry.sop_instance_uid)) is not None:
                yield Remnant(sop_instance_uid=entry.sop_instance_uid, what="version", locator=found[0])


@frozen
class _Reads:
    reads: SourceAdapter
    governed: Governed
    clock: Clock

    def _told(self, record: InstanceRecord) -> InstanceRecord:
        archived = self.governed.archived(record.sop_instance_uid, self.clock())
        return evolve(record, availability=Availability.NEARLINE) if archived else record

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        return self.reads.find_studies(query)

    def parts(self) -> Iterator[Part]:
        return self.reads.parts()

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        for item in self.reads.inventory(part):
            yield self._told(item) if isinstance(item, InstanceRecord) else item

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        return map(self._told, self.reads.list_instances(study))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        now = self.clock()
        deep = [record for record in wanted if self.governed.archived(record.sop_instance_uid, now)]
        for record in deep:
            yield FetchFailure(record=record, code="archived", message="recall it before reading it")
        yield from self.reads.fetch(study, [record for record in wanted if record not in deep], spool)

    def close(self) -> None:
        self.reads.close()


def _receipt(uid: SOPInstanceUID, *, changed: bool) -> Receipt:
    return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED if changed else Outcome.ALREADY_PRESENT)


def _missing(uid: SOPInstanceUID) -> StoreFailure:
    return StoreFailure(sop_instance_uid=uid, code="missing-file", message="there is no such instance")
