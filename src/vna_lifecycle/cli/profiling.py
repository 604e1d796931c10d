"""Verbs that tell what is known of archives beyond their objects: how they behave, and what their databases say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from attrs import asdict
from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, ProgramFolder, Show
from vna_lifecycle.cli.output import print_json, safe, say
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.model.counting import bytes_text

if TYPE_CHECKING:
    from vna_lifecycle.engine.profile import Profile
    from vna_lifecycle.program import Program

_UID: Final = re.compile(r"\b1\.2\.840\.10008(?:\.\d+)+\b")
_BYTES: Final = re.compile(r"(\d+) bytes")


def profile(
    *archives: Annotated[str, Parameter(help="Names from program.toml; default: every source and the target.")],
    renew: Annotated[bool, Parameter(negative=(), help="Look again now, and put on record what is seen.")] = False,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Tell how archives behave, as they were last seen to, and where they differ.

    An inventory looks; so does --renew. What only an inventory can tell is told of archives that have one.
    """
    from vna_lifecycle.engine.profile import differences

    with opened(program) as opening:
        migration = opening.config.migration
        names = list(dict.fromkeys(archives or (*migration.sources, migration.target)))
        _known(opening, names, [archive.name for archive in opening.config.archives])
        found = {name: opening.profile(name, renew=renew) for name in names}
    seen = [each for each in found.values() if each is not None]
    differing = differences(seen)
    if show.json:
        print_json(
            {
                "profiles": [asdict(each) for each in seen],
                "not_seen": [name for name, each in found.items() if each is None],
                "differences": [
                    {
                        "name": row.name,
                        "seen": {each.archive: value for each, value in zip(seen, row.seen, strict=True)},
                    }
                    for row in differing
                ],
            }
        )
        return 0
    for name, each in found.items():
        if each is None:
            say(f"{name}: not looked at yet: vna-lifecycle profile {name} --renew")
        else:
            say("\n".join(_lines(each)))
    if differing:
        say("Where they differ:")
    for row in differing:
        say(f"  {heading(row.name)}")
        for each, value in zip(seen, row.seen, strict=True):
            say(f"    {each.archive}: {spoken(value) if value else 'not seen'}")
    return 0


def truth(
    *sources: Annotated[str, Parameter(help="Names of sources; default: all.")],
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Read again what the sources' own databases say, and compare it with the inventory.

    An inventory does this too. What follows is among the findings; studies that a database calls deleted or hidden are
    left out by the next plan.
    """
    from vna_lifecycle.program.knowing import truth_columns

    with opened(program) as opening:
        migration = opening.config.migration
        names = list(dict.fromkeys(sources or migration.sources))
        _known(opening, names, list(migration.sources))
        results = opening.read_truth(names)
        columns = {name: truth_columns(opening, name) for name in names}
    told = {result.archive for result in results}
    if show.json:
        print_json(
            {
                "sources": [
                    {
                        **asdict(result),
                        "columns": list(columns[result.archive][0]),
                        "columns_left_out": list(columns[result.archive][1]),
                    }
                    for result in results
                ],
                "headers_only": [name for name in names if name not in told],
            }
        )
        return 0
    for result in results:
        say(str(result))
        used, left_out = columns[result.archive]
        if used:
            say(f"  columns: {', '.join(used)}" + (f"; left out: {', '.join(left_out)}" if left_out else ""))
    for name in names:
        if name not in told:
            say(f"{name}: headers only: nobody gave an extract of its database ([sources.{name}] truth)")
    return 0


def _known(program: Program, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"program {program.name!r} has no such archive here: {name!r}", hint=f"There are: {', '.join(known)}"
            )


def _lines(profile: Profile) -> list[str]:
    lines = [f"{profile.archive}, as seen {profile.time[:16].replace('T', ' ')} UTC"]
    return lines + [f"  {heading(name)}: {spoken(value)}" for name, value in profile.values().items()]


def heading(name: str) -> str:
    """What an observation of that name says, in a person's words."""
    from vna_lifecycle.engine.profile import WORDS

    return WORDS.get(name, name.replace("-", " "))


def spoken(value: str) -> str:
    """What was seen, with names for UIDs of the standard and units for bytes; safe to print."""
    from vna_lifecycle.dicom.dictionary import name_of

    return safe(_BYTES.sub(lambda found: bytes_text(int(found[1])), _UID.sub(lambda uid: name_of(uid[0]), value)))
