"""Programs into S3, into HealthImaging and out of it, killed at random moments: each ends ready, every object once.

What the target holds, and how often, it is asked itself: neither server is in the processes that are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from peers.dicomweb import WebArchive
from peers.healthimaging import Place, make_place
from peers.healthimaging_program import came_out, held, make_program
from peers.s3 import Server, give_keys, section, stored
from vna_lifecycle.cli import main
from vna_lifecycle.dicom.scan import scan_bytes, scan_file
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.program import Program
from vna_lifecycle.program.bench import utc_now
from vna_lifecycle.testing.healthimaging import Faults, Timing
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["make_place"]

pytestmark = [pytest.mark.peer, pytest.mark.soak, pytest.mark.timeout(3600)]

SPECS = [
    ObjectSpec(
        study=study,
        instance=number,
        patient_id=f"P{study}",
        issuer="H",
        study_description="CT",
        transfer_syntax=JPEGBaseline8Bit if study % 2 else ExplicitVRLittleEndian,
        grey=10 * study + number,
    )
    for study in range(1, 7)
    for number in (1, 2, 3)
]
ONCE = dict.fromkeys((spec.sop_instance_uid for spec in SPECS), 1)
INTO_S3 = """
[program]
name = "Into S3"
[archives.old]
plugin = "dicomweb"
url = "{url}"
{new}
[migration]
sources = ["old"]
target = "new"
[[waves]]
name = "all"
[execution]
reserve_bytes = 0
workers = 2
[acceptance]
max_defect_rate = 0.2
confidence = 0.8
"""


@frozen
class Route:
    """A planned program, and how to ask its target how often it holds each SOP Instance UID."""

    folder: Path
    counts: Callable[[], Counter[str]]

    def run(self, seconds: float | None = None) -> int:
        """Transfer in a process of its own, which is killed after some seconds, if given; its exit code."""
        command = [sys.executable, "-m", "vna_lifecycle", "transfer", "all", "--program", str(self.folder)]
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            told, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            told, _ = process.communicate()
        finally:  # also when the test itself was given up
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode in (0, -signal.SIGKILL), told
        return process.returncode

    def record(self) -> list[str]:
        """What is on record, event by event."""
        with Ledger.open(self.folder / "ledger.db", clock=utc_now, read_only=True) as ledger:
            return [repr(event) for event in ledger.read()]

    def ends_ready(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Finish what is left, accept it, and see that it is there once."""
        assert self.run() == 0
        assert main(["accept", "all", "--program", str(self.folder)]) == 0
        capsys.readouterr()
        assert main(["status", "--json", "--program", str(self.folder)]) == 0
        [wave] = json.loads(capsys.readouterr().out)["waves"]
        assert (wave["ready"], wave["states"]) == (True, {"transferred": 6})
        with Program.open(self.folder) as program:
            assert program.verify_ledger(deep=True).ok
        assert self.counts() == ONCE


class Routes:
    """Makes routes, each with an empty target of its own."""

    def __init__(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._seaweed: Server = request.getfixturevalue("seaweed")
        self._request, self._tmp, self._patch = request, tmp_path, monkeypatch
        self._number = 0

    def make(self, name: str) -> Route:
        """``into-s3``, ``into-healthimaging`` or ``out-of-healthimaging``."""
        self._number += 1
        folder = self._tmp / str(self._number)
        folder.mkdir()
        return {
            "into-s3": self._into_s3,
            "into-healthimaging": self._into_healthimaging,
            "out-of-healthimaging": self._out_of_healthimaging,
        }[name](folder)

    def _place(self) -> Place:
        timing, faults = Timing(waiting=0.1, running=0.3), Faults(lag=0.2)
        made: Place = self._request.getfixturevalue("make_place")(wall=True, timing=timing, faults=faults)
        return made

    def _into_healthimaging(self, folder: Path) -> Route:
        place = self._place()
        settings = "max_files_per_job = 6"
        made = make_program(place, self._seaweed, folder, self._patch, SPECS, settings=settings)

        def counts() -> Counter[str]:
            found = held(place)
            assert found[False] == []
            return Counter(found[True])

        return Route(made, counts)

    def _out_of_healthimaging(self, folder: Path) -> Route:
        place = self._place()
        place.fake.put(place.store, [dicom_bytes(spec) for spec in SPECS])
        made = make_program(place, self._seaweed, folder, self._patch, into=False)

        def counts() -> Counter[str]:
            return Counter(str(scan_file(path).sop_instance_uid) for path in came_out(folder))

        return Route(made, counts)

    def _into_s3(self, folder: Path) -> Route:
        old: WebArchive = self._request.getfixturevalue("web_archive")
        old.empty()
        old.fill([dicom_bytes(spec) for spec in SPECS])
        give_keys(self._patch, self._seaweed)
        place = self._seaweed.place(locked=True)  # it keeps every version: what is stored again has two
        text = INTO_S3.format(url=old.url, new=section("new", self._seaweed.endpoint_url, place))
        (folder / "program.toml").write_text(text)
        Program.init(folder)
        with Program.open(folder) as program:
            program.take_inventory()
            program.plan()

        def counts() -> Counter[str]:
            return Counter(str(scan_bytes(data).sop_instance_uid) for data in stored(self._seaweed, place))

        return Route(folder, counts)


@pytest.fixture
def routes(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Routes:
    return Routes(request, tmp_path, monkeypatch)


ROUTES = ["into-s3", "into-healthimaging", "out-of-healthimaging"]


def kill_often(
    routes: Routes, name: str, kills: int, chance: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill runs of one program after the other, until that many were killed; each program must end ready."""
    route = routes.make(name)
    begun = time.monotonic()
    route.ends_ready(capsys)
    longest = time.monotonic() - begun  # of a run and a bit more
    done = 0
    while done < kills:
        route = routes.make(name)
        seen = route.record()
        while done < kills and route.run(chance.uniform(0.3, longest)) != 0:
            done += 1
            now = route.record()
            assert now[: len(seen)] == seen  # nothing that was on record is gone
            seen = now
        route.ends_ready(capsys)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ROUTES)
def test_what_is_killed_again_and_again_ends_ready_and_holds_every_object_once(
    routes: Routes, capsys: pytest.CaptureFixture[str], name: str, seed: int
) -> None:
    kill_often(routes, name, 20, random.Random(f"{name} {seed}"), capsys)
