"""Storing by C-STORE: asked before whether it is there, and afterwards, since an acknowledgement is only a claim."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Final, TypeAlias

from attrs import field, frozen

from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.adapters.dimse.sent import Sent
from vna_lifecycle.adapters.dimse.wire import UNCOMPRESSED, VERIFICATION, Context, NotSent, Outgoing, StoreAnswer, store
from vna_lifecycle.adapters.dimse.wire.peer import MAX_CONTEXTS
from vna_lifecycle.adapters.dimse.wire.status import is_transient, is_warning, words
from vna_lifecycle.dicom.compare import compare_files, conflict_class
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import ArchiveRefused, DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Rung
from vna_lifecycle.ports import ConflictClass, Fetched, FetchFailure, Outcome, Receipt, StoreFailure

_AT_ONCE: Final = 256
_KINDS: Final = MAX_CONTEXTS - 1
_LOOKS: Final = (0.2, 0.5, 1.0, 2.0)
"""Seconds before each further look for what was acknowledged: some archives list a little later than they answer."""

_CODES: Final = {0xA700: "out-of-resources", 0xA900: "does-not-match-class", 0xC000: "cannot-understand"}
_Answer: TypeAlias = Receipt | StoreFailure


@frozen
class _Folder:
    """A spool in a folder that is removed soon."""

    folder: Path
    numbers: Iterator[int] = field(factory=count)

    def new_file(self, size: int | None = None) -> Path:
        return self.folder / f"{next(self.numbers)}.dcm"


class Store:
    """The writing side of an archive."""

    def __init__(self, caller: Caller, reader: Reader) -> None:
        self._caller = caller
        self._reader = reader
        self._place = caller.site.workspace / "sent.sqlite"
        self._changed = threading.Condition()
        self._busy: set[str] = set()

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[_Answer]:
        """Store each instance in its own transfer syntax, unless its UID is taken.

        Raises:
            ArchiveError: the archive cannot be reached, or fails as a whole. What was not answered is not known.
        """
        left = iter(instances)
        while batch := list(islice(left, _AT_ONCE)):
            with self._alone({item.record.sop_instance_uid for item in batch}), Sent(self._place) as record:
                answers = list(self._batch(study, batch, record))
            yield from answers

    def _batch(self, study: StudyRef, batch: Sequence[Fetched], record: Sent) -> Iterator[_Answer]:
        ready: dict[str, tuple[Fetched, InstanceRecord]] = {}
        twice: list[Fetched] = []
        for item in batch:
            looked = _look(item)
            if isinstance(looked, StoreFailure):
                yield looked
            elif looked.sop_instance_uid in ready:
                twice.append(item)
            else:
                ready[looked.sop_instance_uid] = (item, looked)
        self._reader.learn(looked for _, looked in ready.values())
        there = {listed.sop_instance_uid: listed for listed in self._reader.list_instances(study)}
        taken = [uid for uid in ready if uid in there]
        yield from self._compared(study, [(ready.pop(uid)[0], there[SOPInstanceUID(uid)]) for uid in taken], record)
        record.note((uid, _digest(item)) for uid, (item, _) in ready.items())
        yield from self._confirmed(study, list(self._sent(list(ready.values()), record)))
        if twice:
            there = {listed.sop_instance_uid: listed for listed in self._reader.list_instances(study)}
            for item in twice:
                listed = there.get(item.record.sop_instance_uid)
                if listed is None:
                    message = "another object with this UID came before it, and was not stored"
                    yield _failure(item.record.sop_instance_uid, "not-stored", message, transient=True)
                else:
                    yield from self._compared(study, [(item, listed)], record)

    def _sent(self, ready: Sequence[tuple[Fetched, InstanceRecord]], record: Sent) -> Iterator[_Answer]:
        """Send by class and syntax, over as many associations as their presentation contexts need.

        A warning is on record before the next object is sent: whoever asks for this object again will not hear it.
        """
        digests = {looked.sop_instance_uid: _digest(item) for item, looked in ready}
        kinds = sorted({(looked.sop_class_uid, looked.transfer_syntax) for _, looked in ready})
        for first in range(0, len(kinds), _KINDS):
            group = kinds[first : first + _KINDS]
            objects = [
                Outgoing(path=item.path, sop_class_uid=looked.sop_class_uid, sop_instance_uid=looked.sop_instance_uid)
                for item, looked in ready
                if (looked.sop_class_uid, looked.transfer_syntax) in group
            ]
            contexts = [Context(abstract_syntax=uid, transfer_syntaxes=(syntax,)) for uid, syntax in group]
            # With verification there is always something to agree on: a class that is refused fails its objects only.
            verification = Context(abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED)
            with self._caller.association([verification, *contexts]) as association:
                for outgoing, answer in store(association, self._unless_cancelled(objects)):
                    uid = SOPInstanceUID(outgoing.sop_instance_uid)
                    if isinstance(answer, StoreAnswer) and is_warning(answer.status):
                        record.warned(uid, digests[uid], answer.status)
                    yield _told(uid, answer)

    def _unless_cancelled(self, objects: Sequence[Outgoing]) -> Iterator[Outgoing]:
        for outgoing in objects:
            if self._caller.site.cancelled.is_set():
                return
            yield outgoing

    def _confirmed(self, study: StudyRef, answers: Sequence[_Answer]) -> Iterator[_Answer]:
        """The answers, but an acknowledged object that is not listed afterwards is a failure."""
        claimed = {answer.sop_instance_uid for answer in answers if isinstance(answer, Receipt)}
        absent = self._absent(study, claimed) if claimed else set()
        for wait in _LOOKS:
            if not absent or self._caller.site.cancelled.is_set():
                break
            self._caller.pause(wait)
            absent = self._absent(study, claimed)
        message = "the archive acknowledged this object, and does not list it"
        for answer in answers:
            uid = answer.sop_instance_uid
            yield _failure(uid, "not-listed-after-store", message, transient=True) if uid in absent else answer

    def _absent(self, study: StudyRef, claimed: set[SOPInstanceUID]) -> set[SOPInstanceUID]:
        return claimed - {record.sop_instance_uid for record in self._reader.list_instances(study)}

    def _compared(
        self, study: StudyRef, pairs: Sequence[tuple[Fetched, InstanceRecord]], record: Sent
    ) -> Iterator[_Answer]:
        """The UIDs are taken: by what we sent, whatever the archive made of it; by the same bytes; or by others.

        A warning with which the archive took what we sent is told again: nobody may have lived to tell it.
        """
        ours = record.known((item.record.sop_instance_uid, _digest(item)) for item, _ in pairs)
        for uid, statuses in ours.items():  # reading it back will tell what became of it
            there = Outcome.ALREADY_PRESENT
            yield Receipt(sop_instance_uid=SOPInstanceUID(uid), outcome=there, warnings=_codes(statuses))
        pairs = [(item, listed) for item, listed in pairs if item.record.sop_instance_uid not in ours]
        if not pairs:
            return
        given = {listed.locator: item for item, listed in pairs}
        with tempfile.TemporaryDirectory(dir=self._caller.site.workspace) as folder:
            spool = _Folder(Path(folder))
            for found in self._reader.fetch(study, [listed for _, listed in pairs], spool):
                item = given[found.record.locator]
                if isinstance(found, FetchFailure):
                    message = "an object with this UID is there, and cannot be read to compare it"
                    yield _failure(item.record.sop_instance_uid, "not-comparable", message, transient=found.transient)
                else:
                    yield _compared(item, found)

    @contextmanager
    def _alone(self, uids: set[SOPInstanceUID]) -> Iterator[None]:
        """Nobody else in this process stores objects of these UIDs meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy.isdisjoint(uids))
            self._busy |= uids
        try:
            yield
        finally:
            with self._changed:
                self._busy -= uids
                self._changed.notify_all()


def _look(item: Fetched) -> InstanceRecord | StoreFailure:
    """What the file is: nothing that cannot be trusted is sent."""
    uid = item.record.sop_instance_uid
    try:
        record = scan_file(item.path)
    except DicomRefused as refusal:
        return _failure(uid, refusal.code, str(refusal))
    except OSError as error:
        return _failure(uid, "unreadable-source", f"the fetched file cannot be read: {error.strerror}")
    if record.sop_instance_uid != uid:
        return _failure(uid, "uid-mismatch", "the file has another SOP Instance UID than its record")
    return record


def _digest(item: Fetched) -> str:
    return item.digest.dataset_sha256 if item.digest else dataset_sha256(item.path)[0]


def _told(uid: SOPInstanceUID, answer: StoreAnswer | NotSent) -> _Answer:
    if isinstance(answer, NotSent):
        problem = answer.problem
        if isinstance(problem, DicomRefused):
            return _failure(uid, problem.code, str(problem))
        if isinstance(problem, ArchiveRefused):
            return _failure(uid, "not-negotiated", str(problem))
        return _failure(uid, "unreadable-source", "the fetched file cannot be sent")
    status = answer.status
    if status == 0 or is_warning(status):
        warnings = _codes((status,) if status else ())
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED, warnings=warnings)
    code = _CODES.get(status & 0xFF00) or _CODES.get(status & 0xF000) or "refused"
    return _failure(uid, code, f"the archive answered with {words(status)}", transient=is_transient(status))


def _codes(statuses: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{status:04X}" for status in statuses)


def _compared(item: Fetched, found: Fetched) -> _Answer:
    uid = item.record.sop_instance_uid
    try:
        same = compare_files(item.path, found.path).rung is Rung.HASHED
        conflict = ConflictClass.CONTENT if same else conflict_class(item.path, found.path)
    except DicomRefused:
        same, conflict = False, ConflictClass.CONTENT
    if same:
        return Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
    message = "other bytes are stored under this SOP Instance UID; they stay"
    return StoreFailure(sop_instance_uid=uid, code="conflict", message=message, conflict=conflict)


def _failure(uid: SOPInstanceUID, code: str, message: str, *, transient: bool = False) -> StoreFailure:
    return StoreFailure(sop_instance_uid=uid, code=code, message=message, transient=transient)
