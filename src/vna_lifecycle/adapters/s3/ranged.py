"""Headers of objects in a bucket, read by ranges: a few kilobytes of each, unless its structure asks for more."""

from __future__ import annotations

import tempfile
from contextlib import closing
from typing import Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3.bucket import ARCHIVED, NOT_THIS, Bucket, Listed
from vna_lifecycle.dicom.limits import LIMITS
from vna_lifecycle.dicom.scan import scan, scan_stream
from vna_lifecycle.dicom.source import Source
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.inventory import InstanceRecord, Refused

_FIRST: Final = 64 << 10
_BLOCK: Final = 256 << 10
_RANGES: Final = 12  # after so many, one download is cheaper
_CHUNK: Final = 1 << 20


class _TooScattered(Exception):
    """The header is in so many places that the whole object shall be read instead."""


class _Ranges:
    """An object's bytes by range; the last block is kept. An object that was replaced meanwhile is noticed."""

    def __init__(self, bucket: Bucket, item: Listed) -> None:
        self._bucket = bucket
        self._item = item
        self._begin = 0
        self._block = b""
        self._asked = 0

    def __call__(self, offset: int, length: int) -> bytes:
        length = min(length, self._item.size - offset)
        if length <= 0:
            return b""
        if not (self._begin <= offset and offset + length <= self._begin + len(self._block)):
            self._asked += 1
            if self._asked > _RANGES:
                raise _TooScattered
            end = min(self._item.size, offset + max(length, _BLOCK if offset else _FIRST))
            self._block = self._bucket.read(self._item.key, Range=f"bytes={offset}-{end - 1}", IfMatch=self._item.etag)
            self._begin = offset
        return self._block[offset - self._begin : offset - self._begin + length]


def scan_object(bucket: Bucket, item: Listed) -> InstanceRecord | Refused:
    """The index attributes of an object, or why there are none.

    Raises:
        ArchiveError: the bucket cannot be read.
    """
    if item.storage_class in ARCHIVED and item.available_until is None:
        return _refused(item, "archived", f"it lies in the class {item.storage_class}; recall it before reading it")
    try:
        try:
            ranges = _Ranges(bucket, item)
            return scan(Source(ranges, item.size, ranges(0, min(item.size, _FIRST))), item.key, LIMITS)
        except _TooScattered:
            return _scan_whole(bucket, item)
    except DicomRefused as refusal:
        return _refused(item, refusal.code, str(refusal), refusal.offset)
    except ClientError as error:
        if code_of(error) == "InvalidObjectState":
            return _refused(item, "archived", "it lies in an archive class; recall it before reading it")
        return _refused(item, "changed-meanwhile", "the object was replaced or removed while it was read")


def _scan_whole(bucket: Bucket, item: Listed) -> InstanceRecord:
    with tempfile.TemporaryFile(dir=bucket.site.workspace) as file:

        def download() -> None:
            file.seek(0)
            file.truncate()
            answer = bucket.client.get_object(Bucket=bucket.name, Key=bucket.key(item.key), IfMatch=item.etag)
            with closing(answer["Body"]) as body:
                for chunk in body.iter_chunks(_CHUNK):
                    file.write(chunk)

        bucket.attempt(download, expected=NOT_THIS)
        return scan_stream(file, locator=item.key)


def _refused(item: Listed, code: str, reason: str, offset: int = 0) -> Refused:
    return Refused(locator=item.key, code=code, reason=reason, offset=offset, size=item.size)
