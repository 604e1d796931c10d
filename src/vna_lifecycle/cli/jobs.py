"""Import jobs of a target that imports in batches: how far they are, and what they did not take."""

from __future__ import annotations

from typing import Annotated

from attrs import asdict
from cyclopts import App, Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import bytes_text, counted, print_json, safe, say
from vna_lifecycle.cli.session import opened

UIDS_SHOWN = 8

app = App(name="jobs", help="Import jobs of a target that imports in batches, as they are on record.")


@app.command(name="list")
def list_jobs(
    wave: Annotated[str, Parameter(help="Its name; default: all.")] = "",
    /,
    *,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Every batch with its job, and about how long those under way will take."""
    from vna_lifecycle.engine.jobs import seconds_left

    with opened(program) as opening:
        batches = list(opening.catalog.batches(wave or None))
        left = seconds_left(batches, opening.clock())
    if show.json:
        print_json({"batches": [asdict(line) for line in batches], "seconds_left": left})
        return 0
    for line in batches:
        job = f", job {line.job}" if line.job else ""
        answers = f": {line.stored} stored, {line.already_present} there before, {line.refused} refused, "
        answers += f"{line.unaccounted} unaccounted for, {line.warnings} with warnings"
        say(
            safe(
                f"{line.batch} ({line.wave}) {line.state}{job}: {counted(line.studies, 'study')}, "
                f"{counted(line.instances, 'instance')}, {bytes_text(line.size)}"
                + (answers if line.state == "ended" else f", since {line.opened}")
            )
        )
    if not batches:
        say("No batch is on record: the target stores at once, or nothing was transferred yet.")
    elif left:
        say(f"about {left:.0f} s left, by how long the ended ones took")
    return 0


@app.command(name="show")
def show_job(
    batch: Annotated[str, Parameter(help="The beginning of its key, or its job's own name.")],
    /,
    *,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """One batch: what its job did not take, and what it took with a warning, with the objects' UIDs."""
    from vna_lifecycle.engine.jobs import job_report

    with opened(program) as opening:
        report = job_report(opening.ledger, opening.vault, list(opening.catalog.batches()), batch)
    if show.json:
        print_json(asdict(report))
        return 0
    line = report.batch
    say(safe(f"{line.batch} ({line.wave}) {line.state}, job {line.job or 'not submitted'}"))
    say(f"  {counted(line.studies, 'study')}, {counted(line.instances, 'instance')}, {bytes_text(line.size)}")
    for title, found in (("not taken", report.failures), ("with a warning", report.warnings)):
        for item in found:
            say(
                safe(
                    f"  {title}: {item.code}, {counted(len(item.sop_instance_uids), 'instance')} of study {item.study}"
                )
            )
            for uid in item.sop_instance_uids[:UIDS_SHOWN]:
                say(safe(f"    {uid}"))
            if len(item.sop_instance_uids) > UIDS_SHOWN:
                say(f"    and {len(item.sop_instance_uids) - UIDS_SHOWN} more (--json shows all)")
    return 0
