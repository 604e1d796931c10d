"""Where objects lie (storage classes), moving them, and recalling them from where they cannot be read.

A move copies an object onto itself within S3. What lies in an archive class must be recalled before it can be copied.
In a bucket with versions the copy is a new version, which takes over tags, metadata and locks; the old one stays.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3.bucket import ARCHIVED, Bucket
from vna_lifecycle.adapters.s3.layout import object_key
from vna_lifecycle.adapters.s3.upload import checksum_of
from vna_lifecycle.adapters.s3.versions import Version, has_lock, legal_hold, retention
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Availability, Manifest
from vna_lifecycle.ports import Outcome, Placement, Receipt, StoreFailure, Urgency

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef, RestoreRequestTypeDef

_Answer: TypeAlias = Receipt | StoreFailure

LARGEST_COPY: Final = 5 << 30
"""Bytes that one copy takes (S3's quota)."""
_STANDARD: Final = "STANDARD"
_TIERING: Final = "INTELLIGENT_TIERING"
_DEEP: Final = frozenset({"DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS"})
_NOT_NOW: Final = ("GlacierExpeditedRetrievalNotAvailable", "ServiceUnavailable")


@frozen(kw_only=True)
class Standing:
    """How an object stands with its storage class: ``archived`` where it cannot be read without a recall.

    ``depth`` is the class that decides, which for Intelligent-Tiering is the archive tier that the object is in.
    """

    tier: str
    depth: str
    recalling: bool = False
    available_until: dt.datetime | None = None

    @property
    def archived(self) -> bool:
        """Whether it cannot be read at this moment."""
        deep = self.depth in ARCHIVED or self.depth in ("ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS")
        return deep and self.available_until is None


def standing(found: HeadObjectOutputTypeDef) -> Standing:
    """What the answer to HEAD says of an object's place; ``x-amz-restore`` is read as S3 writes it."""
    tier = str(found.get("StorageClass", _STANDARD))
    depth = str(found.get("ArchiveStatus", tier)) if tier == _TIERING else tier
    restore = found.get("Restore", "")
    expiry = re.search(r'expiry-date="([^"]+)"', restore)
    return Standing(
        tier=tier,
        depth=depth,
        recalling='ongoing-request="true"' in restore,
        available_until=parsedate_to_datetime(expiry[1]) if expiry else None,
    )


class Tiering:
    """Storage classes of a store's objects, and recalls from the archive classes."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def _each(
        self, manifest: Manifest, answer: Callable[[SOPInstanceUID, str, HeadObjectOutputTypeDef], Any]
    ) -> Iterator[Any]:
        """An answer for each instance from what HEAD says of it."""

        def ask(uid: SOPInstanceUID) -> Any:
            key = object_key(manifest.study_uid, uid)
            found = self._bucket.head(key)
            return _missing(uid) if found is None else answer(uid, key, found)

        return self._bucket.pool.map(ask, [entry.sop_instance_uid for entry in manifest.entries])

    def placements(self, study: StudyRef, manifest: Manifest) -> Iterator[Placement | StoreFailure]:
        """Storage class of each instance, and how its recall stands.

        Raises:
            ArchiveError: the bucket does not say.
        """
        return self._each(manifest, lambda uid, key, found: _placement(uid, standing(found)))

    def move(self, study: StudyRef, manifest: Manifest, tier: str) -> Iterator[_Answer]:
        """Copy each instance into the storage class ``tier``.

        Raises:
            ArchiveError: the bucket knows no such class, or does not let us.
        """
        locks = has_lock(self._bucket)
        return self._each(manifest, lambda uid, key, found: self._move(uid, key, found, tier, locks=locks))

    def _move(
        self, uid: SOPInstanceUID, key: str, found: HeadObjectOutputTypeDef, tier: str, *, locks: bool
    ) -> _Answer:
        now = standing(found)
        if now.tier == tier:
            return Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
        if now.archived:
            message = f"it lies in {now.depth}, from where it can only be copied once it was recalled"
            return StoreFailure(sop_instance_uid=uid, code="archived", message=message)
        if found["ContentLength"] > LARGEST_COPY:
            message = f"the object has more bytes than the {LARGEST_COPY:,} that one copy takes; move it by a rule"
            return StoreFailure(sop_instance_uid=uid, code="too-large", message=message)
        bucket = self._bucket
        asked: dict[str, Any] = {
            "Bucket": bucket.name,
            "Key": bucket.key(key),
            "CopySource": {"Bucket": bucket.name, "Key": bucket.key(key)},
            "CopySourceIfMatch": found["ETag"],
            "StorageClass": tier,
            "MetadataDirective": "COPY",
            "TaggingDirective": "COPY",
            "ChecksumAlgorithm": "SHA256",
            **_encryption(found),
            **(self._locks(key, found) if locks else {}),
        }
        expected = ("PreconditionFailed", "412", "InvalidStorageClass", "InvalidObjectState", "NoSuchKey")
        try:
            done = bucket.attempt(lambda: bucket.client.copy_object(**asked), expected=expected)
        except ClientError as error:
            if code_of(error) == "InvalidStorageClass":
                message = f"{bucket.archive}: the bucket {bucket.name} knows no storage class {tier}"
                hint = "such as STANDARD_IA, GLACIER_IR, GLACIER or DEEP_ARCHIVE"
                raise ArchiveError(message, archive=bucket.archive, hint=hint) from None
            message = "the object was replaced or removed while it was moved"
            return StoreFailure(sop_instance_uid=uid, code="changed-meanwhile", message=message, transient=True)
        said = done["CopyObjectResult"].get("ChecksumSHA256")
        known = found.get("Metadata", {}).get("sha256", "")
        if said and known and "-" not in said and said != checksum_of(known):
            message = "the copy has other bytes than the object had when it was stored"
            return StoreFailure(sop_instance_uid=uid, code="checksum-mismatch", message=message)
        warnings = ("previous-version-kept",) if done.get("VersionId") else ()
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED, warnings=warnings)

    def _locks(self, key: str, found: HeadObjectOutputTypeDef) -> dict[str, Any]:
        """A copy has no lock unless it is given one."""
        version = Version(key=key, id=found.get("VersionId", "null"), latest=True, marker=False)
        asked: dict[str, Any] = {}
        if legal_hold(self._bucket, version):
            asked["ObjectLockLegalHoldStatus"] = "ON"
        kept = retention(self._bucket, version)
        if kept is not None and kept.until > self._bucket.site.clock():
            asked |= {"ObjectLockMode": kept.mode, "ObjectLockRetainUntilDate": kept.until}
        return asked

    def recall(self, study: StudyRef, manifest: Manifest, *, days: int, urgency: Urgency) -> Iterator[_Answer]:
        """Ask for a readable copy of each instance for ``days`` days; one that is there is kept for so long.

        Raises:
            ArchiveError: the bucket does not let us.
        """
        return self._each(manifest, lambda uid, key, found: self._recall(uid, key, standing(found), days, urgency))

    def _recall(self, uid: SOPInstanceUID, key: str, now: Standing, days: int, urgency: Urgency) -> _Answer:
        wanted = self._bucket.site.clock() + dt.timedelta(days=days)
        if not now.archived and (now.available_until is None or now.available_until >= wanted):
            return Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
        if now.recalling:
            return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED, warnings=("already-asked",))
        if urgency is Urgency.EXPEDITED and now.depth in _DEEP:
            message = f"nothing comes back from {now.depth} in minutes; ask for 'standard' (12 h) or 'bulk' (48 h)"
            return StoreFailure(sop_instance_uid=uid, code="urgency-unavailable", message=message)
        asked: RestoreRequestTypeDef = {"GlacierJobParameters": {"Tier": _SPEEDS[urgency]}}
        if now.tier != _TIERING:  # from there it comes back for good
            asked["Days"] = days
        bucket = self._bucket
        try:
            bucket.attempt(
                lambda: bucket.client.restore_object(Bucket=bucket.name, Key=bucket.key(key), RestoreRequest=asked),
                expected=("RestoreAlreadyInProgress", *_NOT_NOW),
            )
        except ClientError as error:
            if code_of(error) in _NOT_NOW:
                message = "the server has no capacity for expedited recalls at this moment"
                return StoreFailure(sop_instance_uid=uid, code="urgency-unavailable", message=message, transient=True)
            return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED, warnings=("already-asked",))
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED if now.archived else Outcome.ALREADY_PRESENT)


def _placement(uid: SOPInstanceUID, now: Standing) -> Placement:
    return Placement(
        sop_instance_uid=uid,
        tier=now.tier,
        availability=Availability.NEARLINE if now.archived else Availability.ONLINE,
        recalling=now.recalling,
        available_until=now.available_until,
    )


def _encryption(found: HeadObjectOutputTypeDef) -> dict[str, str]:
    """A copy is encrypted as the object was."""
    asked = {"ServerSideEncryption": str(found.get("ServerSideEncryption", ""))}
    asked["SSEKMSKeyId"] = found.get("SSEKMSKeyId", "")
    return {name: value for name, value in asked.items() if value}


def _missing(uid: SOPInstanceUID) -> StoreFailure:
    return StoreFailure(sop_instance_uid=uid, code="missing-file", message="there is no object of this instance")


_SPEEDS: Final[dict[Urgency, Any]] = {
    Urgency.EXPEDITED: "Expedited",
    Urgency.STANDARD: "Standard",
    Urgency.BULK: "Bulk",
}
