from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.execution.throttle import Rate, Throttle


class Simulation:
    """A clock that only sleeping moves, and always by somewhat more than was asked, as real ones do."""

    def __init__(self, oversleep: float = 0.0) -> None:
        self.now = 1000.0
        self.oversleep = oversleep
        self.sleeps = 0
        self.lock = threading.Lock()
        self.on_sleep: Callable[[], object] = lambda: None

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self.lock:
            self.now += seconds + self.oversleep
            self.sleeps += 1
            assert self.sleeps < 1_000_000, "starved"
        self.on_sleep()

    def throttle(self, bytes_per_second: int | None) -> Throttle:
        return Throttle(bytes_per_second, clock=self.clock, sleep=self.sleep)


def assert_bound(passes: list[tuple[float, int]], rate: float, burst: float) -> None:
    """Over every interval between two passes, both included, no more than rate * t + burst bytes went through."""
    sums = [0, *itertools.accumulate(n for _, n in passes)]
    for i, j in itertools.combinations_with_replacement(range(len(passes)), 2):
        elapsed = passes[j][0] - passes[i][0]
        assert sums[j + 1] - sums[i] <= rate * elapsed + burst + 1e-3


@given(
    rate=st.integers(1, 10**10),
    parts=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5)), max_size=30),
    oversleep=st.floats(0, 0.5),
)
@settings(max_examples=150)
def test_no_interval_passes_more_than_rate_and_burst_allow(
    rate: int, parts: list[tuple[float, float]], oversleep: float
) -> None:
    simulation = Simulation(oversleep)
    throttle = simulation.throttle(rate)
    passes: list[tuple[float, int]] = []
    for burst_share, idle in parts:
        n = int(burst_share * throttle.burst)
        throttle.consume(n, threading.Event())
        passes.append((simulation.now, n))
        simulation.now += idle
    assert_bound(passes, rate, max([throttle.burst, *(n for _, n in passes)]))


@given(rate=st.integers(100, 10**9), chunks=st.integers(10, 100), oversleep=st.floats(0, 0.1))
@settings(max_examples=60)
def test_the_allowed_rate_is_also_reached(rate: int, chunks: int, oversleep: float) -> None:
    """Sleepers that wake up to a tenth of a second late still lose nothing."""
    simulation = Simulation(oversleep)
    throttle = simulation.throttle(rate)
    n = max(1, int(throttle.burst / 4))
    begun = simulation.now
    for _ in range(chunks):
        throttle.consume(n, threading.Event())
    assert simulation.now - begun <= chunks * n / rate + 0.1 + oversleep


@given(
    shares=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), min_size=1, max_size=8),
    sizes=st.lists(st.integers(0, 500), min_size=1, max_size=30),
)
@settings(max_examples=100)
def test_a_share_that_changes_while_bytes_wait_is_kept_from_then_on(shares: list[float], sizes: list[int]) -> None:
    simulation = Simulation()
    throttle = simulation.throttle(1000)
    allowed = [(simulation.now, throttle.burst)]  # what may have passed in total at each moment
    turns = iter([*shares, 1.0])

    def turn() -> None:
        allowed.append((simulation.now, allowed[-1][1] + (simulation.now - allowed[-1][0]) * 1000 * throttle.share))
        throttle.set_share(next(turns, 1.0))

    simulation.on_sleep = turn
    total = 0
    for n in sizes:
        throttle.consume(n, threading.Event())
        total += n
        # More than a burst may leave a debt.
        assert total <= allowed[-1][1] + max(0, n - throttle.burst) + 1e-6


def test_a_pause_holds_whoever_asks_until_the_share_rises() -> None:
    simulation = Simulation()
    for rate in (1000, None):
        throttle = simulation.throttle(rate)
        throttle.set_share(0)
        begun = simulation.now

        def resume_after_a_minute(throttle: Throttle = throttle, begun: float = begun) -> None:
            if simulation.now >= begun + 60:
                throttle.set_share(1)

        simulation.on_sleep = resume_after_a_minute
        throttle.consume(10, threading.Event())
        assert 60 <= simulation.now - begun < 61


def test_cancellation_ends_a_wait_and_takes_nothing() -> None:
    simulation = Simulation()
    throttle = simulation.throttle(1000)
    cancelled = threading.Event()
    throttle.consume(int(throttle.burst), cancelled)
    begun = simulation.now
    simulation.on_sleep = lambda: cancelled.set() if simulation.now >= begun + 1 else None
    throttle.set_share(0)
    throttle.consume(100_000, cancelled)
    assert simulation.now - begun < 1.2
    throttle.set_share(1)
    begun = simulation.now
    throttle.consume(250, threading.Event())
    assert simulation.now - begun <= 0.25 + 1e-6


def test_without_a_rate_nothing_waits() -> None:
    simulation = Simulation()
    throttle = simulation.throttle(None)
    throttle.set_share(0.1)
    for _ in range(100):
        throttle.consume(10**12, threading.Event())
    assert simulation.sleeps == 0


def test_threads_share_the_rate_and_none_starves() -> None:
    """Small and huge requests of eight threads all get through, in the order in which they queued."""
    simulation = Simulation()

    def sleep(seconds: float) -> None:
        simulation.sleep(seconds)
        time.sleep(0.0001)  # let the others run

    throttle = Throttle(1_000_000, clock=simulation.clock, sleep=sleep)
    begun = simulation.now
    sizes = [1, 10, 1_000, 5_000, 50_000, 100_000, 300_000, 400_000]
    done: list[int] = []

    def work(n: int) -> None:
        for _ in range(5):
            throttle.consume(n, threading.Event())
            done.append(n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, sizes))
    assert sorted(done) == sorted(sizes * 5)
    most_debt = max(sizes) - throttle.burst
    assert sum(done) <= 1_000_000 * (simulation.now - begun) + throttle.burst + most_debt + 1


class Waiters:
    """Threads that wait at one throttle; each sleeps (and so moves the clock) only while it is let."""

    def __init__(self, throttle: Throttle, simulation: Simulation) -> None:
        self.passed: list[str] = []
        self.asleep = {name: threading.Semaphore(0) for name in ("large", "small")}
        self.let = {name: threading.Semaphore(0) for name in ("large", "small")}
        self.throttle = throttle
        self.simulation = simulation

    def sleep(self, seconds: float) -> None:
        name = threading.current_thread().name
        self.asleep[name].release()
        assert self.let[name].acquire(timeout=10)
        self.simulation.sleep(seconds)

    def start(self, name: str, n: int, cancelled: threading.Event) -> threading.Thread:
        def ask() -> None:
            self.throttle.consume(n, cancelled)
            self.passed.append(name)

        thread = threading.Thread(target=ask, name=name)
        thread.start()
        assert self.asleep[name].acquire(timeout=10)
        return thread


@pytest.fixture
def waiters() -> Waiters:
    simulation = Simulation()
    waiters = Waiters(simulation.throttle(1000), simulation)
    waiters.throttle.consume(250, threading.Event())
    waiters.throttle._sleep = waiters.sleep
    return waiters


def test_a_small_request_does_not_overtake_a_large_one_that_waits(waiters: Waiters) -> None:
    large = waiters.start("large", 200, threading.Event())
    small = waiters.start("small", 1, threading.Event())
    for _ in range(5):
        waiters.let["small"].release()
        assert waiters.asleep["small"].acquire(timeout=10)
    assert waiters.passed == []
    waiters.let["large"].release(100)
    large.join(10)
    waiters.let["small"].release(100)
    small.join(10)
    assert waiters.passed == ["large", "small"]


def test_one_who_is_cancelled_leaves_the_queue_to_those_before_and_after(waiters: Waiters) -> None:
    large = waiters.start("large", 200, threading.Event())
    cancelled = threading.Event()
    small = waiters.start("small", 1, cancelled)
    cancelled.set()
    waiters.let["small"].release()
    small.join(10)
    waiters.let["large"].release(100)
    large.join(10)
    assert waiters.passed == ["small", "large"]


@given(rate=st.integers(1, 10**12), tasks=st.integers(1, 1000), share=st.floats(0.01, 1))
def test_the_parts_of_a_split_keep_the_rate_together(rate: int, tasks: int, share: float) -> None:
    throttle = Throttle(rate)
    throttle.set_share(share)
    part = throttle.split(tasks)
    assert part.bytes_per_second is not None
    assert part.bytes_per_second == 1 or part.bytes_per_second * tasks <= rate * share
    assert (part.bytes_per_second + 1) * tasks >= rate * share - 1


def test_a_split_while_paused_is_the_last_share_above_zero() -> None:
    throttle = Throttle(1000)
    throttle.set_share(0.5)
    throttle.set_share(0)
    assert throttle.split(5) == Rate(bytes_per_second=100)
    assert Throttle(None).split(5) == Rate(bytes_per_second=None)
    assert Rate(bytes_per_second=400).throttle().burst == 100


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Throttle(1).set_share(share)


def test_senseless_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes_per_second"):
        Throttle(0)
    with pytest.raises(ValueError, match="negative"):
        Throttle(1).consume(-1, threading.Event())
    with pytest.raises(ValueError, match="at least 1"):
        Throttle(1).split(0)
