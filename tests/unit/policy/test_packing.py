"""Batches are within their limits, hold everything once, and are nearly full."""

from __future__ import annotations

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
