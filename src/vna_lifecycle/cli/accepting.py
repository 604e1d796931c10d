"""The verb that says whether a wave may be used for care, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.progress import telling
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import counted

if TYPE_CHECKING:
    from vna_lifecycle.engine.accept_result import Acceptance
    from vna_lifecycle.policy.readiness import Readiness


def accept(
    *waves: Annotated[str, Parameter(help="Their names; default: all waves, in order.")],
    census: Annotated[bool, Parameter(negative=(), help="Examine every study instead of a sample.")] = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Let every acceptance check look at what was transferred, and say whether the wave is ready for care.

    A sample is drawn and on record before anything is looked at; its studies are fetched again as readers are served
    them. An acceptance that was cut off goes on with its sample. Exit code 1 if a wave is not ready.
    """
    from vna_lifecycle.program.costs import reading_costs

    with opened(program) as opening:
        names = list(waves) or opening.waves()
        if not names:
            raise StateError("nothing is planned", hint="vna-lifecycle plan")
        for line in () if show.json else reading_costs(opening):
            say(safe(line))
        told: list[dict[str, Any]] = []
        for name in names:
            try:
                with telling() as tell:
                    readiness = opening.accept(name, census=census, progress=tell)
            except StateError as refused:
                if waves:
                    raise
                told.append({"wave": name, "ready": False, "blockers": [str(refused)], "hint": refused.hint})
                lines = [f"{name}: not ready", f"  - {refused}", f"    what to do: {refused.hint}"]
            else:
                if opening.cancelled.is_set():
                    break
                result = opening.acceptance(name)
                told.append(_facts(name, readiness, result))
                lines = list(_lines(name, readiness, result))
            if not show.json:
                say("\n".join(safe(line) for line in lines))
        if show.json:
            print_json({"waves": told})
    return int(len(told) < len(names) or not all(wave["ready"] for wave in told))


def _facts(wave: str, readiness: Readiness, result: Acceptance | None) -> dict[str, Any]:
    return {
        "wave": wave,
        "ready": readiness.ready,
        "blockers": list(readiness.blockers),
        "requirements": readiness.to_dicts(),
        "acceptance": result.to_dict() if result else None,
    }


def _lines(wave: str, readiness: Readiness, result: Acceptance | None) -> Iterator[str]:
    yield from f"{wave}: {readiness}".split("\n")
    if result is None:
        return
    if result.verdict is not None:
        yield f"  Sample: {result.verdict.statement}"
        yield from _strata(result)
    silent = [line for line in result.checks if line.not_assessed]
    for line in silent:
        yield f"  No result from {line.name} ({line.provider}): {line.not_assessed}"
    for kind in result.findings:
        waived = f", {kind.waived} waived" if kind.waived else ""
        yield f"  {kind.severity}: {counted(kind.count, 'finding')} {kind.kind} by {kind.check}{waived}"
        yield f"    such as: {kind.message}"
        if kind.remedy:
            yield f"    what to do: {kind.remedy}"


def _strata(result: Acceptance) -> Iterator[str]:
    strata = result.verdict.strata if result.verdict is not None else ()
    if len(strata) < 2:
        return
    for each in strata:
        defective = f", {each.defective} defective" if each.defective else ""
        yield f"    {each.stratum}: {each.examined} of {counted(each.population, 'study')}{defective}"
