"""What a simulation is made of: points at which something happens, tasks in a drawn order, time and files that tell."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

from attrs import frozen

from vna_lifecycle.testing.faults import SimulatedCrash

_P = ParamSpec("_P")
_T = TypeVar("_T")
_HASTE: Final = 20  # simulated seconds for each second that somebody would wait

Place: TypeAlias = Literal["append", "project", "put_sealed", "record_part", "task"]
"""Where the coordinator may die: at the ledger, the catalog's projection, the vault, an inventory's part, or a task."""


@frozen(kw_only=True)
class Point:
    """Something happens ``when`` the ``nth`` call (from 1, counted since it was planned) of ``at`` is made.

    crash: the process dies. usurp: another coordinator takes over, as if the lock had not kept it out. lose-worker: the
    pool of workers breaks (at a task only).
    """

    at: Place
    nth: int = 1
    when: Literal["before", "after"] = "before"
    what: Literal["crash", "usurp", "lose-worker"] = "crash"


class Drawn:
    """The module ``os``, with random bytes that are drawn."""

    def __init__(self, chance: random.Random) -> None:
        self.urandom = chance.randbytes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class Hurried(threading.Event):
    """Whoever waits for this moves the clock instead."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass at once, and more of it."""
        self._pass_time(_HASTE * (timeout or 0.0))
        return self.is_set()


class Tape(dict[str, bytes]):
    """Files that tell of each change, as only a dictionary's own methods can."""

    def __init__(self, tell: Callable[[bytes | None, bytes | None], None]) -> None:
        super().__init__()
        self._tell = tell

    def __setitem__(self, key: str, value: bytes) -> None:
        before = self.get(key)
        super().__setitem__(key, value)
        self._tell(before, value)

    def __delitem__(self, key: str) -> None:
        before = self.get(key)
        super().__delitem__(key)
        self._tell(before, None)


class Queue(Executor):
    """Gives tasks to a schedule, which runs them when somebody waits."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Put a task in line."""
        future: Future[_T] = Future()
        self._schedule.waiting[future] = lambda: fn(*args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what was not begun."""
        self._schedule.waiting.clear()


class Schedule:
    """Runs tasks one at a time in a drawn order, when the coordinator waits for some; sometimes several at once."""

    def __init__(self, chance: random.Random, passing: Callable[[Place, str], bool]) -> None:
        self.waiting: dict[Future[Any], Callable[[], Any]] = {}
        self._chance = chance
        self._passing = passing

    def wait(self, flights: Iterable[Future[Any]], **options: object) -> tuple[list[Future[Any]], list[Future[Any]]]:
        """Run one or more of the tasks in line; those that are done, in the order in which they were submitted."""
        ready = [future for future in flights if future in self.waiting]
        for future in self._chance.sample(ready, self._chance.randint(min(1, len(ready)), len(ready))):
            if future in self.waiting:
                self._run(future)
        return [future for future in flights if future.done()], []

    def _run(self, future: Future[Any]) -> None:
        task = self.waiting.pop(future)
        if not self._passing("task", "before"):
            try:
                result = task()
            except SimulatedCrash:
                raise
            except Exception as error:  # noqa: BLE001 - as any executor does
                future.set_exception(error)
                return
            if not self._passing("task", "after"):
                future.set_result(result)
                return
        for lost in [future, *self.waiting]:
            lost.set_exception(BrokenExecutor("a worker died"))
        self.waiting.clear()
