"""Where tasks run: threads, processes, or a Dask cluster, each behind `concurrent.futures.Executor`.

A task that crosses to another process is a module-level function and frozen values.

When a worker process is killed, its pool is over: every unfinished future, and every further submit, raises
`concurrent.futures.BrokenExecutor`. Tasks are idempotent, so whoever submitted them calls `make_executor` again and
submits the unfinished ones once more. The pool does not tell which task was at fault; one that was in flight at two
losses should be run alone, so that it takes no others with it. Dask repeats lost tasks itself, and after three losses
the task's future raises ``distributed.KilledWorker``.
"""

from __future__ import annotations

import importlib
import importlib.util
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Literal, ParamSpec, Protocol, TypeAlias, TypeVar

from vna_lifecycle.errors import ConfigurationError

_P = ParamSpec("_P")
_T = TypeVar("_T")

EngineName: TypeAlias = Literal["threads", "processes", "dask"]


def make_executor(engine: EngineName, workers: int) -> Executor:
    """An executor with that many workers; shut it down when done.

    ``dask`` uses the scheduler that Dask's own configuration names (``DASK_SCHEDULER_ADDRESS``), or else starts
    ``workers`` processes on this machine.

    Raises:
        ConfigurationError: there is no such engine, no worker, or the package of an extra is not installed.
    """
    if workers < 1:
        raise ConfigurationError(f"there must be at least 1 worker, not {workers}")
    match engine:
        case "threads":
            return ThreadPoolExecutor(workers, thread_name_prefix="vna-lifecycle")
        case "processes":
            return ProcessPoolExecutor(workers, mp_context=_QuietContext(), initializer=_ignore_interrupts)
        case "dask":
            return _dask_executor(workers)
        case _:
            raise ConfigurationError(f"unknown engine {engine!r}: choose threads, processes or dask")


# A terminal's Ctrl-C reaches the whole process group. The coordinator drains; a worker must neither die nor complain.
def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _QuietProcess(SpawnProcess):
    """Begins with interrupts blocked, since one that came before `_ignore_interrupts` would break the pool."""

    def start(self) -> None:
        if sys.platform == "win32":
            super().start()
            return
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _QuietContext(SpawnContext):
    """Spawns, never forks: the coordinator has threads, databases and sockets, which a fork would copy mid-use."""

    Process = _QuietProcess


def _dask_executor(workers: int) -> Executor:
    if importlib.util.find_spec("distributed") is None:
        raise ConfigurationError(
            "the dask engine needs the package 'distributed'", hint="Install vna-lifecycle[dask], or choose threads."
        )
    distributed = importlib.import_module("distributed")
    dask = importlib.import_module("dask")
    if dask.config.get("scheduler-address", None):
        return _DaskExecutor(distributed.Client())
    return _DaskExecutor(distributed.Client(n_workers=workers, threads_per_worker=1, dashboard_address=None))


class _DaskExecutor(Executor):
    """`Client.get_executor` with what it lacks: it cancels when told to, and closes its client at the end."""

    def __init__(self, client: _DaskClient) -> None:
        self._client = client
        # pure would answer a task that is tried again with the outcome of the first try.
        self._inner = client.get_executor(pure=False)

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        return self._inner.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._inner.shutdown(wait=wait and not cancel_futures)
        self._client.close()


class _DaskClient(Protocol):
    def get_executor(self, *, pure: bool) -> Executor: ...
    def close(self) -> object: ...
