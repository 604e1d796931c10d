"""Looking at a transferred study again at the target: is it still what was accepted? A task, as in `tasks`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Final

from attrs import evolve, frozen

from vna_lifecycle.engine.tasks import Workbench, read_back
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, ManifestEntry
from vna_lifecycle.ports import Depth

WORDS: Final = ("changed", "vanished", "added", "unreadable")


@frozen(kw_only=True)
class Look:
    """How a study is at the target now, against the manifest of what was accepted."""

    changed: tuple[SOPInstanceUID, ...] = ()
    vanished: tuple[SOPInstanceUID, ...] = ()
    added: tuple[SOPInstanceUID, ...] = ()
    unreadable: tuple[SOPInstanceUID, ...] = ()
    cancelled: bool = False


def look_again(bench: Workbench, study: StudyRef, target: str, accepted: Manifest, depth: Depth) -> Look:
    """Compare what the target lists, or serves, with ``accepted``; nothing is left in the spool."""
    try:
        if depth is Depth.BYTES:
            return _read(bench, study, target, accepted)
        return _list(bench, study, target, accepted)
    finally:
        bench.clear(study.label)


def look_at_many(
    bench: Workbench,
    target: str,
    studies: Iterable[tuple[StudyRef, Manifest]],
    depth: Depth,
    *,
    executor: Callable[[], Executor],
    workers: int,
) -> Iterator[tuple[StudyRef, Look]]:
    """Each study's `Look`, in their order, some of them ahead on an executor.

    Raises:
        ArchiveError: the target does not answer.
    """
    ahead: deque[tuple[StudyRef, Future[Look]]] = deque()
    pool = executor()
    try:
        for study, accepted in studies:
            ahead.append((study, pool.submit(look_again, bench, study, target, accepted, depth)))
            if len(ahead) > workers:
                done, future = ahead.popleft()
                yield done, future.result()
        while ahead:
            done, future = ahead.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _list(bench: Workbench, study: StudyRef, target: str, accepted: Manifest) -> Look:
    listed = {item.sop_instance_uid: item for item in bench.archive(target).reads.list_instances(study)}
    entries = {entry.sop_instance_uid: entry for entry in accepted.entries}
    look = Look(
        vanished=tuple(uid for uid in entries if uid not in listed),
        added=tuple(uid for uid in listed if uid not in entries),
    )
    doubtful = tuple(entry for uid, entry in entries.items() if uid in listed and not _as_listed(entry, listed[uid]))
    if not doubtful:
        return look
    read = _read(bench, study, target, evolve(accepted, entries=doubtful))
    return evolve(look, changed=read.changed, unreadable=read.unreadable, cancelled=read.cancelled)


def _as_listed(entry: ManifestEntry, listed: InstanceRecord) -> bool:
    """Whether an archive lists an object as it was read; one that lists sizes in its own way has to be read."""
    return listed.size in (None, entry.size) and listed.series_uid == entry.series_uid


def _read(bench: Workbench, study: StudyRef, target: str, accepted: Manifest) -> Look:
    seen = read_back(bench, study, target, accepted)
    if seen.cancelled:
        return Look(cancelled=True)
    found = {entry.sop_instance_uid: entry.digest.dataset_sha256 for entry in seen.manifest.entries}
    unreadable = tuple(uid for uid, _, _ in seen.unreadable)
    entries = accepted.entries
    return Look(
        changed=tuple(
            entry.sop_instance_uid
            for entry in entries
            if found.get(entry.sop_instance_uid, entry.digest.dataset_sha256) != entry.digest.dataset_sha256
        ),
        vanished=tuple(
            entry.sop_instance_uid
            for entry in entries
            if entry.sop_instance_uid not in found and entry.sop_instance_uid not in unreadable
        ),
        added=seen.extra,
        unreadable=unreadable,
    )
