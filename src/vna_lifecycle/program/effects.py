"""What a program does outside of itself: each verb's work, put together from the program's settings and archives.

These are the bodies of `Program`'s methods, which hold the lease while they run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import evolve

from vna_lifecycle.config import Engine
from vna_lifecycle.engine.catchup import CatchUpResult, catch_up
from vna_lifecycle.engine.inventory import InventoryResult, take_inventory
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.letting_go import LettingGo
from vna_lifecycle.engine.plan import make_plan
from vna_lifecycle.engine.profile import record_largest, record_profile
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.engine.steps import TransferPolicy
from vna_lifecycle.engine.sweeping import sweep_when_verified
from vna_lifecycle.engine.transfer import Transfer
from vna_lifecycle.engine.transfer_result import TransferResult
from vna_lifecycle.engine.withdraw import WithdrawRequest, WithdrawResult, withdraw_wave
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.inventory import Refused
from vna_lifecycle.model.wave import WavePlan
from vna_lifecycle.program.accepting import hold_back
from vna_lifecycle.program.knowing import read_truths
from vna_lifecycle.program.pace import pace_of
from vna_lifecycle.program.running import Pacing, local_bench, make_bench

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def plan(program: Program, journal: Journal, *, dry_run: bool) -> WavePlan:
    """Fill the waves that program.toml describes, and tell what the archives' profiles say of the work."""
    config = program.config
    made = make_plan(
        journal, config.migration.sources, config.waves, config.exclusions, now=program.clock(), dry_run=dry_run
    )
    pace = pace_of(program)
    return evolve(made, notes=(*made.notes, *pace.remarks, *((str(pace),) if pace.measured else ())))


def withdraw(program: Program, journal: Journal, wave: str, request: WithdrawRequest, tell: Tell) -> WithdrawResult:
    """Take copies back from the target."""
    bench = local_bench(program, Pacing(program.config.execution, program.clock))
    return withdraw_wave(journal, bench, wave, program.config.migration.target, request, tell=tell)


def inventory(program: Program, journal: Journal, archives: Sequence[str], tell: Tell) -> list[InventoryResult]:
    """One pass over each archive, until one is cut off."""
    results = []
    for name in archives:
        reads = program.archive(name).reads
        result = take_inventory(journal, name, reads, cancelled=program.cancelled, seconds=time.monotonic, tell=tell)
        results.append(result)
        if not result.completed:
            break
        record_profile(journal, name, program.archive(name).probes)
    if any(result.completed for result in results):  # so that the status tells at once which studies have no place
        journal.catalog.refresh_studies(program.config.migration.sources)
    read_truths(program, journal, [result.archive for result in results if result.completed])
    return results


def transfer(program: Program, journal: Journal, wave: str, *, retry: bool, tell: Tell) -> TransferResult:
    """Look at a wave, and move what is not held back, at the pace that program.toml allows."""
    execution, migration = program.config.execution, program.config.migration
    pacing = Pacing(execution, program.clock)
    bench, executor = make_bench(program, pacing)
    hold_back(program, journal, bench, wave, tell)
    letting_go = _letting_go(program, journal)
    letting_go.of_wave(wave)
    work = Transfer(
        journal=journal,
        bench=bench,
        executor=executor,
        policy=TransferPolicy(
            target=migration.target,
            required=migration.verify,
            attempts=execution.attempts,
            workers=pace_of(program).workers,
        ),
        guard=pacing.guard,
        clock=program.clock,
        seconds=time.monotonic,
        sleep=program.cancelled.wait,
        allowance=pacing.allowance,
        cancelled=program.cancelled,
        tell=tell,
        letting_go=letting_go,
    )
    try:
        result = work.run(wave, retry=retry)
    except ArchiveError:
        record_largest(journal, pacing.guard.largest)
        raise
    record_largest(journal, pacing.guard.largest)
    sweep_when_verified(journal, bench, wave, migration.target)
    return result


def _letting_go(program: Program, journal: Journal) -> LettingGo:
    """Whatever keeps arrivals listens on a port, which only this process has: others need not be opened here.

    A source that cannot be opened is passed over: its trouble is told where its objects are asked for, if they are.
    """
    threads = program.config.execution.engine is Engine.THREADS
    keeping = []
    for name in program.config.migration.sources if threads else ():
        with suppress(ArchiveError):
            keeping.append(program.archive(name).arrivals)
    return LettingGo(journal, [arrivals for arrivals in keeping if arrivals is not None])


def catch_up_sources(program: Program, journal: Journal, *, sample: int, seed: int, tell: Tell) -> list[CatchUpResult]:
    """Compare the latest passes over each source with those of the last time."""
    migration = program.config.migration
    bench = local_bench(program, Pacing(program.config.execution, program.clock))
    return [
        catch_up(journal, bench, source, migration.target, sample=sample, seed=seed, tell=tell)
        for source in migration.sources
    ]


def refused(program: Program) -> Iterator[tuple[str, Refused]]:
    """What the latest passes over the sources could not trust, each with its archive."""
    for name in program.config.migration.sources:
        number = program.catalog.latest_inventory(name)
        if number is not None:
            yield from ((name, item) for item in program.catalog.refused(number))
