"""Folders are walked completely, in order, without loops; a DICOMDIR is read without being believed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pydicom
import pytest

from vna_lifecycle.dicom.fileset import ReferencedFile, UnreadableFolder, read_dicomdir, walk_files
from vna_lifecycle.errors import DicomRefused


def _tree(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_every_file_comes_once_sorted_by_name_within_its_folder(tmp_path: Path) -> None:
    _tree(tmp_path, "b/2", "b/10", "a", "c/d/e", "B/x", "\u00e9")
    (tmp_path / "empty").mkdir()
    walked = [path.relative_to(tmp_path).as_posix() for path in walk_files(tmp_path) if isinstance(path, Path)]
    assert walked == ["B/x", "a", "b/10", "b/2", "c/d/e", "\u00e9"]


def test_the_walk_is_that_of_the_whole_real_tree(wheel: Path, every_file: list[Path]) -> None:
    walked = list(walk_files(wheel))
    assert sorted(walked) == every_file
    assert walked == list(walk_files(wheel))


def test_links_lead_neither_into_loops_nor_to_doubles(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    _tree(inside, "a/1", "b/2")
    _tree(outside, "3")
    (inside / "a" / "up").symlink_to(inside)
    (inside / "a" / "self").symlink_to(inside / "a" / "self")
    (inside / "again").symlink_to(inside / "b")
    (inside / "else").symlink_to(outside)
    (inside / "else again").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    (inside / "dead").symlink_to(inside / "nothing")
    walked = [str(path.relative_to(inside)) for path in walk_files(inside) if isinstance(path, Path)]
    assert walked == ["a/1", "a/self", "b/2", "dead", "else/3"]


def test_a_folder_that_cannot_be_listed_is_told_and_the_walk_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(tmp_path, "a/1", "b/2")
    real = os.scandir

    def scandir(path: str | Path) -> object:
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walked = list(walk_files(tmp_path))
    assert walked == [UnreadableFolder(path=tmp_path / "a", reason="Permission denied"), tmp_path / "b" / "2"]


def test_a_root_that_is_not_there_is_told(tmp_path: Path) -> None:
    (told,) = walk_files(tmp_path / "absent")
    assert isinstance(told, UnreadableFolder)


@pytest.mark.parametrize("name", ["DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-reordered"])
def test_a_directory_names_the_files_that_pydicom_finds_in_it(name: str, wheel: Path) -> None:
    path = wheel / "dicomdirtests" / name
    ds = pydicom.dcmread(path)
    expected = [
        (tuple(record.ReferencedFileID), record.ReferencedSOPInstanceUIDInFile)
        for record in ds.DirectoryRecordSequence
        if "ReferencedFileID" in record
    ]
    found = list(read_dicomdir(path))
    assert [(file.file_id, file.sop_instance_uid) for file in found] == expected
    assert len(found) == 31
    for file in found:
        assert file.problem == ""
        assert file.path == wheel.joinpath("dicomdirtests", *file.file_id)


def test_names_match_as_on_real_media_and_what_is_missing_is_reported(wheel: Path, tmp_path: Path) -> None:
    shutil.copy(wheel / "dicomdirtests" / "DICOMDIR", tmp_path / "DICOMDIR")
    _tree(tmp_path, "77654033/cr1/6154", "77654033/CR2/6247.", "77654033/CR3/6278;1")
    found = list(read_dicomdir(tmp_path / "DICOMDIR"))
    present = [file.path.relative_to(tmp_path).as_posix() for file in found if file.path]
    assert present == ["77654033/cr1/6154", "77654033/CR2/6247.", "77654033/CR3/6278;1"]
    assert {file.problem for file in found if not file.path} == {"missing"}
    assert len(found) == 31


def _directory(tmp_path: Path, wheel: Path, file_id: bytes) -> ReferencedFile:
    data = (wheel / "dicomdirtests" / "DICOMDIR").read_bytes()
    original = b"77654033\\CR1\\6154 "
    assert original in data
    (tmp_path / "DICOMDIR").write_bytes(data.replace(original, file_id.ljust(len(original))))
    return next(iter(read_dicomdir(tmp_path / "DICOMDIR")))


@pytest.mark.parametrize("file_id", [b"..\\..\\secret", b"\\etc\\passwd", b"a/../../b", b"C:\\x", b".\\x"])
def test_a_file_id_never_leads_out_of_the_file_set(file_id: bytes, wheel: Path, tmp_path: Path) -> None:
    file = _directory(tmp_path, wheel, file_id)
    assert (file.path, file.problem) == (None, "illegal")


def test_a_link_never_leads_out_of_the_file_set(wheel: Path, tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    _tree(tmp_path, "elsewhere/secret")
    (root / "LINK").symlink_to(tmp_path / "elsewhere")
    file = _directory(root, wheel, b"LINK\\SECRET")
    assert (file.path, file.problem) == (None, "outside")


def test_what_is_no_directory_is_refused(wheel: Path) -> None:
    with pytest.raises(DicomRefused) as caught:
        list(read_dicomdir(wheel / "MR_small.dcm"))
    assert caught.value.code == "not-dicom"


def test_a_directory_whose_lengths_are_wrong_tells_what_it_can_and_then_is_refused(wheel: Path) -> None:
    found = []
    with pytest.raises(DicomRefused) as caught:
        for file in read_dicomdir(wheel / "dicomdirtests" / "DICOMDIR-nooffset"):
            found.append(file)
    assert caught.value.code == "truncated"
    assert len(found) > 20
