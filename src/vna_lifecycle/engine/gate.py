"""The facts that readiness and cutover are decided from, gathered from the current state. Reads only."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from vna_lifecycle.catalog import AttemptLine, SignOffLine, WaiverLine
from vna_lifecycle.engine.accept_result import acceptance_from
from vna_lifecycle.engine.catchup import UNSEEN
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.signature import fits
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.policy.authority import Decider, Given, void
from vna_lifecycle.policy.cutover import CutoverDecision, CutoverFacts, SourceFacts, cutover_decision
from vna_lifecycle.policy.readiness import (
    AttemptFacts,
    FoundKind,
    Readiness,
    SignOffFacts,
    Terms,
    WaiverFacts,
    WaveFacts,
    wave_readiness,
)

SIGNED = ("by", "role", "expires")
WAIVER_SAYS = ("waiver", "wave", "finding", "findings", "covers_ref", "reason", *SIGNED)
SIGN_OFF_SAYS = ("wave", "attempt", "meaning", *SIGNED)


@frozen(kw_only=True)
class GateTerms:
    """What program.toml asks, today: of each wave, and before reading is switched. ``people`` may decide."""

    wave: Terms
    people: tuple[Decider, ...]
    sources: tuple[str, ...]
    equal_passes: int
    today: dt.date


@frozen(kw_only=True)
class Gate:
    """The gate as it stands: every wave's readiness, by name and in order, and whether reading may be switched."""

    waves: tuple[tuple[str, Readiness], ...]
    cutover: CutoverDecision


def gate(
    journal: Journal,
    terms: GateTerms,
    *,
    rechecked: Sequence[str] | None = None,
    unchecked: Sequence[str] = (),
) -> Gate:
    """Gather and decide. ``rechecked`` are the waves looked at just now, ``unchecked`` those that gave no result."""
    waves = tuple((name, readiness_of(journal, terms, name)) for name in journal.catalog.wave_names())
    standing, lapsed = waivers_today(journal, terms, "")
    catalog = journal.catalog
    facts = CutoverFacts(
        sources=tuple(_source(journal, name) for name in terms.sources),
        unplanned=catalog.count_unplanned(),
        findings=_found(journal, "", standing),
        lapsed=lapsed,
        looked=any(catalog.decisions.attempts(name) for name, _ in waves),
        equal_passes=terms.equal_passes,
        unseen=UNSEEN.rstrip("."),
        rechecked=None if rechecked is None else tuple(rechecked),
        unchecked=tuple(unchecked),
    )
    return Gate(waves=waves, cutover=cutover_decision(waves, facts))


def readiness_of(journal: Journal, terms: GateTerms, wave: str) -> Readiness:
    """Whether a wave is ready, today.

    Raises:
        StateError: there is no such wave.
    """
    return wave_readiness(wave_facts(journal, terms, wave), terms.wave)


def wave_facts(journal: Journal, terms: GateTerms, wave: str) -> WaveFacts:
    """What a wave's readiness is decided from, out of the current state."""
    catalog, decisions = journal.catalog, journal.catalog.decisions
    status = catalog.wave_status(wave)
    standing, lapsed = waivers_today(journal, terms, wave)
    return WaveFacts(
        name=wave,
        studies=status.studies,
        imported=status.imported,
        incomplete=status.count(MigrationState.INCOMPLETE) + status.count(MigrationState.REMEDYING),
        failed=status.count(MigrationState.FAILED),
        withdrawn=status.count(MigrationState.WITHDRAWN),
        held=tuple(decisions.held(wave)),
        paused=catalog.paused(wave),
        findings=_found(journal, wave, standing),
        attempts=tuple(_attempt(journal, line) for line in decisions.attempts(wave)),
        sign_offs=tuple(
            SignOffFacts(by=line.by, role=line.role, attempt=line.attempt, void=sign_off_void(journal, terms, line))
            for line in decisions.sign_offs(wave)
        ),
        lapsed=lapsed,
    )


def waivers_today(journal: Journal, terms: GateTerms, wave: str) -> tuple[frozenset[str], tuple[WaiverFacts, ...]]:
    """The waivers of a wave (``""``: of the program) that hold today; and those that do not, with open findings."""
    standing, lapsed = set(), []
    for line in journal.catalog.decisions.waivers():
        if line.wave != wave:
            continue
        why = waiver_void(journal, terms, line)
        if not why:
            standing.add(line.waiver)
        elif line.open and not line.withdrawn:
            lapsed.append(WaiverFacts(waiver=line.waiver, by=line.by, finding=line.finding, void=why))
    return frozenset(standing), tuple(lapsed)


def waiver_void(journal: Journal, terms: GateTerms, line: WaiverLine) -> str:
    """Why a waiver does not hold today, or ``""``."""
    says: dict[str, str | int] = {name: getattr(line, name) for name in WAIVER_SAYS}
    return _void(journal, terms, line, says, withdrawn=bool(line.withdrawn))


def sign_off_void(journal: Journal, terms: GateTerms, line: SignOffLine) -> str:
    """Why a sign-off does not hold today, or ``""``."""
    says: dict[str, str | int] = {name: getattr(line, name) for name in SIGN_OFF_SAYS}
    return _void(journal, terms, line, says, withdrawn=False)


def _void(
    journal: Journal,
    terms: GateTerms,
    line: WaiverLine | SignOffLine,
    says: Mapping[str, str | int],
    *,
    withdrawn: bool,
) -> str:
    public = next((each.public for each in terms.people if each.name == line.by), "")
    given = Given(
        by=line.by,
        role=line.role,
        expires=line.expires,
        key=line.key,
        genuine=not line.key or _genuine(journal, line.statement, line.signature, public, says),
        withdrawn=withdrawn,
    )
    return void(given, terms.people, terms.today)


def _genuine(journal: Journal, text: str, signature: str, public: str, says: Mapping[str, str | int]) -> bool:
    """Whether a signature is of the key, and what was signed is what the record says of this program."""
    if not public or not fits(text, signature, public):
        return False
    signed: dict[str, Any] = json.loads(text)
    return signed.get("origin") == journal.ledger.origin and all(
        signed.get(name) == value for name, value in says.items()
    )


def _found(journal: Journal, wave: str, standing: frozenset[str]) -> tuple[FoundKind, ...]:
    return tuple(
        FoundKind(kind=each.kind, severity=each.severity, count=each.count, waived=each.waived)
        for each in journal.catalog.decisions.open_findings(wave, standing)
    )


def _attempt(journal: Journal, line: AttemptLine) -> AttemptFacts:
    result = acceptance_from(journal.facts(line.result_ref)) if line.result_ref else None
    assessed = (
        {name for name, _ in line.checks} - set(line.not_assessed)
        if result is None
        else {check.name for check in result.checks if not check.not_assessed}
    )
    return AttemptFacts(
        number=line.attempt,
        outcome=line.outcome,
        population=line.population,
        size=line.size,
        sampled=line.sampled,
        defective=line.defective,
        confidence=line.confidence,
        max_defect_rate=line.max_defect_rate,
        assessed=frozenset(assessed),
        reasons=result.verdict.reasons if result is not None and result.verdict is not None else (),
        current=line.current,
    )


def _source(journal: Journal, name: str) -> SourceFacts:
    catalog = journal.catalog
    number, last = catalog.latest_inventory(name), catalog.decisions.catch_up(name)
    news = ("added", "changed", "vanished", "differing")
    return SourceFacts(
        name=name,
        inventoried=number is not None,
        refused=catalog.inventory_totals(number).refused if number is not None else 0,
        compared=last is not None,
        equal=last.equal if last else 0,
        news=", ".join(f"{count} {word}" for word in news if (count := getattr(last, word, 0))),
        sampled=last.sampled if last else 0,
    )
