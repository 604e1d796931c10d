"""Keeping to a rate that a service allows, by the program's clock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from attrs import define, field

from vna_lifecycle.ports import Clock


@define
class Pace:
    """How often something may be done. The first time is free; each later one is due ``1 / rate`` seconds on.

    ``rest`` waits, for callers that cannot come back later.
    """

    rate: float
    _clock: Clock
    _rest: Callable[[float], None]
    _next: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def due_in(self) -> float:
        """Seconds until it may be done again; 0 if it may be done now."""
        return max(0.0, self._next - self._clock().timestamp())

    def taken(self, *, not_before: float = 0.0) -> None:
        """It was done now, or refused now; ``not_before`` is how many seconds the service wants to be left alone."""
        with self._lock:
            self._next = self._clock().timestamp() + max(1.0 / self.rate, not_before)

    def wait(self) -> None:
        """Wait until it may be done, and count it."""
        while (seconds := self.due_in()) > 0:
            self._rest(seconds)
        self.taken()
