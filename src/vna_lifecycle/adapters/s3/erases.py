"""Destroying objects for good: every version, every delete marker, unfinished uploads, and what manifests tell of them.

Versions are deleted one by one, by their IDs, so that each has a request ID in the evidence. A lifecycle rule would
leave none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import evolve
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.aws.trouble import request_id
from vna_lifecycle.adapters.s3 import manifest as manifests
from vna_lifecycle.adapters.s3.holdings import Holdings
from vna_lifecycle.adapters.s3.layout import digest_of, object_key, segment_number, study_manifests, study_objects
from vna_lifecycle.adapters.s3.remembered import Remembered
from vna_lifecycle.adapters.s3.uploads import end_upload, open_uploads
from vna_lifecycle.adapters.s3.versions import Version, has_lock, legal_hold, retention, versions, versions_by_key
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Outcome, Receipt, Remnant, StoreFailure

_Answer: TypeAlias = Receipt | StoreFailure


class Erasure:
    """The erasing side of a store."""

    def __init__(self, holdings: Holdings, remembered: Remembered) -> None:
        self._holdings = holdings
        self._bucket = holdings.bucket
        self._remembered = remembered
        self._lockable = True

    def erase(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        """Erase every version of each instance. A receipt's warnings are ``request-id:...``, one for each deletion.

        STORED means erased now, ALREADY_PRESENT that nothing was there any more. An instance of which a version is held
        stays as it is, with all of its versions.

        Raises:
            ArchiveError: the bucket does not let us. What was erased before is; call again for the rest.
        """
        self._lockable = has_lock(self._bucket)
        below = study_objects(digest_of(manifest.study_uid))
        found = versions_by_key(self._bucket, below)
        uploads = list(open_uploads(self._bucket, below))
        wanted = [entry.sop_instance_uid for entry in manifest.entries]

        def one(uid: SOPInstanceUID) -> _Answer:
            key = object_key(manifest.study_uid, uid)
            for upload in uploads:
                if upload.key == key:
                    end_upload(self._bucket, upload)
            return self._erase(uid, found.get(key, []))

        answers = list(self._bucket.pool.map(one, wanted))
        gone = {answer.sop_instance_uid for answer in answers if isinstance(answer, Receipt)}
        kept = self._forget(manifest.study_uid, gone)
        for answer in answers:
            if kept and isinstance(answer, Receipt):
                yield evolve(answer, warnings=(*answer.warnings, "manifest-kept"))
            else:
                yield answer

    def _erase(self, uid: SOPInstanceUID, mine: list[Version]) -> _Answer:
        if any(not version.marker and self._is_held(version) for version in mine):
            message = "a version of the object is under legal hold or retention; nothing of it was erased"
            return StoreFailure(sop_instance_uid=uid, code="held", message=message)
        # Versions before markers: as long as a marker is there, no earlier version comes into sight.
        requests = [self._delete(version) for version in sorted(mine, key=lambda version: version.marker)]
        if None in requests:
            message = "a version of the object was put under hold or retention at this moment"
            return StoreFailure(sop_instance_uid=uid, code="held", message=message)
        outcome = Outcome.STORED if mine else Outcome.ALREADY_PRESENT
        return Receipt(
            sop_instance_uid=uid, outcome=outcome, warnings=tuple(f"request-id:{request}" for request in requests)
        )

    def _delete(self, version: Version) -> str | None:
        """Delete a version; the request's ID, or None where a lock that came meanwhile forbids it."""
        bucket = self._bucket
        try:
            done = bucket.attempt(
                lambda: bucket.client.delete_object(
                    Bucket=bucket.name, Key=bucket.key(version.key), VersionId=version.id
                ),
                expected=("AccessDenied",),
            )
        except ClientError as error:
            if not version.marker and self._is_held(version):
                return None
            raise bucket.attempt.error(error) from None
        return request_id(done)

    def _is_held(self, version: Version) -> bool:
        if not self._lockable:
            return False
        if legal_hold(self._bucket, version):
            return True
        kept = retention(self._bucket, version)
        return kept is not None and kept.until > self._bucket.site.clock()

    def _forget(self, study_uid: StudyUID, gone: set[SOPInstanceUID]) -> bool:
        """Write the manifest anew without what is gone, and erase every version of what it was; True if some stay."""
        segments = list(versions(self._bucket, study_manifests(digest_of(study_uid))))
        if not any(gone & self._named(version) for version in segments):
            return False
        said = self._holdings.contents(study_uid)
        rest = [stored for uid, stored in said.instances.items() if uid not in gone]
        last = max(segment_number(version.key) for version in segments)
        if rest:
            self._holdings.append(study_uid, stored=rest, last=last)
        self._remembered.forget(digest_of(study_uid))
        held = [version for version in segments if not version.marker and self._is_held(version)]
        if held:
            return True
        return None in [self._delete(version) for version in sorted(segments, key=lambda version: version.marker)]

    def _named(self, version: Version) -> set[SOPInstanceUID]:
        """The instances that a version of a segment names."""
        if version.marker:
            return set()
        try:
            data = self._bucket.read(version.key, VersionId=version.id)
        except ClientError:  # gone meanwhile
            return set()
        return manifests.named(data)

    def probe(self, study: StudyRef, manifest: Manifest) -> Iterator[Remnant]:
        """Versions, delete markers and unfinished uploads of each instance, and versions of manifests that name it.

        Raises:
            ArchiveError: the bucket does not say.
        """
        below = study_objects(digest_of(manifest.study_uid))
        keys = {
            object_key(manifest.study_uid, entry.sop_instance_uid): entry.sop_instance_uid for entry in manifest.entries
        }
        for version in versions(self._bucket, below):
            if version.key in keys:
                what = "delete-marker" if version.marker else "version"
                yield Remnant(sop_instance_uid=keys[version.key], what=what, locator=version.locator)
        for upload in open_uploads(self._bucket, below):
            if upload.key in keys:
                locator = f"{upload.key}?uploadId={upload.upload_id}"
                yield Remnant(sop_instance_uid=keys[upload.key], what="upload", locator=locator)
        wanted = set(keys.values())
        for version in versions(self._bucket, study_manifests(digest_of(manifest.study_uid))):
            for uid in sorted(wanted & self._named(version)):
                yield Remnant(sop_instance_uid=uid, what="manifest-line", locator=version.locator)
