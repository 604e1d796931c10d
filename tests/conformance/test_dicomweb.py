"""An archive that other people wrote, over DICOMweb, passes the suites: Orthanc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from peers.dicomweb import WebArchive
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import SourceSuite, StoreSuite, site

pytestmark = pytest.mark.peer


class _OnOrthanc:
    """One Orthanc for all tests, emptied before each."""

    @pytest.fixture(autouse=True)
    def _server(self, web_archive: WebArchive) -> None:
        self.server = web_archive
        web_archive.empty()

    def open_target(self, folder: Path) -> Archive:
        return open_dicomweb(self.server.settings(), site(folder))


class TestOrthancAsSource(_OnOrthanc, SourceSuite):
    holds_conflicts = False
    holds_foreign_files = False

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        self.server.fill(objects)
        return self.open_target(folder)


class TestOrthancAsStore(_OnOrthanc, StoreSuite):
    pass
