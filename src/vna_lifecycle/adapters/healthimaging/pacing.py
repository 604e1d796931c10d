"""Keeping to a rate that a service allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from attrs import define, field

_LEAST: Final = 0.001  # seconds; less may be less than a clock can tell


@define
class Pace:
    """How often something may be done. The first time is free; each later one is due ``1 / rate`` seconds on.

    ``seconds`` tells the time; ``rest`` waits, by the same clock, for callers that cannot come back later. Threads that
    wait together get their turns one by one.
    """

    rate: float
    _seconds: Callable[[], float]
    _rest: Callable[[float], None]
    _next: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def due_in(self) -> float:
        """Seconds until it may be done again; 0 if it may be done now."""
        return max(0.0, self._next - self._seconds())

    def taken(self, *, not_before: float = 0.0) -> None:
        """It was done now, or refused now; ``not_before`` is how many seconds the service wants to be left alone."""
        with self._lock:
            self._next = self._seconds() + max(1.0 / self.rate, not_before)

    def wait(self) -> None:
        """Wait until it may be done, and count it."""
        with self._lock:
            turn = max(self._next, self._seconds())
            self._next = turn + 1.0 / self.rate
        while (seconds := turn - self._seconds()) > 0:
            self._rest(max(seconds, _LEAST))
