"""Orthanc as a DICOMweb archive, and what it holds and did, asked through its own interface.

The fixtures are in ``tests/conftest.py``, for all rooms. Each server runs once in a test session; tests empty it first.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from peers.dicom import Running, folder_for_peer, run_orthanc
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings

_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
_NOTE = """
function ReceivedInstanceFilter(object)
  local log = io.open("{log}", "a")
  log:write(object["SOPInstanceUID"], "\\n")
  log:close()
  return object["PatientID"] ~= "DROPPED"
end
"""


@frozen
class WebArchive:
    """A running Orthanc with its DICOMweb plug-in."""

    running: Running

    @property
    def url(self) -> str:
        """Where its DICOMweb services are."""
        return f"{self.running.http}/dicom-web"

    def settings(self, **more: object) -> DicomwebSettings:
        """Settings of our adapter."""
        return DicomwebSettings(url=self.url, **more)  # type: ignore[arg-type]

    def _send(self, path: str, *, method: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.running.http + path, method=method, data=data)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - of our own making
            return bytes(answer.read())

    def _list(self, path: str) -> list[str]:
        found = self.running.get(path)
        assert isinstance(found, list)
        return found

    def empty(self) -> None:
        """Forget every object, and what was received."""
        for patient in self._list("/patients"):
            self._send(f"/patients/{patient}", method="DELETE")
        self._log.write_text("")

    def fill(self, objects: Iterable[bytes]) -> None:
        """Take objects, without DICOMweb."""
        for data in objects:
            assert json.loads(self._send("/instances", method="POST", data=data))["Status"] == "Success"

    def hashes(self) -> list[str]:
        """SHA-256 of every object's bytes, sorted."""
        return sorted(hashlib.sha256(data).hexdigest() for data in self.objects())

    def objects(self) -> Iterator[bytes]:
        """Every object's bytes."""
        return (self.running.raw(f"/instances/{one}/file") for one in self._list("/instances"))

    def received(self) -> Counter[str]:
        """How often each object was sent to it since it was emptied, by SOP Instance UID; also what it had."""
        return Counter(self._log.read_text().split())

    @property
    def _log(self) -> Path:
        return self.running.folder.with_name("received")


@contextmanager
def run_web_archive(folder: Path, **settings: object) -> Iterator[WebArchive]:
    """Orthanc with its DICOMweb plug-in; ``settings`` are more of its own.

    It writes down what it receives. Objects of the patient ``DROPPED`` it acknowledges as stored, and drops them.
    """
    folder.mkdir()
    log, script = folder / "received", folder / "received.lua"
    log.write_text("")
    script.write_text(_NOTE.format(log=log))
    more = {"Plugins": [_PLUGIN], "LuaScripts": [str(script)], **settings}
    with run_orthanc(folder, settings=more) as running:
        yield WebArchive(running)


@pytest.fixture(scope="session")
def web_archive() -> Iterator[WebArchive]:
    """An archive over DICOMweb."""
    with folder_for_peer() as folder, run_web_archive(folder) as archive:
        yield archive


@pytest.fixture(scope="session")
def other_web_archive() -> Iterator[WebArchive]:
    """Another one."""
    with folder_for_peer() as folder, run_web_archive(folder) as archive:
        yield archive
