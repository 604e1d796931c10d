"""Writing a store: whole objects or nothing, never other bytes under the same UID, and no receipt before it is durable.

One commit uploads some objects at the same time, then adds one segment to their study's manifest, then gives receipts.
An object that is in the bucket without its line, since a crash came between, is read by its header until its study is
stored again, which finds it present and adds the line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from attrs import evolve, frozen
from botocore.exceptions import ClientError

from vna_lifecycle.adapters.s3.fetch import download
from vna_lifecycle.adapters.s3.holdings import Holdings
from vna_lifecycle.adapters.s3.layout import object_key
from vna_lifecycle.adapters.s3.manifest import Contents, StoredInstance
from vna_lifecycle.adapters.s3.upload import Hashed, Refusal, hash_bytes
from vna_lifecycle.dicom.compare import conflict_class
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_bytes, scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.ports import ConflictClass, Fetched, Outcome, Receipt, StoreFailure

INSTANCES_PER_COMMIT: Final = 500
ENDED: Final = "unfinished-uploads-ended"
"""Warning of one receipt: uploads in parts, which a crash had left unfinished in the bucket, were ended."""

_Answer: TypeAlias = Receipt | StoreFailure


@frozen(kw_only=True)
class _Sent:
    """What became of one object: in the bucket with these attributes, ``new`` or there before; or not."""

    stored: StoredInstance
    new: bool


class Store:
    """The writing side of a store."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._bucket = holdings.bucket
        self._uploader = holdings.uploader
        self._last: dict[StudyUID, int] = {}

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[_Answer]:
        """Store each instance byte for byte, under the UIDs that its own bytes have.

        Raises:
            ArchiveReadOnly: something else is under the prefix.
            ArchiveRefused: no permission, or not with these credentials.
            ArchiveError: any other failure of the bucket. What was not acknowledged does not count.
        """
        if not instances:
            return
        self._holdings.begin_writing()
        waiting = iter(instances)
        while batch := list(islice(waiting, INSTANCES_PER_COMMIT)):
            if self._bucket.site.cancelled.is_set():
                return
            yield from self._commit(batch)

    def _commit(self, batch: Sequence[Fetched]) -> list[_Answer]:
        answers: list[_Answer] = []
        by_study: dict[StudyUID, list[_Sent]] = {}
        for sent in self._send_all(batch):
            if isinstance(sent, StoreFailure):
                answers.append(sent)
            else:
                by_study.setdefault(sent.stored.record.study_uid, []).append(sent)
        for study_uid, members in by_study.items():
            self._enter(study_uid, members)
            for sent in members:
                outcome = Outcome.STORED if sent.new else Outcome.ALREADY_PRESENT
                answers.append(Receipt(sop_instance_uid=sent.stored.record.sop_instance_uid, outcome=outcome))
        self._tell_ended(answers, by_study)
        return answers

    def _tell_ended(self, answers: list[_Answer], by_study: dict[StudyUID, list[_Sent]]) -> None:
        """Say of one object that unfinished uploads were ended: of one of those that were meant, if it is here."""
        keys = {
            sent.stored.record.sop_instance_uid: object_key(study_uid, sent.stored.record.sop_instance_uid)
            for study_uid, members in by_study.items()
            for sent in members
        }
        if not keys or not (ended := self._holdings.take_ended()):
            return
        meant = next((uid for uid, key in keys.items() if key in ended), next(iter(keys)))
        for number, answer in enumerate(answers):
            if isinstance(answer, Receipt) and answer.sop_instance_uid == meant:
                answers[number] = evolve(answer, warnings=(ENDED,))

    def _send_all(self, batch: Sequence[Fetched]) -> list[_Sent | StoreFailure]:
        """Small objects at the same time, large ones one after the other, each in parts at the same time."""
        small: dict[int, Future[_Sent | StoreFailure]] = {}
        try:
            for number, item in enumerate(batch):
                if not self._uploader.in_parts(_size(item.path)):
                    small[number] = self._bucket.pool.submit(self._send, item)
            return [
                small[number].result() if number in small else self._send_large(item)
                for number, item in enumerate(batch)
            ]
        finally:
            for future in small.values():
                future.cancel()
            for future in small.values():
                if not future.cancelled():
                    future.exception()  # what is on its way is not left behind

    def _send(self, item: Fetched) -> _Sent | StoreFailure:
        uid = item.record.sop_instance_uid
        try:
            data = item.path.read_bytes()
            record = scan_bytes(data)
            digest, size = _dataset(item)
        except DicomRefused as refusal:
            return StoreFailure(sop_instance_uid=uid, code=refusal.code, message=str(refusal))
        except OSError as error:
            return _unreadable(uid, error)
        hashed = hash_bytes(data)
        stored = StoredInstance(record=record, dataset_sha256=digest, dataset_size=size, sha256=hashed.sha256)
        if record.sop_instance_uid != uid:
            return _mismatch(uid)
        try:
            new = self._uploader.put(object_key(record.study_uid, uid), data, hashed)
        except Refusal as refusal:
            return _refused(uid, refusal)
        return _Sent(stored=stored, new=True) if new else self._compare(item, stored, hashed)

    def _send_large(self, item: Fetched) -> _Sent | StoreFailure:
        uid = item.record.sop_instance_uid
        limit = self._bucket.settings.max_object_size
        try:
            if _size(item.path) > limit:
                message = f"the object has more bytes than the {limit:,} that max_object_size allows"
                return StoreFailure(sop_instance_uid=uid, code="too-large", message=message)
            record = scan_file(item.path, locator="")
            digest, size = _dataset(item)
            hashed = self._uploader.hash_file(item.path)
        except DicomRefused as refusal:
            return StoreFailure(sop_instance_uid=uid, code=refusal.code, message=str(refusal))
        except OSError as error:
            return _unreadable(uid, error)
        if record.sop_instance_uid != uid:
            return _mismatch(uid)
        key = object_key(record.study_uid, uid)
        stored = StoredInstance(record=record, dataset_sha256=digest, dataset_size=size, sha256=hashed.sha256)
        try:
            new = not self._is_there(key) and self._uploader.put_parts(key, item.path, hashed)
        except Refusal as refusal:
            return _refused(uid, refusal)
        except OSError as error:
            return _unreadable(uid, error)
        return _Sent(stored=stored, new=True) if new else self._compare(item, stored, hashed)

    def _is_there(self, key: str) -> bool:
        """Asked before gigabytes are sent for nothing."""
        return self._bucket.head(key) is not None

    def _compare(self, item: Fetched, stored: StoredInstance, hashed: Hashed) -> _Sent | StoreFailure:
        """The key is taken: by the same data set bytes, or by others."""
        uid = stored.record.sop_instance_uid
        key = object_key(stored.record.study_uid, uid)
        found = self._bucket.head(key)
        if found is None:
            return _withdrawn(uid)
        # The server's own checksum, which it compared when the object came, is of exactly these bytes.
        if found.get("ChecksumSHA256") == hashed.checksum and found["ContentLength"] == hashed.size:
            return _Sent(stored=stored, new=False)
        with TemporaryDirectory(dir=self._bucket.site.workspace) as folder:
            path = Path(folder, "present.dcm")
            try:
                download(self._bucket, key, path)
            except ClientError as error:
                if "InvalidObjectState" in str(error):
                    message = "an object is stored under this UID that cannot be compared before it is recalled"
                    return StoreFailure(sop_instance_uid=uid, code="archived", message=message)
                return _withdrawn(uid)
            try:
                digest, size = dataset_sha256(path)
            except DicomRefused:
                return _conflict(uid, ConflictClass.CONTENT)
            if digest == stored.dataset_sha256:
                there = scan_file(path, locator="")
                return _Sent(
                    stored=StoredInstance(record=there, dataset_sha256=digest, dataset_size=size, sha256=_whole(path)),
                    new=False,
                )
            return _conflict(uid, conflict_class(item.path, path))

    def _enter(self, study_uid: StudyUID, members: Sequence[_Sent]) -> None:
        """Add what has no line in the manifest yet."""
        wanted = {sent.stored.record.sop_instance_uid: sent.stored for sent in members}
        last = self._last.get(study_uid, 0)
        if any(not sent.new for sent in members):
            said: Contents = self._holdings.contents(study_uid)
            last = said.last
            wanted = {
                uid: stored
                for uid, stored in wanted.items()
                if uid not in said.instances or said.instances[uid].sha256 != stored.sha256
            }
        if wanted:
            self._last[study_uid] = self._holdings.append(study_uid, stored=list(wanted.values()), last=last)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _dataset(item: Fetched) -> tuple[str, int]:
    known = item.digest
    return (known.dataset_sha256, known.dataset_size) if known else dataset_sha256(item.path)


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _withdrawn(uid: SOPInstanceUID) -> StoreFailure:
    message = "the object that had this UID was withdrawn at this moment"
    return StoreFailure(sop_instance_uid=uid, code="changed-meanwhile", message=message, transient=True)


def _mismatch(uid: SOPInstanceUID) -> StoreFailure:
    message = "the file has another SOP Instance UID than its record"
    return StoreFailure(sop_instance_uid=uid, code="uid-mismatch", message=message)


def _unreadable(uid: SOPInstanceUID, error: OSError) -> StoreFailure:
    message = f"the fetched file cannot be read: {error.strerror}"
    return StoreFailure(sop_instance_uid=uid, code="unreadable-source", message=message)


def _refused(uid: SOPInstanceUID, refusal: Refusal) -> StoreFailure:
    if refusal.code == "EntityTooLarge":
        message = "the server takes no object of this size"
        return StoreFailure(sop_instance_uid=uid, code="too-large", message=message)
    message = f"the bytes that arrived are not those that were sent ({refusal.code})"
    return StoreFailure(sop_instance_uid=uid, code="checksum-mismatch", message=message, transient=True)


def _conflict(uid: SOPInstanceUID, conflict: ConflictClass) -> StoreFailure:
    message = "other bytes are stored under this SOP Instance UID; they stay"
    return StoreFailure(sop_instance_uid=uid, code="conflict", message=message, conflict=conflict)
