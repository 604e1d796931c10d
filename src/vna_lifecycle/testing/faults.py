"""Deterministic faults, and a log of what was done to an archive, for checks that no effect happens twice.

A `Plan` outlives the archives that are opened with it: calls and items are counted across restarts, so "crash after the
fourth store" happens once, and what the program does afterwards is in the same log. `injection.inject` applies it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.ports import Outcome

Method: TypeAlias = Literal[
    "find_studies", "parts", "inventory", "list_instances", "fetch", "store", "stage", "submit", "poll", "withdraw"
]
"""Where a fault strikes."""


class SimulatedCrash(BaseException):
    """The process dies here. No handler of errors catches it, as none would catch ``kill -9``."""


@frozen(kw_only=True)
class Fail:
    """The ``nth`` call (from 1; None: every one) raises an `ArchiveError` before anything is done."""

    on: Method
    nth: int | None = 1
    transient: bool = True
    retry_after: float | None = None


@frozen(kw_only=True)
class Crash:
    """The process dies ``before`` or ``after`` the ``nth`` item (from 1, over all calls) that passes the method."""

    on: Method
    nth: int = 1
    when: Literal["before", "after"] = "after"


@frozen(kw_only=True)
class Drop:
    """The ``nth`` item silently does not come through: it is not listed, not delivered, or stored without an answer."""

    on: Method
    nth: int = 1


@frozen(kw_only=True)
class Lose:
    """The ``nth`` instance is acknowledged as stored, staged or withdrawn, and nothing is done."""

    on: Literal["store", "stage", "withdraw"] = "store"
    nth: int = 1


@frozen(kw_only=True)
class Corrupt:
    """The ``nth`` object's last byte is changed on its way."""

    on: Literal["fetch", "store", "stage"]
    nth: int = 1


@frozen(kw_only=True)
class Warn:
    """The ``nth`` stored instance's receipt carries a warning, such as ``B000`` (PS3.4 B.2.3)."""

    nth: int = 1
    code: str = "B000"


@frozen(kw_only=True)
class Delay:
    """The ``nth`` call (None: every one) takes ``seconds`` longer, by the plan's ``sleep``."""

    on: Method
    seconds: float
    nth: int | None = None


Fault: TypeAlias = Fail | Crash | Drop | Lose | Corrupt | Warn | Delay


@frozen(kw_only=True)
class Effect:
    """One instance that reached the archive, and what the archive said."""

    method: Method
    sop_instance_uid: SOPInstanceUID
    outcome: str


@define(kw_only=True)
class Plan:
    """Faults to come, counters, and the log of effects."""

    faults: list[Fault] = field(factory=list)
    sleep: Callable[[float], None] = field(default=lambda seconds: None)
    log: list[Effect] = field(factory=list)
    _calls: dict[str, int] = field(factory=dict)
    _items: dict[str, int] = field(factory=dict)
    _lock: threading.Lock = field(factory=threading.Lock)

    def call(self, method: Method) -> None:
        """Count a call; delay it or make it fail as planned.

        Raises:
            ArchiveError: the plan says so.
        """
        with self._lock:
            number = self._calls[method] = self._calls.get(method, 0) + 1
        for fault in self.faults:
            if isinstance(fault, Delay) and fault.on == method and fault.nth in (None, number):
                self.sleep(fault.seconds)
            if isinstance(fault, Fail) and fault.on == method and fault.nth in (None, number):
                raise ArchiveError(
                    f"injected failure of {method}", transient=fault.transient, retry_after=fault.retry_after
                )

    def item(self, method: Method) -> int:
        """Count an item."""
        with self._lock:
            number = self._items[method] = self._items.get(method, 0) + 1
        return number

    def strikes(self, kind: type[Drop | Lose | Corrupt], method: Method, number: int) -> bool:
        """Whether such a fault is planned for this item."""
        return any(isinstance(fault, kind) and fault.on == method and fault.nth == number for fault in self.faults)

    def crash(self, method: Method, number: int, when: Literal["before", "after"]) -> None:
        """Die here if planned.

        Raises:
            SimulatedCrash: the plan says so.
        """
        if any(
            isinstance(fault, Crash) and (fault.on, fault.nth, fault.when) == (method, number, when)
            for fault in self.faults
        ):
            raise SimulatedCrash(f"{when} {method} {number}")

    def warning(self, number: int) -> tuple[str, ...]:
        """The warnings planned for a stored instance."""
        return tuple(fault.code for fault in self.faults if isinstance(fault, Warn) and fault.nth == number)

    def done_twice(self) -> list[SOPInstanceUID]:
        """SOP Instance UIDs that the archive stored anew more than once without a withdrawal in between."""
        present: set[SOPInstanceUID] = set()
        twice: list[SOPInstanceUID] = []
        for effect in self.log:
            if effect.outcome != Outcome.STORED.value:
                continue
            if effect.method == "withdraw":
                present.discard(effect.sop_instance_uid)
            elif effect.method == "store":
                if effect.sop_instance_uid in present:
                    twice.append(effect.sop_instance_uid)
                present.add(effect.sop_instance_uid)
        return twice
