"""Checks for tests, given to a program as a plug-in of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from attrs import frozen

from vna_lifecycle.engine.accept_result import Acceptance
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.plugin import Registry, impl, load_plugins
from vna_lifecycle.program import Program
from vna_lifecycle.program.accepting import accept
from vna_lifecycle.testing import memory


@frozen(kw_only=True)
class Nothing:
    """No settings."""


@frozen
class Check:
    """A check from a function."""

    look: Callable[[Any], Iterable[Finding]]

    def examine(self, case: Any) -> Iterable[Finding]:
        return self.look(case)


def finding(
    kind: str = "odd",
    severity: Severity = Severity.BLOCKER,
    *,
    study: StudyRef | None = None,
    message: str = "something is odd",
    check: str = "whatever",
) -> Finding:
    return Finding(kind=kind, severity=severity, message=message, check=check, study=study, remedy="Look at it")


def silent(case: Any) -> Iterator[Finding]:
    return iter(())


def checks(
    *,
    study: dict[str, Callable[[Any], Iterable[Finding]]] | None = None,
    sampled: dict[str, Callable[[Any], Iterable[Finding]]] | None = None,
    wave: dict[str, Callable[[Any], Iterable[Finding]]] | None = None,
    before: dict[str, Callable[[Any], Iterable[Finding]]] | None = None,
) -> Any:
    """A plug-in that brings these checks, by name."""

    @impl
    def vna_lifecycle_register(registry: Registry) -> None:
        for name, look in (study or {}).items():
            registry.check(name, Nothing, lambda _, look=look: Check(look))
        for name, look in (sampled or {}).items():
            registry.check(name, Nothing, lambda _, look=look: Check(look), sampled=True)
        for name, look in (wave or {}).items():
            registry.wave_check(name, Nothing, lambda _, look=look: Check(look))
        for name, look in (before or {}).items():
            registry.wave_check(name, Nothing, lambda _, look=look: Check(look), before_transfer=True)

    return SimpleNamespace(__name__="test_checks", vna_lifecycle_register=vna_lifecycle_register)


def equip(world: Any, *plugins: Any, builtin: bool = False) -> None:
    """Let a world's program be opened with these plug-ins, and, unless wanted, without the built-in checks."""
    loaded = load_plugins(extra=[memory, *plugins])
    if not builtin:
        for entries in (loaded.registry._checks, loaded.registry._wave_checks):
            for name in [name for name, entry in entries.items() if entry.provider.name == "vna-lifecycle"]:
                del entries[name]
    world.plugins = loaded


def run(program: Program, wave: str = "all", *, seed: str = "", census: bool = False) -> Acceptance:
    """Accept a wave with a seed of one's own."""
    with program.records.effects("accept") as journal:
        return accept(
            program, journal, wave, seed=seed or secrets.token_hex(32), census=census, tell=lambda progress: None
        )


def kinds(program: Program, wave: str = "all") -> Sequence[str]:
    return sorted(line.kind for line in program.findings(wave))
