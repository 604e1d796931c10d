"""Putting one object into the bucket: whole, with its SHA-256 checked by the server, and never over another.

An object is sent at once, or, above a size, in parts; each request carries the SHA-256 of its body, which the server
compares before it answers. ``If-None-Match: *`` makes the server itself refuse a key that is taken.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlencode

from attrs import frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.session import ASKED_FIRST
from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.adapters.s3.settings import MIB, MOST_PARTS
from vna_lifecycle.adapters.s3.uploads import OpenUpload, end_upload, noted

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

_CHUNK: Final = 1 << 20
_STRIPES: Final = 64
TAKEN: Final = "PreconditionFailed"
_REFUSED_ITEM: Final = (
    "BadDigest",
    "EntityTooLarge",
    "InvalidDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
)
_Arguments: TypeAlias = dict[str, Any]  # of several operations, whose TypedDicts have nothing in common


@frozen(kw_only=True)
class Hashed:
    """A file's bytes by digest: of all of it, and of its parts where it goes up in several. Hexadecimal."""

    size: int
    sha256: str
    part_size: int = 0
    parts: tuple[bytes, ...] = ()

    @property
    def checksum(self) -> str:
        """The checksum that the server will show: of the object, or of its parts' checksums and how many they are."""
        if not self.parts:
            return checksum_of(self.sha256)
        return f"{_base64(hashlib.sha256(b''.join(self.parts)).digest())}-{len(self.parts)}"


class Refusal(Exception):
    """The server did not take this object, but may take others; ``code`` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Uploader:
    """Uploads into one bucket, with everything that the settings say of new objects."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.guarded = False
        """Whether the server ignores If-None-Match, so that each key is looked at before it is written."""
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    def in_parts(self, size: int) -> bool:
        """Whether an object of this size goes up in parts."""
        return size >= self._bucket.settings.multipart_threshold

    def hash_file(self, path: Path) -> Hashed:
        """Digest a file that will go up in parts.

        Raises:
            OSError: it cannot be read.
        """
        size = path.stat().st_size
        part_size = max(self._bucket.settings.part_size, _rounded(-(-size // MOST_PARTS)))
        whole = hashlib.sha256()
        parts: list[bytes] = []
        with path.open("rb") as file:
            while chunk := file.read(min(part_size, _CHUNK)):
                part, left = hashlib.sha256(), part_size
                while chunk:
                    whole.update(chunk)
                    part.update(chunk)
                    left -= len(chunk)
                    chunk = file.read(min(left, _CHUNK))
                parts.append(part.digest())
        return Hashed(size=size, sha256=whole.hexdigest(), part_size=part_size, parts=tuple(parts))

    def put(self, key: str, data: bytes, hashed: Hashed, *, plain: bool = False) -> bool:
        """Put a small object; False if the key is taken. ``plain``: without storage class and tags (a manifest).

        Raises:
            Refusal: the server does not take this object.
            ArchiveError: any other failure.
        """
        asked = self._arguments(key, plain=plain)
        asked |= {"ChecksumSHA256": hashed.checksum, "IfNoneMatch": "*"}
        if not plain:
            asked["Metadata"] = {"sha256": hashed.sha256}
        with self._guard(key) as free:
            return free and self._sent(lambda: self._put(asked, data))

    def _put(self, asked: _Arguments, data: bytes) -> None:
        if len(data) < ASKED_FIRST:
            self._bucket.direct.put(asked, data)
        else:
            self._bucket.client.put_object(**asked, Body=data)

    def put_parts(self, key: str, path: Path, hashed: Hashed) -> bool:
        """Put an object in parts; False if the key is taken. Nothing is left of an upload that fails.

        Raises:
            Refusal: the server does not take this object.
            ArchiveError: any other failure.
            OSError: the file cannot be read.
        """
        client, name = self._bucket.client, self._bucket.name
        asked = self._arguments(key, plain=False)
        asked |= {"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": hashed.sha256}}
        with self._guard(key) as free, noted(self._bucket, key):
            if not free:
                return False
            begun = self._bucket.attempt(lambda: client.create_multipart_upload(**asked))
            upload = OpenUpload(key=key, upload_id=begun["UploadId"], begun=self._bucket.site.clock())
            try:
                parts = self._parts(upload, path, hashed)
                done = self._sent(
                    lambda: client.complete_multipart_upload(
                        Bucket=name,
                        Key=self._bucket.key(key),
                        UploadId=upload.upload_id,
                        MultipartUpload={"Parts": parts},
                        IfNoneMatch="*",
                    )
                )
            except BaseException:
                end_upload(self._bucket, upload)
                raise
            if not done:
                end_upload(self._bucket, upload)
            return done

    def _parts(self, upload: OpenUpload, path: Path, hashed: Hashed) -> list[CompletedPartTypeDef]:
        """Some parts at a time: what is in memory is bounded by how many."""
        client, name, key = self._bucket.client, self._bucket.name, self._bucket.key(upload.key)

        def send(number: int, data: bytes) -> CompletedPartTypeDef:
            checksum = _base64(hashed.parts[number - 1])
            answer = self._attempt(
                lambda: client.upload_part(
                    Bucket=name,
                    Key=key,
                    UploadId=upload.upload_id,
                    PartNumber=number,
                    Body=data,
                    ChecksumSHA256=checksum,
                )
            )
            return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

        at_once = max(1, min(self._bucket.settings.concurrency, (64 * MIB) // hashed.part_size))
        waiting: list[Future[CompletedPartTypeDef]] = []
        done: list[CompletedPartTypeDef] = []
        try:
            with path.open("rb") as file:
                for number in range(1, len(hashed.parts) + 1):
                    if len(waiting) >= at_once:
                        done.append(waiting.pop(0).result())
                    waiting.append(self._bucket.pool.submit(send, number, file.read(hashed.part_size)))
            done += [future.result() for future in waiting]
        finally:
            for future in waiting:
                future.cancel()
            for future in waiting:
                if not future.cancelled():
                    future.exception()  # a part that is still on its way would outlive the end of the upload
        return done

    def _arguments(self, key: str, *, plain: bool) -> _Arguments:
        settings = self._bucket.settings
        asked: _Arguments = {"Bucket": self._bucket.name, "Key": self._bucket.key(key)}
        asked["ContentType"] = "application/x-ndjson" if plain else "application/dicom"
        if settings.encryption != "bucket-default":
            asked["ServerSideEncryption"] = settings.encryption
        if settings.kms_key_id:
            asked["SSEKMSKeyId"] = settings.kms_key_id
        if settings.object_lock != "none":
            asked["ObjectLockMode"] = settings.object_lock.upper()
            asked["ObjectLockRetainUntilDate"] = self._bucket.site.clock() + dt.timedelta(
                days=settings.object_lock_days
            )
        if plain:
            return asked
        if settings.legal_hold:
            asked["ObjectLockLegalHoldStatus"] = "ON"
        if settings.storage_class:
            asked["StorageClass"] = settings.storage_class
        if settings.tags:
            asked["Tagging"] = urlencode(dict(tag.split("=", 1) for tag in settings.tags))
        return asked

    @contextmanager
    def _guard(self, key: str) -> Iterator[bool]:
        """Where the server cannot refuse a taken key, look first, one writer of a key at a time; True if it is free."""
        if not self.guarded:
            yield True
            return
        with self._locks[hash(key) % _STRIPES]:
            yield self._bucket.head(key) is None

    def _attempt(self, call: Any) -> Any:
        try:
            return self._bucket.attempt(call, expected=(TAKEN, "412", *_REFUSED_ITEM))
        except ClientError as error:
            if code_of(error) in _REFUSED_ITEM:
                raise Refusal(code_of(error)) from None
            raise

    def _sent(self, call: Any) -> bool:
        try:
            self._attempt(call)
        except ClientError:
            return False
        return True


def checksum_of(sha256: str) -> str:
    """A SHA-256 as the server writes it."""
    return _base64(bytes.fromhex(sha256))


def hash_bytes(data: bytes) -> Hashed:
    """Digest an object that goes up at once."""
    return Hashed(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _rounded(size: int) -> int:
    return -(-size // MIB) * MIB
