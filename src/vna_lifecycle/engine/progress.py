"""How long work tells where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen


@frozen(kw_only=True)
class Progress:
    """Where a piece of long work stands.

    ``done`` and ``total`` count ``unit`` (studies, instances); ``total`` is None where nobody knows, and ``before`` of
    ``done`` were done by an earlier run. ``size`` is bytes
    moved, ``seconds`` the time since this run began.
    """

    activity: str
    subject: str
    done: int
    total: int | None
    unit: str
    before: int = 0
    size: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def bytes_per_second(self) -> float:
        """The average rate of this run."""
        return self.size / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """An estimate from this run's average, or None while nothing is done."""
        now = self.done - self.before
        if self.total is None or now <= 0:
            return None
        return self.seconds / now * max(self.total - self.done, 0)

    def __str__(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        rate = f", {self.bytes_per_second / 1e6:.1f} MB/s" if self.size else ""
        left = f", about {self.seconds_left:.0f} s left" if self.seconds_left else ""
        note = f" - {self.note}" if self.note else ""
        return f"{self.activity} {self.subject}: {self.done}{of} {self.unit}{rate}{left}{note}"


Tell: TypeAlias = Callable[[Progress], None]
"""What is called with progress; `silent` where nobody listens."""


def silent(progress: Progress) -> None:
    """Listen to nothing."""
