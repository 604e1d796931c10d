"""People's decisions in a program: who makes them, with which key, and the gate that asks for all of them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vna_lifecycle.config import resolve_secret
from vna_lifecycle.engine.cutover import CutoverResult, cut_over
from vna_lifecycle.engine.decide_acceptance import Deciding
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.program.accepting import look_again_at
from vna_lifecycle.program.terms import gate_terms

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program

RECHECKED: Final = "unexplained-change"
"""The check that compares the target with what was accepted: it must have looked just before the gate decides."""


def deciding(program: Program, *, by: str, key: str = "") -> Deciding:
    """How a person decides. ``key`` tells where the private key is; a relative path is relative to the present folder.

    Raises:
        ConfigurationError: there is nothing where the key should be.
    """
    return Deciding(
        journal=program.records.journal(),
        terms=gate_terms(program),
        by=by,
        key=resolve_secret(key, Path.cwd()) if key else "",
        nonce=lambda: secrets.token_hex(16),
    )


def ask_to_cut_over(program: Program, journal: Journal, *, by: str, reason: str) -> CutoverResult:
    """Look again at all that was accepted and at the sources, then ask the gate."""
    if not reason.strip():
        raise ConfigurationError("cutover needs a reason", hint="Say --reason WHY")
    checks = program.plugins.registry.wave_checks
    journal.catalog.refresh_studies(program.config.migration.sources)

    def recheck(wave: str) -> bool:
        names = [RECHECKED] if wave else list(checks)
        return RECHECKED in checks and not look_again_at(program, journal, wave, names).not_assessed

    result = cut_over(journal, gate_terms(program), recheck, by=by, reason=reason, cancelled=program.cancelled.is_set)
    if result is None:
        raise KeyboardInterrupt
    return result


def known_person(program: Program, name: str) -> str:
    """The name, if somebody of this name may decide: where program.toml lists people, one of those.

    Raises:
        ConfigurationError: there is no name, or nobody knows it.
    """
    people = [person.name for person in program.config.people]
    if not name.strip():
        raise ConfigurationError("a decision needs the name of the person who makes it", hint="Say --by PERSON")
    if people and name not in people:
        raise ConfigurationError(f"program.toml knows no person {name!r}", hint=f"It lists: {', '.join(people)}")
    return name
