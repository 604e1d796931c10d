"""A folder passes the suites, as a foreign tree and as a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.builtin import open_files
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import Archive, Fetched
from vna_lifecycle.testing.conformance import SourceSuite, StoreSuite, WithdrawSuite, site


def _open(folder: Path) -> Archive:
    place = folder / "store"
    place.mkdir(exist_ok=True)
    return open_files(FilesSettings(path=place), site(folder))


class TestFolderAsSource(SourceSuite):
    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        for number, data in enumerate(objects):
            path = folder / "store" / f"PAT{number % 3}" / f"IM{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return _open(folder)


class TestStoreAsSource(SourceSuite):
    holds_conflicts = False
    holds_foreign_files = False

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        archive = _open(folder)
        assert archive.stores is not None
        for number, data in enumerate(objects):
            path = folder / f"{number}.dcm"
            path.write_bytes(data)
            record = scan_bytes(data)
            list(archive.stores.store(StudyRef(study_uid=record.study_uid), [Fetched(record=record, path=path)]))
        return archive


class TestStore(StoreSuite):
    def open_target(self, folder: Path) -> Archive:
        return _open(folder)


class TestWithdrawal(WithdrawSuite):
    def open_target(self, folder: Path) -> Archive:
        return _open(folder)
