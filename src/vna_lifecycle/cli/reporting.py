"""The verb that writes the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.session import opened
from vna_lifecycle.model.counting import counted


def report(
    *,
    output: Annotated[
        Path | None, Parameter(name="--output", help="Folder to write to; default: reports, in the program's.")
    ] = None,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Write the report: what blocks cutover, which waves may be used, and everything behind it.

    One HTML page that needs no network, the same facts as JSON, and complete lists as CSV. They hold UIDs: treat them
    as patient data.
    """
    with opened(program) as opening:
        written = opening.report(output)
    if show.json:
        files = [str(path) for path in written.files]
        print_json({"page": str(written.page), "files": files, "facts": written.facts.to_dict()})
        return 0
    gate = written.facts.gate
    say("Cutover is allowed" if gate.allowed else f"Cutover is not allowed yet: {_in_the_way(len(gate.obstacles))}")
    for wave in written.facts.waves:
        imported = f"{wave.imported:,} of {counted(wave.studies, 'study')} imported"
        say(safe(f"  {wave.name}: {imported}, {'may be used for care' if wave.ready else 'not for care yet'}"))
    say(f"The page: {written.page}")
    say(f"The lists: {', '.join(path.name for path in written.files if path.suffix == '.csv')}, beside it")
    return 0


def _in_the_way(obstacles: int) -> str:
    return "1 thing stands in the way" if obstacles == 1 else f"{obstacles} things stand in the way"
