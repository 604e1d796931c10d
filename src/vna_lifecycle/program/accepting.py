"""What accepting a wave needs, put together from the program's settings, checks and archives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vna_lifecycle.engine.accept import Accept, AcceptanceTerms
from vna_lifecycle.engine.accept_result import Acceptance
from vna_lifecycle.engine.case import wave_case
from vna_lifecycle.engine.examining import PreparedCheck, prepare_checks
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.policy.acceptance import AcceptancePolicy
from vna_lifecycle.program.running import Pacing, make_bench

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def accept(program: Program, journal: Journal, wave: str, *, seed: str, census: bool, tell: Tell) -> Acceptance:
    """Accept a wave, as program.toml says; see `Accept`."""
    migration = program.config.migration
    journal.sync()
    journal.catalog.refresh_studies(migration.sources)
    bench, executor = make_bench(program, Pacing(program.config.execution, program.clock))
    work = Accept(
        journal=journal,
        bench=bench,
        executor=executor,
        cancelled=program.cancelled,
        checks=checks_of(program),
        terms=terms_of(program),
        case=wave_case(journal, bench, wave, sources=migration.sources, target=migration.target),
        waived=frozenset(),
        seconds=time.monotonic,
        sleep=program.cancelled.wait,
        tell=tell,
    )
    return work.run(seed=seed, census=census)


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
        workers=program.config.execution.workers,
    )
