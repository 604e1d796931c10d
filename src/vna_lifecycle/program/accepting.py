"""What accepting a wave needs, put together from the program's settings, checks and archives."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from attrs import frozen

from vna_lifecycle.engine.accept import Accept, AcceptanceTerms
from vna_lifecycle.engine.accept_again import LookedAgain, look_again
from vna_lifecycle.engine.accept_result import Acceptance, acceptance_from
from vna_lifecycle.engine.case import wave_case
from vna_lifecycle.engine.examining import PreparedCheck, prepare_checks
from vna_lifecycle.engine.gate import waivers_today
from vna_lifecycle.engine.holding import HoldBack, Holding
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.policy.acceptance import AcceptancePolicy
from vna_lifecycle.ports import WaveCase
from vna_lifecycle.program.pace import pace_of
from vna_lifecycle.program.running import Pacing, make_bench
from vna_lifecycle.program.terms import gate_terms

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def hold_back(program: Program, journal: Journal, bench: Workbench, wave: str, tell: Tell) -> Holding:
    """Look at a wave before it moves; see `HoldBack`."""
    journal.sync()
    checks = checks_of(program)
    if any(check.before_transfer for check in checks):
        journal.catalog.refresh_studies(program.config.migration.sources)
    work = HoldBack(
        journal=journal,
        case=_case(program, journal, bench, wave),
        checks=checks,
        waived=_waived(program, journal, wave),
        check_seconds=program.config.acceptance.check_seconds,
        cancelled=program.cancelled,
        tell=tell,
    )
    return work.run()


def look_again_at(program: Program, journal: Journal, wave: str, names: Collection[str]) -> LookedAgain:
    """Run wave checks again, on a wave or (``""``) on the program itself; see `look_again`."""
    journal.sync()
    bench, executor = make_bench(program, Pacing(program.config.execution, program.clock))
    return _look_again(program, journal, _case(program, journal, bench, wave, executor), names)


def _look_again(program: Program, journal: Journal, case: WaveCase, names: Collection[str]) -> LookedAgain:
    return look_again(
        journal,
        case,
        [check for check in checks_of(program) if check.name in names],
        check_seconds=program.config.acceptance.check_seconds,
        cancelled=program.cancelled,
    )


def accept(program: Program, journal: Journal, wave: str, *, seed: str, census: bool, tell: Tell) -> Acceptance:
    """Look at the sources, then accept a wave, as program.toml says; see `Accept`."""
    migration = program.config.migration
    journal.sync()
    journal.catalog.refresh_studies(migration.sources)
    bench, executor = make_bench(program, Pacing(program.config.execution, program.clock))
    _look_again(program, journal, _case(program, journal, bench, ""), program.plugins.registry.wave_checks)
    work = Accept(
        journal=journal,
        bench=bench,
        executor=executor,
        cancelled=program.cancelled,
        checks=checks_of(program),
        terms=terms_of(program),
        case=_case(program, journal, bench, wave, executor),
        waived=_waived(program, journal, wave),
        seconds=time.monotonic,
        sleep=program.cancelled.wait,
        tell=tell,
    )
    return work.run(seed=seed, census=census)


def _case(
    program: Program, journal: Journal, bench: Workbench, wave: str, executor: Callable[[], Executor] | None = None
) -> WaveCase:
    migration = program.config.migration
    return wave_case(
        journal,
        bench,
        wave,
        sources=migration.sources,
        target=migration.target,
        executor=executor,
        workers=pace_of(program).workers,
    )


def _waived(program: Program, journal: Journal, wave: str) -> Callable[[str], bool]:
    """Whether a waiver that holds today covers the finding at an address."""
    standing, _ = waivers_today(journal, gate_terms(program), wave)
    decisions = journal.catalog.decisions
    return lambda address: bool(standing) and decisions.is_waived(wave, address, standing)


def latest(journal: Journal, wave: str) -> Acceptance | None:
    """The latest acceptance of a wave that ended."""
    journal.sync()
    for line in reversed(journal.catalog.decisions.attempts(wave)):
        if line.result_ref and (result := acceptance_from(journal.facts(line.result_ref))) is not None:
            return result
    return None


@frozen(kw_only=True)
class CheckInfo:
    """An acceptance check. ``provider`` is the distribution that brings it.

    ``scope`` is what it is shown: every study, the sample, or the wave. One that looks ``before_transfer`` too holds
    studies back; one that is ``required`` must give a result.
    """

    name: str
    provider: str
    scope: str
    before_transfer: bool
    required: bool


def listed(program: Program) -> list[CheckInfo]:
    """Every registered check, by name."""
    required = terms_of(program).required
    return [
        CheckInfo(
            name=check.name,
            provider=check.provider,
            scope=check.scope.value,
            before_transfer=check.before_transfer,
            required=check.name in required,
        )
        for check in checks_of(program)
    ]


def checks_of(program: Program) -> tuple[PreparedCheck, ...]:
    """Every registered check, with the settings of program.toml."""
    return prepare_checks(program.plugins.registry, program.config.checks)


def terms_of(program: Program) -> AcceptanceTerms:
    """How program.toml says that waves are accepted."""
    acceptance, migration = program.config.acceptance, program.config.migration
    registry = program.plugins.registry
    return AcceptanceTerms(
        policy=AcceptancePolicy(
            confidence=acceptance.confidence,
            max_defect_rate=acceptance.max_defect_rate,
            attempts=acceptance.attempts,
        ),
        strata=acceptance.strata.value,
        required=frozenset(acceptance.required or (*registry.checks, *registry.wave_checks)),
        check_seconds=acceptance.check_seconds,
        target=migration.target,
        readers=migration.readers or (migration.target,),
        workers=pace_of(program).workers,
    )
