"""How many associations an archive bears, from the rates at which it answers over more and more of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vna_lifecycle.adapters.dimse.measuring import Bearing, bearing
from vna_lifecycle.errors import ArchiveRefused


def rates(*of: tuple[int, float]) -> Callable[[int], float | None]:
    """The rate with so many associations; with others they are refused."""
    known = dict(of)

    def rate(count: int) -> float:
        if count not in known:
            raise ArchiveRefused("no association left", archive="old")
        return known[count]

    return rate


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (rates((1, 10), (2, 20), (4, 40), (8, 80)), Bearing(best=8)),
        (rates((1, 10), (2, 20), (4, 21), (8, 22)), Bearing(best=4)),
        (rates((1, 10), (2, 10), (4, 10), (8, 10)), Bearing(best=4)),
        (rates((1, 10), (2, 12), (4, 7)), Bearing(best=2)),
        (rates((1, 10), (2, 5)), Bearing(best=1)),
        (rates((1, 10), (2, 20)), Bearing(best=2, refused=4)),
        (rates((1, 10)), Bearing(best=1, refused=2)),
        (rates(), Bearing(best=1, refused=1)),
    ],
    ids=["quicker to the end", "hardly quicker", "as quick", "slows", "slows at once", "four refused", "two", "all"],
)
def test_an_archive_bears_what_does_not_slow_it_and_more_than_usual_only_where_that_is_quicker(
    seen: Callable[[int], float | None], expected: Bearing
) -> None:
    assert bearing(8, seen) == expected


def test_once_there_is_no_time_left_what_was_seen_until_then_counts() -> None:
    seen = rates((1, 10), (2, 20))
    assert bearing(8, lambda count: seen(count) if count <= 2 else None) == Bearing(best=2, cut=True)
    assert bearing(8, lambda count: None) == Bearing(best=1, cut=True)


def test_one_bad_moment_is_measured_again() -> None:
    slow = iter([1.0])

    def rate(count: int) -> float:
        return next(slow, 10.0 * count) if count == 2 else 10.0 * count

    assert bearing(4, rate) == Bearing(best=4)


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_are_opened_than_are_allowed(most: int) -> None:
    opened: list[int] = []

    def rate(count: int) -> float:
        opened.append(count)
        return float(count)

    assert bearing(most, rate) == Bearing(best=most)
    assert max(opened) == most
