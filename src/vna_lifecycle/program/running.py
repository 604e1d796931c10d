"""How work runs: at which pace, in which windows, on what kind of executor."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from vna_lifecycle.config import Engine, ExecutionConfig
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.execution.breaker import BreakerPolicy
from vna_lifecycle.execution.executors import make_executor
from vna_lifecycle.execution.guard import Guard
from vna_lifecycle.execution.spool import SpoolFolder
from vna_lifecycle.execution.throttle import Throttle
from vna_lifecycle.execution.windows import share_at
from vna_lifecycle.ports import Clock
from vna_lifecycle.program.bench import LocalBench, RemoteBench
from vna_lifecycle.program.layout import Layout
from vna_lifecycle.program.pace import pace_of

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


class Pacing:
    """The byte rate, the weekly windows and the archives' breakers of one run."""

    def __init__(self, execution: ExecutionConfig, clock: Clock) -> None:
        self.throttle = Throttle(execution.max_bytes_per_second)
        self.guard = Guard(BreakerPolicy(), clock)
        self._windows = execution.windows
        self._zone: dt.tzinfo = execution.time_zone or dt.UTC
        self._clock = clock

    def allowance(self) -> float:
        """The share of the rate that is allowed now; the throttle follows it. What is in flight may finish."""
        share = share_at(self._windows, self._zone, self._clock())
        if share:
            self.throttle.set_share(share)
        return share


def make_bench(program: Program, pacing: Pacing) -> tuple[Workbench, Callable[[], Executor]]:
    """A bench for tasks, and what makes the executor that runs them."""
    execution, workers = program.config.execution, pace_of(program).workers
    if execution.engine is Engine.THREADS:
        bench: Workbench = local_bench(program, pacing)
    else:
        bench = RemoteBench(
            folder=program.folder,
            archives=program.config.archives,
            reserve_bytes=execution.reserve_bytes,
            rate=pacing.throttle.split(workers),
        )
    return bench, lambda: make_executor(execution.engine.value, workers)


def local_bench(program: Program, pacing: Pacing) -> LocalBench:
    """A bench for tasks in this process. The spool is swept: only the holder of the lease may call this."""
    spool = SpoolFolder(Layout(program.folder).spool, reserve_bytes=program.config.execution.reserve_bytes)
    spool.sweep()
    return LocalBench(program.archive, spool, pacing.throttle, program.cancelled)
