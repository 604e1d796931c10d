"""Batches are within their limits, hold everything once, and are nearly full."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.policy.packing import BatchLimits, Share, pack

studies = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=12), max_size=40)


@given(studies, st.integers(1, 10), st.integers(40, 200))
def test_every_instance_is_in_one_batch_and_every_batch_within_its_limits(
    sizes: list[list[int]], instances: int, size: int
) -> None:
    batches = list(pack(enumerate(sizes), BatchLimits(instances=instances, size=size)))
    seen = sorted((share.study, at) for batch in batches for share in batch for at in range(share.start, share.stop))
    assert seen == [(number, at) for number, one in enumerate(sizes) for at in range(len(one))]
    for batch in batches:
        held = [sizes[share.study][at] for share in batch for at in range(share.start, share.stop)]
        assert 0 < len(held) <= instances
        assert sum(held) <= size


@given(studies, st.integers(1, 10))
def test_a_study_that_fits_is_never_split(sizes: list[list[int]], instances: int) -> None:
    for batch in pack(enumerate(sizes), BatchLimits(instances=instances)):
        for share in batch:
            whole = (share.start, share.stop) == (0, len(sizes[share.study]))
            assert whole or (len(sizes[share.study]) > instances and len(batch) == 1)


def test_without_limits_there_is_one_batch() -> None:
    assert len(list(pack([(1, [5]), (2, [6])], BatchLimits()))) == 1


def test_an_instance_over_every_limit_has_a_batch_of_its_own() -> None:
    assert list(pack([("a", [1, 500, 1])], BatchLimits(size=10))) == [
        (Share(study="a", start=0, stop=1),),
        (Share(study="a", start=1, stop=2),),
        (Share(study="a", start=2, stop=3),),
    ]


def test_small_studies_fill_the_room_that_large_ones_leave() -> None:
    sizes = [[1] * 7, [1] * 7, [1] * 3, [1] * 3]
    batches = list(pack(enumerate(sizes), BatchLimits(instances=10)))
    assert [{share.study for share in batch} for batch in batches] == [{0, 2}, {1, 3}]


def test_a_batch_may_be_exactly_full() -> None:
    assert len(list(pack([("a", [4]), ("b", [6])], BatchLimits(size=10)))) == 1
    assert len(list(pack([("a", [1] * 4), ("b", [1] * 6)], BatchLimits(instances=10)))) == 1


@pytest.mark.parametrize(
    ("sizes", "limits", "parts"),
    [
        ([1] * 12, BatchLimits(instances=5), [(0, 5), (5, 10), (10, 12)]),
        ([5] * 5, BatchLimits(size=10), [(0, 2), (2, 4), (4, 5)]),
        ([4] * 6, BatchLimits(size=10), [(0, 2), (2, 4), (4, 6)]),
        ([500, 1, 1], BatchLimits(size=10), [(0, 1), (1, 3)]),
    ],
    ids=["by count", "by size, exactly", "by size", "the first is over the limit"],
)
def test_a_study_that_is_split_fills_its_batches(
    sizes: list[int], limits: BatchLimits, parts: list[tuple[int, int]]
) -> None:
    split = list(pack([("a", sizes)], limits))
    assert [[(share.start, share.stop) for share in batch] for batch in split] == [[part] for part in parts]


def test_a_batch_holds_studies_that_are_near_each_other() -> None:
    """Of those with room left only the last few are filled up; the oldest leaves first, before all studies are seen."""
    seen: list[int] = []

    def studies() -> Iterator[tuple[int, list[int]]]:
        for number in range(40):
            seen.append(number)
            yield number, [1] * (3 if number == 39 else 7)

    batches = pack(studies(), BatchLimits(instances=10))
    assert [share.study for share in next(batches)] == [0]
    assert len(seen) < 20
    rest = [[share.study for share in batch] for batch in batches]
    [shared] = [batch for batch in rest if len(batch) > 1]
    assert shared[0] > 20
    assert shared[1] == 39
    assert [batch[0] for batch in rest] == list(range(1, 39))
