"""A HealthImaging data store passes the suites, on the fake and a real S3 server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.model.inventory import InstanceRecord, Rung
from vna_lifecycle.ports import Archive, Fetched
from vna_lifecycle.testing.conformance import BatchImporterSuite, ErasesSuite, SourceSuite
from vna_lifecycle.testing.healthimaging import Faults, Timing

pytestmark = pytest.mark.peer


class TestDatastoreAsSource(SourceSuite):
    rung = Rung.EQUIVALENT
    holds_conflicts = False  # in what it lists of a study; its inventory tells of non-primary image sets too
    holds_foreign_files = False

    @pytest.fixture(autouse=True)
    def _place(self, make_place: Callable[..., Place], seaweed: Server) -> None:
        self.place, self.server = make_place(), seaweed

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        for data in objects:
            self.place.fake.put(self.place.store, [data])
            self.place.clock.advance(0.4)
        settings, site = settings_of(self.place, self.server), site_of(folder, self.place)
        return open_archive(settings, site, pause=self.place.clock.advance)

    def unknown_locator(self, record: InstanceRecord) -> str:
        return f"{record.locator}9"


class TestImport(BatchImporterSuite):
    rung = Rung.EQUIVALENT

    @pytest.fixture(autouse=True)
    def _place(self, make_place: Callable[..., Place], seaweed: Server) -> None:
        self.place = make_place(timing=Timing(waiting=15, running=30), faults=Faults(lag=20))
        self.server = seaweed

    def open_target(self, folder: Path) -> Archive:
        settings, site = settings_of(self.place, self.server), site_of(folder, self.place)
        return open_archive(settings, site, pause=self.place.clock.advance)

    def wait(self, seconds: float) -> None:
        self.place.clock.advance(seconds)


class TestImportWithTheJobFolderInItsOutputUri(TestImport):
    @pytest.fixture(autouse=True)
    def _place(self, make_place: Callable[..., Place], seaweed: Server) -> None:
        self.place = make_place(timing=Timing(running=30), folder_in_output_uri=True)
        self.server = seaweed


class TestErasure(ErasesSuite):
    rung = Rung.EQUIVALENT

    @pytest.fixture(autouse=True)
    def _place(self, make_place: Callable[..., Place], seaweed: Server) -> None:
        self.place, self.server = make_place(deletion_seconds=20), seaweed

    def open_target(self, folder: Path) -> Archive:
        settings, site = settings_of(self.place, self.server), site_of(folder, self.place)
        return open_archive(settings, site, pause=self.place.clock.advance)

    def put(self, archive: Archive, items: Sequence[Fetched]) -> None:
        self.place.fake.put(self.place.store, [item.path.read_bytes() for item in items])
