"""What a verification costs beyond time, to be told before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program


def reading_costs(program: Program) -> tuple[str, ...]:
    """What reading the target and its readers costs, a sentence for each of them that costs anything."""
    migration = program.config.migration
    names = dict.fromkeys([migration.target, *migration.readers])
    told = {name: program.archive(name).costs for name in names}
    return tuple(f"{name}: {costs.reading()}" for name, costs in told.items() if costs is not None)
