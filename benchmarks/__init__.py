"""Measured against peers, always as ratios: absolute numbers say more about the machine than about the software.

A benchmark is a module here with a function ``run(quick: bool = False)`` that returns rows. ``python -m benchmarks``
runs them all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from attrs import field, frozen


def _number(value: object) -> float:
    return float(str(value))


def _number_if_any(value: object) -> float | None:
    return None if value is None else _number(value)


def _bool_if_any(value: object) -> bool | None:
    return None if value is None else bool(value)


@frozen(kw_only=True)
class Row:
    """One measured ratio.

    ``ours`` and ``peer`` are medians in ``unit`` (``peer`` None: measured against a limit, not against a peer).
    ``target`` says what ``ratio``, or ``ours`` where there is no ratio, has to be, and ``reached`` whether it is; a row
    for information has neither.
    """

    name: str
    ours: float = field(converter=_number)
    peer: float | None = field(default=None, converter=_number_if_any)
    unit: str = ""
    ratio: float | None = field(default=None, converter=_number_if_any)
    target: str = field(default="", converter=str)
    reached: bool | None = field(default=None, converter=_bool_if_any)
    note: str = ""

    def __attrs_post_init__(self) -> None:
        if (self.reached is None) != (not self.target):
            raise ValueError(f"{self.name}: a target is reached or missed, and nothing else is")


@frozen(kw_only=True)
class Comparison:
    """Two medians, the median ratio of pairs (ours to peer's), and the interval that holds it 95 times of 100."""

    ours: float
    peer: float
    ratio: float
    low: float
    high: float
    pairs: int

    @property
    def interval(self) -> str:
        """For a row's note."""
        return f"ratio {self.low:.3g} to {self.high:.3g} in {self.pairs} pairs"


def interleave(a: Callable[[], float], b: Callable[[], float], pairs: int = 7) -> Comparison:
    """Measure ``a`` (ours) and ``b`` (the peer) in turn, so that both see the same weather.

    Each returns what it measured (seconds, a rate). Which of a pair goes first alternates. The interval is the exact
    one of order statistics, without any assumption about how the times are spread; below six pairs it is their range.
    """
    if pairs < 1:
        raise ValueError("there must be at least one pair")
    ours, peer = [], []
    for number in range(pairs):
        if number % 2:
            theirs, mine = b(), a()
        else:
            mine, theirs = a(), b()
        ours.append(mine)
        peer.append(theirs)
    ratios = sorted(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
    cut = _cut(pairs)
    return Comparison(
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=statistics.median(ratios),
        low=ratios[cut],
        high=ratios[-1 - cut],
        pairs=pairs,
    )


def _cut(n: int) -> int:
    """How many of ``n`` ordered values may be left out at each end, and the median still lies between in 95 %."""
    cut, tail = 0, 0.0
    while cut < n // 2:
        tail += math.comb(n, cut) / 2**n
        if 2 * tail > 0.05:
            break
        cut += 1
    return max(0, cut - 1)
