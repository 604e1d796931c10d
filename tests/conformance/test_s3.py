"""A bucket passes the suites, on servers that other people wrote: as any objects, and as a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.moto_api import state_manager
from moto.s3.models import FakeKey

from peers.s3 import Server, open_place
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import Archive, Fetched
from vna_lifecycle.testing.conformance import (
    ErasesSuite,
    HoldsSuite,
    RecallsSuite,
    SourceSuite,
    StoreSuite,
    TiersSuite,
    WithdrawSuite,
)

pytestmark = pytest.mark.peer


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
        return open_place(self.server, self.place(folder), folder)


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


class TestHolds(_OnServer, HoldsSuite):
    locked = True


class TestErasure(_OnServer, ErasesSuite):
    pass


class TestErasureFromABucketWithVersions(_OnServer, ErasesSuite):
    locked = True


class _OnMiniStack(_OnServer):
    @pytest.fixture(autouse=True)
    def _server(self, ministack: Server) -> None:
        self.server = ministack
        self.places: dict[Path, tuple[str, str]] = {}


class TestStoreOnMiniStack(_OnMiniStack, StoreSuite):
    """Another implementation of the same protocol."""


class TestTiers(_OnMiniStack, TiersSuite):
    """On MiniStack: SeaweedFS 4 refuses to copy an object onto itself into another storage class."""

    tier = "STANDARD_IA"


class TestTiersOfABucketWithVersions(TestTiers):
    locked = True


class TestHoldsOnMiniStack(_OnMiniStack, HoldsSuite):
    locked = True


def test_no_server_here_restores_so_that_recalls_are_tested_on_moto(ministack: Server, seaweed: Server) -> None:
    """Both refuse to. Where this fails, one has learned it, and recalls can be tested there."""
    for server in (ministack, seaweed):
        bucket, prefix = server.place()
        client = server.client()
        key = f"{prefix}/archived"
        client.put_object(Bucket=bucket, Key=key, Body=b"pixels", StorageClass="GLACIER")
        with pytest.raises(ClientError, match="MethodNotAllowed"):
            client.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": 1})


class TestRecalls(RecallsSuite):
    """On moto, in this process: neither server restores. It shows that the calls and answers fit, no more."""

    archive_tier = "GLACIER"

    @pytest.fixture(autouse=True)
    def _moto(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        restore = FakeKey.restore

        def begin(key: FakeKey, days: int) -> None:
            restore(key, days)
            key.status = key.status or "IN_PROGRESS"  # moto would tell a recall that has not begun as one that is done

        monkeypatch.setattr(FakeKey, "restore", begin)
        with mock_aws():
            state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 1_000_000})
            self.server = Server(endpoint_url="")
            client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
            client.create_bucket(Bucket="images")
            yield
            state_manager.unset_transition("s3::keyrestore")

    def open_target(self, folder: Path) -> Archive:
        return open_place(self.server, ("images", folder.name), folder, region="us-east-1")

    def finish_recalls(self, archive: Archive) -> None:
        state_manager.set_transition("s3::keyrestore", {"progression": "immediate"})
