"""The gate before reading is switched to the target: evaluated anew each time, and on record with all it saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import asdict, field, frozen

from vna_lifecycle.engine.gate import Gate, GateTerms, gate
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.status import requirement_dicts
from vna_lifecycle.model.event import CutoverAllowed, CutoverRefused
from vna_lifecycle.policy.readiness import Requirement

Recheck = Callable[[str], bool]
"""Looks at the target again, for a wave or (``""``) at the sources, and puts on record what it finds; whether that gave
a result."""


@frozen(kw_only=True)
class CutoverResult:
    """What the gate said: allowed, or refused with every reason. ``requirements`` are all that was asked."""

    allowed: bool
    reasons: tuple[str, ...]
    requirements: tuple[Requirement, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        if self.allowed:
            return "Cutover: reading may be switched to the target"
        return "\n".join(["Cutover: refused", *(f"  - {reason}" for reason in self.reasons)])

    def to_dict(self) -> dict[str, Any]:
        """The facts as ``vna-lifecycle cutover --json`` prints them."""
        return {
            "allowed": self.allowed,
            "reasons": list(self.reasons),
            "requirements": requirement_dicts(self.requirements),
        }


def cut_over(
    journal: Journal, terms: GateTerms, recheck: Recheck, *, by: str, reason: str, cancelled: Callable[[], bool]
) -> CutoverResult | None:
    """Look again at every wave and at the sources, evaluate the gate, and put on record what it says.

    None if it was cancelled before everything was looked at: then nothing is decided.
    """
    journal.sync()
    waves = journal.catalog.wave_names()
    unchecked: list[str] = []
    for wave in (*waves, ""):
        told = recheck(wave)
        if cancelled():
            return None
        if not told:
            unchecked.append(wave)
    decided = gate(journal, terms, rechecked=waves, unchecked=unchecked)
    address = journal.keep_facts(_evidence(journal, terms, decided))
    key = f"cutover/{journal.ledger.size()}"
    if decided.cutover.allowed:
        journal.record([(key, CutoverAllowed(by=by, reason=reason, gate_ref=address))], actor=by)
    else:
        count = len(decided.cutover.reasons)
        journal.record([(key, CutoverRefused(by=by, reason=reason, reasons=count, gate_ref=address))], actor=by)
    return result_of(decided)


def result_of(decided: Gate) -> CutoverResult:
    """The gate's word."""
    cutover = decided.cutover
    return CutoverResult(allowed=cutover.allowed, reasons=cutover.reasons, requirements=cutover.requirements)


def _evidence(journal: Journal, terms: GateTerms, decided: Gate) -> dict[str, Any]:
    """All that the gate was decided from: kept whole, so that nobody has to ask later what was known then."""

    def plain(_: object, __: object, value: object) -> object:
        return value.isoformat() if hasattr(value, "isoformat") else value

    head = journal.ledger.head()
    return {
        "today": terms.today.isoformat(),
        "people": [asdict(person, value_serializer=plain) for person in terms.people],
        "terms": asdict(terms.wave),
        "equal_passes": terms.equal_passes,
        "sources": list(terms.sources),
        "waves": [
            {"name": name, "ready": readiness.ready, "requirements": requirement_dicts(readiness.requirements)}
            for name, readiness in decided.waves
        ],
        "cutover": result_of(decided).to_dict(),
        "ledger": {"size": head.size, "root": head.root},
    }
