"""What a folder was seen to be, without changing anything and without telling anybody's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from vna_lifecycle.adapters.files import probing
from vna_lifecycle.adapters.files.tree import Tree
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


def seen(root: Path) -> dict[str, str]:
    return {item.name: item.value for item in probing.Probing(Tree(root, archive="old")).probe()}


def test_an_empty_folder_has_little_to_tell(tmp_path: Path) -> None:
    assert seen(tmp_path) == {"layout": "folders of files", "files-looked-at": "0", "files-sampled": "0"}


def test_names_and_places_of_files_are_told_in_shares(tmp_path: Path) -> None:
    for name in ("a/1.dcm", "a/2.DCM", "a/b/3", "a/b/4.Miller", "DICOMDIR"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom_bytes(ObjectSpec(instance=len(name))))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = seen(tmp_path)
    assert found["folder-depth"] == "0 to 2"
    assert found["files-in-a-folder"] == "up to 2"
    assert found["file-names"] == "no extension (67 %), .dcm (33 %)"
    assert found["media-directories"] == "1"
    assert found["symbolic-link"] == "1"
    assert found["files-looked-at"] == "6"
    assert found["files-sampled"] == "5"
    assert found["private-creators"] == "none"
    assert float(found["read-time"]) > 0
    assert "Miller" not in str(found)


def test_private_creators_come_from_real_objects_and_other_files_do_not_disturb(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    (tmp_path / "ct").write_bytes(source.read_bytes())
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "unreadable").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    found = seen(tmp_path)
    assert "GEMS_IDEN_01 (100 %)" in found["private-creators"]
    assert found["files-sampled"] == "1"
    assert found["special-file"] == "1"


def test_a_large_folder_is_sampled_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "SAMPLED", 4)
    monkeypatch.setattr(probing, "LOOKED_AT", 12)
    for number in range(20):
        (tmp_path / f"{number:02}").write_bytes(dicom_bytes(ObjectSpec(instance=number)))
    (tmp_path / "09").write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    found = seen(tmp_path)
    assert (found["files-looked-at"], found["files-sampled"]) == ("12", "4")
    assert "GEMS_IDEN_01 (25 %)" in found["private-creators"]


def test_looking_changes_nothing(open_folder: Callable[[Path], Archive], store_folder: Path) -> None:
    archive = open_folder(store_folder)
    assert archive.probes is not None
    (store_folder / "a").write_bytes(dicom_bytes(ObjectSpec()))
    before = [(path, path.stat().st_mtime_ns) for path in store_folder.rglob("*")]
    assert {item.name for item in archive.probes.probe()} >= {"layout", "private-creators"}
    assert [(path, path.stat().st_mtime_ns) for path in store_folder.rglob("*")] == before
