"""Where the program stands: imported and ready side by side, never one for the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import asdict, field, frozen

from vna_lifecycle.engine.gate import GateTerms, gate
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.policy.cutover import CutoverDecision
from vna_lifecycle.policy.readiness import Requirement


@frozen(kw_only=True)
class WaveLine:
    """One wave. ``imported`` counts studies transferred and reconciled; ``ready`` says whether it may be used for care.

    ``states`` counts its studies by migration state; ``size`` is bytes. ``requirements`` are all that readiness asks.
    """

    name: str
    studies: int
    instances: int
    size: int
    imported: int
    ready: bool
    blockers: tuple[str, ...]
    states: tuple[tuple[str, int], ...]
    requirements: tuple[Requirement, ...] = field(default=(), repr=False)


@frozen(kw_only=True)
class SourceLine:
    """The latest complete pass over a source."""

    archive: str
    inventory: int
    studies: int
    instances: int
    refused: int
    size: int


@frozen(kw_only=True)
class Status:
    """The whole program at a glance."""

    program: str
    waves: tuple[WaveLine, ...]
    cutover: CutoverDecision
    sources: tuple[SourceLine, ...]
    excluded: tuple[tuple[str, int], ...]
    unplanned: int
    findings: tuple[tuple[str, str, int], ...]
    ledger_size: int
    ledger_root: str

    def to_dict(self) -> dict[str, Any]:
        """The facts as ``vna-lifecycle status --json`` prints them."""
        return {
            "program": self.program,
            "waves": [
                {
                    **asdict(wave),
                    "states": dict(wave.states),
                    "requirements": requirement_dicts(wave.requirements),
                }
                for wave in self.waves
            ],
            "cutover": {
                "allowed": self.cutover.allowed,
                "reasons": list(self.cutover.reasons),
                "requirements": requirement_dicts(self.cutover.requirements),
            },
            "sources": [asdict(source) for source in self.sources],
            "excluded": dict(self.excluded),
            "unplanned": self.unplanned,
            "findings": [
                {"kind": kind, "severity": severity, "count": count} for kind, severity, count in self.findings
            ],
            "ledger": {"size": self.ledger_size, "root": self.ledger_root},
        }

    def to_dicts(self) -> list[dict[str, Any]]:
        """One row for each wave, for a data frame."""
        return [
            asdict(wave, filter=lambda attribute, _: attribute.name not in ("states", "requirements"))
            for wave in self.waves
        ]


def take_status(program: str, journal: Journal, terms: GateTerms) -> Status:
    """Gather the facts and decide. Reads only."""
    catalog, ledger = journal.catalog, journal.ledger
    decided = gate(journal, terms)
    lines = []
    for name, readiness in decided.waves:
        wave = catalog.wave_status(name)
        lines.append(
            WaveLine(
                name=name,
                studies=wave.studies,
                instances=wave.instances,
                size=wave.size,
                imported=wave.imported,
                ready=readiness.ready,
                blockers=readiness.blockers,
                states=tuple((state.value, count) for state, count in wave.states if count),
                requirements=readiness.requirements,
            )
        )
    found = []
    for source in terms.sources:
        number = catalog.latest_inventory(source)
        if number is not None:
            totals = catalog.inventory_totals(number)
            found.append(
                SourceLine(
                    archive=source,
                    inventory=number,
                    studies=totals.studies,
                    instances=totals.instances,
                    refused=totals.refused,
                    size=totals.size,
                )
            )
    head = ledger.head()
    return Status(
        program=program,
        waves=tuple(lines),
        cutover=decided.cutover,
        sources=tuple(found),
        excluded=tuple(catalog.excluded()),
        unplanned=catalog.count_unplanned(),
        findings=tuple(catalog.count_findings()),
        ledger_size=head.size,
        ledger_root=head.root,
    )


def requirement_dicts(requirements: Sequence[Requirement]) -> list[dict[str, str]]:
    """Requirements for JSON."""
    return [{"name": each.name, "standing": each.standing.value, "detail": each.detail} for each in requirements]
