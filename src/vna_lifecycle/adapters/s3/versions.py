"""Every version and delete marker of objects: what a plain listing does not show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import groupby
from typing import Final, Literal

from attrs import frozen

from vna_lifecycle.adapters.s3.bucket import Bucket

_NO_LOCK: Final = (
    "InvalidRequest",  # the bucket has no Object Lock
    "MethodNotAllowed",  # the server knows none
    "NotImplemented",
    "NoSuchObjectLockConfiguration",
    "NoSuchObjectLegalHold",
    "ObjectLockConfigurationNotFoundError",
)


@frozen(kw_only=True)
class Version:
    """A version of an object, or a delete marker; ``key`` is relative to the prefix.

    ``id`` is ``null`` in a bucket that never kept versions.
    """

    key: str
    id: str
    latest: bool
    marker: bool

    @property
    def locator(self) -> str:
        """What names it in evidence."""
        return f"{self.key}?versionId={self.id}"


@frozen(kw_only=True)
class Retention:
    """Until when nobody may delete a version, and how strictly."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    until: dt.datetime


def versions(bucket: Bucket, below: str) -> Iterator[Version]:
    """All versions and markers of the objects whose keys begin with ``below``.

    Raises:
        ArchiveError: they cannot be listed.
    """
    pages = bucket.client.get_paginator("list_object_versions")
    listed = bucket.attempt(lambda: list(pages.paginate(Bucket=bucket.name, Prefix=bucket.key(below))))
    for page in listed:
        for item in page.get("Versions", ()):
            key = item["Key"][len(bucket.prefix) :]
            yield Version(key=key, id=item["VersionId"], latest=item["IsLatest"], marker=False)
        for marker in page.get("DeleteMarkers", ()):
            key = marker["Key"][len(bucket.prefix) :]
            yield Version(key=key, id=marker["VersionId"], latest=marker["IsLatest"], marker=True)


def versions_by_key(bucket: Bucket, below: str) -> dict[str, list[Version]]:
    """As `versions`, by key."""
    found = sorted(versions(bucket, below), key=lambda version: version.key)
    return {key: list(items) for key, items in groupby(found, lambda version: version.key)}


def has_lock(bucket: Bucket) -> bool:
    """Whether the bucket can lock its objects.

    Raises:
        ArchiveError: it does not say.
    """
    found = bucket.optional(lambda: bucket.client.get_object_lock_configuration(Bucket=bucket.name), *_NO_LOCK)
    return found is not None and found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled"


def legal_hold(bucket: Bucket, version: Version) -> bool:
    """Whether a version is under legal hold.

    Raises:
        ArchiveError: it does not say, for lack of permission, say: that is never taken for "no".
    """
    found = bucket.optional(
        lambda: bucket.client.get_object_legal_hold(
            Bucket=bucket.name, Key=bucket.key(version.key), VersionId=version.id
        ),
        *_NO_LOCK,
    )
    return found is not None and found.get("LegalHold", {}).get("Status") == "ON"


def retention(bucket: Bucket, version: Version) -> Retention | None:
    """A version's retention, None where it has none.

    Raises:
        ArchiveError: it does not say.
    """
    found = bucket.optional(
        lambda: bucket.client.get_object_retention(
            Bucket=bucket.name, Key=bucket.key(version.key), VersionId=version.id
        ),
        *_NO_LOCK,
    )
    said = {} if found is None else found.get("Retention", {})
    if "Mode" not in said or "RetainUntilDate" not in said:
        return None
    return Retention(mode=said["Mode"], until=said["RetainUntilDate"])
