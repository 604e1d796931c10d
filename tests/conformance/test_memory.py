"""The archive in memory passes the suites that real archives pass, with and without a fault plan around it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import (
    BatchImporterSuite,
    CommitmentSuite,
    ErasesSuite,
    HoldsSuite,
    RecallsSuite,
    SourceSuite,
    StoreSuite,
    TiersSuite,
    WithdrawSuite,
    site,
)
from vna_lifecycle.testing.memory import MemorySettings, fill, forget, memory_state, open_memory


@pytest.fixture(autouse=True)
def _forgotten(tmp_path: Path) -> Iterator[None]:
    yield
    forget(str(tmp_path))
    forget(str(tmp_path / "archive"))


def _open(folder: Path, *, imports: bool = False) -> Archive:
    return open_memory(MemorySettings(name=str(folder), imports=imports), site(folder))


class TestMemoryAsSource(SourceSuite):
    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        fill(str(folder), objects)
        return _open(folder)


class TestMemoryStore(StoreSuite):
    def open_target(self, folder: Path) -> Archive:
        return _open(folder)


class TestMemoryWithdrawal(WithdrawSuite):
    def open_target(self, folder: Path) -> Archive:
        return _open(folder)


class TestMemoryImports(BatchImporterSuite):
    def open_target(self, folder: Path) -> Archive:
        return _open(folder, imports=True)


class TestMemoryCommitment(CommitmentSuite):
    def open_target(self, folder: Path) -> Archive:
        return open_memory(MemorySettings(name=str(folder), commits=True), site(folder))


def _open_governed(folder: Path) -> Archive:
    return open_memory(MemorySettings(name=str(folder), governs=True), site(folder))


class TestMemoryTiers(TiersSuite):
    tier = "slow"

    def open_target(self, folder: Path) -> Archive:
        return _open_governed(folder)


class TestMemoryRecalls(RecallsSuite):
    archive_tier = "deep"

    def open_target(self, folder: Path) -> Archive:
        self.folder = folder
        return _open_governed(folder)

    def finish_recalls(self, archive: Archive) -> None:
        memory_state(str(self.folder)).governed.finish_recalls(dt.datetime(2025, 1, 1, tzinfo=dt.UTC))


class TestMemoryHolds(HoldsSuite):
    now = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)

    def open_target(self, folder: Path) -> Archive:
        return _open_governed(folder)


class TestMemoryErasure(ErasesSuite):
    def open_target(self, folder: Path) -> Archive:
        return _open_governed(folder)
