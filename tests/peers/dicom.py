"""Real DICOM archives for tests, on random loopback ports: dcmtk's ``storescp`` and ``dcmqrscp``, and Orthanc.

In a ``conftest.py``: ``from peers.dicom import dcmqrscp, orthanc, storescp``. Each fixture starts one peer for a test
module and kills it, by its own pid, at the end; `run_storescp` and its like start one for a ``with`` statement. Peers
that send to us (C-MOVE, storage commitment) are told where we listen when they start: reserve that port first.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from attrs import frozen
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from vna_lifecycle.adapters.dimse.wire import (
    UNCOMPRESSED,
    VERIFICATION,
    Arrival,
    Context,
    Offer,
    Outgoing,
    Peer,
    Timeouts,
    echo,
    request,
    store,
)
from vna_lifecycle.errors import ArchiveError, StorageError
from vna_lifecycle.model.identity import AETitle
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

OURS = AETitle("VNA_TEST")
"""The AE title under which the peers know us."""

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}
"""Without these, dcmtk and Orthanc wait 40 ms for each small message."""

_CHANCE = random.SystemRandom()  # the others begin alike in every worker of a test run
_BEGIN_SECONDS = 30


@frozen(kw_only=True)
class Running:
    """A peer that runs. ``folder`` is where it keeps its objects, ``http`` Orthanc's own interface."""

    host: str
    port: int
    title: AETitle
    folder: Path
    pid: int
    ours: int = 0
    http: str = ""

    def peer(self, **changes: object) -> Peer:
        """How to associate with it."""
        known: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "called": self.title,
            "calling": OURS,
            "timeouts": Timeouts(connect=5.0, answer=30.0, stall=10.0),
        }
        return Peer(**{**known, **changes})  # type: ignore[arg-type]

    def get(self, path: str) -> object:
        """A resource of Orthanc's REST interface."""
        with urllib.request.urlopen(self.http + path, timeout=30) as answer:  # noqa: S310 - of our own making
            return json.load(answer)

    def raw(self, path: str) -> bytes:
        """The same, not decoded."""
        with urllib.request.urlopen(self.http + path, timeout=30) as answer:  # noqa: S310 - of our own making
            return bytes(answer.read())


class Gathering:
    """A sink that keeps everything in a folder. ``status`` is what senders are told."""

    def __init__(self, folder: Path, *, status: int = 0) -> None:
        self.folder = folder
        self.status = status
        self.arrivals: list[Arrival] = []
        self.offers: list[Offer] = []
        self.lost: list[StorageError | None] = []
        self._numbers = itertools.count(1)

    def place(self, offer: Offer) -> Path | int:
        self.offers.append(offer)
        return self.folder / f"{next(self._numbers):06d}.dcm"

    def take(self, arrival: Arrival) -> int:
        self.arrivals.append(arrival)
        return self.status

    def lose(self, path: Path, problem: StorageError | None) -> None:
        self.lost.append(problem)

    def by_uid(self) -> dict[str, Arrival]:
        """The last arrival of each SOP instance."""
        return {arrival.offer.sop_instance_uid: arrival for arrival in self.arrivals}


def free_port() -> int:
    """A port that nobody listens on at this moment, and that no system gives to a connection that goes out."""
    while True:
        port = _CHANCE.randrange(20_000, 32_000)
        with socket.socket() as holding, suppress(OSError):
            holding.bind(("127.0.0.1", port))
            return port


def program(name: str) -> str:
    """The path of a peer program; its absence is a failure in CI, and a visible skip elsewhere."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def running(command: list[str], peer: Peer, log: Path) -> Iterator[int]:
    """A program that runs until the end of the ``with`` statement, from when it answers a C-ECHO; its pid."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _BEGIN_SECONDS
        while not answers(peer):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not run:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def answers(peer: Peer) -> bool:
    """Whether somebody answers a C-ECHO."""
    try:
        with request(peer, [Context(abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED)]) as association:
            echo(association)
    except ArchiveError:
        return False
    return True


def local(port: int, title: str) -> Peer:
    """Somebody on this machine."""
    timeouts = Timeouts(connect=5.0, answer=30.0, stall=10.0)
    return Peer(host="127.0.0.1", port=port, called=AETitle(title), calling=OURS, timeouts=timeouts)


def fill(peer: Running, specs: Sequence[ObjectSpec]) -> None:
    """Store synthetic CT images in an archive, each of which it must say that it stored."""
    context = Context(abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,))
    with tempfile.TemporaryDirectory(prefix="filling-", dir=_memory()) as folder:
        objects = []
        for number, spec in enumerate(specs):
            path = Path(folder) / f"{number}.dcm"
            path.write_bytes(dicom_bytes(spec))
            uid = spec.sop_instance_uid
            objects.append(Outgoing(path=path, sop_class_uid=CTImageStorage, sop_instance_uid=uid))
        with request(peer.peer(), [context]) as association:
            answers = [answer for _, answer in store(association, objects)]
    assert [getattr(answer, "status", answer) for answer in answers] == [0] * len(specs)


def section(name: str, *, port: int, ae_title: str, **settings: object) -> str:
    """An archive on this machine that speaks DIMSE and knows us, as a section of a program's configuration."""
    known: dict[str, object] = {
        "plugin": "dimse",
        "host": "127.0.0.1",
        "port": port,
        "ae_title": ae_title,
        "calling_ae_title": OURS,
        "listen_host": "127.0.0.1",
        **settings,
    }
    return "\n".join([f"[archives.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in known.items()), ""])


@contextmanager
def run_storescp(folder: Path, *options: str) -> Iterator[Running]:
    """dcmtk's storage provider, which writes data sets as they come (``+B``) unless told otherwise."""
    objects = folder / "objects"
    objects.mkdir(parents=True)
    port = free_port()
    command = [program("storescp"), "-pdu", "131072", "-od", str(objects), *(options or ("+B", "+xa")), str(port)]
    with running(command, local(port, "ANY-SCP"), folder / "storescp.log") as pid:
        yield Running(host="127.0.0.1", port=port, title=AETitle("ANY-SCP"), folder=objects, pid=pid)


@contextmanager
def run_dcmqrscp(folder: Path, *, ours: int = 0, options: tuple[str, ...] = ()) -> Iterator[Running]:
    """dcmtk's archive ``QR``; ``ours`` is the port where it finds us for C-MOVE."""
    objects = folder / "objects"
    objects.mkdir(parents=True)
    port = free_port()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nus = ({OURS}, 127.0.0.1, {ours or 1})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {objects} RW (10000, 20000mb) ANY\nAETable END\n"
    )
    command = [program("dcmqrscp"), "-c", str(configuration), *options]
    with running(command, local(port, "QR"), folder / "dcmqrscp.log") as pid:
        yield Running(host="127.0.0.1", port=port, title=AETitle("QR"), folder=objects, pid=pid, ours=ours)


@contextmanager
def run_orthanc(folder: Path, *, ours: int = 0, settings: Mapping[str, object] | None = None) -> Iterator[Running]:
    """Orthanc; ``ours`` is the port where it finds us for C-MOVE and for storage commitment."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http = free_port(), free_port()
    configuration: dict[str, object] = {
        "Name": "test",
        "StorageDirectory": str(folder / "objects"),
        "IndexDirectory": str(folder / "objects"),
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomCheckModalityHost": False,
        "DicomModalities": {"us": [OURS, "127.0.0.1", ours or 1]},
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": False,
        "SaveJobs": False,
        "SyncStorageArea": False,
        "StableAge": 1,
        "MaximumPduLength": 131072,
        **(settings or {}),
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    command = [program("Orthanc"), str(folder / "orthanc.json")]
    with running(command, local(port, "ORTHANC"), folder / "orthanc.log") as pid:
        yield Running(
            host="127.0.0.1",
            port=port,
            title=AETitle("ORTHANC"),
            folder=folder / "objects",
            pid=pid,
            ours=ours,
            http=f"http://127.0.0.1:{http}",
        )


@contextmanager
def folder_for_peer() -> Iterator[Path]:
    """A folder for one peer, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="peer-", dir=_memory(), ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "peer"


def _memory() -> str | None:
    """A folder in memory where there is one, so that no test waits for a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def storescp() -> Iterator[Running]:
    """dcmtk's storage provider, taking every transfer syntax and writing what comes."""
    with folder_for_peer() as folder, run_storescp(folder) as peer:
        yield peer


@pytest.fixture(scope="module")
def dcmqrscp() -> Iterator[Running]:
    """dcmtk's archive, which expects us at ``ours``."""
    with folder_for_peer() as folder, run_dcmqrscp(folder, ours=free_port()) as peer:
        yield peer


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Running]:
    """Orthanc, which expects us at ``ours``."""
    with folder_for_peer() as folder, run_orthanc(folder, ours=free_port()) as peer:
        yield peer
