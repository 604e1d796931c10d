"""Taking back what was imported, before its wave was ever ready: out of readers' sight, with nobody else's instances.

An image set that holds nothing else is deleted. Out of one that does, the instances are taken by an update; they stay
in its earlier versions, which nobody is served: withdrawing is no destruction.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.deletion import BUSY, Deletion
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import ImageSet, Stored
from vna_lifecycle.adapters.healthimaging.retrieval import Retrieval
from vna_lifecycle.dicom.compare import compare_entries, entry_against
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Manifest, ManifestEntry, Rung
from vna_lifecycle.ports import ConflictClass, Outcome, Receipt, StoreFailure

_Answer = Receipt | StoreFailure


@define
class _Answers:
    """What is known of each instance so far: the worst counts."""

    removed: set[SOPInstanceUID] = field(factory=set)
    failed: dict[SOPInstanceUID, StoreFailure] = field(factory=dict)

    def fail(self, uid: SOPInstanceUID, code: str, message: str, **more: Any) -> None:
        self.failed[uid] = StoreFailure(sop_instance_uid=uid, code=code, message=message, **more)

    def of(self, uid: SOPInstanceUID) -> _Answer:
        if uid in self.failed:
            return self.failed[uid]
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED if uid in self.removed else Outcome.ALREADY_PRESENT)


class Withdrawal:
    """Withdraws from one data store, at the pace of ``changes_per_second``."""

    def __init__(self, access: Access, library: Library, retrieval: Retrieval) -> None:
        """All three belong to the same data store."""
        self._access = access
        self._library = library
        self._retrieval = retrieval
        self._deletion = Deletion(access, library)

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        """Take each instance of the manifest out of every image set of the study, primary or not.

        An instance is the manifest's if it is served with the manifest's bytes, or is equivalent to them.

        Raises:
            ArchiveError: the data store cannot be asked, or refuses.
        """
        wanted = {entry.sop_instance_uid: entry for entry in manifest.entries}
        answers = _Answers()
        for image_set in self._library.of_study(study.study_uid):
            if self._access.site.cancelled.is_set():
                return
            here = {stored.record.sop_instance_uid: stored for stored in self._library.contents([image_set])}
            ours = set[SOPInstanceUID]()
            for uid in here.keys() & wanted.keys():
                if self._is_ours(here[uid], wanted[uid]):
                    ours.add(uid)
                else:
                    message = "the data store holds other content under this SOP Instance UID; it stays"
                    answers.fail(uid, "conflict", message, conflict=ConflictClass.CONTENT)
            if ours:
                self._take_out(image_set, here, ours, answers)
        for entry in manifest.entries:
            yield answers.of(entry.sop_instance_uid)

    def _is_ours(self, stored: Stored, entry: ManifestEntry) -> bool:
        self._access.site.workspace.mkdir(parents=True, exist_ok=True)
        record = stored.record
        with tempfile.TemporaryDirectory(dir=self._access.site.workspace) as folder:
            path = Path(folder, "held.dcm")
            try:
                self._retrieval.download(
                    path,
                    study=record.study_uid,
                    series=record.series_uid,
                    sop_instance=record.sop_instance_uid,
                    image_set=stored.image_set,
                )
                return compare_entries(entry, entry_against(path, entry)) >= Rung.EQUIVALENT
            except (ClientError, DicomRefused):
                return False

    def _take_out(
        self,
        image_set: ImageSet,
        here: Mapping[SOPInstanceUID, Stored],
        ours: set[SOPInstanceUID],
        answers: _Answers,
    ) -> None:
        if ours == here.keys():
            self._deletion.delete(image_set.id)
            done, code = self._deletion.gone(image_set.id), "deletion-pending"
            message = "its image set is being deleted, but is not gone yet"
        else:
            done, code = self._update(image_set, here, ours), "changing"
            message = "its image set is being changed, or was changed since it was looked at"
        if done:
            answers.removed |= ours
            return
        for uid in ours:
            answers.fail(uid, code, message, transient=True)

    def _update(self, image_set: ImageSet, here: Mapping[SOPInstanceUID, Stored], ours: set[SOPInstanceUID]) -> bool:
        series: dict[str, Any] = {}
        for uid in sorted(ours):
            series.setdefault(here[uid].record.series_uid, {"Instances": {}})["Instances"][uid] = {}
        document = json.dumps({"SchemaVersion": 1.1, "Study": {"Series": series}}).encode()
        self._access.changes.wait()
        try:
            self._access.attempt(
                lambda: self._access.client.update_image_set_metadata(
                    datastoreId=self._access.datastore_id,
                    imageSetId=image_set.id,
                    latestVersionId=image_set.version,
                    updateImageSetMetadataUpdates={"DICOMUpdates": {"removableAttributes": document}},
                ),
                expected=(BUSY,),
            )
        except ClientError:
            return False
        return True
