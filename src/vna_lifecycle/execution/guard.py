"""Watching over several archives at once: may new work begin, and if not, why not?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from vna_lifecycle.execution.breaker import Answered, Breaker, BreakerPolicy, Failed, admit, record

_UNIT_BYTES = 1 << 20
_NEVER_SLOW_SECONDS = 0.25  # below this a unit of work is quick, whatever the average was


class Guard:
    """The breakers of a program's archives. Only the coordinator uses it, so it needs no lock.

    Response times are measured per unit of work (an object, or a mebibyte of it), so that large studies do not look
    slow. ``largest`` is the largest object that each archive was seen to hand out, in bytes.
    """

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], dt.datetime]) -> None:
        self._policy = policy
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}
        self.largest: dict[str, int] = {}

    def admit(self) -> str:
        """``""`` when new work may begin; otherwise which archive holds it up, and why."""
        asked = {name: admit(breaker, self._policy, self._clock()) for name, breaker in self._breakers.items()}
        for archive, (_, admission) in asked.items():
            if not admission.allowed:
                until = f"; next try at {admission.until:%H:%M:%S}" if admission.until else ""
                return f"{archive} is given a rest: {admission.because}{until}"
        # Only now: a trial is not spent on one archive while another one holds the work up.
        self._breakers = {name: breaker for name, (breaker, _) in asked.items()}
        return ""

    def answered(self, archive: str, *, seconds: float, objects: int, size: int, largest: int = 0) -> None:
        """An archive did what was asked: ``objects`` of ``size`` bytes in all took ``seconds``.

        ``largest`` is the size of the largest one of them, in bytes.
        """
        self.largest[archive] = max(largest, self.largest.get(archive, 0))
        units = objects + size / _UNIT_BYTES
        if units:
            self._record(archive, Answered(seconds=max(seconds / units, _NEVER_SLOW_SECONDS)))

    def failed(self, archive: str, reason: str) -> int:
        """An archive failed as a whole; how often its breaker has opened since it last worked."""
        self._record(archive, Failed(reason=reason))
        return self._breakers[archive].openings

    def _record(self, archive: str, outcome: Answered | Failed) -> None:
        before = self._breakers.get(archive, Breaker())
        self._breakers[archive] = record(before, self._policy, outcome, self._clock())
