"""Calls keep to the rate that a service allows, however many threads make them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from attrs import define, field

from vna_lifecycle.adapters.healthimaging.pacing import Pace


@define
class Clock:
    """Stands still unless somebody waits; ``begun`` is when each turn came."""

    now: float = 1_000.0
    begun: list[float] = field(factory=list)

    def seconds(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds


def test_the_first_turn_is_free_and_each_other_comes_when_it_is_due() -> None:
    clock = Clock()
    pace = Pace(25.0, clock.seconds, clock.rest)
    for _ in range(26):
        pace.wait()
    assert round(clock.now - 1_000.0, 2) == 1.0


def test_threads_that_wait_together_get_different_turns() -> None:
    """While the clock stands still for all of them, nobody goes on but the first."""
    waited: list[float] = []
    clock = Clock()

    def rest(seconds: float) -> None:
        waited.append(round(seconds, 3))
        clock.now = 2_000.0

    pace = Pace(10.0, lambda: clock.now, rest)
    pace.wait()
    clock.now = 1_000.0
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pace.wait).result()
        clock.now = 1_000.0
        pool.submit(pace.wait).result()
    assert waited == [0.1, 0.2]


def test_a_pause_that_is_less_than_a_clock_can_tell_ends() -> None:
    """A clock that counts milliseconds would else stand still before the turn for ever."""
    clock = Clock()
    pace = Pace(3_000_000.0, lambda: round(clock.now, 3), lambda seconds: clock.rest(round(seconds, 3)))
    pace.wait()
    pace.wait()
    assert clock.now == 1_000.001
