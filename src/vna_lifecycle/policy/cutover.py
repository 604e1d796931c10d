"""May reading be switched to the target? A pure decision, with every reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from vna_lifecycle.model.counting import counted
from vna_lifecycle.policy.readiness import (
    FoundKind,
    Readiness,
    Requirement,
    Standing,
    WaiverFacts,
    against,
    findings_required,
)


@frozen(kw_only=True)
class SourceFacts:
    """What is known of a source.

    ``refused`` counts objects that could not be trusted, ``equal`` the latest comparisons in a row of two passes that
    found nothing new, and ``news`` what the latest one found else; ``sampled`` untouched studies it fetched again.
    """

    name: str
    inventoried: bool
    refused: int = 0
    compared: bool = False
    equal: int = 0
    news: str = ""
    sampled: int = 0


@frozen(kw_only=True)
class CutoverFacts:
    """What the gate decides from, beside the waves.

    ``findings`` are those about the program or a source. ``looked`` says whether acceptance ever looked at the sources.
    ``unseen`` says what comparing passes cannot see. ``rechecked`` names the waves whose target objects were compared
    just now with what was accepted (None before anybody looked), ``unchecked`` those where that gave no result; ``""``
    stands for the sources.
    """

    sources: tuple[SourceFacts, ...]
    unplanned: int
    findings: tuple[FoundKind, ...] = ()
    lapsed: tuple[WaiverFacts, ...] = ()
    looked: bool = True
    equal_passes: int = 2
    unseen: str = ""
    rechecked: tuple[str, ...] | None = None
    unchecked: tuple[str, ...] = ()


@frozen(kw_only=True)
class CutoverDecision:
    """Whether reading may be switched to the target, every reason why not, and everything that was required."""

    allowed: bool
    reasons: tuple[str, ...]
    requirements: tuple[Requirement, ...] = field(default=(), repr=False)


def cutover_decision(waves: Sequence[tuple[str, Readiness]], facts: CutoverFacts) -> CutoverDecision:
    """Reading may be switched when every wave is ready and nothing of the sources is left without a place."""
    requirements = (*_waves(waves), *_sources(facts), *_passes(facts), *_unchanged(facts))
    # Nobody looks at the target for a mere status: that it was not done just then is no reason against.
    needed = [each for each in requirements if facts.rechecked is not None or each.name != "unchanged"]
    reasons = against(needed)
    return CutoverDecision(allowed=not reasons, reasons=reasons, requirements=requirements)


def _waves(waves: Sequence[tuple[str, Readiness]]) -> Iterator[Requirement]:
    for name, readiness in waves:
        if readiness.ready:
            yield Requirement(name="waves", standing=Standing.MET, detail=f"wave {name} is ready")
        else:
            detail = f"wave {name}: {'; '.join(readiness.blockers)}"
            yield Requirement(name="waves", standing=Standing.FAILED, detail=detail)
    if not waves:
        yield Requirement(name="waves", standing=Standing.MISSING, detail="nothing is planned")


def _sources(facts: CutoverFacts) -> Iterator[Requirement]:
    for source in facts.sources:
        if source.inventoried:
            detail = f"{source.name} is inventoried"
            yield Requirement(name="inventory", standing=Standing.MET, detail=detail)
        else:
            detail = f"no complete inventory of {source.name}"
            yield Requirement(name="inventory", standing=Standing.MISSING, detail=detail)
    if facts.unplanned:
        detail = f"{counted(facts.unplanned, 'study')} in no wave and not excluded"
        yield Requirement(name="planned", standing=Standing.MISSING, detail=detail)
    else:
        detail = "every study is in a wave or excluded"
        yield Requirement(name="planned", standing=Standing.MET, detail=detail)
    refused = sum(source.refused for source in facts.sources)
    if refused and not facts.looked:
        objects = counted(refused, "object")
        detail = f"{objects} at the sources cannot be trusted, and no acceptance has put that on record yet"
        yield Requirement(name="findings", standing=Standing.NOT_ASSESSED, detail=detail)
    else:
        yield from findings_required(facts.findings, facts.lapsed, what="program")


def _passes(facts: CutoverFacts) -> Iterator[Requirement]:
    for source in facts.sources:
        if facts.equal_passes == 0:
            detail = f"program.toml asks for no comparison of passes over {source.name}"
            yield Requirement(name="passes", standing=Standing.MET, detail=detail)
            continue
        unseen = f" ({facts.unseen})" if facts.unseen else ""
        asked = counted(facts.equal_passes, "catch-up")
        if source.equal >= facts.equal_passes:
            detail = (
                f"the last {counted(source.equal, 'catch-up')} of {source.name} found nothing new; "
                f"{counted(source.sampled, 'study')} fetched again{unseen}"
            )
            yield Requirement(name="passes", standing=Standing.MET, detail=detail)
        else:
            seen = f"{source.equal} so far" if source.compared else "none was made yet"
            news = f", the last one found {source.news}" if source.news else ""
            detail = f"{asked} of {source.name} in a row must find nothing new: {seen}{news}{unseen}"
            yield Requirement(name="passes", standing=Standing.MISSING, detail=detail)


def _unchanged(facts: CutoverFacts) -> Iterator[Requirement]:
    name = "unchanged"
    if facts.rechecked is None:
        detail = "the target is looked at again when cutover is asked for"
        yield Requirement(name=name, standing=Standing.NOT_ASSESSED, detail=detail)
        return
    for wave in facts.unchecked:
        detail = (
            f"wave {wave}: whether the target is still as it was accepted could not be told just now"
            if wave
            else "what the sources hold could not be looked at again just now"
        )
        yield Requirement(name=name, standing=Standing.NOT_ASSESSED, detail=detail)
    if not facts.unchecked:
        detail = f"the target was looked at again just now, over {counted(len(facts.rechecked), 'wave')}"
        yield Requirement(name=name, standing=Standing.MET, detail=detail)
