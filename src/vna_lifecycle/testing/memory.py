"""An archive in memory, as a plug-in named ``memory``: give this module to ``load_plugins(extra=[...])``.

What an archive holds is shared by all who open it under one name in one process, so a program can be closed and opened
again, as after a crash, while its archives stay what they were.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from attrs import define, field, frozen

from vna_lifecycle.adapters.query import matches, summarize
from vna_lifecycle.dicom.compare import conflict_class
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.plugin import Registry, impl
from vna_lifecycle.ports import (
    Archive,
    Batch,
    BatchLimits,
    ConflictClass,
    Done,
    Fetched,
    FetchFailure,
    JobToken,
    Outcome,
    Part,
    Pending,
    Receipt,
    Site,
    Spool,
    Staged,
    StoreFailure,
    StudyQuery,
)
from vna_lifecycle.testing.faults import Plan
from vna_lifecycle.testing.governing import Governed, govern
from vna_lifecycle.testing.injection import inject

_PER_PART: Final = 3
_Answer = Receipt | StoreFailure


@define(kw_only=True)
class MemoryState:
    """What the archive of one name holds: files by locator, in the order in which they came.

    ``polls`` is how often a job is pending before it is done, ``limits`` what a batch may hold, and instances in
    ``unaccounted`` are those that no job says anything of. ``commitments`` are the requests for storage commitment by
    transaction; each is answered by what is there after ``commits_after`` looks. ``plan`` holds the faults that its
    users meet, and ``governed`` how instances stand with tiers and holds.
    """

    files: dict[str, bytes] = field(factory=dict)
    staged: dict[str, dict[SOPInstanceUID, bytes]] = field(factory=dict)
    jobs: dict[str, list[_Answer]] = field(factory=dict)
    polled: dict[str, int] = field(factory=dict)
    polls: int = 1
    limits: BatchLimits = BatchLimits()
    unaccounted: set[str] = field(factory=set)
    commitments: dict[str, tuple[SOPInstanceUID, ...]] = field(factory=dict)
    commits_after: int = 1
    plan: Plan = field(factory=Plan)
    governed: Governed = field(factory=Governed)
    lock: threading.RLock = field(factory=threading.RLock)

    def add(self, data: bytes) -> str:
        """Put a file in, whatever it is and whatever is there; its locator."""
        with self.lock:
            number = max((int(locator) for locator in self.files), default=0) + 1
            self.files[str(number)] = data
            return str(number)

    def find(self, uid: SOPInstanceUID) -> tuple[str, bytes] | None:
        """The first file under a SOP Instance UID."""
        with self.lock:
            for locator, data in self.files.items():
                found = _scan(locator, data)
                if isinstance(found, InstanceRecord) and found.sop_instance_uid == uid:
                    return locator, data
        return None

    def remove(self, locator: str) -> None:
        """Take a file away."""
        with self.lock:
            self.files.pop(locator, None)

    def put(self, uid: SOPInstanceUID, data: bytes) -> _Answer:
        """Store as an archive does: never other bytes under the same UID."""
        found = _scan("", data)
        if isinstance(found, Refused):
            return StoreFailure(sop_instance_uid=uid, code=found.code, message=found.reason)
        if found.sop_instance_uid != uid:
            message = "the file has another SOP Instance UID than its record"
            return StoreFailure(sop_instance_uid=uid, code="uid-mismatch", message=message)
        with self.lock:
            present = self.find(uid)
            if present is None:
                self.add(data)
                return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED)
        conflict = _conflict(present[1], data)
        if conflict is None:
            return Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
        message = "other bytes are stored under this SOP Instance UID; they stay"
        return StoreFailure(sop_instance_uid=uid, code="conflict", message=message, conflict=conflict)


_states: dict[str, MemoryState] = {}


def memory_state(name: str) -> MemoryState:
    """What the archive ``name`` holds, for tests that fill it or look into it."""
    return _states.setdefault(name, MemoryState())


def forget(name: str) -> None:
    """Let the archive ``name`` be empty, and without faults, for whoever opens it next."""
    _states.pop(name, None)


@frozen(kw_only=True)
class MemorySettings:
    """Which archive in memory; ``imports`` gives it the power of asynchronous jobs in place of storing at once.

    ``governs`` gives it tiers, recalls, holds and erasure (see `vna_lifecycle.testing.governing`), ``commits`` storage
    commitment, for whose answer ``patience`` seconds are allowed.
    """

    name: str
    imports: bool = False
    governs: bool = False
    commits: bool = False
    patience: float = 3_600.0


def open_memory(settings: MemorySettings, site: Site) -> Archive:
    """Open the archive in memory that the settings name, with the faults of its plan."""
    state = memory_state(settings.name)
    archive = Archive(
        reads=_Reads(state),
        stores=None if settings.imports else _Stores(state),
        imports=_Imports(state) if settings.imports else None,
        commits=_Commits(state, settings.patience) if settings.commits else None,
        withdraws=_Withdraws(state),
    )
    if settings.governs:
        archive = govern(archive, state, state.governed, site.clock)
    return inject(archive, state.plan)


@impl
def vna_lifecycle_register(registry: Registry) -> None:
    """Register the archive ``memory``."""
    registry.archive("memory", MemorySettings, open_memory)


@frozen
class _Reads:
    _state: MemoryState

    def _instances(self) -> Iterator[InstanceRecord]:
        return (item for item in self._all() if isinstance(item, InstanceRecord))

    def _all(self) -> Iterator[InstanceRecord | Refused]:
        with self._state.lock:
            files = list(self._state.files.items())
        return (_scan(locator, data) for locator, data in files)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        by_study: dict[StudyUID, list[InstanceRecord]] = {}
        for record in self._instances():
            by_study.setdefault(record.study_uid, []).append(record)
        studies = (summarize(records) for _, records in sorted(by_study.items()))
        return (study for study in studies if matches(query, study))

    def parts(self) -> Iterator[Part]:
        with self._state.lock:
            slots = sorted({int(locator) // _PER_PART for locator in self._state.files})
        return (Part(key=str(slot), title=f"part {slot}") for slot in slots)

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        return (item for item in self._all() if int(item.locator) // _PER_PART == int(part.key))

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        return (record for record in self._instances() if record.study_uid == study.study_uid)

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        for record in wanted:
            data = self._state.files.get(record.locator)
            if data is None:
                yield FetchFailure(record=record, code="missing-file", message="there is nothing at this locator")
                continue
            path = spool.new_file(len(data))
            path.write_bytes(data)
            yield Fetched(record=record, path=path)

    def close(self) -> None:
        """Nothing is held open."""


@frozen
class _Stores:
    _state: MemoryState

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[_Answer]:
        for item in instances:
            yield self._state.put(item.record.sop_instance_uid, item.path.read_bytes())


@frozen
class _Imports:
    _state: MemoryState

    @property
    def limits(self) -> BatchLimits:
        return self._state.limits

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Staged | StoreFailure]:
        for item in instances:
            uid = item.record.sop_instance_uid
            with self._state.lock:
                self._state.staged.setdefault(batch.key, {})[uid] = item.path.read_bytes()
            yield Staged(sop_instance_uid=uid, location=f"{batch.key}/{uid}")

    def submit(self, batch: Batch) -> JobToken:
        with self._state.lock:
            self._state.polled.setdefault(batch.key, 0)
        return JobToken(batch=batch.key, job=f"job-{batch.key}")

    def poll(self, token: JobToken) -> Pending | Done:
        state = self._state
        with state.lock:
            if state.polled[token.batch] < state.polls:
                state.polled[token.batch] += 1
                return Pending(poll_after=0.0)
            if token.batch not in state.jobs:
                staged = state.staged.pop(token.batch, {})
                state.jobs[token.batch] = [state.put(uid, data) for uid, data in staged.items()]
            told = [answer for answer in state.jobs[token.batch] if answer.sop_instance_uid not in state.unaccounted]
            return Done(results=tuple(told))


@frozen
class _Commits:
    _state: MemoryState
    patience: float

    def ask(self, transaction: str, manifest: Manifest) -> None:
        with self._state.lock:
            self._state.commitments[transaction] = tuple(entry.sop_instance_uid for entry in manifest.entries)

    def poll(self, transaction: str, manifest: Manifest) -> Pending | Done:
        state = self._state
        with state.lock:
            asked = state.commitments.get(transaction)
            polled = state.polled[transaction] = state.polled.get(transaction, 0) + 1
        if asked is None or polled <= state.commits_after:
            return Pending(poll_after=0.0)
        return Done(results=tuple(self._answer(entry.sop_instance_uid, asked) for entry in manifest.entries))

    def _answer(self, uid: SOPInstanceUID, asked: Sequence[SOPInstanceUID]) -> _Answer:
        if uid not in asked:
            return StoreFailure(sop_instance_uid=uid, code="not-mentioned", message="its answer does not mention it")
        if self._state.find(uid) is None:
            return StoreFailure(sop_instance_uid=uid, code="no-such-instance", message="it has no such instance")
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED)


@frozen
class _Withdraws:
    _state: MemoryState

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[_Answer]:
        for entry in manifest.entries:
            uid = entry.sop_instance_uid
            with self._state.lock:
                present = self._state.find(uid)
                if present is None:
                    yield Receipt(sop_instance_uid=uid, outcome=Outcome.ALREADY_PRESENT)
                elif _digest(present[1]) == entry.digest.dataset_sha256:
                    del self._state.files[present[0]]
                    yield Receipt(sop_instance_uid=uid, outcome=Outcome.STORED)
                else:
                    message = "the stored object is not the manifest's any more; it stays"
                    yield StoreFailure(
                        sop_instance_uid=uid, code="conflict", message=message, conflict=ConflictClass.CONTENT
                    )


@functools.lru_cache(maxsize=4096)  # every question scans everything
def _scan(locator: str, data: bytes) -> InstanceRecord | Refused:
    try:
        return scan_bytes(data, locator=locator)
    except DicomRefused as refusal:
        return Refused(locator=locator, code=refusal.code, reason=str(refusal), offset=refusal.offset, size=len(data))


def _digest(data: bytes) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder, "object")
        path.write_bytes(data)
        return dataset_sha256(path)[0]


def _conflict(present: bytes, offered: bytes) -> ConflictClass | None:
    with TemporaryDirectory() as folder:
        paths = Path(folder, "present"), Path(folder, "offered")
        for path, data in zip(paths, (present, offered), strict=True):
            path.write_bytes(data)
        if dataset_sha256(paths[0]) == dataset_sha256(paths[1]):
            return None
        return conflict_class(*paths)


def fill(name: str, files: Iterable[bytes]) -> MemoryState:
    """Put files into the archive ``name``, as a source that has always held them."""
    state = memory_state(name)
    for data in files:
        state.add(data)
    return state
