"""STOW-RS (PS3.18 10.5): batches streamed from disk; what is there is looked up first, and never sent over it."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from attrs import frozen

from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.multipart import Body
from vna_lifecycle.adapters.dicomweb.reading import Reader
from vna_lifecycle.adapters.dicomweb.response import DUPLICATE, Verdict, verdict_of
from vna_lifecycle.adapters.dicomweb.searching import JSON
from vna_lifecycle.adapters.dicomweb.trouble import BrokenAnswer, status_error
from vna_lifecycle.dicom.compare import conflict_class
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveError, ArchiveFull, ArchiveReadOnly, DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import ConflictClass, Fetched, FetchFailure, Outcome, Receipt, StoreFailure

_STORING: Final = "a store request"
_Answer: TypeAlias = Receipt | StoreFailure
_Listed: TypeAlias = dict[SOPInstanceUID, list[InstanceRecord]]
_BROKEN: Final = "broken-answer"
_STATUSES: Final = {
    413: ("too-large", "the archive takes no request of this size"),
    415: ("unsupported-media-type", "the archive does not take objects in this transfer syntax"),
}


@frozen(kw_only=True)
class _Ready:
    """An object that may be sent, with its size and the study that it says it belongs to."""

    item: Fetched
    uid: SOPInstanceUID
    study_uid: StudyUID
    size: int


class Store:
    """The writing side of a DICOMweb archive."""

    def __init__(self, connection: Connection, reader: Reader) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._reader = reader
        self._claims = threading.Condition()
        self._claimed: set[SOPInstanceUID] = set()

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[_Answer]:
        """Store each instance byte for byte. What the archive lists under its UID before is compared, never replaced.

        Raises:
            ArchiveReadOnly: the archive takes no objects by STOW-RS.
            ArchiveFull: it has no room left.
            ArchiveError: the archive does not answer, or would not have us. What was not acknowledged does not count.
        """
        firsts: dict[SOPInstanceUID, Fetched] = {}
        pool = ThreadPoolExecutor(self._settings.connections, thread_name_prefix="stow")
        try:
            yield from self._store(instances, firsts, pool)
        finally:
            pool.shutdown(cancel_futures=True)  # what is under way ends before anybody else may send under its UIDs
            self._release(firsts)

    def _claim(self, uid: SOPInstanceUID) -> bool:
        """Whether no other call is about to send something under this UID. Archives may keep either of the two."""
        with self._claims:
            if uid in self._claimed:
                return False
            self._claimed.add(uid)
            return True

    def _release(self, claimed: dict[SOPInstanceUID, Fetched]) -> None:
        with self._claims:
            self._claimed.difference_update(claimed)
            self._claims.notify_all()
        claimed.clear()

    def _store(
        self, instances: Sequence[Fetched], firsts: dict[SOPInstanceUID, Fetched], pool: ThreadPoolExecutor
    ) -> Iterator[_Answer]:
        listed: dict[StudyUID, _Listed] = {}
        twins: list[_Ready] = []
        rivals: list[_Ready] = []
        batch: list[_Ready] = []
        sent: deque[Future[list[_Answer]]] = deque()
        for item in instances:
            if self._connection.site.cancelled.is_set():
                return
            ready = _check(item)
            if isinstance(ready, StoreFailure):
                yield ready
                continue
            if ready.uid in firsts:
                twins.append(ready)
                continue
            if not self._claim(ready.uid):
                rivals.append(ready)
                continue
            firsts[ready.uid] = item
            there = listed.get(ready.study_uid)
            if there is None:
                there = listed[ready.study_uid] = self._list(ready.study_uid)
            if ready.uid in there:
                yield self._compare(ready, there[ready.uid])
                continue
            if batch and self._full(batch, ready):
                sent.append(pool.submit(self._send, batch))
                batch = []
            if len(sent) > self._settings.connections:
                yield from sent.popleft().result()
            batch.append(ready)
        if batch:
            sent.append(pool.submit(self._send, batch))
        for answers in sent:
            yield from answers.result()
        for ready in twins:
            yield _same(ready, firsts[ready.uid].path)
        self._release(firsts)
        for ready in rivals:
            yield self._after_rival(ready)

    def _after_rival(self, ready: _Ready) -> _Answer:
        """Another call was sending under this UID: see what the archive has now."""
        with self._claims:
            self._claims.wait_for(lambda: ready.uid not in self._claimed, timeout=self._settings.read_timeout)
        if present := self._list(ready.study_uid).get(ready.uid):
            return self._compare(ready, present)
        message = "another call was storing under this UID at this moment"
        return StoreFailure(sop_instance_uid=ready.uid, code="changed-meanwhile", message=message, transient=True)

    def _full(self, batch: Sequence[_Ready], following: _Ready) -> bool:
        size = sum(ready.size for ready in batch) + following.size
        return len(batch) >= self._settings.objects_per_store or size > self._settings.bytes_per_store

    def _list(self, study_uid: StudyUID) -> _Listed:
        found: _Listed = {}
        for record in self._reader.list_briefly(StudyRef(study_uid=study_uid)):
            found.setdefault(record.sop_instance_uid, []).append(record)
        return found

    def _send(self, batch: Sequence[_Ready]) -> list[_Answer]:
        """Send a batch; where a request was refused as a whole, its halves, so that one object does not stop others."""
        try:
            status, verdict = self._connection.again(lambda: self._post(batch), repeats=False)
        except BrokenAnswer as error:
            return self._after_break(batch, error)
        answers: list[_Answer] = []
        silent: list[_Ready] = []
        for ready in batch:
            if ready.uid in verdict.failed:
                answers.append(self._failed(ready, verdict))
            elif ready.uid in verdict.stored and status < 500:
                warnings = verdict.stored[ready.uid]
                answers.append(Receipt(sop_instance_uid=ready.uid, outcome=Outcome.STORED, warnings=warnings))
            else:
                silent.append(ready)
        if not silent:
            return answers
        if status < 300 or len(batch) == 1:
            return answers + [_unmentioned(ready.uid, status) for ready in silent]
        if len(silent) < len(batch):
            return answers + self._send(silent)
        middle = len(silent) // 2
        return answers + self._send(silent[:middle]) + self._send(silent[middle:])

    def _after_break(self, batch: Sequence[_Ready], error: BrokenAnswer) -> list[_Answer]:
        """A request had no answer: see what the archive has now, and send the rest in halves, in case it is one object.

        Raises:
            BrokenAnswer: no half has an answer either.
            ArchiveError: the archive does not say what it has.
        """
        listed = {study_uid: self._list(study_uid) for study_uid in {ready.study_uid for ready in batch}}
        there = [ready for ready in batch if ready.uid in listed[ready.study_uid]]
        left = [ready for ready in batch if ready.uid not in listed[ready.study_uid]]
        answers = [self._compare(ready, listed[ready.study_uid][ready.uid]) for ready in there]
        if there and left:
            return answers + self._send(left)
        if len(left) == 1:
            uid = left[0].uid
            return [StoreFailure(sop_instance_uid=uid, code=_BROKEN, message=str(error), transient=True)]
        if left:
            middle = len(left) // 2
            answers = self._send(left[:middle]) + self._send(left[middle:])
            if all(isinstance(answer, StoreFailure) and answer.code == _BROKEN for answer in answers):
                raise error
        return answers

    def _post(self, batch: Sequence[_Ready]) -> tuple[int, Verdict]:
        connection = self._connection
        body = Body(files=[(ready.item.path, ready.size) for ready in batch], boundary=uuid.uuid4().hex)
        headers = {"Content-Type": body.content_type, "Content-Length": str(body.length)}
        path = connection.path(self._settings.stow_prefix, "studies")
        with connection.request(
            path, _STORING, method="POST", accept=JSON, headers=headers, body=body.chunks
        ) as answer:
            if answer.status in (405, 501):
                message = f"{connection.archive}: takes no objects by STOW-RS"
                hint = "check stow_prefix, and whether the archive lets this user store"
                raise ArchiveReadOnly(message, archive=connection.archive, hint=hint)
            if answer.status == 507:
                message = f"{connection.archive}: has no room left, as its HTTP status 507 says"
                hint = "make room there, and run the same command again"
                raise ArchiveFull(message, archive=connection.archive, hint=hint)
            if answer.status in (404, 406, 411) or answer.status < 200:
                raise status_error(connection.archive, answer.status, answer.headers, connection.site.clock(), _STORING)
            try:
                parsed = connection.json(answer, _STORING)
            except ArchiveError as error:
                if error.transient:
                    raise
                parsed = None  # no body that says anything: then nothing is acknowledged
        return answer.status, verdict_of(parsed)

    def _failed(self, ready: _Ready, verdict: Verdict) -> _Answer:
        reason = verdict.failed[ready.uid]
        if reason.number == DUPLICATE and (present := self._list(ready.study_uid).get(ready.uid)):
            return self._compare(ready, present)
        return StoreFailure(
            sop_instance_uid=ready.uid, code=reason.code, message=reason.message, transient=reason.transient
        )

    def _compare(self, ready: _Ready, present: Sequence[InstanceRecord]) -> _Answer:
        """What the archive has under the UID: the same bytes, or others."""
        with TemporaryDirectory(dir=self._connection.site.workspace) as folder:
            for answer in self._reader.fetch(StudyRef(study_uid=ready.study_uid), present[:1], _Aside(Path(folder))):
                if isinstance(answer, FetchFailure):
                    message = f"an object is listed under this UID that cannot be compared: {answer.message}"
                    return StoreFailure(
                        sop_instance_uid=ready.uid, code="not-comparable", message=message, transient=answer.transient
                    )
                return _same(ready, answer.path)
        message = "the comparison with what is stored under this UID was called off"
        return StoreFailure(sop_instance_uid=ready.uid, code="not-comparable", message=message, transient=True)


@frozen
class _Aside:
    """A spool for one object that is only compared."""

    folder: Path

    def new_file(self, size: int | None = None) -> Path:
        """Its path."""
        return self.folder / "present.dcm"


def _check(item: Fetched) -> _Ready | StoreFailure:
    uid = item.record.sop_instance_uid
    try:
        record = scan_file(item.path, locator="")
        size = item.path.stat().st_size
    except DicomRefused as refusal:
        return StoreFailure(sop_instance_uid=uid, code=refusal.code, message=str(refusal))
    except OSError as error:
        message = f"the fetched file cannot be read: {error.strerror}"
        return StoreFailure(sop_instance_uid=uid, code="unreadable-source", message=message)
    if record.sop_instance_uid != uid:
        message = "the file has another SOP Instance UID than its record"
        return StoreFailure(sop_instance_uid=uid, code="uid-mismatch", message=message)
    return _Ready(item=item, uid=uid, study_uid=record.study_uid, size=size)


def _unmentioned(uid: SOPInstanceUID, status: int) -> StoreFailure:
    if status < 300:
        message = f"the archive's answer (HTTP status {status}) does not mention the instance"
        return StoreFailure(sop_instance_uid=uid, code="not-acknowledged", message=message, transient=True)
    if status >= 500:
        message = f"the archive answered with HTTP status {status}"
        return StoreFailure(sop_instance_uid=uid, code="server-error", message=message, transient=True)
    code, message = _STATUSES.get(status, ("refused", f"the archive refused the instance with HTTP status {status}"))
    return StoreFailure(sop_instance_uid=uid, code=code, message=message)


def _same(ready: _Ready, path: Path) -> _Answer:
    try:
        equal = dataset_sha256(ready.item.path) == dataset_sha256(path)
        conflict = None if equal else conflict_class(ready.item.path, path)
    except DicomRefused:
        equal, conflict = False, ConflictClass.CONTENT
    if equal:
        return Receipt(sop_instance_uid=ready.uid, outcome=Outcome.ALREADY_PRESENT)
    message = "other bytes are stored under this SOP Instance UID; they stay"
    return StoreFailure(sop_instance_uid=ready.uid, code="conflict", message=message, conflict=conflict)
