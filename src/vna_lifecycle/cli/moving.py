"""Verbs that act on archives: inventory, plan, transfer, catch-up, withdraw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from attrs import asdict
from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, By, DryRun, ProgramFolder, Reason, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.progress import telling
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.model.counting import counted, size_text

if TYPE_CHECKING:
    from vna_lifecycle.engine.transfer_result import TransferResult
    from vna_lifecycle.model.wave import WavePlan
    from vna_lifecycle.program import Program


def inventory(
    *archives: Annotated[str, Parameter(help="Names from program.toml; default: every source.")],
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Find out what the sources hold. An interrupted inventory is taken up where it stopped."""
    with opened(program) as opening:
        _check_archives(opening, archives)
        with telling() as tell:
            results = opening.take_inventory(archives, progress=tell)
        if show.json:
            print_json({"inventories": [asdict(result) for result in results]})
        else:
            for result in results:
                say(str(result))
            if sum(result.refused for result in results):
                say("What was refused, and why: vna-lifecycle findings")
    return 0


def _check_archives(program: Program, names: Sequence[str]) -> None:
    known = [archive.name for archive in program.config.archives]
    for name in names:
        if name not in known:
            raise ConfigurationError(f"program.toml has no archive {name!r}", hint=f"It has: {', '.join(known)}")


def plan(*, dry_run: DryRun = False, program: ProgramFolder = HERE, show: Show = PLAIN) -> int:
    """Fill the waves of program.toml from the latest inventories. Studies that moved already keep their wave."""
    with opened(program) as opening:
        planned = opening.plan(dry_run=dry_run)
    if show.json:
        print_json(plan_dict(planned, dry_run=dry_run))
    else:
        say("\n".join(plan_lines(planned)))
        if dry_run:
            say("Nothing was put on record (--dry-run).")
    return 0


def plan_dict(planned: WavePlan, *, dry_run: bool) -> dict[str, Any]:
    """As ``plan --json`` prints it."""
    return {
        "dry_run": dry_run,
        "waves": [asdict(wave) for wave in planned.waves],
        "excluded": [{"reason": reason, "studies": studies} for reason, studies in planned.excluded],
        "unplanned": planned.unplanned,
        "notes": list(planned.notes),
    }


def plan_lines(planned: WavePlan) -> list[str]:
    """For people."""
    lines = []
    for wave in planned.waves:
        if not wave.studies:
            continue  # a note says that it gets nothing new; what it had it keeps
        along = f" ({wave.came_along} along with the same patient's other studies)" if wave.came_along else ""
        lines.append(
            f"{wave.name}: {counted(wave.studies, 'study')}{along}, {counted(wave.instances, 'instance')}, "
            f"{size_text(wave.size, wave.instances)}"
        )
    lines += [f"excluded: {counted(studies, 'study')} ({reason})" for reason, studies in planned.excluded]
    if planned.unplanned:
        lines.append(f"in no wave: {counted(planned.unplanned, 'study')}")
    lines += [f"note: {note}" for note in planned.notes]
    return [safe(line) for line in lines]


def transfer(
    wave: Annotated[str, Parameter(help="Its name; default: all waves, in order.")] = "",
    /,
    *,
    retry: Annotated[
        bool, Parameter(negative=(), help="Also try again what ended incomplete or failed for good.")
    ] = False,
    dry_run: DryRun = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Copy a wave to the target and read every instance back; all waves unless named.

    Exit code 1 if studies are left that are not proved to be at the target. The same command goes on from there.
    """
    with opened(program) as opening:
        waves = [wave] if wave else opening.waves()
        if not waves:
            raise StateError("nothing is planned", hint="vna-lifecycle plan")
        if dry_run:
            return _transfer_dry(opening, waves, retry=retry, show=show)
        results = _transfer(opening, waves, retry=retry, show=show)
    if show.json:
        print_json({"dry_run": False, "waves": [asdict(result) for result in results]})
    return int(any(result.outcome != "complete" for result in results))


def run(
    *,
    retry: Annotated[
        bool, Parameter(negative=(), help="Also try again what ended incomplete or failed for good.")
    ] = False,
    dry_run: DryRun = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Inventory what has none yet, plan what has no place, and transfer all waves: the same command goes on.

    Nothing is accepted by it. Exit code 1 if studies are left that are not proved to be at the target. A dry run takes
    the inventories, and ends with the plan.
    """
    with opened(program) as opening:
        catalog, sources = opening.catalog, opening.config.migration.sources
        unseen = [name for name in sources if catalog.latest_inventory(name) is None]
        with telling() as tell:
            inventories = opening.take_inventory(unseen, progress=tell) if unseen else []
        planned = opening.plan(dry_run=dry_run) if opening.status().unplanned else None
        if not show.json:
            say("\n".join([*map(str, inventories), *(plan_lines(planned) if planned else [])]) or "nothing new to plan")
        waves = [] if dry_run or opening.cancelled.is_set() else opening.waves()
        results = _transfer(opening, waves, retry=retry, show=show)
    if show.json:
        print_json(
            {
                "dry_run": dry_run,
                "inventories": [asdict(result) for result in inventories],
                "plan": plan_dict(planned, dry_run=dry_run) if planned else None,
                "waves": [asdict(result) for result in results],
            }
        )
    elif dry_run:
        say("Nothing was moved (--dry-run).")
    return int(not dry_run and not (results and all(result.outcome == "complete" for result in results)))


def _transfer(program: Program, waves: Sequence[str], *, retry: bool, show: Show) -> list[TransferResult]:
    results: list[TransferResult] = []
    for name in waves:
        with telling() as tell:
            results.append(program.transfer(name, retry=retry, progress=tell))
        if not show.json:
            say(str(results[-1]))
            for kind, studies in results[-1].held_for:
                say(safe(f"  held back: {counted(studies, 'study')} ({kind})"))
        if results[-1].outcome == "cancelled":
            return results
    if not show.json and any(result.outcome != "complete" for result in results):
        say("Why, and what to do: vna-lifecycle findings; vna-lifecycle remediate; vna-lifecycle status")
    return results


def _transfer_dry(program: Program, waves: Sequence[str], *, retry: bool, show: Show) -> int:
    found = [program.pending(name, retry=retry) for name in waves]
    if show.json:
        print_json({"dry_run": True, "waves": [asdict(item) for item in found]})
    else:
        for item in found:
            say(
                f"{item.wave}: {counted(item.studies, 'study')}, {counted(item.instances, 'instance')}, "
                f"{size_text(item.size, item.instances)} would move"
            )
        say("Nothing was moved (--dry-run).")
    return 0


def catch_up(
    *,
    sample: Annotated[
        int, Parameter(help="How many untouched studies of each source are fetched again; default: 20.")
    ] = 20,
    seed: Annotated[int, Parameter(help="Decides which ones; the same seed takes the same sample. Default: 0.")] = 0,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Take new inventories, and find what changed at the sources since.

    Exit code 1 if anything was seen to differ.
    """
    if sample < 0:
        raise ConfigurationError("a sample has at least 0 studies", problems=(("--sample", f"is {sample}"),))
    with opened(program) as opening, telling() as tell:
        results = opening.catch_up(sample=sample, seed=seed, progress=tell)
    if show.json:
        print_json({"sources": [{**asdict(result), "equal": result.equal} for result in results]})
    else:
        for result in results:
            say(str(result))
        if any(result.added or result.changed for result in results):
            say("New and changed studies move with: vna-lifecycle plan; vna-lifecycle transfer")
    return int(not all(result.equal for result in results))


def withdraw(
    wave: Annotated[str, Parameter(help="Its name.")],
    /,
    *,
    study: Annotated[str, Parameter(help="Only this study's: its Study Instance UID, or its label.")] = "",
    by: By,
    reason: Reason,
    superseded: Annotated[
        bool, Parameter(negative="", help="Also copies that the source itself has replaced by other content since.")
    ] = False,
    dry_run: DryRun = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Take this program's own copies of a wave back from the target, each verified present at the source.

    Exit code 1 if copies had to stay.
    """
    with opened(program) as opening, telling() as tell:
        result = opening.withdraw(
            wave, study=study, by=by, reason=reason, superseded=superseded, dry_run=dry_run, progress=tell
        )
    if show.json:
        print_json({"dry_run": dry_run, **asdict(result)})
    elif dry_run:
        say(
            f"{wave}: {counted(result.withdrawn, 'study')}, {counted(result.instances, 'instance')} would be withdrawn"
            + (f", {result.kept} kept" if result.kept else "")
        )
        say("Nothing was removed (--dry-run).")
    else:
        say(str(result))
    return int(result.kept > 0)
