"""Storing into Orthanc by STOW-RS and retrieving by WADO-RS, against dicomweb-client with the same objects.

Ours reads every object's header before, asks what the archive has, streams from disk, and retrieves into files. The
peer is used as its documentation shows: data sets are read and stored, a series is retrieved as data sets.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from benchmarks import Comparison, Row, interleave
from benchmarks.dimse import peak
from benchmarks.files_to_files import build_large, build_many

if TYPE_CHECKING:
    from peers.dicomweb import WebArchive
    from vna_lifecycle.ports import Archive, Fetched

STUDIES = 4  # of 100 objects, 0.5 MB each
RATIO = 1.5
PEAK_MIB = 200.0
LARGE_FRAMES = 3815  # 2.0 GB; Orthanc 1.10 ends every retrieval of 2 GiB or more, whoever asks
ROOT = Path(__file__).parents[1]


def run(quick: bool = False) -> list[Row]:
    memory = Path("/dev/shm")  # noqa: S108 - the files stay in memory so that the disk is not measured
    with tempfile.TemporaryDirectory(prefix="dicomweb-bench-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        many, large = folder / "many", folder / "large"
        build_many(many, studies=1 if quick else STUDIES)
        pairs = 1 if quick else 7
        with serve(folder / "orthanc") as archive, opened(archive.url, folder) as ours:
            studies = read(many)
            stored = interleave(
                lambda: emptied(archive, lambda: store(ours, studies)),
                lambda: emptied(archive, lambda: peer_store(archive.url, studies)),
                pairs=pairs,
            )
            store(ours, studies)
            retrieved = interleave(
                lambda: retrieve(ours, studies, folder / "spool"),
                lambda: peer_retrieve(archive.url, studies),
                pairs=pairs,
            )
            archive.empty()
            for path in many.rglob("*.dcm"):
                path.unlink()
            build_large(large, frames=LARGE_FRAMES // 16 if quick else LARGE_FRAMES)
            size = next(large.iterdir()).stat().st_size
            peaks = [peak_of(verb, large, archive.url) for verb in ("--store", "--retrieve")]
    return [
        row("STOW-RS", stored),
        row("WADO-RS", retrieved),
        *(
            Row(
                name=f"{what} one object of {size / 1e9:.2g} GB over DICOMweb, peak memory",
                ours=mib,
                unit="MiB",
                target=f"<= {PEAK_MIB:.0f} MiB",
                reached=mib <= PEAK_MIB,
                note="the whole process",
            )
            for what, mib in zip(("store", "retrieve"), peaks, strict=True)
        ),
    ]


def row(name: str, compared: Comparison) -> Row:
    return Row(
        name=f"{name}, CT of 0.5 MB",
        ours=compared.ours,
        peer=compared.peer,
        unit="1/s",
        ratio=compared.ratio,
        target=f">= {RATIO}",
        reached=compared.ratio >= RATIO,
        note=f"peer: dicomweb-client; Orthanc; {compared.interval}",
    )


@contextmanager
def serve(folder: Path) -> Iterator[WebArchive]:
    """Orthanc with its data in ``folder``."""
    sys.path.insert(0, str(ROOT / "tests"))
    from peers.dicomweb import run_web_archive

    with run_web_archive(folder) as archive:
        yield archive


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Archive]:
    """Our adapter, with its settings as they come."""
    from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
    from vna_lifecycle.builtin import open_dicomweb
    from vna_lifecycle.ports import Site

    site = Site(
        name="bench",
        workspace=folder,
        clock=lambda: dt.datetime.now(dt.UTC),
        cancelled=threading.Event(),
        secret=lambda reference: os.environ[reference],
    )
    archive = open_dicomweb(DicomwebSettings(url=url), site)
    try:
        yield archive
    finally:
        archive.reads.close()


def read(folder: Path) -> list[list[Fetched]]:
    """Studies as the engine has them when it stores: fetched, each object's record and digest known."""
    from vna_lifecycle.dicom.digest import examine_file
    from vna_lifecycle.ports import Fetched

    studies: dict[str, list[Fetched]] = {}
    for path in sorted(folder.rglob("*.dcm")):
        examined = examine_file(path, locator="")
        item = Fetched(record=examined.record, path=path, digest=examined.digest)
        studies.setdefault(examined.record.study_uid, []).append(item)
    return list(studies.values())


def emptied(archive: WebArchive, rate: Callable[[], float]) -> float:
    """A rate of storing, everything being forgotten afterwards, which is not measured."""
    found = rate()
    archive.empty()
    return found


def store(ours: Archive, studies: list[list[Fetched]]) -> float:
    from vna_lifecycle.model.identity import StudyRef
    from vna_lifecycle.ports import Outcome, Receipt

    assert ours.stores is not None
    begun = time.perf_counter()
    count = 0
    for items in studies:
        for answer in ours.stores.store(StudyRef(study_uid=items[0].record.study_uid), items):
            assert isinstance(answer, Receipt), answer
            assert answer.outcome is Outcome.STORED
            count += 1
    assert count == sum(map(len, studies))
    return count / (time.perf_counter() - begun)


def peer_store(url: str, studies: list[list[Fetched]]) -> float:
    from pydicom import dcmread

    client = peer(url)
    begun = time.perf_counter()
    count = 0
    for items in studies:
        answer = client.store_instances([dcmread(item.path) for item in items])
        count += len(answer.ReferencedSOPSequence)
    assert count == sum(map(len, studies))
    return count / (time.perf_counter() - begun)


def retrieve(ours: Archive, studies: list[list[Fetched]], spool: Path) -> float:
    from vna_lifecycle.model.identity import StudyRef
    from vna_lifecycle.ports import Fetched

    spool.mkdir(exist_ok=True)
    begun = time.perf_counter()
    count = 0
    for items in studies:
        study = StudyRef(study_uid=items[0].record.study_uid)
        for got in ours.reads.fetch(study, list(ours.reads.list_instances(study)), _Spool(spool)):
            assert isinstance(got, Fetched), got
            got.path.unlink()
            count += 1
    assert count == sum(map(len, studies))
    return count / (time.perf_counter() - begun)


def peer_retrieve(url: str, studies: list[list[Fetched]]) -> float:
    client = peer(url)
    begun = time.perf_counter()
    count = 0
    for items in studies:
        record = items[0].record
        count += len(client.retrieve_series(record.study_uid, record.series_uid, (("application/dicom", "*"),)))
    assert count == sum(map(len, studies))
    return count / (time.perf_counter() - begun)


def peer(url: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dicomweb_client.api import DICOMwebClient
    return DICOMwebClient(url)


def peak_of(verb: str, folder: Path, url: str) -> float:
    """The most memory of a process that does nothing else, in MiB, as it counted it itself."""
    command = [sys.executable, "-m", "benchmarks.dicomweb", verb, str(folder), url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


@frozen
class _Spool:
    folder: Path

    def new_file(self, size: int | None = None) -> Path:
        return self.folder / os.urandom(8).hex()


if __name__ == "__main__":
    if sys.argv[1:2] in (["--store"], ["--retrieve"]):
        verb, source, url = sys.argv[1:]
        with tempfile.TemporaryDirectory(dir=Path(source).parent) as scratch, opened(url, Path(scratch)) as archive:
            objects = read(Path(source))
            if verb == "--store":
                store(archive, objects)
            else:
                retrieve(archive, objects, Path(scratch) / "spool")
            print(peak(os.getpid()))
    else:
        for result in run("--quick" in sys.argv):
            print(result)
