"""A guard gives an archive that fails as a whole a rest, and says which and why."""

from __future__ import annotations

import datetime as dt

from vna_lifecycle.execution.breaker import BreakerPolicy
from vna_lifecycle.execution.guard import Guard

POLICY = BreakerPolicy(failures=2, learn_from=3, pause=dt.timedelta(minutes=1))


class Clock:
    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


def test_work_may_begin_until_an_archive_failed_too_often_and_again_after_its_rest() -> None:
    clock = Clock()
    guard = Guard(POLICY, clock)
    assert guard.admit() == ""
    assert guard.failed("vna", "no connection") == 0
    assert guard.admit() == ""
    assert guard.failed("vna", "no connection") == 1
    assert "vna" in guard.admit() and "no connection" in guard.admit()
    clock.now += dt.timedelta(minutes=1)
    assert guard.admit() == ""  # the trial
    assert guard.admit() != ""  # only one
    guard.answered("vna", seconds=0.1, objects=1, size=0)
    assert guard.admit() == ""


def test_a_trial_is_not_spent_while_another_archive_holds_the_work_up() -> None:
    clock = Clock()
    guard = Guard(POLICY, clock)
    for _ in range(2):
        guard.failed("old", "busy")
    clock.now += dt.timedelta(seconds=30)
    for _ in range(2):
        guard.failed("vna", "down")
    clock.now += dt.timedelta(seconds=31)  # old may be tried again, vna not yet
    assert "vna" in guard.admit()
    clock.now += dt.timedelta(seconds=30)
    assert guard.admit() == ""


def test_large_objects_do_not_look_like_a_slow_archive() -> None:
    guard = Guard(POLICY, Clock())
    for _ in range(5):
        guard.answered("old", seconds=1.0, objects=1, size=0)
    for _ in range(50):
        guard.answered("old", seconds=500.0, objects=1, size=1 << 30)
    assert guard.admit() == ""


def test_an_archive_that_answers_ever_more_slowly_is_given_a_rest() -> None:
    guard = Guard(POLICY, Clock())
    for _ in range(5):
        guard.answered("old", seconds=1.0, objects=1, size=0)
    for _ in range(50):
        guard.answered("old", seconds=60.0, objects=1, size=0)
    assert "responses take" in guard.admit()


def test_quick_answers_never_count_as_slow() -> None:
    guard = Guard(POLICY, Clock())
    for _ in range(5):
        guard.answered("old", seconds=0.001, objects=1, size=0)
    for _ in range(50):
        guard.answered("old", seconds=0.2, objects=1, size=0)
    assert guard.admit() == ""
