"""The status for people: imported and ready side by side, in different colours and different words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vna_lifecycle.cli.output import safe, show
from vna_lifecycle.model.counting import counted, size_text
from vna_lifecycle.policy.readiness import Standing

if TYPE_CHECKING:
    from vna_lifecycle.engine.status import Status, WaveLine

_WIDE_ENOUGH: Final = 72
SEVERITIES = {"blocker": "red", "warning": "yellow", "note": "dim"}


def print_status(status: Status) -> None:
    """Print the whole of it."""
    show(Text(safe(status.program), style="bold"), *_sources(status))
    if status.waves:
        show("", _waves(status), "")
    if waived := _waived(status):
        show(*waived)
    if left_out := _left_out(status):
        show(*left_out)
    if status.findings:
        show("", _findings(status), "")
    show(*_cutover(status))
    root = status.ledger_root[:16]
    show(Text(f"Ledger: {counted(status.ledger_size, 'event')}, root {root}...", style="dim"))


def _sources(status: Status) -> list[Text]:
    lines = []
    for source in status.sources:
        refused = f", {counted(source.refused, 'file')} refused" if source.refused else ""
        lines.append(
            Text(
                f"Source {safe(source.archive)}: {counted(source.studies, 'study')}, "
                f"{counted(source.instances, 'instance')}, {size_text(source.size, source.instances)}{refused} "
                f"(inventory {source.inventory})"
            )
        )
    return lines or [Text("Nothing is inventoried yet: vna-lifecycle inventory")]


def _waves(status: Status) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("Wave", overflow="fold", style="bold")
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Imported", justify="right", no_wrap=True, header_style="bold cyan")
    table.add_column("Ready", no_wrap=True, header_style="bold green")
    table.add_column("Studies", overflow="fold")
    told_here = Console().width >= _WIDE_ENOUGH  # else they have no room here, and all follow under "Cutover"
    if told_here:
        table.add_column("Not ready because", overflow="fold", ratio=1)
    for wave in status.waves:
        reasons = ["\n".join(safe(f"- {blocker}") for blocker in wave.blockers)] if told_here else []
        table.add_row(
            safe(wave.name),
            size_text(wave.size, wave.instances),
            _imported(wave),
            Text("ready", style="bold green") if wave.ready else Text("no", style="bold red"),
            "\n".join(f"{count} {state}" for state, count in wave.states),
            *reasons,
        )
    return table


def _imported(wave: WaveLine) -> Text:
    return Text(f"{wave.imported}/{wave.studies}", style="bold cyan" if wave.imported == wave.studies else "cyan")


def _waived(status: Status) -> list[Text]:
    places = [*((f"wave {wave.name}", wave.requirements) for wave in status.waves)]
    places.append(("the program", status.cutover.requirements))
    return [
        Text(safe(f"Waived, {place}: {each.detail}"), style="yellow")
        for place, requirements in places
        for each in requirements
        if each.standing is Standing.WAIVED
    ]


def _left_out(status: Status) -> list[Text]:
    lines = [Text(safe(f"Excluded: {counted(count, 'study')} ({reason})")) for reason, count in status.excluded]
    if status.unplanned:
        lines.append(Text(f"In no wave and not excluded: {counted(status.unplanned, 'study')}", style="yellow"))
    return lines


def _findings(status: Status) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("Findings", justify="right")
    table.add_column("Severity")
    table.add_column("Kind", overflow="fold")
    for kind, severity, count in status.findings:
        table.add_row(str(count), Text(severity, style=SEVERITIES.get(severity, "")), safe(kind))
    return table


def _cutover(status: Status) -> list[Text]:
    if status.cutover.allowed:
        return [Text("Cutover: reading may be switched to the target", style="bold green")]
    return [
        Text("Cutover: not allowed", style="bold red"),
        *(Text(safe(f"  - {reason}")) for reason in status.cutover.reasons),
    ]
