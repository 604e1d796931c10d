"""How many studies must be examined so that a pass means something, and which ones.

A sample is drawn without replacement from a finite wave, so the number of defective studies in it is hypergeometric.
With N studies of which D are defective, a sample of n shows at most c of them with probability

    P(X <= c; N, D, n) = sum over i <= c of C(D, i) C(N - D, n - i) / C(N, n)

which falls as D or n grows. That gives both the smallest sample (`sample_size`) and, after the sample was examined, the
largest number of defective studies that it does not rule out (`defects_bound`: the one-sided bound of Clopper and
Pearson, Biometrika 26 (1934), for the hypergeometric distribution; Wright, "Exact Confidence Bounds when Sampling from
Small Finite Universes", Springer 1991). Every comparison is settled in whole numbers where floating point cannot.

Sampling by stratum, by `allocate` and `strata_bound`, keeps one statement about the whole wave:

- The number seen in stratum h is a sum of D_h independent Bernoulli variables with mean f_h D_h in all, where
  f_h = n_h / N_h (Vatutin and Mikhailov, Theory of Probability and its Applications 27 (1982), theorem 1). The number
  seen in all strata is therefore a sum of D independent Bernoulli variables whose mean is at least f D, f the smallest
  f_h, however the D defects are spread over the strata.
- By Hoeffding (Annals of Mathematical Statistics 27 (1956), theorem 4) such a sum is at most k with no greater
  probability than a binomial variable of the same mean, as long as that mean is at least k + 1. For k = 0 no condition
  is needed: each of the D factors (N_h - n_h - i) / (N_h - i) of the probability to see none is at most 1 - f.
- So P(X <= k) <= P(Binomial(D, f) <= k), whatever the spread. To see none: (1 - f)^D.

Several samples of one wave share the error: the attempts' errors add up to no more than ``1 - confidence``
(`attempt_confidence`), so the chance that any of them passes a wave that is too bad stays below it (Boole's
inequality), even where what is done between two attempts depends on what the earlier one showed.
"""

from __future__ import annotations

import hmac
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from heapq import heappush, heappushpop
from typing import Final

from attrs import frozen

_ROUNDING: Final = 64 * 2.0**-52
"""How far a logarithm of factorials may be off, relative to its size: lgamma errs by a few units in the last place."""

_MARGIN: Final = 1e-9
"""By how much a logarithm must be below the allowed one where nothing settles the comparison exactly."""

_PLACES: Final = Decimal("1e-9")


@frozen(kw_only=True)
class Share:
    """What is drawn of one stratum: ``size`` of its ``population`` studies."""

    stratum: str
    population: int
    size: int


@frozen(kw_only=True)
class SampleDesign:
    """How many studies of a wave are drawn, and of which strata.

    When none of ``size`` is defective, more than ``tolerable`` defective ones in ``population`` are ruled out with
    ``confidence``.
    """

    population: int
    size: int
    tolerable: int
    max_defect_rate: float
    confidence: float
    shares: tuple[Share, ...]

    @property
    def census(self) -> bool:
        """Whether every study is examined, so that nothing is left to chance."""
        return self.size == self.population


@frozen(kw_only=True)
class Seen:
    """What was seen of one stratum: ``defective`` of ``examined`` studies, out of ``population``."""

    stratum: str
    population: int
    examined: int
    defective: int


def tolerable_defects(population: int, max_defect_rate: float) -> int:
    """How many defective studies are within the rate: its share of the population, rounded down.

    The rate is what its shortest decimal text says (0.29 of 100 is 29), not the binary number next to it.
    """
    return math.floor(_exact(max_defect_rate) * population)


def attempt_confidence(confidence: float, attempts: int, number: int, *, spent: float = 0.0) -> float:
    """The confidence that sample ``number`` (from 1) of a wave must have, so that all of them keep ``confidence``.

    Each of ``attempts`` samples gets an equal share of the error ``1 - confidence``. ``spent`` is the sum of the errors
    of the samples drawn before, which matters when the policy was changed in between. Where nothing is left to spend
    the result is 1.0: from there on only examining (nearly) everything can pass a wave. Rounded up to 9 decimals, so
    that its decimal text is exact.
    """
    error = 1 - _exact(confidence)
    left = max(Fraction(0), min(error / attempts, error - _exact(spent)))
    if number > attempts:
        left = Fraction(0)
    exact = 1 - left
    rounded = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_PLACES, rounding=ROUND_CEILING)
    return float(rounded)


def sample_size(population: int, max_defect_rate: float, confidence: float, *, accept: int = 0) -> int:
    """The smallest sample that passes a population with too many defects with probability ``1 - confidence`` at most.

    Too many is more than `tolerable_defects`; to pass is to show at most ``accept`` defective ones. A confidence of 1.0
    leaves no error: the sample is then so large that too many defects cannot hide outside it.

    Raises:
        ValueError: ``accept`` is above what is tolerable, so that no sample would do.
    """
    if population == 0:
        return 0
    tolerable = tolerable_defects(population, max_defect_rate)
    if accept > tolerable:
        raise ValueError(f"{accept} defective studies would pass, but only {tolerable} of {population} are tolerable")
    error = 1 - _exact(confidence)
    return bisect_left(
        range(population + 1), True, key=lambda size: _ruled_out(population, tolerable + 1, size, accept, error)
    )


def defects_bound(population: int, examined: int, defective: int, confidence: float) -> int:
    """The most defective studies that the population may have, with ``confidence``, after a sample showed so many.

    Exact: with any larger number, a sample with at most ``defective`` ones has probability ``1 - confidence`` or less.
    """
    error = 1 - _exact(confidence)
    candidates = range(defective, population - examined + defective + 2)
    above = bisect_left(
        candidates, True, key=lambda defects: _ruled_out(population, defects, examined, defective, error)
    )
    return candidates[above] - 1


def allocate(strata: Mapping[str, int], max_defect_rate: float, confidence: float) -> SampleDesign:
    """How many studies to draw of each stratum (name: population), so that one statement holds for all together.

    Every stratum gives the same share of its studies, rounded up: none that has studies is left out. With one stratum
    that is `sample_size`; with several the share is ``1 - (1 - confidence)^(1 / (tolerable + 1))``, by the bound that
    this module's description proves. Empty strata give nothing.
    """
    filled = {stratum: population for stratum, population in strata.items() if population}
    population = sum(filled.values())
    tolerable = tolerable_defects(population, max_defect_rate)
    if len(filled) > 1:
        error = float(1 - _exact(confidence))
        share = -math.expm1((math.log(error) - 2 * _MARGIN) / (tolerable + 1)) if error else 1.0
        sizes = {stratum: min(members, math.ceil(share * members)) for stratum, members in filled.items()}
    else:
        sizes = {stratum: sample_size(members, max_defect_rate, confidence) for stratum, members in filled.items()}
    return SampleDesign(
        population=population,
        size=sum(sizes.values()),
        tolerable=tolerable,
        max_defect_rate=max_defect_rate,
        confidence=confidence,
        shares=tuple(
            Share(stratum=stratum, population=members, size=sizes.get(stratum, 0))
            for stratum, members in sorted(strata.items())
        ),
    )


def strata_bound(seen: Sequence[Seen], confidence: float) -> int:
    """The most defective studies that all strata together may have, with ``confidence``, after what was seen.

    Strata that were examined whole count as they are. What the others may hold is bounded together, from the smallest
    share that was examined of any of them, by the bound that this module's description proves. It needs no assumption
    on how defects are spread over strata.
    """
    known = sum(stratum.defective for stratum in seen if stratum.examined == stratum.population)
    partly = [stratum for stratum in seen if stratum.examined < stratum.population]
    if len(partly) == 1:
        only = partly[0]
        return known + defects_bound(only.population, only.examined, only.defective, confidence)
    defective = sum(stratum.defective for stratum in partly)
    unseen = sum(stratum.population - stratum.examined for stratum in partly)
    share = min((stratum.examined / stratum.population for stratum in partly), default=1.0)
    error = float(1 - _exact(confidence))
    candidates = range(defective, defective + unseen + 1)
    above = bisect_left(candidates, True, key=lambda defects: _ruled_out_anywhere(defects, share, defective, error))
    return known + (candidates[above] - 1 if above < len(candidates) else defective + unseen)


def draw(seed: str, labels: Iterable[str], size: int) -> tuple[str, ...]:
    """``size`` of the labels (all different), chosen by ``seed`` (hexadecimal) alone: every subset is equally likely.

    The labels with the smallest HMAC-SHA-256 under the seed, smallest first. Their order on the way in has no
    influence; memory is for ``size`` of them. A smaller size gives the beginning of a larger one. Anybody who has the
    seed and the labels can draw again.
    """
    return draw_by_stratum(seed, (("", label) for label in labels), {"": size}).get("", ())


def draw_by_stratum(
    seed: str, members: Iterable[tuple[str, str]], sizes: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """`draw` from each stratum in one pass over (stratum, label) pairs; strata without a size give nothing."""
    key = bytes.fromhex(seed)
    smallest: dict[str, list[tuple[int, str]]] = {}
    for stratum, label in members:
        size = sizes.get(stratum, 0)
        if size < 1:
            continue
        kept = smallest.setdefault(stratum, [])
        # The heap's first entry is the largest of the smallest digests, because they are negative.
        entry = (-int.from_bytes(hmac.digest(key, label.encode(), "sha256")), label)
        if len(kept) < size:
            heappush(kept, entry)
        else:
            heappushpop(kept, entry)
    return {stratum: tuple(label for _, label in sorted(kept, reverse=True)) for stratum, kept in smallest.items()}


def _exact(decimal: float) -> Fraction:
    return Fraction(str(decimal))


def _ruled_out(population: int, defects: int, sample: int, seen: int, error: Fraction) -> bool:
    """Whether a sample of a population with that many defects shows at most ``seen`` with probability <= ``error``."""
    fewest = max(0, sample - (population - defects))
    small, large = sorted((sample, defects))  # the distribution is the same with the two exchanged
    if seen < fewest:
        return True
    if seen >= small or not error:
        return error >= 1
    total = _falling_sum(
        seen, fewest, lambda i: i * (population - small - large + i) / ((small - i + 1) * (large - i + 1))
    )
    probability = (
        _log_choose(large, seen)
        + _log_choose(population - large, small - seen)
        - _log_choose(population, small)
        + math.log(total)
    )
    distance = probability - math.log(error)
    if abs(distance) > _ROUNDING * (math.lgamma(population + 2) + seen):
        return distance < 0
    ways = sum(math.comb(large, i) * math.comb(population - large, small - i) for i in range(fewest, seen + 1))
    return ways * error.denominator <= error.numerator * math.comb(population, small)


def _ruled_out_anywhere(defects: int, share: float, seen: int, error: float) -> bool:
    """The same for any number of strata, of each of which at least ``share`` (of 1) was examined. Errs towards no."""
    if defects <= seen or not share or (seen and share * defects < seen + 1):
        return False
    if not error:
        return False
    total = _falling_sum(seen, 0, lambda i: i * (1 - share) / ((defects - i + 1) * share))
    probability = (
        _log_choose(defects, seen) + seen * math.log(share) + (defects - seen) * math.log1p(-share) + math.log(total)
    )
    slack = _MARGIN + (_ROUNDING * (math.lgamma(defects + 2) + seen) if seen else 0.0)
    return probability <= math.log(error) - slack


def _falling_sum(last: int, first: int, ratio: Callable[[int], float]) -> float:
    """The terms from ``last`` down to ``first``, the last one being 1 and each ``ratio(i)`` times the one after it."""
    term = total = 1.0
    for i in range(last, first, -1):
        step = ratio(i)
        term *= step
        total += term
        if step < 1 and term < total * 2.0**-60:  # the terms fall faster and faster from here
            break
    return total


def _log_choose(of: int, take: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(take + 1) - math.lgamma(of - take + 1)
