"""kill -9 of the real command line at named points and at random moments: the next run ends as if nothing had been."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from attrs import define, field, frozen

from peers.folder_program import events_of, log_of, that_dies, write_program
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.program import Program
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

STUDIES = 40
EXECUTION = """
engine = "{engine}"
workers = 2
max_bytes_per_second = {rate}
"""
SLOW = 30_000  # bytes per second: the transfer goes on for seconds after its first study

POINTS = [
    ("vna_lifecycle.ledger.store:Ledger.append", 3),
    ("vna_lifecycle.ledger.store:Ledger.append", 30),
    ("vna_lifecycle.ledger.store:Ledger.take_epoch", 1),
    ("vna_lifecycle.ledger.store:Ledger.checkpoint", 1),
    ("vna_lifecycle.catalog.store:Catalog.project", 25),
    ("vna_lifecycle.vault:Vault.put_sealed", 12),
    ("vna_lifecycle.engine.tasks:fetch_study", 9),
    ("vna_lifecycle.engine.tasks:store_study", 9),
    ("vna_lifecycle.engine.tasks:read_back", 9),
    ("os:link", 1),
    ("os:link", 17),
    ("os:fsync", 40),
    ("os:rename", 1),
]
"""Functions of the product, or of the system, with the number of the call at which the process dies."""


def make_program(folder: Path, source: Path, engine: str = "threads", rate: int = 300_000) -> Path:
    write_program(folder, EXECUTION.format(engine=engine, rate=rate), source=source)
    Program.init(folder)
    with Program.open(folder) as program:
        program.take_inventory()
        program.plan()
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for study in range(1, STUDIES + 1):
        for instance in range(1, study % 3 + 2):
            spec = ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=study)
            (folder / f"{study:03d}-{instance}.dcm").write_bytes(dicom_bytes(spec))
    return folder


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """A program that is about to transfer; tests work on copies of it."""
    return make_program(tmp_path_factory.mktemp("planned") / "program", source)


@frozen
class Ended:
    """What a program left: nobody can tell two equal ones apart."""

    states: dict[str, int]
    objects: dict[str, bytes]


@define
class Killed:
    """A copy of the planned program, run in processes that are killed."""

    folder: Path
    seen: tuple[RecordedEvent, ...] = ()
    started: list[subprocess.Popen[str]] = field(factory=list)

    def start(self, *verb: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            that_dies(self.folder, *(verb or ("transfer",)), **options),
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End what is still running, as after a test that failed."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def run(self, *verb: str, **options: Any) -> tuple[int, str]:
        process = self.start(*verb, **options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out + err

    def events(self) -> tuple[RecordedEvent, ...]:
        return events_of(self.folder)

    def check_record(self) -> None:
        """I2: what was on record at any earlier look is there still."""
        events = self.events()
        assert events[: len(self.seen)] == self.seen
        self.seen = events

    def finish(self) -> Ended:
        """Run until everything is done, and look at what is left."""
        code, out = self.run()
        assert code == 0, out
        self.check_record()
        assert list((self.folder / "spool").iterdir()) == []
        target = self.folder / "new"
        assert list((target / "incoming").iterdir()) == []
        leftovers = [path for path in target.rglob("*") if path.name.endswith((".new", ".partial", ".tmp"))]
        assert leftovers == []
        self.check_effects()
        return self.ended()

    def ended(self) -> Ended:
        with Program.open(self.folder) as program:
            assert program.verify_ledger(deep=True).ok
            states = {state: count for line in program.status().waves for state, count in line.states}
        objects = self.folder / "new" / "objects"
        return Ended(states, {path.name: path.read_bytes() for path in objects.rglob("*") if path.is_file()})

    def check_effects(self) -> None:
        """No name was given twice, unless it had been taken back in between. Worker processes keep no log."""
        names = Counter[str]()
        for line in log_of(self.folder).read_text().splitlines():
            what, _, name = line.partition(" ")
            names[name] += 1 if what == "link" else -1
        assert max(names.values(), default=0) <= 1


@pytest.fixture
def killed(tmp_path: Path, planned: Path) -> Iterator[Callable[..., Killed]]:
    made: list[Killed] = []

    def make(name: str = "program", template: Path = planned) -> Killed:
        shutil.copytree(template, tmp_path / name)
        made.append(Killed(tmp_path / name))
        return made[-1]

    yield make
    for program in made:
        program.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, planned: Path) -> tuple[Ended, float]:
    """What an undisturbed run leaves, and how many seconds it takes."""
    folder = tmp_path_factory.mktemp("undisturbed") / "program"
    shutil.copytree(planned, folder)
    run = Killed(folder)
    begun = time.monotonic()
    ended = run.finish()
    assert ended.states == {"transferred": STUDIES}
    return ended, time.monotonic() - begun


@pytest.mark.parametrize(("point", "nth"), POINTS)
def test_a_run_that_dies_before_and_then_after_a_named_point_is_finished_by_the_next_one(
    killed: Callable[..., Killed], undisturbed: tuple[Ended, float], point: str, nth: int
) -> None:
    program = killed()
    for when in ("before", "after"):
        code, out = program.run("transfer", point=point, nth=nth, when=when)
        assert code == -signal.SIGKILL, out
        program.check_record()
    assert program.finish() == undisturbed[0]


def kill_at_random(program: Killed, chance: random.Random, longest: float) -> bool:
    """Kill a run at a random moment; False if it was done before."""
    process = program.start()
    try:
        process.wait(chance.uniform(0.3, longest))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    program.check_record()
    return process.returncode == -signal.SIGKILL


def kill_often(make: Callable[..., Killed], expected: tuple[Ended, float], seed: int, kills: int) -> None:
    """Kill runs at random moments until ``kills`` of them died after their first event, and before they ended."""
    chance = random.Random(seed)
    done = number = 0
    while done < kills:
        number += 1
        program = make(f"program-{number}")
        program.check_record()
        before = program.seen
        while done < kills and kill_at_random(program, chance, expected[1]):
            done += program.seen != before  # who dies while Python starts has done nothing yet
            before = program.seen
        assert program.finish() == expected[0]
        shutil.rmtree(program.folder)


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_not(
    killed: Callable[..., Killed], undisturbed: tuple[Ended, float]
) -> None:
    kill_often(killed, undisturbed, seed=1, kills=5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 104))
def test_kill_9_at_a_hundred_random_moments(
    killed: Callable[..., Killed], undisturbed: tuple[Ended, float], seed: int
) -> None:
    kill_often(killed, undisturbed, seed=seed, kills=30)


# ------------------------------------------------------------------------------------------------ two coordinators


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def transferring(program: Killed) -> bool:
    return any(event.event.kind == "study-transferred" for event in program.events())


def ending(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def test_a_second_coordinator_is_refused_and_the_first_goes_on_unharmed(
    tmp_path: Path, source: Path, killed: Callable[..., Killed], undisturbed: tuple[Ended, float]
) -> None:
    program = killed(template=make_program(tmp_path / "template", source, rate=SLOW))
    first = program.start()
    wait_for(lambda: transferring(program), "the first transfer")
    code, out = program.run("transfer", "--json")
    assert code == 6, out
    assert json.loads(out)["error"]["type"] == "LeaseHeld"
    assert ending(first)[0] == 0
    assert program.finish() == undisturbed[0]


def put_to_sleep(program: Killed, process: subprocess.Popen[str]) -> None:
    """Stop a process between its transactions: in the middle of one it would keep databases or manifests locked."""

    def asleep() -> bool:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            for database in (*program.folder.rglob("*.db"), *program.folder.rglob("*.sqlite")):
                with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
            for manifest in program.folder.rglob("manifest.jsonl"):
                with manifest.open("rb") as opened:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (sqlite3.OperationalError, BlockingIOError):
            os.kill(process.pid, signal.SIGCONT)
            return False
        return True

    wait_for(asleep, "a moment without a transaction")


def test_a_coordinator_that_slept_while_another_took_over_appends_nothing_any_more(
    tmp_path: Path, source: Path, killed: Callable[..., Killed], undisturbed: tuple[Ended, float]
) -> None:
    program = killed(template=make_program(tmp_path / "template", source, rate=SLOW))
    sleeper = program.start()
    wait_for(lambda: transferring(program), "the first transfer")
    put_to_sleep(program, sleeper)
    (program.folder / "lease").unlink()  # what an operator must not do: only the epoch is left to tell them apart
    code, out = program.run()
    os.kill(sleeper.pid, signal.SIGCONT)
    assert code == 0, out
    before = program.events()
    code, out = ending(sleeper)
    assert code == 6, out
    assert "another coordinator took over" in out
    assert program.events() == before
    assert program.finish() == undisturbed[0]


# ------------------------------------------------------------------------------------------------ worker processes


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that do the work: those that were spawned, but not the one that watches over semaphores."""
    children = psutil.Process(process.pid).children()
    return [child for child in children if any("spawn_main" in part for part in child.cmdline())]


@pytest.mark.parametrize("victims", [0, 1])
def test_worker_processes_do_the_same_and_one_that_is_killed_is_replaced(
    tmp_path: Path, source: Path, killed: Callable[..., Killed], undisturbed: tuple[Ended, float], victims: int
) -> None:
    program = killed(template=make_program(tmp_path / "template", source, engine="processes", rate=SLOW))
    process = program.start()
    wait_for(lambda: transferring(program), "the first transfer")
    workers = workers_of(process)
    assert len(workers) == 2
    for worker in workers[:victims]:
        worker.kill()
    code, out = ending(process)
    assert code == 0, out
    lost = [event for event in program.events() if getattr(event.event, "code", "") == "worker-lost"]
    assert bool(lost) == bool(victims)
    assert program.finish() == undisturbed[0]
