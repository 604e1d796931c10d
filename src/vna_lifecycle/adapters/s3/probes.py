"""What a bucket was seen to do: versions, locks, rules that take objects away or hide them, encryption, conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3.bucket import ARCHIVED, Bucket
from vna_lifecycle.adapters.s3.holdings import Holdings
from vna_lifecycle.adapters.s3.layout import MARKER, marker_bytes
from vna_lifecycle.adapters.s3.upload import checksum_of, hash_bytes
from vna_lifecycle.adapters.s3.uploads import open_uploads
from vna_lifecycle.errors import ArchiveRefused
from vna_lifecycle.ports import Observation

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import LifecycleRuleOutputTypeDef

_UNKNOWN: Final = "not allowed to look"
_ABSENT: Final = (
    "NoSuchLifecycleConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NotImplemented",
    "MethodNotAllowed",
)


class Probing:
    """The asking side of a bucket. Nothing is changed; what we may not ask is told as such."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._bucket = holdings.bucket

    def probe(self) -> Iterator[Observation]:
        """Tell what the bucket answers.

        Raises:
            ArchiveError: nobody answers.
        """
        yield from self._tell("versioning", self._versioning)
        yield from self._tell("object-lock", self._object_lock)
        yield from self._tell("encryption", self._encryption)
        yield from self._tell("conditional-writes", self._conditional_writes)
        yield from self._tell("open-uploads", lambda: str(sum(1 for _ in open_uploads(self._bucket, ""))))
        yield from self._rules()
        yield from self._obstacle()

    def _tell(self, name: str, ask: Callable[[], str]) -> Iterator[Observation]:
        try:
            yield Observation(name=name, value=ask())
        except ArchiveRefused:
            yield Observation(name=name, value=_UNKNOWN)

    def _versioning(self) -> str:
        bucket = self._bucket
        return bucket.attempt(lambda: bucket.client.get_bucket_versioning(Bucket=bucket.name)).get("Status", "off")

    def _object_lock(self) -> str:
        bucket = self._bucket
        found = bucket.optional(lambda: bucket.client.get_object_lock_configuration(Bucket=bucket.name), *_ABSENT)
        if found is None:
            return "off"
        rule = found["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})
        if not rule:
            return "on, without a default retention"
        length = f"{rule['Years']} years" if "Years" in rule else f"{rule.get('Days', 0)} days"
        return f"on, {rule.get('Mode', '')} for {length}"

    def _encryption(self) -> str:
        bucket = self._bucket
        found = bucket.optional(lambda: bucket.client.get_bucket_encryption(Bucket=bucket.name), *_ABSENT)
        rules = [] if found is None else found["ServerSideEncryptionConfiguration"]["Rules"]
        names = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "") for rule in rules]
        return ", ".join(name for name in names if name) or "none"

    def _conditional_writes(self) -> str:
        """Whether the server refuses to write the store's marker as if it were not there."""
        if self._holdings.uploader.guarded:
            return "ignored"
        if not self._holdings.is_store():
            return "unknown before something is stored"
        bucket, data = self._bucket, marker_bytes()
        checksum = checksum_of(hash_bytes(data).sha256)
        try:
            bucket.attempt(
                lambda: bucket.client.put_object(
                    Bucket=bucket.name, Key=bucket.key(MARKER), Body=data, IfNoneMatch="*", ChecksumSHA256=checksum
                ),
                expected=("PreconditionFailed", "412", "InvalidRequest"),
            )
        except ClientError as error:
            return "honoured" if code_of(error) in ("PreconditionFailed", "412") else "unknown"
        return "ignored"

    def _obstacle(self) -> Iterator[Observation]:
        try:
            obstacle = self._holdings.obstacle()
        except ArchiveRefused:
            return  # who may not look at locks and versions is told so when something is stored
        if obstacle is not None:
            yield Observation(name="cannot-store", value=f"{obstacle}: {obstacle.hint}")

    def _rules(self) -> Iterator[Observation]:
        bucket = self._bucket
        try:
            found = bucket.optional(
                lambda: bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name), *_ABSENT
            )
        except ArchiveRefused:
            yield Observation(name="lifecycle-rules", value=_UNKNOWN)
            return
        rules = [] if found is None else [rule for rule in found["Rules"] if rule["Status"] == "Enabled"]
        mine = [rule for rule in rules if _reaches(rule, bucket)]
        yield Observation(name="lifecycle-rules", value=str(len(mine)))
        for rule in mine:
            for name, value in _effects(rule):
                yield Observation(name=name, value=f"rule {rule.get('ID', '(no ID)')}: {value}")


def _reaches(rule: LifecycleRuleOutputTypeDef, bucket: Bucket) -> bool:
    """Whether a rule may concern objects under our prefix; its tags and sizes are taken to fit."""
    condition = rule.get("Filter", {})
    prefix = condition.get("Prefix") or condition.get("And", {}).get("Prefix") or rule.get("Prefix", "")
    return prefix.startswith(bucket.prefix) or bucket.prefix.startswith(prefix)


def _effects(rule: LifecycleRuleOutputTypeDef) -> Iterator[tuple[str, str]]:
    """What a rule does that whoever keeps images wants to know."""
    expiration = rule.get("Expiration", {})
    if "Days" in expiration or "Date" in expiration:
        yield "lifecycle-expires", f"deletes objects, or hides them behind a marker, {_when(expiration)}"
    noncurrent: dict[str, Any] = dict(rule.get("NoncurrentVersionExpiration", {}))
    if noncurrent:
        yield "lifecycle-expires-versions", f"deletes earlier versions after {noncurrent.get('NoncurrentDays', 0)} days"
    for transition in rule.get("Transitions", ()):
        if transition.get("StorageClass") in ARCHIVED:
            yield "lifecycle-archives", f"moves objects to {transition.get('StorageClass')} {_when(transition)}"


def _when(part: Any) -> str:
    return f"after {part['Days']} days" if "Days" in part else f"on {part.get('Date', 'a date')}"
