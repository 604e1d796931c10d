"""Uploads in parts that were begun and not ended: noted on this machine before they begin, ended by whoever comes next.

A note is a file that its writer keeps locked. One that is not locked belongs to a process that is dead, so its upload
is ended at once; uploads of which there is no note here (another machine began them) are ended when they are a day old.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.adapters.s3.layout import OBJECTS

_logger = logging.getLogger(__name__)

_STALE: Final = dt.timedelta(days=1)


@frozen(kw_only=True)
class OpenUpload:
    """An upload that was not ended; ``key`` is relative to the prefix."""

    key: str
    upload_id: str
    begun: dt.datetime


def open_uploads(bucket: Bucket, below: str = OBJECTS) -> Iterator[OpenUpload]:
    """The uploads in parts that were begun under ``below`` and not ended.

    Raises:
        ArchiveError: they cannot be listed.
    """
    pages = bucket.client.get_paginator("list_multipart_uploads")
    listed = bucket.attempt(lambda: list(pages.paginate(Bucket=bucket.name, Prefix=bucket.key(below))))
    for page in listed:
        for item in page.get("Uploads", ()):
            key = item["Key"][len(bucket.prefix) :]
            yield OpenUpload(key=key, upload_id=item["UploadId"], begun=item["Initiated"])


def end_upload(bucket: Bucket, upload: OpenUpload) -> None:
    """Throw the parts of an upload away. It may have ended meanwhile.

    Raises:
        ArchiveError: this was not possible.
    """
    key = bucket.key(upload.key)
    bucket.optional(
        lambda: bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload.upload_id),
        "NoSuchUpload",
        "404",
    )


@contextmanager
def noted(bucket: Bucket, key: str) -> Iterator[None]:
    """Keep a note while an upload to ``key`` is under way."""
    folder = bucket.site.workspace / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix="", dir=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, key.encode())
        os.fsync(descriptor)
        yield
        Path(name).unlink()  # not when it failed: then the next sweep sees to it that nothing is left
    finally:
        os.close(descriptor)


def sweep(bucket: Bucket) -> frozenset[str]:
    """End what dead writers left, and return the keys whose uploads those were.

    Raises:
        ArchiveError: the bucket does not let us.
    """
    dead = {key: note for note in _dead_notes(bucket.site.workspace / "uploads") if (key := _read(note))}
    ended: list[str] = []
    for upload in open_uploads(bucket):
        if upload.key in dead or bucket.site.clock() - upload.begun > _STALE:
            end_upload(bucket, upload)
            ended.append(upload.key)
    for note in dead.values():
        note.unlink(missing_ok=True)
    if ended:
        _logger.warning("%s: %d uploads that a crash had left unfinished were ended", bucket.archive, len(ended))
    return frozenset(ended)


def _dead_notes(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for note in sorted(folder.iterdir()):
        try:
            descriptor = os.open(note, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its writer ended meanwhile
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield note
        finally:
            os.close(descriptor)


def _read(note: Path) -> str:
    with suppress(OSError):
        return note.read_text()
    return ""
