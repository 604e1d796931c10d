"""Bringing objects from the bucket into the spool: several at a time, each streamed, none held in memory."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3.bucket import NOT_THIS, Bucket
from vna_lifecycle.errors import DiskFull
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Spool

_FAILURES: Final = {
    # the server's code: ours, and what it means
    "NoSuchKey": ("missing-file", "there is no object at this locator any more"),
    "NoSuchVersion": ("missing-file", "there is no such version of the object any more"),
    "InvalidObjectState": ("archived", "the object lies in an archive class; recall it before reading it"),
}


def fetch_objects(bucket: Bucket, wanted: Sequence[InstanceRecord], spool: Spool) -> Iterator[Fetched | FetchFailure]:
    """Each wanted instance as a spool file, or why it cannot be had.

    Raises:
        ArchiveError: the bucket cannot be read.
        DiskFull: the spool has no room.
    """
    running: deque[Future[Fetched | FetchFailure]] = deque()
    try:
        for record in wanted:
            if bucket.site.cancelled.is_set():
                break
            if len(running) >= bucket.settings.concurrency:
                yield running.popleft().result()
            running.append(bucket.pool.submit(_fetch, bucket, record, spool.new_file(record.size)))
        while running:
            yield running.popleft().result()
    finally:
        settle(running)


def settle(running: Sequence[Future[Fetched | FetchFailure]] | deque[Future[Fetched | FetchFailure]]) -> None:
    """Wait for what cannot be called off any more: its file belongs to a task that ends now."""
    for future in running:
        future.cancel()
    for future in running:
        if not future.cancelled():
            future.exception()


def _fetch(bucket: Bucket, record: InstanceRecord, path: Path) -> Fetched | FetchFailure:
    if any(name in (".", "..") for name in record.locator.split("/")) or not record.locator:
        return FetchFailure(record=record, code="bad-locator", message="this bucket issued no such locator")
    try:
        size = download(bucket, record.locator, path)
    except ClientError as error:
        code, message = _FAILURES.get(code_of(error), ("unreadable-file", f"it cannot be read: {code_of(error)}"))
        return FetchFailure(record=record, code=code, message=message)
    if record.size is not None and record.size != size:
        message = "the object has another size than when it was listed; take a new inventory"
        return FetchFailure(record=record, code="changed-since-listed", message=message)
    return Fetched(record=record, path=path)


def download(bucket: Bucket, key: str, path: Path) -> int:
    """Stream an object into a file, from its beginning at each attempt; how many bytes.

    Raises:
        ClientError: with one of the codes `NOT_THIS`.
        ArchiveError: the bucket cannot be read.
        DiskFull: no space is left for the file.
    """

    def stream() -> int:
        with path.open("wb") as file:
            return bucket.direct.get({"Bucket": bucket.name, "Key": bucket.key(key)}, file)

    try:
        return bucket.attempt(stream, expected=NOT_THIS)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some disk space; then resume"
            raise DiskFull("no space is left for a fetched object", path=path.parent, hint=hint) from None
        raise
