"""Programs over DICOMweb into archives that other people wrote, out of them, and on to S3: each ends ready for care.

A killed one is taken up again. What each archive holds, and how often it was sent something, it is asked itself.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from peers.dicomweb import WebArchive
from peers.s3 import Server, give_keys, section, stored
from peers.scripted_web import Gate
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

WRAPPER = Path(__file__).with_name("killed_program.py")
STUDIES, PER_SERIES = 4, 3
REQUESTS = 12
"""About a third of those to the target that all of it takes."""
WEB = """
[archives.{name}]
plugin = "dicomweb"
url = "{url}"
objects_per_store = 2
"""
FOLDER = """
[archives.{name}]
plugin = "files"
path = "{path}"
"""
REST = """
[program]
name = "over DICOMweb"
[migration]
sources = ["old"]
target = "new"
verify = "hashed"
[execution]
engine = "{engine}"
workers = 2
reserve_bytes = 0
[acceptance]
max_defect_rate = 0.2
confidence = 0.8
"""


def specs() -> list[ObjectSpec]:
    """Studies of two series; the last one has no date."""
    found = []
    for study in range(1, STUDIES + 1):
        date = "" if study == STUDIES else f"2024022{study}"
        first = ObjectSpec(study=study, patient_id=f"P{study}", issuer="H", study_date=date, study_description="CT")
        for series, instance in [(1, number) for number in range(1, PER_SERIES + 1)] + [(2, 1)]:
            found.append(evolve(first, series=series, instance=instance, grey=10 * study + instance))
    return found


OBJECTS = [dicom_bytes(spec) for spec in specs()]
HASHES = sorted(hashlib.sha256(data).hexdigest() for data in OBJECTS)


@pytest.fixture
def old(web_archive: WebArchive) -> WebArchive:
    """A full archive."""
    web_archive.empty()
    web_archive.fill(OBJECTS)
    return web_archive


@pytest.fixture
def new(other_web_archive: WebArchive) -> WebArchive:
    """An empty archive."""
    other_web_archive.empty()
    return other_web_archive


def folder_of(path: Path, objects: list[bytes]) -> str:
    path.mkdir()
    for number, data in enumerate(objects):
        (path / f"{number}.dcm").write_bytes(data)
    return str(path)


def in_folder(path: Path) -> list[str]:
    return sorted(hashlib.sha256(one.read_bytes()).hexdigest() for one in path.rglob("*.dcm"))


def planned(folder: Path, old: str, new: str, engine: str = "threads") -> Path:
    folder.mkdir()
    (folder / "program.toml").write_text(REST.format(engine=engine) + old + new)
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def finish(folder: Path) -> None:
    """Transfer what is left, and accept it."""
    with Program.open(folder) as program:
        program.transfer("all")
        assert [dict(wave.states) for wave in program.status().waves] == [{"transferred": STUDIES}]
        readiness = program.accept("all")
        assert readiness.ready, readiness
        assert [wave.ready for wave in program.status().waves] == [True]


def killed(folder: Path, point: str, nth: int, when: str) -> None:
    log = folder.with_name("links.log")
    command = [
        sys.executable,
        str(WRAPPER),
        str(log),
        point,
        str(nth),
        when,
        "transfer",
        "all",
        "--program",
        str(folder),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr


def test_an_archive_moves_to_another_over_dicomweb(old: WebArchive, new: WebArchive, tmp_path: Path) -> None:
    """In processes; every object has the same bytes in both archives, and was stored once."""
    sections = WEB.format(name="old", url=old.url), WEB.format(name="new", url=new.url)
    finish(planned(tmp_path / "program", *sections, engine="processes"))
    assert new.hashes() == old.hashes() == HASHES
    assert set(new.received().values()) == {1}


def test_what_goes_in_over_dicomweb_comes_out_again(new: WebArchive, tmp_path: Path) -> None:
    """files -> DICOMweb -> files: the same bytes, in the archive and in the other folder."""
    export, back = folder_of(tmp_path / "export", OBJECTS), folder_of(tmp_path / "back", [])
    web = WEB.format(name="{name}", url=new.url)
    finish(planned(tmp_path / "into", FOLDER.format(name="old", path=export), web.format(name="new")))
    assert new.hashes() == HASHES
    finish(planned(tmp_path / "out", web.format(name="old"), FOLDER.format(name="new", path=back)))
    assert in_folder(tmp_path / "back") == HASHES


POINTS = [
    ("vna_lifecycle.adapters.dicomweb.storing:Store._post", 3, "after"),  # the archive has it, and we did not say so
    ("vna_lifecycle.adapters.dicomweb.fetching:_Run._series", 2, "after"),
    ("vna_lifecycle.engine.tasks:read_back", 2, "after"),
]
"""Functions, with the number of the call before or after which the process dies."""


@pytest.mark.parametrize(("point", "nth", "when"), POINTS)
def test_a_killed_program_stores_nothing_twice(
    old: WebArchive, new: WebArchive, tmp_path: Path, point: str, nth: int, when: str
) -> None:
    sections = WEB.format(name="old", url=old.url), WEB.format(name="new", url=new.url)
    folder = planned(tmp_path / "program", *sections)
    killed(folder, point, nth, when)
    assert len(new.hashes()) < len(HASHES)
    finish(folder)
    assert new.hashes() == HASHES
    assert set(new.received().values()) == {1}


@pytest.fixture
def gate(new: WebArchive) -> Iterator[Gate]:
    """Before the empty archive, to see how far a program came."""
    gate = Gate(new.url)
    yield gate
    gate.close()


def kill_at_random(folder: Path, gate: Gate, chance: random.Random) -> bool:
    """Kill a run soon after one of its next requests to the target, or while it starts; False if it was done before."""
    until = len(gate.seen) + chance.randrange(REQUESTS)
    command = [sys.executable, "-m", "vna_lifecycle", "transfer", "all", "--program", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(gate.seen) < until and process.poll() is None:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.03))
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 4), *(pytest.param(seed, 12, marks=pytest.mark.soak) for seed in range(1, 9))]
)
def test_a_program_that_is_killed_at_random_moments_stores_nothing_twice(
    old: WebArchive, new: WebArchive, gate: Gate, tmp_path: Path, seed: int, kills: int
) -> None:
    """However far a store request came: what the archive has is found there, and the rest is sent."""
    chance = random.Random(seed)
    folder = planned(tmp_path / "program", WEB.format(name="old", url=old.url), WEB.format(name="new", url=gate.url))
    for _ in range(kills):
        if not kill_at_random(folder, gate, chance):
            break
    finish(folder)
    with Program.open(folder) as program:
        assert program.verify_ledger(deep=True).ok
    assert new.hashes() == HASHES
    assert set(new.received().values()) == {1}


def test_an_archive_moves_into_a_bucket_although_it_is_killed(
    old: WebArchive, seaweed: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bucket keeps every version: an object that was stored again would have two."""
    give_keys(monkeypatch, seaweed)
    place = seaweed.place(locked=True)
    folder = planned(
        tmp_path / "program", WEB.format(name="old", url=old.url), section("new", seaweed.endpoint_url, place)
    )
    killed(folder, "vna_lifecycle.adapters.s3.upload:Uploader.put", 6, "after")
    finish(folder)
    assert sorted(hashlib.sha256(data).hexdigest() for data in stored(seaweed, place)) == HASHES


def test_an_acknowledgement_of_what_was_dropped_is_no_transfer(new: WebArchive, tmp_path: Path) -> None:
    """The target says of every object that it is stored, and keeps none of one patient's."""
    objects = [dicom_bytes(ObjectSpec(study=number, patient_id=f"P{number}")) for number in (1, 2)]
    export = folder_of(tmp_path / "export", [*objects, dicom_bytes(ObjectSpec(study=3, patient_id="DROPPED"))])
    folder = planned(tmp_path / "program", FOLDER.format(name="old", path=export), WEB.format(name="new", url=new.url))
    with Program.open(folder) as program:
        program.transfer("all")
        (wave,) = program.status().waves
        assert dict(wave.states) == {"transferred": 2, "incomplete": 1}
        assert not program.accept("all").ready
