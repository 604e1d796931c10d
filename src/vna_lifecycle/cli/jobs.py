"""Import jobs of a target that imports in batches: how far they are, and what they did not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from attrs import asdict
from cyclopts import App, Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, By, DryRun, ProgramFolder, Reason, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.progress import telling
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import bytes_text, counted

if TYPE_CHECKING:
    from vna_lifecycle.engine.remedy_record import StudyRemedy
    from vna_lifecycle.ports import JobReport
    from vna_lifecycle.program import Program

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
    """Every batch with its job, and about how long those under way will take, as far as ended ones tell."""
    from vna_lifecycle.engine.jobs import seconds_left, seconds_left_by_wave, seconds_left_of

    with opened(program) as opening:
        every, now = list(opening.catalog.batches()), opening.clock()
    batches = [line for line in every if wave in ("", line.wave)]
    waves = [each for each in seconds_left_by_wave(every, now) if wave in ("", each.wave)]
    left = {line.batch: seconds_left_of(line, every, now) for line in batches}
    if show.json:
        lines = [{**asdict(line), "seconds_left": left[line.batch]} for line in batches]
        told = {"batches": lines, "waves": [asdict(each) for each in waves]}
        print_json({**told, "seconds_left": seconds_left(batches, now)})
        return 0
    for line in batches:
        waits = line.state in ("closed", "submitted")
        job = f", job {line.job}" if line.job else ""
        answers = f": {line.stored} stored, {line.already_present} there before, {line.refused} refused, "
        answers += f"{line.unaccounted} unaccounted for, {line.warnings} with warnings"
        say(
            safe(
                f"{line.batch} ({line.wave}) {line.state}{job}: {counted(line.studies, 'study')}, "
                f"{counted(line.instances, 'instance')}, {bytes_text(line.size)}"
                + (answers if line.state == "ended" else f", since {line.opened}")
                + (f", {_left(left[line.batch])}" if waits else "")
            )
        )
    if not batches:
        say("No batch is on record: the target stores at once, or nothing was transferred yet.")
    for each in waves:
        say(safe(f"{each.wave}: {counted(each.under_way, 'batch')} under way, {_left(each.seconds_left)}"))
    return 0


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "how long is unknown, because none has ended yet"
    return (
        f"about {seconds:.0f} s left, by how long the ended ones took" if seconds else "longer than the ended ones took"
    )


@app.command(name="show")
def show_job(
    batch: Annotated[str, Parameter(help="The beginning of its key, or its job's own name.")],
    /,
    *,
    ask: Annotated[
        bool, Parameter(negative=(), help="Also ask the target what its job says, with its reasons.")
    ] = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """One batch: what its job did not take, and what it took with a warning, with the objects' UIDs."""
    from vna_lifecycle.engine.jobs import job_report

    with opened(program) as opening:
        report = job_report(opening.ledger, opening.vault, list(opening.catalog.batches()), batch)
        told = _asked(opening, report.batch.job) if ask else None
    if show.json:
        print_json({**asdict(report), "told": asdict(told) if told else None})
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
    if told:
        _say_told(told)
    return 0


@app.command(name="sweep")
def sweep_staged_copies(
    wave: Annotated[str, Parameter(help="Its name; default: all.")] = "",
    /,
    *,
    dry_run: DryRun = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Remove staged copies of batches whose studies were all read back from the target, or withdrawn from it."""
    from vna_lifecycle.program.sweeping import sweep_staged

    with opened(program) as opening:
        swept = sweep_staged(opening, wave, dry_run=dry_run)
    if show.json:
        print_json({"dry_run": dry_run, **asdict(swept)})
        return 0
    say(f"{'would remove' if dry_run else 'removed'} {swept}")
    return 0


@app.command(name="frames")
def look_at_frames(
    wave: Annotated[str, Parameter(help="Its name.")],
    /,
    *,
    sample: Annotated[int, Parameter(help="How many of its transferred studies; 0: all. Default: 20.")] = 20,
    dry_run: DryRun = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Retrieve single frames of sampled studies, and hold them against their originals.

    What it costs is told first. A frame that differs is a finding that blocks its wave. Exit code 1 if there is one.
    """
    from vna_lifecycle.program.costs import reading_costs
    from vna_lifecycle.program.frames import sample_frames

    with opened(program) as opening, telling() as tell:
        costs = reading_costs(opening)
        for line in () if show.json else costs:
            say(safe(line))
        found = None if dry_run else sample_frames(opening, wave, sample=sample, tell=tell)
    if show.json:
        print_json({"costs": list(costs), "frames": asdict(found) if found else None})
    elif found is None:
        say("Nothing was read (--dry-run).")
    else:
        say(f"{wave}: {found}")
    return int(bool(found and found.differing))


@app.command(name="remedy")
def remedy_what_was_set_aside(
    subject: Annotated[str, Parameter(name="WAVE|STUDY", help="A wave's name, or a study's UID or label.")],
    /,
    *,
    by: By,
    reason: Reason,
    dry_run: DryRun = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Correct what the target set aside, so that readers are shown it: say what disagrees, change it, read it back.

    Only what was set aside is changed, never what readers were shown before. Exit code 1 if something was left.
    """
    from vna_lifecycle.program.remedying import remedy_set_aside

    with opened(program) as opening, telling() as tell:
        result = remedy_set_aside(opening, subject, by=by, reason=reason, dry_run=dry_run, tell=tell)
    if show.json:
        print_json({"dry_run": dry_run, **asdict(result)})
    else:
        for study in result.studies:
            _say_remedy(study)
        say(str(result) + ("; nothing was changed (--dry-run)" if dry_run else ""))
    return int(not dry_run and result.count("remedied") < len(result.studies))


def _say_remedy(study: StudyRemedy) -> None:
    say(safe(f"study {study.study_uid}: {study.outcome}" + (f": {study.message}" if study.message else "")))
    for place in study.places:
        say(safe(f"  {place.place}, version {place.version}: {counted(len(place.subjects), 'instance')}"))
        for each in place.corrections:
            before, after = ("absent" if one is None else repr("\\".join(one)) for one in (each.before, each.after))
            say(safe(f"    {each.keyword}: {before} -> {after}"))
        if not place.corrections:
            say("    nothing disagrees any more")


def _asked(program: Program, job: str) -> JobReport:
    target = program.config.migration.target
    asked = program.archive(target).jobs
    if asked is None or not job:
        why = f"{target} tells nothing of its jobs" if asked is None else "the batch's job was not submitted yet"
        raise StateError(why, hint="Leave out --ask")
    return asked.job(job)


def _say_told(told: JobReport) -> None:
    end = f", expected to end {told.expected_end:%Y-%m-%d %H:%M} UTC" if told.expected_end else ""
    say(safe(f"the target says: {told.status}{end}" + (f" ({told.message})" if told.message else "")))
    for word, count in told.counts.items():
        say(safe(f"  {word}: {count}"))
    for problem in told.problems[:UIDS_SHOWN]:
        say(safe(f"  {problem.code}: {problem.file}: {problem.message}"))
    if len(told.problems) > UIDS_SHOWN:
        say(f"  and {len(told.problems) - UIDS_SHOWN} more (--json shows all)")
