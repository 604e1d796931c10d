"""One coordinator at a time, and one that slept through its lease is fenced off."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vna_lifecycle.errors import LeaseHeld, LeaseLost, StorageError
from vna_lifecycle.ledger import Draft, Lease, Ledger

_HOLDER = """
import datetime as dt, os, sys, time
from pathlib import Path
from vna_lifecycle.errors import LeaseHeld
from vna_lifecycle.ledger import Lease, Ledger
ledger = Ledger.open(Path(sys.argv[1]), clock=lambda: dt.datetime.now(dt.UTC))
try:
    lease = Lease.take(ledger, Path(sys.argv[2]), "transfer")
except LeaseHeld as exc:
    print("held by", exc.holder, flush=True)
    raise SystemExit(6)
worker = os.fork() if len(sys.argv) > 3 else None
if not worker:  # the worker, if there is one, tells that it runs
    print("took", lease.epoch, flush=True)
if worker == 0:
    time.sleep(60)
    os._exit(0)
sys.stdin.read()
"""


def _holder(ledger: Ledger, lock: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(ledger.path), str(lock), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_take_is_refused_and_names_the_holder(ledger: Ledger, tmp_path: Path) -> None:
    with Lease.take(ledger, tmp_path / "lock", "transfer") as lease:
        with pytest.raises(LeaseHeld) as caught:
            Lease.take(ledger, tmp_path / "lock", "accept")
        assert f"transfer (process {os.getpid()} on " in caught.value.holder
        assert "since 2026-01-02T" in caught.value.holder
    with Lease.take(ledger, tmp_path / "lock", "accept") as next_lease:
        assert next_lease.epoch == lease.epoch + 1


def test_of_two_processes_one_gets_the_lease_and_its_death_frees_it(ledger: Ledger, tmp_path: Path) -> None:
    first = _holder(ledger, tmp_path / "lock")
    assert first.stdout.readline() == "took 1\n"
    second = _holder(ledger, tmp_path / "lock")
    assert second.stdout.readline().startswith(f"held by transfer (process {first.pid} on ")
    assert second.wait() == 6
    _end(first)
    with Lease.take(ledger, tmp_path / "lock", "transfer") as lease:
        assert lease.epoch == 2
    _end(second)


def test_a_forked_worker_that_outlives_its_coordinator_does_not_keep_the_lease(ledger: Ledger, tmp_path: Path) -> None:
    process = _holder(ledger, tmp_path / "lock", "with a worker")
    assert process.stdout.readline() == "took 1\n"
    group = os.getpgid(process.pid)
    _end(process)
    try:
        Lease.take(ledger, tmp_path / "lock", "transfer").release()
    finally:
        os.killpg(group, signal.SIGKILL)


def test_a_coordinator_that_lost_its_lease_appends_nothing(
    ledger: Ledger, tmp_path: Path, draft: Callable[..., Draft]
) -> None:
    sleeper = Lease.take(ledger, tmp_path / "lock", "transfer")
    (tmp_path / "lock").unlink()  # as a network share does that forgets its locks
    with Lease.take(ledger, tmp_path / "lock", "transfer") as lease:
        ledger.append([draft(0)], epoch=lease.epoch)
        with pytest.raises(LeaseLost):
            ledger.append([draft(1)], epoch=sleeper.epoch)
    assert ledger.size() == 1
    sleeper.release()
    sleeper.release()


def test_a_lock_file_that_cannot_be_written_is_told(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="lock file"):
        Lease.take(ledger, tmp_path / "nowhere" / "lock", "transfer")
