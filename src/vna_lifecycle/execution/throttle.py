"""Pacing: how many bytes per second may pass, with a share that can be changed while work runs."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from attrs import frozen

from vna_lifecycle.ports import Cancellation

_BURST_SECONDS = 0.25  # longer than a slice, so that a sleeper who wakes late finds what passed meanwhile
_SLICE_SECONDS = 0.1  # how long cancellation or a changed share may go unnoticed


@frozen(kw_only=True)
class Rate:
    """One task's part of a throttle, as a value that may cross to a worker process. None: unlimited."""

    bytes_per_second: int | None

    def throttle(self) -> Throttle:
        """The worker's own throttle."""
        return Throttle(self.bytes_per_second)


class Throttle:
    """A token bucket over bytes, first come, first served, for any number of threads.

    Over every interval of t seconds at most ``rate * t + max(burst, largest single n)`` bytes pass, where ``rate`` is
    ``bytes_per_second`` times the share, and ``burst`` what a quarter of a second brings at the full rate. With
    ``bytes_per_second`` None nothing is paced, but a share of 0 still pauses.
    """

    def __init__(
        self,
        bytes_per_second: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if bytes_per_second is not None and bytes_per_second <= 0:
            raise ValueError(f"bytes_per_second must be positive or None, not {bytes_per_second}")
        self._full_rate = math.inf if bytes_per_second is None else float(bytes_per_second)
        self.burst = self._full_rate * _BURST_SECONDS
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._share = 1.0
        self._running_share = 1.0  # the last one above 0
        self._tokens = self.burst
        self._refilled_at = clock()
        self._queue: deque[object] = deque()

    @property
    def share(self) -> float:
        """The part of ``bytes_per_second`` in use now, from 0 (paused) to 1."""
        return self._share

    def set_share(self, share: float) -> None:
        """Use only this part of the rate from now on, from 0 to 1. At 0, whoever asks waits until it rises.

        Stop submitting work before a pause: a transfer that is held in mid-object may time out at the archive.
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"a share is a number from 0 to 1, not {share}")
        with self._lock:
            self._refill()  # time that has passed counts at the rate that was in force
            self._share = share
            if share:
                self._running_share = share

    def consume(self, n: int, cancelled: Cancellation) -> None:
        """Wait until ``n`` more bytes may pass; return at once when cancelled (then nothing was taken)."""
        if n < 0:
            raise ValueError(f"n must not be negative, not {n}")
        if self._share and math.isinf(self._full_rate):
            return  # nothing to wait for: not for one's turn either
        ticket = object()
        with self._lock:
            self._queue.append(ticket)
        try:
            while not cancelled.is_set():
                with self._lock:
                    self._refill()
                    wait = self._wait(n) if self._queue[0] is ticket else _SLICE_SECONDS / 10
                    if wait <= 0:
                        self._tokens -= n
                        return
                self._sleep(min(wait, _SLICE_SECONDS))
        finally:
            with self._lock:
                self._queue.remove(ticket)

    def split(self, n: int) -> Rate:
        """What each of ``n`` tasks may use so that together they keep the rate that is in force.

        A task in another process never learns of a later change. So while the throttle is paused, tasks are given the
        last share above 0 rather than a pause that would not end.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        if math.isinf(self._full_rate):
            return Rate(bytes_per_second=None)
        return Rate(bytes_per_second=max(1, int(self._full_rate * self._running_share / n)))

    def _refill(self) -> None:
        now = self._clock()
        elapsed, self._refilled_at = max(0.0, now - self._refilled_at), now
        if self._share and elapsed:  # infinity times 0 is not a number
            self._tokens = min(self.burst, self._tokens + elapsed * self._full_rate * self._share)

    def _wait(self, n: int) -> float:
        """Seconds until ``n`` bytes may pass. More than a burst passes once the bucket is full, and leaves a debt."""
        if not self._share:
            return _SLICE_SECONDS
        if math.isinf(self._full_rate):
            return 0.0
        missing = min(n, self.burst) - self._tokens
        return max(missing / (self._full_rate * self._share), 1e-6) if missing > 0 else 0.0
