"""The manifest beside each stored study: what its instances are, one JSON line each, only ever appended to.

A line either tells of a stored instance or of a withdrawn one; the last word on a UID counts. A line without its line
feed was cut off by a crash before anything was acknowledged, and does not count.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from attrs import evolve, field, fields, frozen

from vna_lifecycle.adapters.files.durable import Folders, locked, write_all
from vna_lifecycle.adapters.files.layout import MANIFEST, manifest_position, object_position
from vna_lifecycle.adapters.files.tree import locator_of
from vna_lifecycle.model.identity import SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes

_KNOWN: Final = 8
# Where an object lies tells its locator and its availability.
_INSTANCE: Final = [it.name for it in fields(InstanceRecord) if it.name not in ("locator", "availability", "series")]
_SERIES: Final = [it.name for it in fields(SeriesAttributes)]
_APPEND: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


@frozen(kw_only=True)
class StoredInstance:
    """A stored instance as its manifest line tells it. The locator follows from the UID."""

    record: InstanceRecord
    dataset_sha256: str
    dataset_size: int


@frozen(kw_only=True)
class Contents:
    """What a manifest says: instances by UID in the order of their lines, and how many lines cannot be read."""

    instances: dict[SOPInstanceUID, StoredInstance] = field(factory=dict)
    damaged: int = 0


def parse(data: bytes) -> Contents:
    """Read a manifest."""
    instances: dict[SOPInstanceUID, StoredInstance] = {}
    damaged = 0
    for line in data.split(b"\n")[:-1]:
        try:
            raw: dict[str, Any] = json.loads(line)
            if "withdrawn" in raw:
                instances.pop(raw["withdrawn"], None)
            else:
                stored = _from_plain(raw)
                instances[stored.record.sop_instance_uid] = stored
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged += 1
    return Contents(instances=instances, damaged=damaged)


def _line(raw: dict[str, object]) -> bytes:
    return json.dumps(raw, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _to_plain(stored: StoredInstance) -> dict[str, object]:
    attributes: dict[str, object] = _told(stored.record, _INSTANCE)
    attributes["series"] = _told(stored.record.series, _SERIES)
    return {"dataset_sha256": stored.dataset_sha256, "dataset_size": stored.dataset_size, "instance": attributes}


def _told(value: object, names: Iterable[str]) -> dict[str, object]:
    return {name: told for name in names if (told := getattr(value, name)) not in ("", None, ())}


def _from_plain(raw: dict[str, Any]) -> StoredInstance:
    attributes = dict(raw["instance"])
    series = SeriesAttributes(**attributes.pop("series", {}))
    flags = tuple(attributes.pop("flags", ()))
    locator = locator_of(object_position(attributes["sop_instance_uid"]))
    record = InstanceRecord(locator=locator, series=series, flags=flags, **attributes)
    return StoredInstance(record=record, dataset_sha256=raw["dataset_sha256"], dataset_size=raw["dataset_size"])


@frozen(kw_only=True)
class _Known:
    """A manifest as it was when its lock was last let go; good as long as the file is that one and has that size."""

    inode: int
    size: int
    instances: dict[SOPInstanceUID, StoredInstance]


class KnownManifests:
    """The manifests that were written last, so that a study of many commits is not read anew for each."""

    def __init__(self) -> None:
        self._known: dict[StudyUID, _Known] = {}
        self._lock = threading.Lock()

    def get(self, study_uid: StudyUID, found: os.stat_result) -> dict[SOPInstanceUID, StoredInstance] | None:
        """The instances, if nobody has written since. Only for who holds the manifest's lock."""
        with self._lock:
            known = self._known.pop(study_uid, None)
        return known.instances if known and (known.inode, known.size) == (found.st_ino, found.st_size) else None

    def put(self, study_uid: StudyUID, manifest: LockedManifest, found: os.stat_result) -> None:
        """Remember a manifest before its lock is let go."""
        known = _Known(inode=found.st_ino, size=found.st_size, instances=manifest.instances)
        with self._lock:
            while len(self._known) >= _KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[study_uid] = known


class LockedManifest:
    """A study's manifest while its lock is held: nobody else stores into, or withdraws from, this study."""

    def __init__(self, descriptor: int, known: dict[SOPInstanceUID, StoredInstance] | None) -> None:
        self._descriptor = descriptor
        self._torn = False
        if known is not None:
            self._size = os.fstat(descriptor).st_size
            self.instances = known
            return
        data = _read(descriptor)
        self._size = data.rfind(b"\n") + 1
        self._torn = self._size != len(data)
        self.instances = parse(data).instances

    @property
    def whole(self) -> bool:
        """Whether the file ends with its last line."""
        return not self._torn

    def append(self, *, stored: Iterable[StoredInstance] = (), withdrawn: Iterable[SOPInstanceUID] = ()) -> None:
        """Add lines and make them durable; on failure the manifest is put back to what it was, as far as that goes.

        Raises:
            OSError: the lines are not durable.
        """
        added, removed = list(stored), list(withdrawn)
        lines = b"".join([*(_line(_to_plain(item)) for item in added), *(_line({"withdrawn": uid}) for uid in removed)])
        if not lines:
            return
        if self._torn:
            os.ftruncate(self._descriptor, self._size)
            self._torn = False
        try:
            write_all(self._descriptor, lines)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(lines)
        for item in added:
            self.instances[item.record.sop_instance_uid] = item
        for uid in removed:
            self.instances.pop(uid, None)


@contextmanager
def locked_manifest(folders: Folders, study_uid: StudyUID, known: KnownManifests) -> Iterator[LockedManifest]:
    """Open, or begin, a study's manifest under its lock."""
    folder = manifest_position(study_uid)[:-1]
    descriptor = os.open(MANIFEST, _APPEND, 0o666, dir_fd=folders.open(folder))
    try:
        folders.changed(folder)
        with locked(descriptor):
            manifest = LockedManifest(descriptor, known.get(study_uid, os.fstat(descriptor)))
            yield manifest
            if manifest.whole:
                known.put(study_uid, manifest, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    blocks = []
    offset = 0
    while block := os.pread(descriptor, 1 << 20, offset):
        blocks.append(block)
        offset += len(block)
    return b"".join(blocks)


def located(record: InstanceRecord, size: int) -> InstanceRecord:
    """A record as the store lists it: where its object lies, and how many bytes it has."""
    return evolve(record, locator=locator_of(object_position(record.sop_instance_uid)), size=size)
