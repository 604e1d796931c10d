"""Legal holds and retention dates that the bucket itself enforces (S3 Object Lock), on every version of an object."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar

from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.adapters.s3.layout import digest_of, object_key, study_objects
from vna_lifecycle.adapters.s3.versions import Version, has_lock, legal_hold, retention, versions_by_key
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Hold, Outcome, Receipt, StoreFailure

_Answer: TypeAlias = Receipt | StoreFailure
_T = TypeVar("_T")


class Locking:
    """Holds and retention of a store's objects. Governance is never bypassed, and no date is ever made earlier."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def _each(
        self, manifest: Manifest, answer: Callable[[SOPInstanceUID, list[Version]], _T]
    ) -> Iterator[_T | StoreFailure]:
        """An answer for each instance from its versions; markers are none."""
        found = versions_by_key(self._bucket, study_objects(digest_of(manifest.study_uid)))

        def ask(uid: SOPInstanceUID) -> _T | StoreFailure:
            mine = [version for version in found.get(object_key(manifest.study_uid, uid), ()) if not version.marker]
            if not mine:
                message = "there is no object of this instance"
                return StoreFailure(sop_instance_uid=uid, code="missing-file", message=message)
            return answer(uid, mine)

        return self._bucket.pool.map(ask, [entry.sop_instance_uid for entry in manifest.entries])

    def holds(self, study: StudyRef, manifest: Manifest) -> Iterator[Hold | StoreFailure]:
        """What keeps each instance: a hold on any of its versions, and the latest of their dates.

        Raises:
            ArchiveError: the bucket does not say.
        """

        def tell(uid: SOPInstanceUID, mine: list[Version]) -> Hold:
            dates = [kept.until for version in mine if (kept := retention(self._bucket, version)) is not None]
            held = any(legal_hold(self._bucket, version) for version in mine)
            return Hold(sop_instance_uid=uid, legal_hold=held, retain_until=max(dates, default=None))

        return self._each(manifest, tell)

    def place(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        """Put every version of each instance under legal hold.

        Raises:
            ArchiveError: the bucket has no Object Lock, or does not let us.
        """
        return self._switch(manifest, "ON")

    def release(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        """Lift the legal hold of every version of each instance.

        Raises:
            ArchiveError: the bucket has no Object Lock, or does not let us.
        """
        return self._switch(manifest, "OFF")

    def _switch(self, manifest: Manifest, status: Literal["ON", "OFF"]) -> Iterator[_Answer]:
        self._require_lock()

        def switch(uid: SOPInstanceUID, mine: list[Version]) -> Receipt:
            wanted = [version for version in mine if legal_hold(self._bucket, version) != (status == "ON")]
            for version in wanted:
                self._put("put_object_legal_hold", version, LegalHold={"Status": status})
            return _receipt(uid, changed=bool(wanted))

        return self._each(manifest, switch)

    def retain(self, study: StudyRef, manifest: Manifest, until: dt.datetime) -> Iterator[_Answer]:
        """Let nobody delete any version of an instance before ``until``; later dates stay.

        A version keeps its mode. One without gets that of the settings, or governance.

        Raises:
            ArchiveError: the bucket has no Object Lock, or does not let us.
        """
        self._require_lock()
        locks = self._bucket.settings.object_lock
        mode = "GOVERNANCE" if locks == "none" else locks.upper()

        def extend(uid: SOPInstanceUID, mine: list[Version]) -> Receipt:
            changed = False
            for version in mine:
                kept = retention(self._bucket, version)
                if kept is None or kept.until < until:
                    wanted = {"Mode": mode if kept is None else kept.mode, "RetainUntilDate": until}
                    self._put("put_object_retention", version, Retention=wanted)
                    changed = True
            return _receipt(uid, changed=changed)

        return self._each(manifest, extend)

    def _put(
        self, operation: Literal["put_object_legal_hold", "put_object_retention"], version: Version, **more: Any
    ) -> None:
        bucket = self._bucket
        call = getattr(bucket.client, operation)
        bucket.attempt(
            lambda: call(
                Bucket=bucket.name,
                Key=bucket.key(version.key),
                VersionId=version.id,
                ChecksumAlgorithm="SHA256",
                **more,
            )
        )

    def _require_lock(self) -> None:
        if not has_lock(self._bucket):
            message = (
                f"{self._bucket.archive}: the bucket {self._bucket.name} has no Object Lock, so it can hold nothing"
            )
            raise ArchiveError(message, archive=self._bucket.archive, hint="enable Object Lock on the bucket")


def _receipt(uid: SOPInstanceUID, *, changed: bool) -> Receipt:
    return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED if changed else Outcome.ALREADY_PRESENT)
