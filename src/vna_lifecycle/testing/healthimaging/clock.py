"""Time that only passes when a test says so."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Final

from attrs import define, field

BEGINNING: Final = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


@define
class HandClock:
    """A clock that stands still until `advance` moves it. Call it for the time; it may be shared by threads."""

    now: dt.datetime = BEGINNING
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def __call__(self) -> dt.datetime:
        """Now, with a time zone."""
        with self._lock:
            return self.now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass. Also what a program is given in place of `time.sleep`."""
        with self._lock:
            self.now += dt.timedelta(seconds=seconds)


def wall_clock() -> dt.datetime:
    """The machine's clock."""
    return dt.datetime.now(dt.UTC)
