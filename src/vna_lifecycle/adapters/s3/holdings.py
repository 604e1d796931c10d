"""What a store in a bucket holds: objects and manifests, kept in step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from attrs import evolve
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.s3 import manifest
from vna_lifecycle.adapters.s3.bucket import Bucket, Listed
from vna_lifecycle.adapters.s3.layout import (
    MANIFESTS,
    MARKER,
    OBJECTS,
    digest_of,
    is_marker,
    marker_bytes,
    object_key,
    segment_key,
    segment_number,
    study_digest_of,
    study_manifests,
    study_objects,
)
from vna_lifecycle.adapters.s3.manifest import Contents, StoredInstance
from vna_lifecycle.adapters.s3.ranged import scan_object
from vna_lifecycle.adapters.s3.upload import Refusal, Uploader, hash_bytes
from vna_lifecycle.adapters.s3.uploads import sweep
from vna_lifecycle.adapters.s3.versions import has_lock, versions
from vna_lifecycle.errors import ArchiveError, ArchiveReadOnly, ArchiveRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused

_logger = logging.getLogger(__name__)


class Holdings:
    """The store under one prefix, shared by its reading, writing, withdrawing and governing sides."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.uploader = Uploader(bucket)
        self._is_store = False
        self._writing = False
        self._ended: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def is_store(self) -> bool:
        """Whether there is a store of a layout that this version can read.

        Raises:
            ArchiveError: it is one of a newer version, or its marker is damaged.
        """
        if not self._is_store:
            try:
                data = self.bucket.read(MARKER)
            except ClientError:
                return False
            if not is_marker(data):
                raise ArchiveError(
                    f"{self.bucket.archive}: {MARKER} is damaged or of another version",
                    archive=self.bucket.archive,
                    hint="use the version that wrote the store, or restore the marker",
                )
            self._is_store = True
        return True

    def begin_writing(self) -> None:
        """See that the bucket can keep what the settings promise, begin the store, and end what a crash left.

        Raises:
            ArchiveReadOnly: something else is under the prefix.
            ArchiveError: the bucket lacks versions or locks that the settings need, or does not let us.
        """
        with self._lock:
            if self._writing:
                return
            if (obstacle := self.obstacle()) is not None:
                raise obstacle
            self._mark()
            self._ended = sweep(self.bucket)
            self._writing = self._is_store = True

    def take_ended(self) -> frozenset[str]:
        """The keys whose uploads were ended as a crash had left them unfinished; told once."""
        with self._lock:
            ended, self._ended = self._ended, frozenset()
            return ended

    def _mark(self) -> None:
        """Write the marker as if it were not there. A server that lets us do so twice overwrites what it has."""
        data = marker_bytes()
        hashed = hash_bytes(data)
        if self.uploader.put(MARKER, data, hashed, plain=True) and self.uploader.put(MARKER, data, hashed, plain=True):
            self.uploader.guarded = True
            _logger.warning(
                "%s: the server ignores If-None-Match; each key is looked at before it is written, which does not "
                "protect it from other writers",
                self.bucket.archive,
            )

    def obstacle(self) -> ArchiveError | None:
        """Why nothing is stored here: no locks or versions, though the settings need them, or others' objects.

        Raises:
            ArchiveError: the bucket does not let us ask.
        """
        settings, client, name = self.bucket.settings, self.bucket.client, self.bucket.name
        locks = settings.object_lock != "none" or settings.legal_hold
        if locks and not has_lock(self.bucket):
            return self._lacking("Object Lock", "object_lock and legal_hold", "enable Object Lock on the bucket")
        if settings.require_versions:
            status = self.bucket.attempt(lambda: client.get_bucket_versioning(Bucket=name)).get("Status")
            if status != "Enabled":
                return self._lacking("versioning", "require_versions", "enable versioning on the bucket")
        if not self.is_store() and next(self.bucket.listing(), None) is not None:
            message = f"{self.bucket.archive}: other things are under the prefix, so nothing is stored there"
            hint = "choose an empty prefix, or a store that this program wrote"
            return ArchiveReadOnly(message, archive=self.bucket.archive, hint=hint)
        return None

    def _lacking(self, what: str, setting: str, hint: str) -> ArchiveError:
        message = f"{self.bucket.archive}: the bucket {self.bucket.name} has no {what}, which {setting} needs"
        return ArchiveError(message, archive=self.bucket.archive, hint=f"{hint}, or change the setting")

    def segments(self, study_digest: str) -> list[Listed]:
        """The segments of a study's manifest, in their order."""
        return [item for item in self.bucket.listing(study_manifests(study_digest)) if segment_number(item.key)]

    def contents(self, study_uid: StudyUID) -> Contents:
        """What a study's manifest says; empty where there is none."""
        return self.read_segments(self.segments(digest_of(study_uid)))

    def read_segments(self, segments: Iterable[Listed]) -> Contents:
        """Read and fold segments. One that went away since it was listed counts as damaged."""
        found: list[tuple[int, bytes]] = []
        gone = 0
        for item in segments:
            try:
                found.append((segment_number(item.key), self.bucket.read(item.key)))
            except ClientError:
                gone += 1
        contents = manifest.read(found)
        return evolve(contents, damaged=contents.damaged + gone)

    def append(
        self,
        study_uid: StudyUID,
        *,
        stored: Sequence[StoredInstance] = (),
        withdrawn: Sequence[SOPInstanceUID] = (),
        last: int = 0,
    ) -> int:
        """Add a segment to a study's manifest, after ``last`` or whatever others have added; its number.

        Raises:
            ArchiveError: it is not durable.
        """
        data = manifest.to_bytes(stored, withdrawn)
        hashed = hash_bytes(data)
        study = digest_of(study_uid)
        while True:
            last += 1
            try:
                if self.uploader.put(segment_key(study, last), data, hashed, plain=True):
                    return last
            except Refusal as refusal:
                message = f"{self.bucket.archive}: a manifest was refused ({refusal.code})"
                raise ArchiveError(message, archive=self.bucket.archive) from None
            last = max((segment_number(item.key) for item in self.segments(study)), default=last)

    def manifests(self) -> Iterator[tuple[str, list[Listed]]]:
        """The digest of every study that has a manifest, and its segments, by digest."""
        return self._grouped(MANIFESTS, "", "")

    def studies(self, after: str = "", last: str = "") -> Iterator[tuple[str, list[Listed], list[Listed]]]:
        """Each study's digest, segments and objects, by digest: those after ``after``, up to ``last`` (``""``: all)."""
        manifests = self._grouped(MANIFESTS, after, last)
        objects = self._grouped(OBJECTS, after, last)
        segments, found = next(manifests, None), next(objects, None)
        while segments or found:
            study = min(item[0] for item in (segments, found) if item)
            mine = segments[1] if segments and segments[0] == study else []
            theirs = found[1] if found and found[0] == study else []
            yield study, mine, theirs
            if mine:
                segments = next(manifests, None)
            if theirs:
                found = next(objects, None)

    def _grouped(self, tree: str, after: str, last: str) -> Iterator[tuple[str, list[Listed]]]:
        begin = f"{tree}{after[:2]}/{after}/~" if after else ""  # "~" comes after everything in a study's folder
        end = f"{tree}{last[:2]}/{last}/~" if last else None
        for study, items in groupby(
            self.bucket.listing(tree, after=begin, last=end), lambda item: study_digest_of(item.key)
        ):
            if study:
                yield study, list(items)

    def present(self, contents: Contents, objects: Iterable[Listed]) -> Iterator[InstanceRecord | Refused]:
        """What a study has: listed objects with the attributes of their manifest lines, or of their own headers."""
        by_key = {object_key(item.record.study_uid, uid): item for uid, item in contents.instances.items()}
        for item in objects:
            stored = by_key.pop(item.key, None)
            if stored is not None:
                yield located(stored.record, item)
            else:  # a crash came between the object and its line
                yield self._unlisted(item)
        for key in sorted(by_key):
            yield self._missing(key)

    def _unlisted(self, item: Listed) -> InstanceRecord | Refused:
        found = scan_object(self.bucket, item)
        if isinstance(found, InstanceRecord) and object_key(found.study_uid, found.sop_instance_uid) != item.key:
            reason = "the object is not where its UIDs put it"
            return Refused(locator=item.key, code="uid-mismatch", reason=reason, size=item.size)
        return found

    def _missing(self, key: str) -> Refused:
        try:
            hidden = any(version.marker and version.latest for version in versions(self.bucket, key))
        except ArchiveRefused:  # a reading role need not be allowed to list versions
            hidden = False
        if hidden:
            reason = "somebody put a delete marker over an object that the manifest names; its versions are still there"
            return Refused(locator=key, code="delete-marker", reason=reason)
        return Refused(locator=key, code="missing-file", reason="the manifest names an object that is not there")

    def study(self, study_uid: StudyUID) -> Iterator[InstanceRecord | Refused]:
        """Everything of one study."""
        objects = list(self.bucket.listing(study_objects(digest_of(study_uid))))
        return self.present(self.contents(study_uid), objects)


def located(record: InstanceRecord, item: Listed) -> InstanceRecord:
    """A record as the bucket lists it now."""
    return evolve(record, locator=item.key, size=item.size, availability=item.availability)


def is_gone(error: ClientError) -> bool:
    """Whether there is no such object."""
    return code_of(error) in ("NoSuchKey", "404", "NoSuchVersion")
