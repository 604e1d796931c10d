"""Programs in which rests of minutes pass in a moment: ``from peers.hasty import haste`` for all tests of a module."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator

import pytest

from vna_lifecycle.adapters.dimse import storing
from vna_lifecycle.program import Program

_SPEED = 600


def fast_clock() -> Callable[[], dt.datetime]:
    """A clock that goes ten minutes in a second."""
    begun, start = time.monotonic(), dt.datetime.now(dt.UTC)
    return lambda: start + dt.timedelta(seconds=(time.monotonic() - begun) * _SPEED)


def hasten() -> Callable[[], None]:
    """Let all programs of this process go by such a clock, and look once only for what was stored; what undoes it."""
    known = Program.open.__func__.__kwdefaults__  # type: ignore[attr-defined]
    clock, looks = known["clock"], storing._LOOKS
    known["clock"] = fast_clock()
    storing._LOOKS = (0.05,)  # type: ignore[misc]

    def undo() -> None:
        known["clock"] = clock
        storing._LOOKS = looks  # type: ignore[misc]

    return undo


@pytest.fixture(autouse=True)
def haste() -> Iterator[None]:
    """Every test of a module that imports it."""
    undo = hasten()
    yield
    undo()
