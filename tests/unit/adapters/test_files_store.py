"""Writing a store: whole or nothing, byte for byte, and recoverable."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from vna_lifecycle.adapters.files.holdings import Holdings
from vna_lifecycle.adapters.files.index import Index
from vna_lifecycle.adapters.files.tree import Tree
from vna_lifecycle.errors import ArchiveError, ArchiveFull, ArchiveReadOnly
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.ports import Archive, Fetched, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance.case import digests, manifest_of, read_back, study_of, written
from vna_lifecycle.testing.faults import SimulatedCrash
from vna_lifecycle.testing.objects import ObjectSpec

_Open = Callable[[Path], Archive]
_SPECS = [ObjectSpec(instance=number + 1, grey=number) for number in range(5)]
_STUDY = study_of(_SPECS[0])


def _store(archive: Archive, items: list[Fetched]) -> list[str]:
    assert archive.stores is not None
    answers = archive.stores.store(_STUDY, items)
    return [answer.outcome.value if isinstance(answer, Receipt) else answer.code for answer in answers]


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def items(tmp_path: Path) -> list[Fetched]:
    return written(tmp_path / "in", _SPECS)


def test_an_object_lies_whole_under_the_digest_of_its_uid(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    _store(open_folder(store_folder), items)
    for item in items:
        digest = hashlib.sha256(item.record.sop_instance_uid.encode()).hexdigest()
        path = store_folder / "objects" / digest[:2] / f"{digest}.dcm"
        assert path.read_bytes() == item.path.read_bytes()
        assert path.stat().st_mode & 0o222 == 0


def test_the_manifest_beside_a_study_tells_what_it_holds(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    _store(open_folder(store_folder), items)
    digest = hashlib.sha256(_STUDY.study_uid.encode()).hexdigest()
    lines = (store_folder / "studies" / digest[:2] / digest / "manifest.jsonl").read_text().splitlines()
    told = {line["instance"]["sop_instance_uid"]: line["dataset_sha256"] for line in map(json.loads, lines)}
    assert sorted(told.items()) == digests(items)


def test_nothing_temporary_stays(store_folder: Path, open_folder: _Open, items: list[Fetched]) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    _store(archive, written(items[0].path.parent / "other", [evolve(_SPECS[0], grey=77)]))
    assert list((store_folder / "incoming").iterdir()) == []


def test_a_folder_with_other_things_in_it_is_not_written(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    (store_folder / "letter.doc").touch()
    with pytest.raises(ArchiveReadOnly, match="other things"):
        _store(open_folder(store_folder), items)
    assert _files(store_folder) == {"letter.doc"}


def test_what_a_new_file_system_brings_along_does_not_count(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    (store_folder / "lost+found").mkdir()
    assert _store(open_folder(store_folder), items) == ["stored"] * 5


@pytest.mark.parametrize("marker", ["{}", "no json", '{"layout": "vna-lifecycle-store", "version": 99}', "[]"])
def test_a_store_of_another_version_is_not_touched(store_folder: Path, open_folder: _Open, marker: str) -> None:
    (store_folder / "vna-store.json").write_text(marker)
    with pytest.raises(ArchiveError, match="another version"):
        open_folder(store_folder)


def test_opening_and_reading_write_nothing(store_folder: Path, open_folder: _Open) -> None:
    archive = open_folder(store_folder)
    assert list(archive.reads.find_studies(StudyQuery())) == []
    assert list(archive.reads.parts()) == []
    archive.reads.close()
    assert _files(store_folder) == set()


class _FailingCall:
    """A function of ``os`` that fails once, at the given call."""

    def __init__(self, name: str, nth: int, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = getattr(os, name)
        self._left = nth
        self._error = error
        self._lock = threading.Lock()
        monkeypatch.setattr(os, name, self)

    def __call__(self, *args: object, **kwargs: object) -> object:
        with self._lock:
            self._left -= 1
            strikes = self._left == 0
        if strikes:
            raise OSError(self._error, os.strerror(self._error))
        return self._real(*args, **kwargs)

    @property
    def struck(self) -> bool:
        return self._left <= 0


@pytest.mark.parametrize("nth", range(1, 30, 2))
@pytest.mark.parametrize(
    ("name", "error"), [("fsync", errno.EIO), ("copy_file_range", errno.ENOSPC), ("link", errno.EIO)]
)
def test_a_failing_disk_acknowledges_nothing_and_a_retry_completes(
    store_folder: Path,
    open_folder: _Open,
    items: list[Fetched],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    error: int,
    nth: int,
) -> None:
    archive = open_folder(store_folder)
    with monkeypatch.context() as patched:
        failing = _FailingCall(name, nth, error, patched)
        try:
            _store(archive, items)
        except ArchiveError as caught:
            assert isinstance(caught, ArchiveFull) == (error == errno.ENOSPC)
            assert not caught.transient
        else:
            assert not failing.struck
    if failing.struck:
        assert list(archive.reads.list_instances(_STUDY)) == []
        assert not {file for file in _files(store_folder) if file.startswith(("objects", "incoming"))}
    assert set(_store(archive, items)) <= {"stored", "already-present"}
    assert read_back(archive, _STUDY, tmp_path / "out") == digests(items)
    assert len(list(archive.reads.find_studies(StudyQuery(study_uid=_STUDY.study_uid)))) == 1


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_a_target_that_may_not_be_written_says_so(
    store_folder: Path, open_folder: _Open, items: list[Fetched], monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    archive = open_folder(store_folder)
    _FailingCall("rename", 1, error, monkeypatch)
    with pytest.raises(ArchiveReadOnly, match="cannot be written"):
        _store(archive, items)


def test_a_file_system_without_fast_copies_stores_the_same_bytes(
    store_folder: Path, open_folder: _Open, items: list[Fetched], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unsupported(*args: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", unsupported)
    archive = open_folder(store_folder)
    assert _store(archive, items) == ["stored"] * 5
    assert read_back(archive, _STUDY, tmp_path / "out") == digests(items)


def test_a_spool_file_that_is_gone_is_a_failure_of_its_own(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    items[1].path.unlink()
    assert sorted(_store(open_folder(store_folder), items)) == ["stored"] * 4 + ["unreadable-source"]


def test_a_file_of_another_uid_than_its_record_is_not_stored(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    swapped = Fetched(record=items[0].record, path=items[1].path)
    archive = open_folder(store_folder)
    assert _store(archive, [swapped]) == ["uid-mismatch"]
    _store(archive, items[:1])
    assert _store(archive, [swapped]) == ["uid-mismatch"]


def test_an_object_that_went_bad_is_a_conflict_and_stays(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    (path,) = [store_folder / r.locator for r in archive.reads.list_instances(_STUDY) if r.instance_number == 1]
    path.chmod(0o640)
    path.write_bytes(b"rot")
    assert archive.stores is not None
    (answer,) = archive.stores.store(_STUDY, items[:1])
    assert isinstance(answer, StoreFailure)
    assert answer.code == "conflict"
    assert path.read_bytes() == b"rot"


def test_an_object_that_vanished_is_not_listed_and_is_told_of(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    gone = next(iter(archive.reads.list_instances(_STUDY)))
    (store_folder / gone.locator).unlink()
    assert len(list(archive.reads.list_instances(_STUDY))) == 4
    found = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
    assert [(item.locator, item.code) for item in found if isinstance(item, Refused)] == [
        (gone.locator, "missing-file")
    ]


def test_a_torn_manifest_line_hides_nothing_and_is_written_over(
    store_folder: Path, open_folder: _Open, items: list[Fetched], tmp_path: Path
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items[:3])
    (manifest,) = store_folder.glob("studies/*/*/manifest.jsonl")
    with manifest.open("ab") as torn:
        torn.write(b'{"dataset_sha256":"12')
    assert len(list(archive.reads.list_instances(_STUDY))) == 3
    _store(archive, items[3:])
    assert read_back(archive, _STUDY, tmp_path / "out") == digests(items)
    assert all(json.loads(line) for line in manifest.read_text().splitlines())


def test_a_damaged_manifest_line_is_told_of_and_rebuilt(
    store_folder: Path, open_folder: _Open, items: list[Fetched], tmp_path: Path
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    (manifest,) = store_folder.glob("studies/*/*/manifest.jsonl")
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([lines[0], b"#" + lines[1], *lines[2:]]))
    found = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
    assert [item.code for item in found if isinstance(item, Refused)] == ["damaged-manifest"]
    assert len([item for item in found if isinstance(item, InstanceRecord)]) == 4
    rebuilt = Holdings(Tree(store_folder, archive="store")).rebuild()
    assert (rebuilt.studies, rebuilt.instances, rebuilt.adopted, rebuilt.refused) == (1, 5, 1, ())
    assert read_back(archive, _STUDY, tmp_path / "out") == digests(items)


def test_a_store_is_rebuilt_from_its_objects_alone(
    store_folder: Path, open_folder: _Open, items: list[Fetched], tmp_path: Path
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    archive.reads.close()
    for path in [*store_folder.glob("index.sqlite*"), *store_folder.glob("studies/*/*/manifest.jsonl")]:
        path.unlink()
    (store_folder / "objects" / "stray").write_bytes(b"no object")
    rebuilt = Holdings(Tree(store_folder, archive="store")).rebuild()
    assert (rebuilt.studies, rebuilt.instances, rebuilt.adopted) == (1, 5, 5)
    assert [(item.locator, item.code) for item in rebuilt.refused] == [("objects/stray", "not-dicom")]
    assert read_back(open_folder(store_folder), _STUDY, tmp_path / "out") == digests(items)


@pytest.mark.parametrize("damage", ["missing", "garbage", "empty"])
def test_a_lost_or_damaged_index_hides_no_study(
    store_folder: Path, open_folder: _Open, tmp_path: Path, damage: str
) -> None:
    archive = open_folder(store_folder)
    assert archive.stores is not None
    for study in (1, 2):
        files = written(tmp_path / f"in{study}", [ObjectSpec(study=study)])
        list(archive.stores.store(study_of(ObjectSpec(study=study)), files))
    archive.reads.close()
    for path in store_folder.glob("index.sqlite*"):
        path.unlink()
    if damage != "missing":
        (store_folder / "index.sqlite").write_bytes(b"garbage" * 1000 if damage == "garbage" else b"")
    archive = open_folder(store_folder)
    assert len(list(archive.reads.find_studies(StudyQuery(patient_id="P1")))) == 2
    assert archive.stores is not None
    list(archive.stores.store(study_of(ObjectSpec(study=3)), written(tmp_path / "in3", [ObjectSpec(study=3)])))
    assert len(list(archive.reads.find_studies(StudyQuery(patient_id="P1")))) == 3
    assert len(list(open_folder(store_folder).reads.find_studies(StudyQuery()))) == 3


def test_a_withdrawal_that_a_crash_interrupted_is_completed(
    store_folder: Path, open_folder: _Open, items: list[Fetched]
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    for record in list(archive.reads.list_instances(_STUDY))[:2]:
        (store_folder / record.locator).unlink()  # the objects went, the manifest was not reached
    assert archive.withdraws is not None
    answers = list(archive.withdraws.withdraw(_STUDY, manifest_of(items)))
    outcomes = sorted(answer.outcome.value for answer in answers if isinstance(answer, Receipt))
    assert outcomes == ["already-present"] * 2 + ["stored"] * 3
    assert [item for part in archive.reads.parts() for item in archive.reads.inventory(part)] == []
    assert list(archive.reads.find_studies(StudyQuery())) == []


def test_a_writer_that_died_between_the_manifest_and_the_index_is_completed_by_the_next(
    store_folder: Path, open_folder: _Open, items: list[Fetched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store(open_folder(store_folder), items)
    other = written(tmp_path / "other", [ObjectSpec(study=2)])

    def dies(*_: object) -> None:
        raise SimulatedCrash

    with monkeypatch.context() as patch:
        patch.setattr(Index, "put", dies)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # the dead remove nothing
        with pytest.raises(SimulatedCrash):
            _store(open_folder(store_folder), other)
    archive = open_folder(store_folder)
    _store(archive, [])
    found = archive.reads.find_studies(StudyQuery())
    assert sorted(study.instance_count or 0 for study in found) == [1, 5]


def test_everything_that_a_receipt_stands_for_was_synced(
    store_folder: Path, open_folder: _Open, items: list[Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 cannot show this, since the system keeps what a dead process wrote; a power cut would."""
    steps: list[tuple[str, int]] = []
    lock = threading.Lock()

    def noting(name: str, inode_of: Callable[..., int]) -> None:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            result = real(*args, **kwargs)
            with lock:
                steps.append((name, inode_of(*args, **kwargs)))
            return result

        monkeypatch.setattr(os, name, call)

    noting("fsync", lambda descriptor: os.fstat(descriptor).st_ino)
    noting("write", lambda descriptor, data: os.fstat(descriptor).st_ino)
    noting("copy_file_range", lambda source, target, count: os.fstat(target).st_ino)
    noting("link", lambda source, name, *, dst_dir_fd: os.fstat(dst_dir_fd).st_ino)
    noting("mkdir", lambda name, mode, *, dir_fd=None: os.fstat(dir_fd).st_ino if dir_fd else 0)
    noting("rename", lambda source, target, *, src_dir_fd, dst_dir_fd: os.fstat(dst_dir_fd).st_ino)

    archive = open_folder(store_folder)
    assert archive.stores is not None
    next(iter(archive.stores.store(_STUDY, items)))
    last = {inode: number for number, (_, inode) in enumerate(steps)}
    places = [store_folder, store_folder / "objects", store_folder / "studies"]
    places += [path for top in ("objects", "studies") for path in (store_folder / top).rglob("*")]
    assert len(places) > 15
    for place in places:
        name, _ = steps[last[place.stat().st_ino]]
        assert name == "fsync", f"{place.relative_to(store_folder)} was changed after it was synced last"
    objects = {path.stat().st_ino for path in (store_folder / "objects").rglob("*.dcm")}
    links = [number for number, (name, _) in enumerate(steps) if name == "link"]
    assert max(number for number, step in enumerate(steps) if step[1] in objects) < min(links)


def test_an_object_whose_manifest_was_lost_is_entered_again_when_it_is_stored_again(
    store_folder: Path, open_folder: _Open, items: list[Fetched], tmp_path: Path
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items)
    (manifest,) = store_folder.glob("studies/*/*/manifest.jsonl")
    manifest.unlink()
    assert _store(archive, items) == ["already-present"] * 5
    assert read_back(archive, _STUDY, tmp_path / "out") == digests(items)


def test_threads_that_store_into_one_study_lose_no_instance_of_each_other(
    store_folder: Path, open_folder: _Open, tmp_path: Path
) -> None:
    items = written(tmp_path / "in", [ObjectSpec(instance=number + 1) for number in range(24)])
    archives = [open_folder(store_folder) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: _store(archives[number % 4], [items[number]]), range(24)))
    (study,) = archives[0].reads.find_studies(StudyQuery())
    assert study.instance_count == 24
    assert len(list(archives[0].reads.list_instances(_STUDY))) == 24


def test_a_lock_that_a_stopped_process_holds_is_told_and_waited_for_only_so_long(
    store_folder: Path, open_folder: _Open, items: list[Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items[:1])
    monkeypatch.setattr("vna_lifecycle.adapters.files.durable._PATIENCE", 0.2)
    manifest = next(store_folder.glob("studies/*/*/manifest.jsonl"))
    with manifest.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ArchiveError, match="another process holds a lock there") as caught:
            _store(archive, items)
    assert caught.value.transient
    assert _store(archive, items) == ["already-present", *["stored"] * 4]


def test_a_sweep_that_takes_a_new_incoming_folder_does_not_stop_the_store(
    store_folder: Path, open_folder: _Open, items: list[Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = open_folder(store_folder)
    _store(archive, items[:1])
    flock, taken = fcntl.flock, []

    def sweeping(descriptor: int, operation: int) -> None:
        for folder in (store_folder / "incoming").iterdir():
            if not taken:
                taken.append(folder)
                folder.rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweeping)
    assert _store(archive, items[1:3]) == ["stored"] * 2
    assert taken
    monkeypatch.undo()
    made, lost = tempfile.mkdtemp, []

    def swept(**named: Any) -> str:
        folder = made(**named)
        if not lost:
            lost.append(folder)
            Path(folder).rmdir()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    assert _store(archive, items[3:]) == ["stored"] * 2
    assert lost
