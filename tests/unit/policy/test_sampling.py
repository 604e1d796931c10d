"""A sample means what it says: sizes, bounds and draws against an oracle and as rules for all inputs."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections import Counter
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from vna_lifecycle.policy.sampling import (
    Seen,
    allocate,
    attempt_confidence,
    defects_bound,
    draw,
    draw_by_stratum,
    sample_size,
    strata_bound,
    tolerable_defects,
)

POPULATIONS = (1, 2, 3, 7, 20, 59, 60, 100, 333, 1_000, 4_999, 20_000, 333_333, 5_000_000)
RATES = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.29, 0.5)
CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.983333334, 0.99, 0.999)

populations = st.integers(min_value=1, max_value=3_000)
rates = st.sampled_from(RATES)
confidences = st.sampled_from(CONFIDENCES)
strata_sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(min_value=0, max_value=400), max_size=6)


def at_most(seen: int, population: int, defects: int, size: int) -> Fraction:
    """P(X <= seen) in whole numbers."""
    if size > population - defects + seen:
        return Fraction(0)
    ways = sum(comb(defects, i) * comb(population - defects, size - i) for i in range(min(seen, size) + 1))
    return Fraction(ways, comb(population, size))


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("population", POPULATIONS)
def test_scipy_agrees_that_the_sample_is_large_enough_and_one_less_is_not(population: int, confidence: float) -> None:
    for rate in RATES:
        size = sample_size(population, rate, confidence)
        too_many = tolerable_defects(population, rate) + 1
        error = 1 - confidence
        assert hypergeom.cdf(0, population, too_many, size) <= error * (1 + 1e-9)
        if size:
            assert hypergeom.cdf(0, population, too_many, size - 1) > error * (1 - 1e-9)


@pytest.mark.parametrize("seen", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("population", [50, 1_000, 20_000, 5_000_000])
def test_scipy_agrees_on_the_largest_number_of_defects_that_is_not_ruled_out(population: int, seen: int) -> None:
    for size in (50, population // 7 + 43, population // 2 + 20):
        for confidence in CONFIDENCES:
            bound = defects_bound(population, size, seen, confidence)
            error = 1 - confidence
            assert hypergeom.cdf(seen, population, bound, size) > error * (1 - 1e-7)
            if bound < population - size + seen:
                assert hypergeom.cdf(seen, population, bound + 1, size) <= error * (1 + 1e-7)


@given(population=populations, rate=rates, confidence=confidences)
def test_the_size_is_the_smallest_one_in_whole_numbers(population: int, rate: float, confidence: float) -> None:
    size = sample_size(population, rate, confidence)
    too_many = tolerable_defects(population, rate) + 1
    error = 1 - Fraction(str(confidence))
    assert at_most(0, population, too_many, size) <= error
    assert size == 0 or at_most(0, population, too_many, size - 1) > error


@given(population=st.integers(min_value=1, max_value=400), data=st.data(), confidence=confidences)
def test_the_bound_is_the_largest_one_in_whole_numbers(population: int, data: st.DataObject, confidence: float) -> None:
    size = data.draw(st.integers(min_value=0, max_value=population))
    seen = data.draw(st.integers(min_value=0, max_value=size))
    bound = defects_bound(population, size, seen, confidence)
    error = 1 - Fraction(str(confidence))
    assert seen <= bound <= population - size + seen
    assert bound == seen or at_most(seen, population, bound, size) > error
    assert bound == population - size + seen or at_most(seen, population, bound + 1, size) <= error


def test_a_tie_is_settled_in_whole_numbers() -> None:
    assert sample_size(20, 0.005, 0.95) == 19  # one defective study of 20 is left out of 19 with exactly 1/20
    assert sample_size(20, 0.005, 0.9500000001) == 20


def test_five_million_studies_need_a_few_thousand() -> None:
    assert sample_size(5_000_000, 0.001, 0.99) == 4_600


@given(population=populations, rate=rates, confidence=confidences)
def test_a_stricter_policy_never_needs_a_smaller_sample(population: int, rate: float, confidence: float) -> None:
    size = sample_size(population, rate, confidence)
    assert all(sample_size(population, rate, more) >= size for more in CONFIDENCES if more >= confidence)
    assert all(sample_size(population, less, confidence) >= size for less in RATES if less <= rate)


@given(population=populations, rate=rates, confidence=confidences, step=st.integers(min_value=1, max_value=500))
def test_among_populations_that_tolerate_as_many_a_larger_one_never_needs_a_smaller_sample(
    population: int, rate: float, confidence: float, step: int
) -> None:
    larger = population + step
    if tolerable_defects(larger, rate) == tolerable_defects(population, rate):
        assert sample_size(larger, rate, confidence) >= sample_size(population, rate, confidence)


@given(population=populations, rate=rates, confidence=confidences, accept=st.integers(min_value=0, max_value=5))
def test_accepting_more_needs_more_and_what_no_sample_can_do_is_refused(
    population: int, rate: float, confidence: float, accept: int
) -> None:
    tolerable = tolerable_defects(population, rate)
    if accept > tolerable:
        with pytest.raises(ValueError, match="tolerable"):
            sample_size(population, rate, confidence, accept=accept)
        return
    size = sample_size(population, rate, confidence, accept=accept)
    assert at_most(accept, population, tolerable + 1, size) <= 1 - Fraction(str(confidence))
    assert size >= sample_size(population, rate, confidence)


@given(population=populations, rate=rates, confidence=confidences)
def test_a_clean_sample_of_that_size_leaves_no_more_than_is_tolerable(
    population: int, rate: float, confidence: float
) -> None:
    size = sample_size(population, rate, confidence)
    assert defects_bound(population, size, 0, confidence) <= tolerable_defects(population, rate)


def test_who_examines_every_study_knows() -> None:
    assert sample_size(10, 0.005, 0.95) == 10
    assert defects_bound(10, 10, 3, 0.95) == 3
    assert sample_size(0, 0.005, 0.95) == 0
    assert defects_bound(0, 0, 0, 0.95) == 0


def test_without_error_too_many_defects_cannot_hide_outside_the_sample() -> None:
    assert sample_size(1_000, 0.005, 1.0) == 995
    assert defects_bound(1_000, 995, 0, 1.0) == 5


def test_a_rate_is_what_its_decimals_say() -> None:
    assert tolerable_defects(100, 0.29) == 29  # 0.29 * 100 is 28.999999999999996
    assert tolerable_defects(1_000_000, 0.000001) == 1


# Attempts


@given(confidence=confidences, attempts=st.integers(min_value=1, max_value=20))
def test_the_attempts_together_never_spend_more_than_the_error(confidence: float, attempts: int) -> None:
    shares = [1 - Fraction(str(attempt_confidence(confidence, attempts, number))) for number in range(1, 40)]
    assert sum(shares) <= 1 - Fraction(str(confidence))
    assert all(share == 0 for share in shares[attempts:])
    assert all(share > 0 for share in shares[:attempts])


def test_a_policy_that_was_changed_between_attempts_cannot_spend_what_is_spent() -> None:
    spent = 3 * (1 - attempt_confidence(0.95, 3, 1))
    assert attempt_confidence(0.95, 6, 4, spent=spent) > 0.99999999  # what rounding left over
    assert attempt_confidence(0.99, 6, 2, spent=0.05 / 3) == 1.0
    assert attempt_confidence(0.95, 6, 2, spent=0.05 / 3) == attempt_confidence(0.95, 6, 1)


# Strata


@given(strata=strata_sizes, rate=rates, confidence=confidences)
def test_every_stratum_that_has_studies_gives_some_and_never_more_than_it_has(
    strata: dict[str, int], rate: float, confidence: float
) -> None:
    design = allocate(strata, rate, confidence)
    assert [share.stratum for share in design.shares] == sorted(strata)
    assert design.population == sum(strata.values())
    assert design.size == sum(share.size for share in design.shares)
    assert all(0 <= share.size <= share.population for share in design.shares)
    if len([population for population in strata.values() if population]) > 1:
        assert all((share.size > 0) == (share.population > 0) for share in design.shares)
    assert strata_bound(
        [clean(share.stratum, share.population, share.size) for share in design.shares], confidence
    ) <= (design.tolerable)


@given(strata=strata_sizes, rate=rates, confidence=confidences, data=st.data())
def test_wherever_too_many_defects_lie_a_stratified_sample_misses_them_as_rarely_as_it_says(
    strata: dict[str, int], rate: float, confidence: float, data: st.DataObject
) -> None:
    design = allocate(strata, rate, confidence)
    if not design.population:
        return
    where = spread(design.tolerable + 1, strata, data)
    missed = Fraction(1)
    for share in design.shares:
        missed *= at_most(0, share.population, where[share.stratum], share.size)
    assert missed <= 1 - Fraction(str(confidence))


@given(data=st.data(), confidence=st.sampled_from((0.8, 0.9, 0.95, 0.99)))
def test_no_spread_of_defects_above_the_bound_is_likelier_than_the_error(
    data: st.DataObject, confidence: float
) -> None:
    sizes = data.draw(st.lists(st.integers(min_value=1, max_value=12), min_size=2, max_size=3))
    examined = [data.draw(st.integers(min_value=1, max_value=size)) for size in sizes]
    defective = [data.draw(st.integers(min_value=0, max_value=min(2, count))) for count in examined]
    parts = [
        Seen(stratum=str(number), population=size, examined=count, defective=bad)
        for number, (size, count, bad) in enumerate(zip(sizes, examined, defective, strict=True))
    ]
    if any(part.examined == part.population for part in parts):
        return  # what was examined whole is known, and not part of the bound
    bound = strata_bound(parts, confidence)
    if bound < sum(sizes):
        where = spread(bound + 1, {str(number): size for number, size in enumerate(sizes)}, data)
        defects = [where[str(number)] for number in range(len(sizes))]
        assert chance(sizes, defects, examined, sum(defective)) <= (1 - confidence) * (1 + 1e-6)


def spread(defects: int, strata: dict[str, int], data: st.DataObject) -> Counter[str]:
    """So many defects placed in strata in any way that there is room for."""
    placed: Counter[str] = Counter()
    for stratum in data.draw(st.permutations(sorted(strata))):
        left = defects - sum(placed.values())
        placed[stratum] = min(left, strata[stratum], data.draw(st.integers(min_value=0, max_value=left)))
    for stratum, size in strata.items():
        placed[stratum] += min(size - placed[stratum], defects - sum(placed.values()))
    return placed


def chance(sizes: list[int], where: list[int], examined: list[int], seen: int) -> float:
    """The chance to see at most ``seen`` in all strata together, by convolution."""
    total = {0: 1.0}
    for size, defects, count in zip(sizes, where, examined, strict=True):
        new: Counter[int] = Counter()
        for so_far, probability in total.items():
            for here in range(count + 1):
                new[so_far + here] += probability * float(hypergeom.pmf(here, size, defects, count))
        total = dict(new)
    return sum(probability for number, probability in total.items() if number <= seen)


def test_the_bound_over_strata_is_the_binomial_one_of_the_smallest_share() -> None:
    parts = [Seen(stratum="CT", population=10_000, examined=500, defective=2), clean("MR", 5_000, 300)]
    bound = strata_bound(parts, 0.95)
    assert binom.cdf(2, bound, 0.05) > 0.05 >= binom.cdf(2, bound + 1, 0.05)


def test_the_bound_over_strata_stays_where_the_theorem_holds() -> None:
    parts = [Seen(stratum="CT", population=10_000, examined=500, defective=2), clean("MR", 5_000, 300)]
    assert binom.cdf(2, 54, 0.05) < 0.5  # but the mean is below 3
    assert strata_bound(parts, 0.5) == 59


def test_strata_that_were_examined_whole_are_known_and_one_left_is_exact() -> None:
    whole = Seen(stratum="CT", population=40, examined=40, defective=3)
    part = Seen(stratum="MR", population=900, examined=100, defective=1)
    assert strata_bound([whole], 0.95) == 3
    assert strata_bound([whole, part], 0.95) == 3 + defects_bound(900, 100, 1, 0.95)
    assert strata_bound([], 0.95) == 0
    assert strata_bound([clean("a", 10, 0), clean("b", 10, 5)], 0.95) == 15


def test_without_strata_the_sample_is_the_exact_one_and_a_small_wave_is_examined_whole() -> None:
    assert allocate({"": 1_000}, 0.005, 0.95).size == sample_size(1_000, 0.005, 0.95)
    assert allocate({"CT": 1_000, "XA": 0}, 0.005, 0.95).size == sample_size(1_000, 0.005, 0.95)
    assert allocate({"CT": 12, "MR": 5}, 0.005, 0.95).census
    assert allocate({}, 0.005, 0.95).size == 0


def clean(stratum: str, population: int, examined: int) -> Seen:
    return Seen(stratum=stratum, population=population, examined=examined, defective=0)


# Drawing


LABELS = [f"S-{number:05}" for number in range(500)]


def seed(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@given(order=st.randoms(use_true_random=False), size=st.integers(min_value=0, max_value=600))
def test_a_draw_depends_on_the_seed_alone(order: random.Random, size: int) -> None:
    shuffled = LABELS[:]
    order.shuffle(shuffled)
    drawn = draw(seed(1), iter(shuffled), size)
    assert drawn == draw(seed(1), LABELS, size)
    assert len(set(drawn)) == min(size, len(LABELS))
    assert set(drawn) <= set(LABELS)
    assert draw(seed(1), LABELS, 600)[:size] == drawn


def test_a_stranger_can_draw_again() -> None:
    def digest(label: str) -> bytes:
        return hmac.new(bytes.fromhex(seed(1)), label.encode(), hashlib.sha256).digest()

    assert list(draw(seed(1), LABELS, 20)) == sorted(LABELS, key=digest)[:20]


def test_another_seed_draws_others() -> None:
    assert draw(seed(1), LABELS, 20) != draw(seed(2), LABELS, 20)


def test_every_study_is_drawn_equally_often_and_every_pair_too() -> None:
    labels = LABELS[:20]
    times: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for number in range(4_000):
        drawn = sorted(draw(seed(number), labels, 5))
        times.update(drawn)
        pairs.update((one, other) for one in drawn for other in drawn if one < other)
    assert all(900 < times[label] < 1_100 for label in labels)  # 1,000 each, standard deviation 27
    assert len(pairs) == 190
    assert all(130 < count < 300 for count in pairs.values())  # 210.5 each, standard deviation 14


def test_strata_are_drawn_in_one_pass_as_each_alone_would_be() -> None:
    members = [("CT" if number % 3 else "MR", label) for number, label in enumerate(LABELS)]
    drawn = draw_by_stratum(seed(7), members, {"CT": 30, "MR": 4, "XA": 2, "empty": 0})
    assert set(drawn) == {"CT", "MR"}
    assert drawn["MR"] == draw(seed(7), [label for stratum, label in members if stratum == "MR"], 4)
    assert len(drawn["CT"]) == 30
