"""A DICOMDIR is read without being believed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest

from vna_lifecycle.dicom.fileset import ReferencedFile, read_dicomdir
from vna_lifecycle.errors import DicomRefused


def _tree(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


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
