"""Programs from a folder into a bucket and out of it again; every object is read back by a client of the test's own."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from peers.s3 import KEYS, Server, give_keys, seaweed, section, stored
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["seaweed"]
pytestmark = pytest.mark.peer

WRAPPER = Path(__file__).with_name("killed_program.py")
STUDIES, PER_STUDY = 5, 4
PARTS = "multipart_threshold = 5_242_880\npart_size = 5_242_880\n"
FOLDER = """
[archives.{name}]
plugin = "files"
path = "{path}"
"""
REST = """
[program]
name = "{name}"
[migration]
sources = ["{source}"]
target = "{target}"
verify = "hashed"
[execution]
engine = "{engine}"
workers = 2
reserve_bytes = 0
"""


@frozen
class Place:
    """A prefix of the session's server."""

    server: Server
    bucket: str
    prefix: str

    def section(self, name: str) -> str:
        return section(name, self.server.endpoint_url, (self.bucket, self.prefix), KEYS + PARTS)

    def hashes(self) -> list[str]:
        """SHA-256 of every stored object, from the server itself."""
        return sorted(hashlib.sha256(data).hexdigest() for data in stored(self.server, (self.bucket, self.prefix)))

    def uploads(self) -> int:
        found = self.server.client().list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return len(found.get("Uploads", ()))


@pytest.fixture
def place(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    give_keys(monkeypatch, seaweed)
    return Place(seaweed, *seaweed.place())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Some studies of small objects; in the last one an object that goes up in parts."""
    folder = tmp_path / "source"
    folder.mkdir()
    for study in range(1, STUDIES + 1):
        for instance in range(1, PER_STUDY + 1):
            spec = ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=study)
            (folder / f"{study}-{instance}.dcm").write_bytes(dicom_bytes(spec))
    large = dicom_bytes(ObjectSpec(study=STUDIES, instance=99, patient_id=f"P{STUDIES}"))
    padding = b"\xfc\xff\xfc\xff" + b"OB\0\0" + (12 << 20).to_bytes(4, "little")  # Data Set Trailing Padding
    (folder / "large.dcm").write_bytes(large + padding + os.urandom(12 << 20))
    return folder


def hashes(folder: Path) -> list[str]:
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.dcm"))


def make(folder: Path, *sections: str, source: str, target: str, engine: str = "threads") -> Path:
    folder.mkdir()
    rest = REST.format(name=folder.name, source=source, target=target, engine=engine)
    (folder / "program.toml").write_text(rest + "".join(sections))
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


def transfer(folder: Path) -> None:
    with Program.open(folder) as program:
        for wave in program.status().waves:
            program.transfer(wave.name)
        assert [dict(wave.states) for wave in program.status().waves] == [{"transferred": STUDIES}]


def transfer_and_die(folder: Path, log: Path, point: str, nth: int) -> None:
    command = [sys.executable, str(WRAPPER), str(log), point, str(nth), "after", "transfer", "--program", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_what_goes_into_a_bucket_comes_out_again_byte_for_byte(place: Place, source: Path, tmp_path: Path) -> None:
    """files -> s3 -> files: each object's SHA-256 is the same in the folder, in the bucket, and in the other folder."""
    into = make(
        tmp_path / "into",
        FOLDER.format(name="old", path=source),
        place.section("cloud"),
        source="old",
        target="cloud",
        engine="processes",
    )
    transfer(into)
    assert place.hashes() == hashes(source)
    (tmp_path / "target").mkdir()
    out = make(
        tmp_path / "out",
        place.section("cloud"),
        FOLDER.format(name="new", path=tmp_path / "target"),
        source="cloud",
        target="new",
    )
    transfer(out)
    assert hashes(tmp_path / "target") == hashes(source)


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("vna_lifecycle.adapters.s3.upload:Uploader.put", 9),
        ("vna_lifecycle.adapters.s3.holdings:Holdings.append", 2),
        ("vna_lifecycle.adapters.s3.upload:Uploader._parts", 1),
    ],
)
def test_a_killed_transfer_ends_as_if_nothing_had_been(
    place: Place, source: Path, tmp_path: Path, point: str, nth: int
) -> None:
    """kill -9 between objects, after a manifest, and with an upload half done: the next run completes all of it, once,
    and nothing unfinished stays in the bucket."""
    program = make(
        tmp_path / "into", FOLDER.format(name="old", path=source), place.section("cloud"), source="old", target="cloud"
    )
    transfer_and_die(program, tmp_path / "log", point, nth)
    assert place.uploads() == ("_parts" in point)
    transfer(program)
    assert place.hashes() == hashes(source)
    assert place.uploads() == 0
    with Program.open(program) as opened:
        told = [line.subjects for line in opened.findings("all") if line.kind.endswith("unfinished-uploads-ended")]
    assert told == ([1] if "_parts" in point else []), "what was ended is told"
