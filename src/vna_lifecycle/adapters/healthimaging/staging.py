"""Staging: each instance is looked at, compared with what the data store holds, and put where the job will find it."""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from attrs import frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.batch import BatchFolder, Entry, Fate, file_name, token_of
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import Stored
from vna_lifecycle.adapters.healthimaging.retrieval import Retrieval
from vna_lifecycle.adapters.s3.upload import Hashed, Refusal, Uploader
from vna_lifecycle.dicom.compare import conflict_class
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.ports import Batch, ConflictClass, Fetched, Staged, StoreFailure

_CHUNK: Final = 1 << 20
_RECENT: Final = 60.0  # seconds; what comes there after a look at a study, its job would meet all the same
_Answer = Staged | StoreFailure


@frozen
class _Settled:
    """What became of an instance at staging."""

    answer: _Answer
    entry: Entry | None


class Stager:
    """Stages into the staging folder."""

    def __init__(self, access: Access, library: Library, retrieval: Retrieval) -> None:
        """All three belong to the same data store."""
        self._access = access
        self._library = library
        self._retrieval = retrieval
        self._uploader = Uploader(access.staging)

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[_Answer]:
        """Stage a study's instances; answers come when all lie there and the record of it is kept."""
        folder = BatchFolder(self._access, token_of(batch, self._access.datastore_id))
        submitted = folder.plan()
        if submitted is not None:
            return iter(_again(folder, submitted, instances))
        held: dict[SOPInstanceUID, list[Stored]] = {}
        for stored in self._library.contents(self._library.of_study(study.study_uid, within=_RECENT)):
            held.setdefault(stored.record.sop_instance_uid, []).append(stored)
        settled = list(self._settle(folder, held, instances))
        folder.record(study.study_uid, [one.entry for one in settled if one.entry is not None])
        return iter([one.answer for one in settled])

    def _settle(
        self, folder: BatchFolder, held: Mapping[SOPInstanceUID, list[Stored]], instances: Sequence[Fetched]
    ) -> Iterator[_Settled]:
        running: deque[Future[_Settled]] = deque()
        try:
            for item in instances:
                if self._access.site.cancelled.is_set():
                    break
                if len(running) >= self._access.settings.concurrency:
                    yield running.popleft().result()
                present = held.get(item.record.sop_instance_uid, [])
                running.append(self._access.staging.pool.submit(self._one, folder, present, item))
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()

    def _one(self, folder: BatchFolder, held: Sequence[Stored], item: Fetched) -> _Settled:
        uid = item.record.sop_instance_uid
        try:
            found = scan_file(item.path, locator="")
        except DicomRefused as refusal:
            return _refused(uid, refusal.code, str(refusal))
        if found.sop_instance_uid != uid:
            return _refused(uid, "uid-mismatch", "the file has another SOP Instance UID than its record")
        size = item.path.stat().st_size
        if size > self._access.settings.max_bytes_per_file:
            return _refused(uid, "too-large", "the file is over the size that an import job takes")
        fate, conflict = self._fate(held, item)
        sha256 = _sha256(item.path)
        entry = Entry(uid=uid, name=file_name(uid, sha256), size=size, fate=fate, conflict=conflict)
        if fate is Fate.IMPORT:
            try:
                self._upload(f"{folder.input}{entry.name}", item.path, size, sha256)
            except Refusal as refusal:
                return _refused(uid, "not-staged", f"the staging bucket does not take it: {refusal.code}")
        location = f"{folder.input_uri}{entry.name}" if fate is Fate.IMPORT else ""
        return _Settled(Staged(sop_instance_uid=uid, location=location), entry)

    def _fate(self, held: Sequence[Stored], item: Fetched) -> tuple[Fate, ConflictClass | None]:
        """What is there of an instance. The service would not notice that it has it: importing again makes a second."""
        conflict: ConflictClass | None = None
        for stored in sorted(held, key=lambda one: not one.primary):
            found = self._compare(stored, item)
            if found is ConflictClass.ENCODING:
                return (Fate.PRESENT if stored.primary else Fate.ASIDE), None
            conflict = conflict or found
        return (Fate.CONFLICT, conflict) if conflict else (Fate.IMPORT, None)

    def _compare(self, stored: Stored, item: Fetched) -> ConflictClass | None:
        """How what is there differs; ENCODING where it is the same, None where it is gone."""
        self._access.site.workspace.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._access.site.workspace) as folder:
            path = Path(folder, "held.dcm")
            record = stored.record
            try:
                self._retrieval.download(
                    path,
                    study=record.study_uid,
                    series=record.series_uid,
                    sop_instance=record.sop_instance_uid,
                    image_set=stored.image_set,
                )
                return conflict_class(item.path, path)
            except ClientError:
                return None
            except DicomRefused:
                return ConflictClass.CONTENT

    def _upload(self, key: str, path: Path, size: int, sha256: str) -> None:
        """The key names the bytes: if it is taken, they are there."""
        if self._uploader.in_parts(size):
            self._uploader.put_parts(key, path, self._uploader.hash_file(path))
        else:
            self._uploader.put(key, path.read_bytes(), Hashed(size=size, sha256=sha256))


def _again(folder: BatchFolder, submitted: Sequence[Entry], instances: Sequence[Fetched]) -> Iterator[_Answer]:
    """Staging after the batch was submitted: what is in it is staged; nothing can be added."""
    known = {entry.uid: entry for entry in submitted}
    for item in instances:
        uid = item.record.sop_instance_uid
        entry = known.get(uid)
        if entry is None:
            message = "its batch was submitted without it; stage it in another batch"
            yield StoreFailure(sop_instance_uid=uid, code="batch-submitted", message=message)
        else:
            location = f"{folder.input_uri}{entry.name}" if entry.fate is Fate.IMPORT else ""
            yield Staged(sop_instance_uid=uid, location=location)


def _refused(uid: SOPInstanceUID, code: str, message: str) -> _Settled:
    return _Settled(StoreFailure(sop_instance_uid=uid, code=code, message=message), None)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
