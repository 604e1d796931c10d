"""Verbs that only look: status, findings, compare."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any

from attrs import asdict
from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.progress import telling
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import EvidenceErased, StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.encoding import classes_counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vna_lifecycle.catalog import FindingLine
    from vna_lifecycle.engine.compare import ArchiveComparison
    from vna_lifecycle.program import Program

SUBJECTS_SHOWN = 8


def status(*, program: ProgramFolder = HERE, show: Show = PLAIN) -> int:
    """Where the program stands: imported and ready, side by side.

    Imported studies were copied, read back and found equal. Ready is what may be used for care: only acceptance
    makes a wave ready.
    """
    with opened(program) as opening:
        now = opening.status()
    if show.json:
        print_json(now.to_dict())
    else:
        from vna_lifecycle.cli.status_table import print_status

        print_status(now)
    return 0


def findings(
    wave: Annotated[str, Parameter(help="Its name; default: all, and what was refused at the sources.")] = "",
    /,
    *,
    every: Annotated[
        bool, Parameter(name="--all", negative=(), help="Also what is settled: it was found, and is so no more.")
    ] = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """What was found and is open, with the objects it is about, who waived it, and what to do."""
    with opened(program) as opening:
        if wave and wave not in opening.waves():
            raise StateError(f"there is no wave {wave!r}", hint=f"Planned are: {', '.join(opening.waves()) or 'none'}")
        found = [_finding(opening, line) for line in opening.findings(wave or None, settled=every)]
        refused = [] if wave else [{"archive": archive, **asdict(item)} for archive, item in opening.refused()]
    if show.json:
        print_json({"findings": found, "refused": refused})
        return 0
    for group in alike(found):
        say("\n".join(finding_lines(group)))
    if refused:
        say(f"refused at the sources, where they stay: {counted(len(refused), 'file')}")
        for item in refused:
            say(safe(f"  {item['archive']}:{item['locator']}  {item['code']}: {item['reason']}"))
    if not found and not refused:
        say("Nothing was found.")
    if any(item["study"] for item in found):
        say("Which studies these are, by UID: vna-lifecycle findings --json")
    return 0


def _finding(program: Program, line: FindingLine) -> dict[str, Any]:
    """A finding with its evidence: what the ledger says, and what the vault holds of it."""
    told = {**asdict(line), "waivers": program.catalog.decisions.waivers_of(line)}
    try:
        evidence = program.evidence(line)
    except EvidenceErased:
        erased = {"message": "the evidence was erased on purpose", "remedy": "", "objects": [], "details": []}
        return {**told, **erased, "study_uid": ""}
    return {
        **told,
        "message": evidence.message,
        "remedy": evidence.remedy,
        "study_uid": evidence.study.study_uid if evidence.study else "",
        "objects": list(evidence.subjects),
        "details": [list(pair) for pair in evidence.details],
    }


def alike(found: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The findings, those together that say the same of several studies, and of these as a whole."""
    groups: dict[object, list[dict[str, Any]]] = {}
    for number, item in enumerate(found):
        alone = item["objects"] or item["waivers"] or item["settled"] is not None or not item["study"]
        said = tuple(item[word] for word in ("severity", "kind", "wave", "message", "remedy"))
        groups.setdefault(number if alone else said, []).append(item)
    return list(groups.values())


def finding_lines(group: Sequence[dict[str, Any]]) -> list[str]:
    """A finding for people, or several that say the same."""
    item, *others = group
    study = counted(len(group), "study") if others else f"study {item['study']}" if item["study"] else ""
    place = ", ".join(filter(None, (f"wave {item['wave']}" if item["wave"] else "", study)))
    settled = "" if item["settled"] is None else f", settled by event {item['settled']}"
    where = f" ({place})" if place else ""
    lines = [f"{item['severity']}: {item['kind']}{where}{settled}", f"  {item['message']}"]
    lines += _shortened([f"    study {each['study']}" for each in group] if others else [])
    lines += _shortened([f"    {uid}" for uid in item["objects"]])
    if item["waivers"]:
        lines.append(f"  waived: {', '.join(item['waivers'])} (whether that holds: vna-lifecycle waivers)")
    if item["remedy"]:
        lines.append(f"  what to do: {item['remedy']}")
    return [safe(line) for line in lines]


def _shortened(lines: Sequence[str]) -> list[str]:
    left = len(lines) - SUBJECTS_SHOWN
    return (
        [*lines[:SUBJECTS_SHOWN], f"    and {left} more: vna-lifecycle findings --json has all"]
        if left > 0
        else list(lines)
    )


def compare(
    a: Annotated[str, Parameter(help="A folder, or a URL such as files:/export.")],
    b: Annotated[str, Parameter(help="The same, of the other archive.")],
    /,
    *,
    show: Show = PLAIN,
) -> int:
    """Compare two archives, instance by instance, without a program. Neither is changed.

    Exit code 1 if they differ, or if something in one of them could not be read.
    """
    from vna_lifecycle.cli.interrupts import stoppable
    from vna_lifecycle.program import compare as compare_archives

    cancelled = threading.Event()
    with stoppable(cancelled.set):
        with telling() as tell:
            result = compare_archives(a, b, cancelled=cancelled, progress=tell)
        if show.json:
            print_json(result.to_dict() | {"same": result.same})
        else:
            say("\n".join(comparison_lines(result)))
    return int(not result.same)


def comparison_lines(result: ArchiveComparison) -> list[str]:
    """The comparison for people."""
    lines = [str(result)]
    if result.re_encoded:
        lines.append(f"  re-encoded: {classes_counted(item.classes for item in result.re_encoded)}")
    lines += [f"  only in the first: {uid}" for uid in result.missing]
    lines += [f"  only in the second: {uid}" for uid in result.extra]
    for item in result.differ:
        what = ", ".join(item.attributes) or item.note
        pixels = "same pixels" if item.pixels else "pixels differ, or could not be compared"
        lines.append(f"  differs: {item.sop_instance_uid} ({'; '.join(filter(None, (pixels, what)))})")
    lines += [f"  refused: {item.archive}:{item.path}: {item.reason}" for item in result.refused]
    return [safe(line) for line in lines]
