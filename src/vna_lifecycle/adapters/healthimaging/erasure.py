"""Erasing: the service deletes image sets, not instances, and does it in its own time.

An image set is deleted when every instance in it, in every version of it, is to be erased. Where others are in it too,
its instances stay and the answer says so: taking them out by an update would leave them in the versions before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.batch import uid_digest
from vna_lifecycle.adapters.healthimaging.deletion import Deletion
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import ImageSet
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Outcome, Receipt, Remnant, StoreFailure

_Answer = Receipt | StoreFailure


@frozen
class _Holding:
    """An image set that has, or had, some of the instances."""

    image_set: ImageSet
    now: frozenset[SOPInstanceUID]
    before: frozenset[SOPInstanceUID]


class Erasure:
    """Erases from a data store, and from its staging folder."""

    def __init__(self, access: Access, library: Library) -> None:
        """Both belong to the same data store."""
        self._access = access
        self._library = library
        self._deletion = Deletion(access, library)

    def erase(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        """Erase each instance: staged copies with every version, then the image sets that hold nothing else.

        Deletions keep to the pace of ``changes_per_second``. Receipts carry the service's request IDs.

        Raises:
            ArchiveError: the data store or the staging bucket cannot be asked, or refuses.
        """
        wanted = {entry.sop_instance_uid for entry in manifest.entries}
        self._erase_staged(wanted)
        requests: dict[SOPInstanceUID, list[str]] = {}
        failures: dict[SOPInstanceUID, StoreFailure] = {}
        for holding in self._holdings(study, wanted):
            if self._access.site.cancelled.is_set():
                return
            concerned = wanted & (holding.now | holding.before)
            if holding.now | holding.before <= wanted:
                request = self._deletion.delete(holding.image_set.id)
                code = "" if self._deletion.gone(holding.image_set.id) else "deletion-pending"
                message = "its image set is being deleted, but is not gone yet"
            else:
                request, code = "", "shared-image-set"
                message = "its image set holds, or held, instances that are not to be erased"
            for uid in concerned:
                requests.setdefault(uid, []).append(request)
                if code:
                    transient = code == "deletion-pending"
                    failures[uid] = StoreFailure(sop_instance_uid=uid, code=code, message=message, transient=transient)
        for entry in manifest.entries:
            uid = entry.sop_instance_uid
            if uid in failures:
                yield failures[uid]
            else:
                outcome = Outcome.STORED if uid in requests else Outcome.ALREADY_PRESENT
                told = tuple(filter(None, requests.get(uid, ())))
                yield Receipt(sop_instance_uid=uid, outcome=outcome, warnings=told)

    def probe(self, study: StudyRef, manifest: Manifest) -> Iterator[Remnant]:
        """What is left: in image sets, in earlier versions of them, and in the staging folder.

        Raises:
            ArchiveError: the data store or the staging bucket cannot be asked.
        """
        wanted = {entry.sop_instance_uid for entry in manifest.entries}
        for holding in self._holdings(study, wanted):
            for uid in sorted(wanted & holding.now):
                yield Remnant(sop_instance_uid=uid, what="image set", locator=holding.image_set.id)
            for uid in sorted(wanted & (holding.before - holding.now)):
                yield Remnant(sop_instance_uid=uid, what="earlier version", locator=holding.image_set.id)
        for uid, version in self._staged(wanted):
            locator = f"s3://{self._access.staging.name}/{version['Key']}"
            yield Remnant(sop_instance_uid=uid, what="staged copy", locator=locator)

    def _holdings(self, study: StudyRef, wanted: set[SOPInstanceUID]) -> Iterator[_Holding]:
        """The study's image sets that have, or had, any of the instances."""
        for image_set in self._library.of_study(study.study_uid):
            now = self._uids(image_set)
            before: frozenset[SOPInstanceUID] = frozenset()
            for version in self._library.versions(image_set.id)[1:]:
                before |= self._uids(evolve(image_set, version=version, earlier=True))
            if wanted & (now | before):
                yield _Holding(image_set, now, before)

    def _uids(self, image_set: ImageSet) -> frozenset[SOPInstanceUID]:
        return frozenset(stored.record.sop_instance_uid for stored in self._library.contents([image_set]))

    def _staged(self, wanted: set[SOPInstanceUID]) -> Iterator[tuple[SOPInstanceUID, Mapping[str, Any]]]:
        """Every version of every staged file of an instance. Names begin with a digest of the UID."""
        bucket = self._access.staging
        by_digest = {uid_digest(uid): uid for uid in wanted}
        pages = bucket.client.get_paginator("list_object_versions")
        listed = bucket.attempt(lambda: list(pages.paginate(Bucket=bucket.name, Prefix=bucket.key("in/"))))
        for page in listed:
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                uid = by_digest.get(version["Key"].rpartition("/")[2].partition("-")[0])
                if uid is not None:
                    yield uid, version

    def _erase_staged(self, wanted: set[SOPInstanceUID]) -> None:
        bucket = self._access.staging
        for _, version in self._staged(wanted):
            where = {"Bucket": bucket.name, "Key": version["Key"], "VersionId": version["VersionId"]}
            bucket.attempt(lambda where=where: bucket.client.delete_object(**where))  # type: ignore[misc]  # of a lambda
