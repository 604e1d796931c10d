"""Processes that store and die. `test_files_crashes` runs them as programs, so that they may fork and be killed.

``store FOLDER`` and ``withdraw FOLDER``: for every call that changes the disk, a child does it and dies just before.
``endless FOLDER``: store study after study, telling of each receipt, until killed.
``share FOLDER N``: store the same study as others do at the same time, beginning with its ``N``-th instance.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import vna_lifecycle.adapters.files.archive
import vna_lifecycle.database  # noqa: F401 - once here, not in every child
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.builtin import open_files
from vna_lifecycle.ports import Archive, Fetched, Receipt
from vna_lifecycle.testing.conformance.case import manifest_of, site, study_of, written
from vna_lifecycle.testing.objects import ObjectSpec

CHANGING = ("fsync", "write", "copy_file_range", "link", "mkdir", "rename", "unlink", "rmdir", "ftruncate")
SPECS = [ObjectSpec(instance=number + 1, grey=number) for number in range(2)]
DIED = 9


def opened(folder: Path) -> Archive:
    (folder / "store").mkdir(exist_ok=True)
    return open_files(FilesSettings(path=folder / "store"), site(folder))


def die_at(nth: int) -> None:
    """Let this process die before the ``nth`` changing call."""
    count = 0

    def passing() -> None:
        nonlocal count
        count += 1
        if count == nth:
            os._exit(DIED)

    def watched(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            passing()
            return real(*args, **kwargs)

        return call

    for name in CHANGING:
        setattr(os, name, watched(getattr(os, name)))
    connect = sqlite3.connect

    def traced(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)  # type: ignore[arg-type]  # passed through
        connection.set_trace_callback(lambda statement: passing())
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]  # this process lives for one call


def child(folder: Path, items: list[Fetched], nth: int, verb: str) -> tuple[int, int]:
    """Fork a process that stores or withdraws and dies; its exit code, and how many receipts it told of."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        archive = opened(folder)
        die_at(nth)
        assert archive.stores is not None
        assert archive.withdraws is not None
        if verb == "store":
            for answer in archive.stores.store(study_of(SPECS[0]), items):
                os.write(writing, f"{answer.sop_instance_uid}\n".encode()) if isinstance(answer, Receipt) else None
        else:
            list(archive.withdraws.withdraw(study_of(SPECS[0]), manifest_of(items)))
        os._exit(0)
    os.close(writing)
    told = os.fdopen(reading).read().split()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), len(told)


def points(root: Path, verb: str) -> None:
    """One line of JSON for each point: the folder and how many instances were acknowledged."""
    items = written(root / "in", SPECS)
    for nth in range(1, 10_000):
        folder = root / f"{verb}{nth}"
        folder.mkdir()
        sys.stdout.flush()  # or a child would write it again
        if verb == "withdraw":
            assert child(folder, items, 0, "store")[0] == 0
        code, told = child(folder, items, nth, verb)
        assert code in (0, DIED)
        sys.stdout.write(json.dumps({"folder": str(folder), "acknowledged": told, "died": code == DIED}) + "\n")
        if code == 0:
            return


def endless(folder: Path) -> None:
    """Store study after study, telling of each receipt once it came."""
    archive = opened(folder)
    assert archive.stores is not None
    for study in range(1, 1000):
        specs = [ObjectSpec(study=study, instance=number + 1, grey=number) for number in range(5)]
        for answer in archive.stores.store(study_of(specs[0]), written(folder / "in" / str(study), specs)):
            assert isinstance(answer, Receipt)
            sys.stdout.write(f"{study} {answer.sop_instance_uid}\n")
            sys.stdout.flush()


def share(folder: Path, first: int) -> None:
    """Store one instance at a time, telling what became of it."""
    items = written(folder / f"in{os.getpid()}", [ObjectSpec(instance=number + 1, grey=number) for number in range(12)])
    archive = opened(folder)
    assert archive.stores is not None
    for item in [*items[first:], *items[:first]]:
        for answer in archive.stores.store(study_of(SPECS[0]), [item]):
            outcome = answer.outcome.value if isinstance(answer, Receipt) else answer.code
            sys.stdout.write(f"{outcome} {answer.sop_instance_uid}\n")


if __name__ == "__main__":
    if sys.argv[1] == "share":
        share(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "endless":
        endless(Path(sys.argv[2]))
    else:
        points(Path(sys.argv[2]), sys.argv[1])
