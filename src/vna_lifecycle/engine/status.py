"""Where the program stands: imported and ready side by side, never one for the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import asdict, frozen

from vna_lifecycle.catalog import Catalog, WaveStatus
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.policy.readiness import CutoverDecision, WaveFacts, cutover_decision, wave_readiness


@frozen(kw_only=True)
class WaveLine:
    """One wave. ``imported`` counts studies transferred and reconciled; ``ready`` says whether it may be used for care.

    ``states`` counts its studies by migration state; ``size`` is bytes.
    """

    name: str
    studies: int
    instances: int
    size: int
    imported: int
    ready: bool
    blockers: tuple[str, ...]
    states: tuple[tuple[str, int], ...]


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
            "waves": [{**asdict(wave), "states": dict(wave.states)} for wave in self.waves],
            "cutover": {"allowed": self.cutover.allowed, "reasons": list(self.cutover.reasons)},
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
        return [asdict(wave, filter=lambda attribute, _: attribute.name != "states") for wave in self.waves]


def take_status(program: str, ledger: Ledger, catalog: Catalog, sources: Sequence[str]) -> Status:
    """Gather the facts and decide. Reads only."""
    lines: list[WaveLine] = []
    decided = []
    for name in catalog.wave_names():
        wave = catalog.wave_status(name)
        facts = wave_facts(wave, paused=catalog.paused(name))
        readiness = wave_readiness(facts)
        decided.append((facts, readiness))
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
            )
        )
    found = []
    for source in sources:
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
    unplanned = catalog.count_unplanned()
    return Status(
        program=program,
        waves=tuple(lines),
        cutover=cutover_decision(
            decided,
            unseen=[source for source in sources if source not in {line.archive for line in found}],
            unplanned=unplanned,
            refused=sum(line.refused for line in found),
        ),
        sources=tuple(found),
        excluded=tuple(catalog.excluded()),
        unplanned=unplanned,
        findings=tuple(catalog.count_findings()),
        ledger_size=ledger.size(),
        ledger_root=ledger.root(),
    )


def wave_facts(wave: WaveStatus, *, paused: bool) -> WaveFacts:
    """What readiness is decided from, out of the current state."""
    return WaveFacts(
        name=wave.name,
        studies=wave.studies,
        imported=wave.imported,
        incomplete=wave.count(MigrationState.INCOMPLETE),
        failed=wave.count(MigrationState.FAILED),
        withdrawn=wave.count(MigrationState.WITHDRAWN),
        paused=paused,
    )
