"""Verbs by which people decide. They work while another process transfers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated

from attrs import asdict
from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, By, ProgramFolder, Reason, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vna_lifecycle.engine.decide import HeldContent
    from vna_lifecycle.program import Program

SHOWN_OF_DIGEST = 12


def pause(
    wave: Annotated[str, Parameter(help="Its name; default: all work.")] = "",
    /,
    *,
    by: By,
    reason: Reason = "",
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Stop work on a wave, or on all, after the studies in flight. It may run in any process."""
    with opened(program) as opening:
        opening.pause(wave, by=by, reason=reason)
    return _told("paused", wave, by, show)


def resume(
    wave: Annotated[str, Parameter(help="Its name; default: all work.")] = "",
    /,
    *,
    by: By,
    reason: Reason = "",
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Let paused work go on."""
    with opened(program) as opening:
        opening.resume(wave, by=by, reason=reason)
    return _told("resumed", wave, by, show)


def _told(what: str, wave: str, by: str, show: Show) -> int:
    if show.json:
        print_json({what: wave or "all", "by": by})
    else:
        say(safe(f"{what} {f'wave {wave}' if wave else 'all work'}, by {by}"))
    return 0


def remediate(
    wave: Annotated[str, Parameter(help="Its name; default: all waves.")] = "",
    /,
    *,
    choose: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(), help="UID=DIGEST: the content that begins with DIGEST is the true one. May be repeated."
        ),
    ] = (),
    by: Annotated[str, Parameter(name="--by", help="The person who decides; needed with --choose.")] = "",
    reason: Annotated[str, Parameter(name="--reason", help="Why; needed with --choose, and put on record.")] = "",
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """List contents that are held for a decision, or decide which is the true one.

    Exit code 1 if contents are listed.
    """
    with opened(program) as opening:
        if wave and wave not in opening.waves():
            raise StateError(f"there is no wave {wave!r}", hint=f"Planned are: {', '.join(opening.waves()) or 'none'}")
        if choose:
            return _choose(opening, wave, choose, by=by, reason=reason, show=show)
        held = opening.held(wave or None)
        otherwise = not held and any("held" in dict(line.states) for line in opening.status().waves)
    if show.json:
        print_json({"held": [asdict(item) for item in held]})
    else:
        say("\n".join(held_lines(held)))
        if otherwise:
            say("Studies are held back for other reasons: vna-lifecycle findings")
    return int(bool(held))


def _choose(program: Program, wave: str, choices: Iterable[str], *, by: str, reason: str, show: Show) -> int:
    pairs = [_pair(choice) for choice in choices]
    if not reason.strip():
        raise ConfigurationError("a choice needs a reason", hint="Say --reason WHY")
    held = {item.sop_instance_uid for item in program.held(wave or None)}
    for uid, _ in pairs:
        if uid not in held:
            raise StateError("no contents are held under a named SOP Instance UID", hint="See: vna-lifecycle remediate")
    chosen = []
    for uid, digest in pairs:
        item = program.choose(uid, digest, by=by, reason=reason)
        chosen.append(item)
        if not show.json:
            say(safe(f"{uid} stands for {item.content[:SHOWN_OF_DIGEST]} ({item.archive}:{item.locator}), by {by}"))
    if show.json:
        print_json({"chosen": [asdict(item) for item in chosen], "by": by})
    else:
        waves = sorted({item.wave for item in chosen})
        say("Next: " + "; ".join(f"vna-lifecycle transfer {name}" for name in waves))
    return 0


def _pair(choice: str) -> tuple[str, str]:
    uid, equals, digest = choice.partition("=")
    if not (uid and equals and digest):
        raise ConfigurationError(
            "a choice is written UID=DIGEST", problems=(("--choose", f"{choice!r} is not"),), hint="See: remediate"
        )
    return uid, digest.lower()


def held_lines(held: Iterable[HeldContent]) -> list[str]:
    """For people: grouped by wave, study and SOP Instance UID."""
    items = sorted(held, key=lambda item: (item.wave, item.study, item.sop_instance_uid))
    if not items:
        return ["Nothing is held for a decision."]
    lines = []
    example = items[0]
    for (wave, study), of_study in itertools.groupby(items, key=lambda item: (item.wave, item.study)):
        lines.append(f"wave {wave}, study {study}")
        for uid, of_uid in itertools.groupby(of_study, key=lambda item: item.sop_instance_uid):
            contents = list(of_uid)
            lines.append(f"  {uid}: {counted(len(contents), 'content')} ({contents[0].conflict})")
            lines += [f"    {item.content[:SHOWN_OF_DIGEST]}  {item.archive}:{item.locator}" for item in contents]
    lines.append("Decide which is the true one, for example:")
    lines.append(
        f"  vna-lifecycle remediate {example.wave} "
        f"--choose {example.sop_instance_uid}={example.content[:SHOWN_OF_DIGEST]} --by YOU --reason WHY"
    )
    return [safe(line) for line in lines]
