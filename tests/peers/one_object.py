"""One object that a scripted server is asked for, and what came of it."""

from __future__ import annotations

from pathlib import Path

from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Archive, Fetched, FetchFailure
from vna_lifecycle.testing.conformance import EXAMPLES, FolderSpool
from vna_lifecycle.testing.conformance.case import study_of

SPEC = EXAMPLES[0]


def record(last: str = "") -> InstanceRecord:
    """The object as it is listed, or another one of its series, whose UID ends in ``last``."""
    uid = SPEC.sop_instance_uid + last
    return InstanceRecord(locator=f"{SPEC.study_uid}/{SPEC.series_uid}/{uid}", sop_instance_uid=SOPInstanceUID(uid))


def fetch(archive: Archive, folder: Path, *wanted: InstanceRecord) -> list[Fetched | FetchFailure]:
    """What comes of the object, or of those that are wanted."""
    return list(archive.reads.fetch(study_of(SPEC), list(wanted or (record(),)), FolderSpool(folder / "spool")))


def fetched(archive: Archive, folder: Path) -> bytes:
    """The object's bytes, as they came."""
    (item,) = fetch(archive, folder)
    assert isinstance(item, Fetched), item
    return item.path.read_bytes()


def failure(archive: Archive, folder: Path) -> FetchFailure:
    """How the object failed; nothing of it is left."""
    (item,) = fetch(archive, folder)
    assert isinstance(item, FetchFailure)
    assert left_in(folder) == 0
    return item


def left_in(folder: Path) -> int:
    """Files that retrievals left in their spool."""
    return len(list((folder / "spool").iterdir()))
