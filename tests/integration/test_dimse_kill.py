"""kill -9 of programs that store over DIMSE in an archive that re-encodes: same outcome, same explanation of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless

from peers.dicom import Running, fill, folder_for_peer, run_dcmqrscp, run_orthanc, section
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import StudyTransferred
from vna_lifecycle.program import Program
from vna_lifecycle.program.bench import utc_now
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

WRAPPER = Path(__file__).with_name("killed_program.py")
STUDIES, PER_STUDY = 5, 3
SPECS = [
    ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=instance)
    for study in range(1, STUDIES + 1)
    for instance in range(1, PER_STUDY + 1)
]
FILES = """
[archives.old]
plugin = "files"
path = "{folder}"
"""
REST = """
[program]
name = "killed over DIMSE"
[migration]
sources = ["old"]
target = "new"
verify = "equivalent"
[execution]
workers = 2
reserve_bytes = 0
"""
FETCHING = "vna_lifecycle.adapters.dimse.ticket"
STORING = "vna_lifecycle.adapters.dimse.storing"
POINTS = [
    (f"{STORING}:Store._confirmed", 2, "before"),
    ("vna_lifecycle.adapters.dimse.wire.storing:_answered", 5, "after"),
]
MORE_POINTS = [
    ("vna_lifecycle.adapters.dimse.sent:Sent.note", 2, "after"),
    ("vna_lifecycle.engine.tasks:read_back", 2, "before"),
    *(
        ("vna_lifecycle.adapters.dimse.wire.storing:_answered", nth, when)
        for nth in (1, 2, 4, 7, 11, 14)
        for when in ("before", "after")
    ),
]


def named(point: tuple[str, int, str]) -> str:
    return f"{point[0].rpartition(':')[2]}-{point[1]}-{point[2]}"


@pytest.fixture(
    scope="module",
    params=[pytest.param(ImplicitVRLittleEndian, marks=pytest.mark.soak), JPEGLSLossless],
    ids=["implicit", "jpeg-ls"],
)
def reencoding(request: pytest.FixtureRequest) -> Iterator[Running]:
    with folder_for_peer() as folder, run_orthanc(folder, settings={"IngestTranscoding": str(request.param)}) as peer:
        yield peer


def empty(peer: Running) -> None:
    """Remove everything from Orthanc."""
    for patient in peer.get("/patients"):  # type: ignore[attr-defined]
        asked = urllib.request.Request(f"{peer.http}/patients/{patient}", method="DELETE")  # noqa: S310
        urllib.request.urlopen(asked, timeout=30).close()  # noqa: S310
    assert peer.get("/instances") == []


def reached(name: str, peer: Running) -> str:
    return section(
        name,
        port=peer.port,
        ae_title=peer.title,
        retrieve="get",
        settle_seconds=1.0,
        associations=1 if peer.title == "QR" else 4,  # dcmqrscp loses objects that come in parallel
    )


def planned(folder: Path, *sections: str) -> Path:
    folder.mkdir()
    (folder / "program.toml").write_text(REST + "".join(sections))
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def outcome(folder: Path) -> tuple[dict[str, int], set[str]]:
    """The states, and by which classes of difference each object is explained that the archive re-encoded."""
    with Program.open(folder) as program:
        (wave,) = program.status().waves
        lines = [line for line in program.findings() if line.kind != "headers-only"]
        assert {line.kind for line in lines} == {"re-encoded-at-target"}
        details = [pair for line in lines for pair in program.evidence(line).details]
        assert sorted(uid for uid, _ in details) == sorted(spec.sop_instance_uid for spec in SPECS)
        assert program.verify_ledger(deep=True).ok
        states = dict(wave.states)
    with Ledger.open(folder / "ledger.db", clock=utc_now, read_only=True) as ledger:
        rungs = [each.event.rung for each in ledger.read() if isinstance(each.event, StudyTransferred)]
    assert rungs == ["equivalent"] * states["transferred"]  # it does re-encode, or nothing was shown here
    return states, {classes for _, classes in details}


def transfer(folder: Path, point: str = "-", nth: int = 0, when: str = "before") -> int:
    log = folder.with_suffix(".log")
    command = [sys.executable, str(WRAPPER), str(log), point, str(nth), when, "transfer", "--program", str(folder)]
    return subprocess.run(command, capture_output=True, timeout=120).returncode


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number, spec in enumerate(SPECS):
        (folder / f"{number}.dcm").write_bytes(dicom_bytes(spec))
    return folder


def killed_and_resumed(tmp_path: Path, files: Path, peer: Running, point: tuple[str, int, str]) -> None:
    empty(peer)
    folder = planned(tmp_path / "program", FILES.format(folder=files), reached("new", peer))
    assert transfer(folder, *point) == -signal.SIGKILL
    assert transfer(folder) == 0
    assert outcome(folder) == ({"transferred": STUDIES}, {"transfer-syntax"})
    assert len(peer.get("/instances")) == len(SPECS)  # type: ignore[arg-type]


@pytest.mark.parametrize("point", POINTS, ids=named)
def test_a_kill_while_storing_in_an_archive_that_re_encodes_changes_no_outcome(
    tmp_path: Path, files: Path, reencoding: Running, point: tuple[str, int, str]
) -> None:
    """What is found there in other bytes is known as ours: no conflict with ourselves."""
    killed_and_resumed(tmp_path, files, reencoding, point)


@pytest.mark.soak
@pytest.mark.parametrize("point", MORE_POINTS, ids=named)
def test_a_kill_anywhere_while_storing_in_an_archive_that_re_encodes_changes_no_outcome(
    tmp_path: Path, files: Path, reencoding: Running, point: tuple[str, int, str]
) -> None:
    killed_and_resumed(tmp_path, files, reencoding, point)


@pytest.mark.parametrize(
    "point", [pytest.param((f"{FETCHING}:Ticket.take", 4, "after"), marks=pytest.mark.soak), POINTS[1]], ids=named
)
def test_a_kill_between_two_archives_of_others_changes_no_outcome(tmp_path: Path, point: tuple[str, int, str]) -> None:
    """From dcmqrscp to Orthanc, killed while it fetches and while it stores."""
    with (
        folder_for_peer() as first,
        folder_for_peer() as second,
        run_dcmqrscp(first, options=("+B",)) as old,
        run_orthanc(second, settings={"IngestTranscoding": str(ImplicitVRLittleEndian)}) as new,
    ):
        fill(old, SPECS)
        folder = planned(tmp_path / "program", reached("old", old), reached("new", new))
        assert transfer(folder, *point) == -signal.SIGKILL
        assert transfer(folder) == 0
    assert outcome(folder) == ({"transferred": STUDIES}, {"transfer-syntax"})
