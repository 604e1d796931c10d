"""One bucket, or what is under a prefix of it: its client, its calls, and keys relative to the prefix."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen
from botocore.exceptions import BotoCoreError, ClientError

from vna_lifecycle.adapters.aws.attempts import Attempts
from vna_lifecycle.adapters.aws.session import open_s3
from vna_lifecycle.adapters.aws.trouble import status_of
from vna_lifecycle.adapters.s3.direct import Direct
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.errors import ArchiveError, ArchiveRefused
from vna_lifecycle.model.inventory import Availability
from vna_lifecycle.ports import Site

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes whose objects cannot be read before they are restored."""

NOT_THIS: Final = ("NoSuchKey", "NoSuchVersion", "PreconditionFailed", "412", "InvalidObjectState", "InvalidRange")
"""Answers about one object rather than about the bucket: gone, replaced, archived."""

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Listed:
    """An object as a listing tells it; ``key`` is relative to the prefix.

    ``recalling`` and ``available_until`` are what the listing says of a restored copy.
    """

    key: str
    size: int
    etag: str
    storage_class: str
    recalling: bool = False
    available_until: dt.datetime | None = None

    @property
    def availability(self) -> Availability:
        """What a reader may expect (0008,0056)."""
        archived = self.storage_class in ARCHIVED and self.available_until is None
        return Availability.NEARLINE if archived else Availability.ONLINE


class Bucket:
    """The bucket that the settings name."""

    def __init__(self, settings: S3Settings, site: Site) -> None:
        """Make a client; nothing is sent yet."""
        self.settings = settings
        self.site = site
        self.archive = site.name
        self.name = settings.bucket
        self.prefix = settings.prefix
        self.attempt = Attempts(
            archive=site.name,
            place=f"the bucket {settings.bucket}",
            owner=settings.expected_bucket_owner,
            limit=settings.max_attempts,
        )
        self.client: S3Client = self.attempt(lambda: open_s3(settings, site.secret))
        self.direct = self.attempt(lambda: Direct(self.client, settings.bucket))
        if settings.expected_bucket_owner:
            self.client.meta.events.register("before-parameter-build.s3", self._expect_owner)
        self._pool_lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def _expect_owner(self, params: dict[str, Any], model: Any, **_: object) -> None:
        """Every call that can says whose bucket it must be."""
        for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
            if name in model.input_shape.members:
                params.setdefault(name, self.settings.expected_bucket_owner)

    def key(self, relative: str) -> str:
        """A key as the server has it."""
        return f"{self.prefix}{relative}"

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for calls at the same time, as many as ``concurrency`` says. No task in it may wait for another."""
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="s3")
            return self._pool

    def close(self) -> None:
        """End the threads and the connections."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None
        self.client.close()

    def check(self) -> None:
        """See that the bucket is there, in this region, and may be listed.

        Raises:
            ArchiveUnreachable: it is not there, or nobody answers.
            ArchiveRefused: wrong region, wrong owner, or no permission.
        """
        try:
            self.attempt(lambda: self.client.head_bucket(Bucket=self.name), expected=("400", "403"))
        except ClientError as error:
            raise self._denied(error) from None

    def _denied(self, error: ClientError) -> ArchiveError:
        """Tell a bucket of somebody else from a permission that is missing: without the condition it would answer.

        An answer to HEAD has no words (RFC 9110 9.3.2), so the same permission is asked for in a way that has.
        """
        owner = self.settings.expected_bucket_owner
        if owner and status_of(error) == 403:
            self.client.meta.events.unregister("before-parameter-build.s3", self._expect_owner)
            try:
                self.client.head_bucket(Bucket=self.name)
            except (BotoCoreError, ClientError):
                _logger.debug("the bucket refuses without the condition too")
            else:
                message = f"{self.archive}: the bucket {self.name} does not belong to the account {owner}"
                hint = "check the bucket's name and expected_bucket_owner; nothing was sent to it"
                return ArchiveRefused(message, archive=self.archive, hint=hint)
            finally:
                self.client.meta.events.register("before-parameter-build.s3", self._expect_owner)
        try:
            self.client.list_objects_v2(Bucket=self.name, Prefix=self.prefix, MaxKeys=1)
        except (BotoCoreError, ClientError) as worded:
            return self.attempt.error(worded)
        return self.attempt.error(error)

    def listing(self, below: str = "", *, after: str = "", last: str | None = None) -> Iterator[Listed]:
        """The objects whose keys begin with ``below``, in the server's order: those after ``after``, up to ``last``."""
        asked: dict[str, Any] = {"Bucket": self.name, "Prefix": self.key(below)}
        asked["OptionalObjectAttributes"] = ["RestoreStatus"]
        if after:
            asked["StartAfter"] = self.key(after)
        while True:
            page = self.attempt(lambda: self.client.list_objects_v2(**asked))
            for item in page.get("Contents", ()):
                key = item["Key"][len(self.prefix) :]
                if last is not None and key > last:
                    return
                restore = item.get("RestoreStatus", {})
                yield Listed(
                    key=key,
                    size=item["Size"],
                    etag=item["ETag"],
                    storage_class=item.get("StorageClass", "STANDARD"),
                    recalling=restore.get("IsRestoreInProgress", False),
                    available_until=restore.get("RestoreExpiryDate"),
                )
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def read(self, relative: str, **more: Any) -> bytes:
        """A small object's bytes.

        Raises:
            ClientError: with one of the codes `NOT_THIS`.
            ArchiveError: any other failure.
        """

        def get() -> bytes:
            with closing(self.client.get_object(Bucket=self.name, Key=self.key(relative), **more)["Body"]) as body:
                return body.read()

        return self.attempt(get, expected=NOT_THIS)

    def head(self, relative: str) -> HeadObjectOutputTypeDef | None:
        """What the server says of an object, its checksum included; None where it is not there.

        Raises:
            ArchiveError: the server does not say.
        """
        key = self.key(relative)
        return self.optional(lambda: self.client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED"), "404")

    def optional(self, call: Callable[[], _T], *absent: str) -> _T | None:
        """What ``call`` returns, None where it answers with one of the codes that mean that there is no such thing."""
        try:
            return self.attempt(call, expected=absent)
        except ClientError:
            return None
