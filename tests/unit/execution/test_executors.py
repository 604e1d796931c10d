from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import pytest

from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.execution import executors
from vna_lifecycle.execution.executors import make_executor

# Worker processes must be able to import a task, and test modules have no importable name: so tasks are of the library
# of Python.


def test_threads_run_tasks_in_this_process() -> None:
    with make_executor("threads", 2) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()
        assert executor.submit(threading.current_thread).result().name.startswith("vna-lifecycle")


def test_processes_run_tasks_elsewhere_and_are_never_forks_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "only_here", sys)
    with make_executor("processes", 1) as executor:
        assert executor.submit(os.getpid).result() != os.getpid()
        assert not executor.submit(eval, "'only_here' in __import__('sys').modules").result()


def test_workers_leave_interrupts_to_the_coordinator() -> None:
    with make_executor("processes", 1) as executor:
        pid = executor.submit(os.getpid).result()
        os.kill(pid, signal.SIGINT)
        assert executor.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN
        assert executor.submit(os.getpid).result() == pid


def test_an_executor_made_again_finishes_what_a_killed_worker_left() -> None:
    """The loss shows as BrokenExecutor, on unfinished futures and on submit: the same tasks can be tried once more."""
    with make_executor("processes", 1) as executor:
        killed = executor.submit(signal.raise_signal, signal.SIGKILL)
        assert isinstance(killed.exception(), BrokenExecutor)
        with pytest.raises(BrokenExecutor):
            executor.submit(abs, -1)
    with make_executor("processes", 1) as executor:
        assert executor.submit(abs, -1).result() == 1


def test_ctrl_c_at_the_coordinator_prints_no_traceback_of_a_worker(tmp_path: Path) -> None:
    """A terminal signals the whole process group; only the coordinator may speak."""
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import os, signal, time\n"
        "from vna_lifecycle.execution.executors import make_executor\n"
        "if __name__ == '__main__':\n"
        "    with make_executor('processes', 2) as executor:\n"
        "        futures = [executor.submit(time.sleep, 0.5) for _ in range(2)]\n"
        "        while not any(future.running() for future in futures): time.sleep(0.01)\n"
        "        while True:\n"
        "            try:\n"
        "                os.killpg(0, signal.SIGINT); time.sleep(10)\n"
        "            except KeyboardInterrupt:\n"
        "                break\n"
        "    print('drained', all(future.exception() is None for future in futures))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False, start_new_session=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "drained True\n", "")


def test_an_engine_without_workers_or_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1 worker"):
        make_executor("threads", 0)
    with pytest.raises(ConfigurationError, match="unknown engine 'ray'"):
        make_executor("ray", 1)  # type: ignore[arg-type]  # wrong on purpose


def test_dask_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as refusal:
        make_executor("dask", 1)
    assert "vna-lifecycle[dask]" in refusal.value.hint


class FakeClient:
    def __init__(self) -> None:
        self.log: list[object] = []
        self.future: Future[int] = Future()

    def get_executor(self, *, pure: bool) -> FakeClient:
        self.log.append(("pure", pure))
        return self

    def submit(self, fn: object, *args: object) -> Future[int]:
        self.log.append((fn, args))
        return self.future

    def shutdown(self, wait: bool = True) -> None:
        self.log.append(("wait", wait))

    def close(self) -> None:
        self.log.append("closed")


@pytest.mark.parametrize("cancel", [False, True])
def test_a_dask_executor_never_reuses_outcomes_and_closes_its_client(cancel: bool) -> None:
    client = FakeClient()
    executor = executors._DaskExecutor(client)  # type: ignore[arg-type]  # has what is called
    assert executor.submit(abs, -1) is client.future
    executor.shutdown(cancel_futures=cancel)
    assert client.log == [("pure", False), (abs, (-1,)), ("wait", not cancel), "closed"]


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the dask extra is not installed")
@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_of_its_own_runs_tasks() -> None:
    with make_executor("dask", 1) as executor:
        assert executor.submit(abs, -3).result(60) == 3
