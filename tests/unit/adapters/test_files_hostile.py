"""Ten thousand hostile identifiers and locators, and not one file outside the store."""

from __future__ import annotations

import itertools
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Receipt
from vna_lifecycle.testing.conformance import FolderSpool
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

_PIECES = (
    "..", "../", "/", "//", "\\", "..\\", "%2e%2e%2f", "~", "$HOME", "`id`", "\r\n", "\x1b[2J", "\x7f", "C:", "nul",
    "objects", "studies", "incoming", "vna-store.json", "index.sqlite", "manifest.jsonl", "outside", "1.2.3", ".", "'",
    '"', "a" * 70, "; DROP TABLE study; --", "{}", "#", "?", "*", "\u00e9", "\u202e", "etc/passwd", " ", "\t",
)  # fmt: skip


def _hostile(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for number in itertools.count():
        yield "".join(chance.choices(_PIECES, k=chance.randrange(1, 6))) + f"{number:x}"


def _element(group: int, element: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, vr.encode(), len(value)) + value


def _object(sop: str, study: str, series: str) -> bytes:
    """A CT image whose identifiers are any text, as no honest library would write it."""
    whole = dicom_bytes(ObjectSpec())
    (meta,) = struct.unpack_from("<I", whole, 140)
    values: list[tuple[int, int, str, bytes]] = [
        (0x0008, 0x0005, "CS", b"ISO_IR 192"),
        (0x0008, 0x0016, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
        (0x0008, 0x0018, "UI", sop.encode("latin-1", "replace")),
        (0x0010, 0x0010, "PN", series.encode()),
        (0x0010, 0x0020, "LO", sop.encode()),
        (0x0020, 0x000D, "UI", study.encode("latin-1", "replace")),
        (0x0020, 0x000E, "UI", series.encode("latin-1", "replace")),
        (0x0028, 0x0010, "US", b"\1\0"),
        (0x0028, 0x0011, "US", b"\2\0"),
    ]
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 2) + b"\0\0"
    return whole[: 144 + meta] + b"".join(_element(*value) for value in values) + pixels


def _snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def test_no_identifier_makes_a_path(
    tmp_path: Path, store_folder: Path, open_folder: Callable[[Path], Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("untouched")
    archive = open_folder(store_folder)
    assert archive.stores is not None
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # paths are what counts here
    names = _hostile(1)
    items = []
    taken = 0
    studies: list[str] = []
    for number in range(3334):  # three identifiers each
        if number % 64 == 0:
            studies.append(next(names))
        data = _object(next(names), studies[-1], next(names))
        path = tmp_path / "in" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        items.append(Fetched(record=scan_bytes(data), path=path))
    before = {path: state for path, state in _snapshot(tmp_path).items() if not path.startswith(str(store_folder))}
    for study, members in itertools.groupby(items, lambda item: item.record.study_uid):
        answers = list(archive.stores.store(StudyRef(study_uid=study), list(members)))
        taken += sum(isinstance(answer, Receipt) for answer in answers)
        listed = list(archive.reads.list_instances(StudyRef(study_uid=study)))
        assert len(listed) == len(answers)
    assert taken == len(items)
    archive.reads.close()
    after = {path: state for path, state in _snapshot(tmp_path).items() if not path.startswith(str(store_folder))}
    assert after == before
    allowed = set("0123456789abcdef")
    for path in store_folder.rglob("*"):
        name = path.name.removesuffix(".dcm")
        assert set(name) <= allowed or path.name in {
            "vna-store.json", "objects", "studies", "incoming", "manifest.jsonl",
            "index.sqlite", "index.sqlite-wal", "index.sqlite-shm",
        }  # fmt: skip


def test_no_locator_reads_or_writes_outside(
    tmp_path: Path, store_folder: Path, open_folder: Callable[[Path], Archive]
) -> None:
    (tmp_path / "outside").write_bytes(dicom_bytes(ObjectSpec()))
    (store_folder / "file").write_bytes(dicom_bytes(ObjectSpec()))
    (store_folder / "studies").symlink_to(tmp_path)
    archive = open_folder(store_folder)
    names = itertools.islice(_hostile(2), 10_000)
    wanted = [InstanceRecord(locator=name, sop_instance_uid=SOPInstanceUID("1")) for name in names]
    wanted += [
        InstanceRecord(locator=f"studies/{name}", sop_instance_uid=SOPInstanceUID("1"))
        for name in ("outside", "store/file")
    ]
    before = _snapshot(tmp_path)
    found = list(archive.reads.fetch(StudyRef(study_uid=StudyUID("1")), wanted, FolderSpool(tmp_path / "spool")))
    assert len(found) == len(wanted)
    assert all(isinstance(item, FetchFailure) for item in found)
    assert list(archive.reads.list_instances(StudyRef(study_uid=StudyUID("../../outside")))) == []
    assert _snapshot(tmp_path) == before
