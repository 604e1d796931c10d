"""An archive that other people wrote, over DICOMweb, passes the suites: Orthanc."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from peers.dicom import Running, folder_for_peer, run_orthanc
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import SourceSuite, StoreSuite, site

pytestmark = pytest.mark.peer
_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@pytest.fixture(scope="module")
def dicomweb() -> Iterator[Running]:
    with folder_for_peer() as folder, run_orthanc(folder, settings={"Plugins": [_PLUGIN]}) as peer:
        yield peer


class _OnOrthanc:
    """One Orthanc for all tests, emptied before each."""

    @pytest.fixture(autouse=True)
    def _server(self, dicomweb: Running) -> None:
        self.server = dicomweb
        studies = dicomweb.get("/studies")
        assert isinstance(studies, list)
        for study in studies:
            self._delete(f"/studies/{study}")

    def _delete(self, path: str) -> None:
        request = urllib.request.Request(self.server.http + path, method="DELETE")  # noqa: S310 - of our own making
        urllib.request.urlopen(request).close()  # noqa: S310 - as above

    def open_target(self, folder: Path) -> Archive:
        return open_dicomweb(DicomwebSettings(url=f"{self.server.http}/dicom-web"), site(folder))


class TestOrthancAsSource(_OnOrthanc, SourceSuite):
    holds_conflicts = False
    holds_foreign_files = False

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        for data in objects:
            place = f"{self.server.http}/instances"
            with urllib.request.urlopen(place, data=data) as answer:  # noqa: S310 - of our own making
                assert json.load(answer)["Status"] == "Success"
        return self.open_target(folder)


class TestOrthancAsStore(_OnOrthanc, StoreSuite):
    pass
