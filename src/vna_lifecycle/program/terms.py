"""Who may decide in a program, and what its gates ask, as program.toml says today."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from vna_lifecycle.config import Person, resolve_secret
from vna_lifecycle.engine.gate import GateTerms
from vna_lifecycle.engine.signature import fingerprint, read_public
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.policy.authority import Decider
from vna_lifecycle.policy.readiness import Terms

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def gate_terms(program: Program) -> GateTerms:
    """What program.toml asks today, in the time zone that it names (UTC otherwise)."""
    acceptance, registry = program.config.acceptance, program.plugins.registry
    zone = program.config.execution.time_zone or dt.UTC
    return GateTerms(
        wave=Terms(
            checks=tuple(acceptance.required or sorted({*registry.checks, *registry.wave_checks})),
            sign_offs=acceptance.sign_offs,
            attempts=acceptance.attempts,
            confidence=acceptance.confidence,
            max_defect_rate=acceptance.max_defect_rate,
        ),
        people=tuple(decider(person, program.folder) for person in program.config.people),
        sources=program.config.migration.sources,
        equal_passes=acceptance.equal_passes,
        today=program.clock().astimezone(zone).date(),
    )


def decider(person: Person, folder: Path) -> Decider:
    """A person of program.toml with the public key; a key that cannot be read is told when it is needed."""
    public = unreadable = ""
    if person.key is not None:
        try:
            public = read_public(resolve_secret(person.key, folder))
        except ConfigurationError as error:
            unreadable = str(error)
    return Decider(
        name=person.name,
        role=person.role,
        key=fingerprint(public) if public else "",
        public=public,
        unreadable=unreadable,
        revoked=person.revoked,
    )
