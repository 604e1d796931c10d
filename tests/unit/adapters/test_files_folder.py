"""Reading a foreign folder: whatever lies there is told of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom.data
import pytest
from attrs import evolve

from vna_lifecycle.adapters.files import folder as folder_module
from vna_lifecycle.errors import ArchiveUnreachable
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Part, StudyQuery
from vna_lifecycle.testing.conformance import FolderSpool
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

_Open = Callable[[Path], Archive]


def _fill(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"IM{number}").write_bytes(dicom_bytes(ObjectSpec(instance=number + 1)))


def _inventory(archive: Archive) -> list[object]:
    return [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]


def test_a_big_flat_folder_is_split(tmp_path: Path, open_folder: _Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "FILES_PER_PART", 4)
    _fill(tmp_path / "export", 10)
    archive = open_folder(tmp_path / "export")
    parts = list(archive.reads.parts())
    assert [part.title for part in parts] == ["files 1 to 4", "files 5 to 8", "files 9 to 10"]
    assert [len(list(archive.reads.inventory(part))) for part in parts] == [4, 4, 2]


def test_a_parts_title_names_no_file(tmp_path: Path, open_folder: _Open) -> None:
    _fill(tmp_path / "export", 1)
    (tmp_path / "export" / "IM0").rename(tmp_path / "export" / "Doe^Jane")
    assert all("Doe" not in part.title for part in open_folder(tmp_path / "export").reads.parts())


def test_hostile_things_are_refused_each_with_its_reason(tmp_path: Path, open_folder: _Open) -> None:
    export = tmp_path / "export"
    _fill(export, 2)
    (export / "readme.txt").write_text("not DICOM")
    (export / "empty").touch()
    (export / "cut").write_bytes(dicom_bytes(ObjectSpec())[:-7])
    os.mkfifo(export / "pipe")
    (export / "link").symlink_to("/etc/passwd")
    (export / "dangling").symlink_to("nowhere")
    items = _inventory(open_folder(export))
    refused = {item.locator: item.code for item in items if isinstance(item, Refused)}
    assert set(refused) == {"readme.txt", "empty", "cut", "pipe", "link", "dangling"}
    assert (refused["pipe"], refused["link"], refused["dangling"]) == ("special-file", "symbolic-link", "symbolic-link")
    assert len([item for item in items if isinstance(item, InstanceRecord)]) == 2


def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, open_folder: _Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "export", 2)
    scan = folder_module.scan_file

    def failing(path: Path, *, locator: str) -> InstanceRecord:
        if locator == "IM0":
            raise OSError(5, "Input/output error")
        return scan(path, locator=locator)

    monkeypatch.setattr(folder_module, "scan_file", failing)
    first, second = _inventory(open_folder(tmp_path / "export"))
    assert isinstance(first, Refused)
    assert (first.code, first.reason) == ("unreadable-file", "Input/output error")
    assert isinstance(second, InstanceRecord)


def test_a_name_that_is_no_utf_8_is_fetched(tmp_path: Path, open_folder: _Open) -> None:
    export = tmp_path / "export"
    export.mkdir()
    path = Path(os.fsdecode(os.fsencode(export) + b"/\xff100%\n.dcm"))
    path.write_bytes(dicom_bytes(ObjectSpec()))
    archive = open_folder(export)
    (record,) = _inventory(archive)
    assert isinstance(record, InstanceRecord)
    assert record.locator == "%FF100%25%0A.dcm"
    (item,) = archive.reads.fetch(StudyRef(study_uid=record.study_uid), [record], FolderSpool(tmp_path))
    assert isinstance(item, Fetched)
    assert item.path == path


@pytest.mark.parametrize(
    "locator", ["../secret", "/etc/passwd", "sub/../../secret", "link", "sub/link/secret", "pipe", ""]
)
def test_no_locator_leads_out(tmp_path: Path, open_folder: _Open, locator: str) -> None:
    export = tmp_path / "export"
    (export / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(dicom_bytes(ObjectSpec()))
    (export / "link").symlink_to(tmp_path / "secret")
    (export / "sub" / "link").symlink_to(tmp_path)
    os.mkfifo(export / "pipe")
    record = InstanceRecord(locator=locator, sop_instance_uid=ObjectSpec().sop_instance_uid)
    (item,) = open_folder(export).reads.fetch(StudyRef(study_uid=StudyUID("1")), [record], FolderSpool(tmp_path))
    assert isinstance(item, FetchFailure)


def test_a_file_that_changed_since_it_was_listed_is_not_served_as_the_listed_one(
    tmp_path: Path, open_folder: _Open
) -> None:
    _fill(tmp_path / "export", 1)
    archive = open_folder(tmp_path / "export")
    (record,) = _inventory(archive)
    assert isinstance(record, InstanceRecord)
    with (tmp_path / "export" / "IM0").open("ab") as growing:
        growing.write(b"more")
    (item,) = archive.reads.fetch(StudyRef(study_uid=record.study_uid), [record], FolderSpool(tmp_path))
    assert isinstance(item, FetchFailure)
    assert item.code == "changed-since-listed"


@pytest.mark.parametrize(
    "call",
    [
        lambda archive: list(archive.reads.parts()),
        lambda archive: list(archive.reads.inventory(Part(key="\n"))),
        lambda archive: list(archive.reads.find_studies(StudyQuery())),
        lambda archive: list(archive.reads.list_instances(StudyRef(study_uid=StudyUID("1")))),
        lambda archive: list(
            archive.reads.fetch(
                StudyRef(study_uid=StudyUID("1")),
                [InstanceRecord(locator="IM0", sop_instance_uid=ObjectSpec().sop_instance_uid)],
                FolderSpool(Path("/nonexistent")),
            )
        ),
        lambda archive: list(archive.stores.store(StudyRef(study_uid=StudyUID("1")), [])),
    ],
    ids=["parts", "inventory", "find_studies", "list_instances", "fetch", "store"],
)
def test_every_call_says_that_the_folder_is_gone(
    tmp_path: Path, open_folder: _Open, call: Callable[[Archive], object]
) -> None:
    _fill(tmp_path / "export", 1)
    archive = open_folder(tmp_path / "export")
    shutil.rmtree(tmp_path / "export")
    with pytest.raises(ArchiveUnreachable) as caught:
        call(archive)
    assert caught.value.transient


def test_a_folder_that_is_not_there_cannot_be_opened(tmp_path: Path, open_folder: _Open) -> None:
    with pytest.raises(ArchiveUnreachable, match="cannot be reached"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveUnreachable, match="no folder"):
        open_folder(tmp_path / "file")


def test_an_empty_folder_is_an_archive_without_parts(tmp_path: Path, open_folder: _Open) -> None:
    (tmp_path / "export").mkdir()
    archive = open_folder(tmp_path / "export")
    assert list(archive.reads.parts()) == []
    assert list(archive.reads.find_studies(StudyQuery())) == []


def test_instances_of_one_study_are_listed_wherever_they_lie(tmp_path: Path, open_folder: _Open) -> None:
    for name, study in (("a", 1), ("b", 2), ("c", 1)):
        (tmp_path / "export" / name).mkdir(parents=True)
        (tmp_path / "export" / name / "IM").write_bytes(dicom_bytes(evolve(ObjectSpec(), study=study)))
    archive = open_folder(tmp_path / "export")
    listed = archive.reads.list_instances(StudyRef(study_uid=ObjectSpec(study=1).study_uid))
    assert [record.locator for record in listed] == ["a/IM", "c/IM"]


def test_files_that_a_dicomdir_names_and_that_are_not_there_are_told_of(tmp_path: Path, open_folder: _Open) -> None:
    media = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    shutil.copytree(media, tmp_path / "cd")
    whole = _inventory(open_folder(tmp_path / "cd"))
    directories = {item.locator for item in whole if isinstance(item, Refused) and item.code == "media-directory"}
    assert "DICOMDIR" in directories
    before = {item.locator for item in whole if isinstance(item, Refused) and item.code == "missing-file"}
    gone = tmp_path / "cd" / "77654033" / "CR1" / "6154"
    assert gone.is_file()
    gone.unlink()
    after = {item.locator for item in _inventory(open_folder(tmp_path / "cd")) if isinstance(item, Refused)}
    assert "DICOMDIR#77654033/CR1/6154" in after - before
    assert not any(code.startswith("DICOMDIR#77654033/CR1/") for code in before)
