"""A bucket passes the suites, on servers that other people wrote: as any objects, and as a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from peers.s3 import Server
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.builtin import open_s3
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Archive, Fetched
from vna_lifecycle.testing.conformance import SourceSuite, StoreSuite, WithdrawSuite, site

pytestmark = pytest.mark.peer


def open_bucket(server: Server, place: tuple[str, str], folder: Path, **more: object) -> Archive:
    settings = S3Settings(
        bucket=place[0],
        prefix=place[1],
        endpoint_url=server.endpoint_url,
        access_key_id=SecretReference("env:S3_KEY"),
        secret_access_key=SecretReference("env:S3_SECRET"),
        **more,  # type: ignore[arg-type]
    )
    return open_s3(settings, evolve(site(folder), secret=server.secrets.__getitem__))


class _OnServer:
    """One place for each folder."""

    locked = False

    @pytest.fixture(autouse=True)
    def _server(self, seaweed: Server) -> None:
        self.server = seaweed
        self.places: dict[Path, tuple[str, str]] = {}

    def place(self, folder: Path) -> tuple[str, str]:
        if folder not in self.places:
            self.places[folder] = self.server.place(locked=self.locked)
        return self.places[folder]

    def open_target(self, folder: Path) -> Archive:
        return open_bucket(self.server, self.place(folder), folder)


class TestAnyObjectsAsSource(_OnServer, SourceSuite):
    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        bucket, prefix = self.place(folder)
        client = self.server.client()
        for number, data in enumerate(objects):
            client.put_object(Bucket=bucket, Key=f"{prefix}/PAT{number % 3}/IM {number}", Body=data)
        client.put_object(Bucket=bucket, Key=f"{prefix}-of-others/IM", Body=b"not under the prefix")
        return self.open_target(folder)


class TestStoreAsSource(_OnServer, SourceSuite):
    holds_conflicts = False
    holds_foreign_files = False

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        archive = self.open_target(folder)
        assert archive.stores is not None
        for number, data in enumerate(objects):
            path = folder / f"{number}.dcm"
            path.write_bytes(data)
            record = scan_bytes(data)
            list(archive.stores.store(StudyRef(study_uid=record.study_uid), [Fetched(record=record, path=path)]))
        return archive


class TestStore(_OnServer, StoreSuite):
    pass


class TestWithdrawal(_OnServer, WithdrawSuite):
    pass


class TestWithdrawalFromABucketWithVersions(_OnServer, WithdrawSuite):
    locked = True


class TestStoreOnMiniStack(_OnServer, StoreSuite):
    """Another implementation of the same protocol."""

    @pytest.fixture(autouse=True)
    def _server(self, ministack: Server) -> None:
        self.server = ministack
        self.places: dict[Path, tuple[str, str]] = {}
