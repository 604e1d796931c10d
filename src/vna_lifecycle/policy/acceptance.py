"""What an acceptance of a wave comes to: passed, failed or unfinished, with every reason and figure.

A wave passes when nothing blocks it, every required check gave a result, and what was examined rules out more defective
studies than the policy tolerates. No defective study that was seen is ever tolerated: the rate is for those unseen.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Final

from attrs import frozen

from vna_lifecycle.policy.sampling import SampleDesign, Seen, defects_bound, strata_bound, tolerable_defects

_EPSILON: Final = 1e-12


class Outcome(enum.Enum):
    """How an acceptance ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNFINISHED = "unfinished"


@frozen(kw_only=True)
class AcceptancePolicy:
    """What a pass must mean: with ``confidence``, no more than ``max_defect_rate`` of a wave's studies are defective.

    The samples of one wave, ``attempts`` of them, share the error ``1 - confidence``.
    """

    confidence: float
    max_defect_rate: float
    attempts: int


@frozen(kw_only=True)
class Attempt:
    """One sample of a wave, and how it ended. ``confidence`` is its own, from `sampling.attempt_confidence`."""

    number: int
    confidence: float
    population: int
    size: int
    examined: int
    defective: int
    outcome: Outcome


@frozen(kw_only=True)
class Examination:
    """What acceptance number ``number`` of a wave saw.

    ``design`` is what was drawn and ``seen`` what was examined of it, by stratum. ``blockers`` pairs each kind of
    finding that blocks the wave, waived ones left out, with their number. ``not_assessed`` names required checks that
    gave no result.
    """

    number: int
    design: SampleDesign
    seen: tuple[Seen, ...]
    blockers: tuple[tuple[str, int], ...] = ()
    warnings: int = 0
    not_assessed: tuple[str, ...] = ()


@frozen(kw_only=True)
class StratumBound:
    """What was seen of one stratum, and the most defective studies it may have: a statement about it taken alone."""

    stratum: str
    population: int
    size: int
    examined: int
    defective: int
    bound: int


@frozen(kw_only=True)
class WaveVerdict:
    """The outcome with every reason against a pass, and the figures behind it. Counts are studies.

    ``statement`` says in plain words what the sample shows. ``bound`` is the most defective studies that the wave may
    have, with ``confidence`` when all ``attempts`` are counted; ``tolerable`` is how many it may have.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    statement: str
    confidence: float
    max_defect_rate: float
    population: int
    size: int
    examined: int
    defective: int
    tolerable: int
    bound: int
    blockers: tuple[tuple[str, int], ...]
    warnings: int
    not_assessed: tuple[str, ...]
    strata: tuple[StratumBound, ...]
    attempts: tuple[Attempt, ...]


def wave_verdict(examination: Examination, policy: AcceptancePolicy, earlier: Sequence[Attempt] = ()) -> WaveVerdict:
    """What an examination comes to under a policy. ``earlier`` are all samples of this wave drawn before."""
    design = examination.design
    examined = sum(stratum.examined for stratum in examination.seen)
    defective = sum(stratum.defective for stratum in examination.seen)
    # Strata that nothing was reported of were not examined: leaving them out would bound a smaller wave.
    reported = {stratum.stratum: stratum for stratum in examination.seen}
    seen = [
        reported.get(share.stratum) or Seen(stratum=share.stratum, population=share.population, examined=0, defective=0)
        for share in design.shares
    ]
    bound = strata_bound(seen, design.confidence)
    tolerable = tolerable_defects(design.population, policy.max_defect_rate)
    against = _against(examination, defective)
    missing = _missing(examination, policy, earlier, examined=examined, bound=bound, tolerable=tolerable)
    outcome = Outcome.FAILED if against else Outcome.UNFINISHED if missing else Outcome.PASSED
    this = Attempt(
        number=examination.number,
        confidence=design.confidence,
        population=design.population,
        size=design.size,
        examined=examined,
        defective=defective,
        outcome=outcome,
    )
    return WaveVerdict(
        outcome=outcome,
        reasons=(*against, *missing),
        statement=_statement(this, policy, bound, several=len(earlier) > 0),
        confidence=policy.confidence,
        max_defect_rate=policy.max_defect_rate,
        population=design.population,
        size=design.size,
        examined=examined,
        defective=defective,
        tolerable=tolerable,
        bound=bound,
        blockers=examination.blockers,
        warnings=examination.warnings,
        not_assessed=examination.not_assessed,
        strata=tuple(
            StratumBound(
                stratum=share.stratum,
                population=share.population,
                size=share.size,
                examined=part.examined,
                defective=part.defective,
                bound=defects_bound(part.population, part.examined, part.defective, design.confidence),
            )
            for share, part in zip(design.shares, seen, strict=True)
        ),
        attempts=(*earlier, this),
    )


def _against(examination: Examination, defective: int) -> list[str]:
    reasons = [
        f"{_counted(count, 'finding')} of kind {kind} {'blocks' if count == 1 else 'block'} the wave"
        for kind, count in examination.blockers
        if count
    ]
    if defective:
        reasons.insert(0, f"{_studies(defective)} of the sample {'is' if defective == 1 else 'are'} defective")
    return reasons


def _missing(
    examination: Examination,
    policy: AcceptancePolicy,
    earlier: Sequence[Attempt],
    *,
    examined: int,
    bound: int,
    tolerable: int,
) -> list[str]:
    design = examination.design
    reasons = [f"the required check {check} gave no result" for check in examination.not_assessed]
    if design.population == 0:
        reasons.append("the wave is empty")
    if examined < design.size:
        reasons.append(f"{_studies(design.size - examined)} of the sample not examined")
    elif bound > tolerable and not any(stratum.defective for stratum in examination.seen):
        reasons.append(
            f"the sample is too small for the policy: it leaves {bound:,} defective studies possible,"
            f" {tolerable:,} are tolerable"
        )
    spent = sum(1 - attempt.confidence for attempt in earlier) + 1 - design.confidence
    if spent > 1 - policy.confidence + _EPSILON:
        reasons.append("the samples drawn so far share more error than the policy allows: draw again")
    return reasons


def _statement(attempt: Attempt, policy: AcceptancePolicy, bound: int, *, several: bool) -> str:
    """What the sample shows, in one sentence that anybody can read."""
    if attempt.population == 0:
        return "The wave has no studies."
    found = f"{attempt.defective:,} found defective" if attempt.defective else "none found defective"
    if attempt.examined == attempt.population:
        return f"Every study of the wave was examined ({attempt.population:,}), {found}."
    sure = f"{(Decimal(str(policy.confidence)) * 100).normalize():f} % confidence"
    counted = ", all attempts counted," if several else ","
    return (
        f"{attempt.examined:,} of {_studies(attempt.population)}, drawn at random, were examined, {found}: with {sure}"
        f"{counted} no more than {bound:,} ({_percent(bound, attempt.population)}) of all are defective."
    )


def _percent(part: int, whole: int) -> str:
    """Rounded up to 3 decimals, so that a bound is never told lower than it is."""
    share = (Decimal(100 * part) / whole).quantize(Decimal("0.001"), rounding=ROUND_CEILING).normalize()
    return f"{share:f} %"


def _studies(count: int) -> str:
    return _counted(count, "study", "studies")


def _counted(count: int, one: str, many: str = "") -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"
