"""Verbs by which people stand for what was found: waive, waivers, sign, cutover."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from attrs import asdict
from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, By, DryRun, ProgramFolder, Reason, Show
from vna_lifecycle.cli.output import print_json, safe, say, write_file
from vna_lifecycle.cli.session import opened
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.model.counting import counted

if TYPE_CHECKING:
    from vna_lifecycle.engine.decide_acceptance import SignOffOnRecord, WaiverOnRecord

Expires: TypeAlias = Annotated[
    dt.date | None, Parameter(help="The last day on which it holds, such as 2027-01-31; default: no end.")
]
Key: TypeAlias = Annotated[
    str,
    Parameter(
        name="--key",
        help="Where the person's private key is: file:PATH or env:NAME. Needed where program.toml has a public key.",
    ),
]


def waive(
    wave: Annotated[str, Parameter(help="Its name; default: what was found about the program and its sources.")] = "",
    /,
    *,
    finding: Annotated[str, Parameter(help="The kind of finding that is accepted.")] = "",
    study: Annotated[str, Parameter(help="Only this study's: its Study Instance UID, or its label.")] = "",
    withdraw: Annotated[str, Parameter(help="Instead: the waiver that shall not hold any more.")] = "",
    by: By,
    reason: Reason,
    expires: Expires = None,
    key: Key = "",
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Accept findings of a kind as they are on record now, or withdraw a waiver.

    What is found later, or differs, is not covered. See what there is with: vna-lifecycle findings.
    """
    if bool(finding) == bool(withdraw):
        raise ConfigurationError("a waiver is given or withdrawn", hint="Say --finding KIND, or --withdraw WAIVER")
    if withdraw and (wave or study or expires or key):
        raise ConfigurationError("a withdrawal names a waiver, a person and a reason, and nothing else")
    with opened(program) as opening:
        if withdraw:
            opening.withdraw_waiver(withdraw, by=by, reason=reason)
            _told({"withdrawn": withdraw, "by": by}, f"waiver {withdraw} is withdrawn, by {by}", show)
            return 0
        given = opening.waive(finding, wave=wave, study=study, by=by, reason=reason, expires=expires, key=key)
    of_what = f"wave {wave}" if wave else "the program"
    covers = f"{counted(given.findings, 'finding')} of kind {finding} in {of_what}"
    _told({"waiver": asdict(given)}, f"waiver {given.waiver} covers {covers}, by {by}{_ends(given.expires)}", show)
    return 0


def waivers(*, program: ProgramFolder = HERE, show: Show = PLAIN) -> int:
    """List waivers and sign-offs: by whom, why, until when, what they cover, and whether they hold today."""
    with opened(program) as opening:
        given, signed = opening.waivers(), opening.sign_offs()
    if show.json:
        print_json({"waivers": [asdict(item) for item in given], "sign_offs": [asdict(item) for item in signed]})
        return 0
    for waiver in given:
        say("\n".join(waiver_lines(waiver)))
    for sign_off in signed:
        say("\n".join(sign_off_lines(sign_off)))
    if not given and not signed:
        say("Nobody has waived or signed off anything.")
    return 0


def waiver_lines(item: WaiverOnRecord) -> list[str]:
    """A waiver for people."""
    of_what = f"wave {item.wave}" if item.wave else "the program"
    covers = f"{counted(item.findings, 'finding')} of kind {item.finding} in {of_what}, {item.open} of them open"
    lines = [f"waiver {item.waiver} by {item.by}, {item.role}: {covers}{_ends(item.expires)}", f"  {item.reason}"]
    return [safe(line) for line in [*lines, *_standing(item)]]


def sign_off_lines(item: SignOffOnRecord) -> list[str]:
    """A sign-off for people."""
    what = f"wave {item.wave}, as acceptance {item.attempt} found it"
    lines = [f"sign-off by {item.by}, {item.role}: {what}{_ends(item.expires)}", f"  {item.meaning}"]
    return [safe(line) for line in [*lines, *_standing(item)]]


def _standing(item: WaiverOnRecord | SignOffOnRecord) -> list[str]:
    signed = "signed with a key" if item.signed else "without a key"
    return [f"  does not count: {item.void}" if item.void else f"  holds ({signed})"]


def sign(
    wave: Annotated[str, Parameter(help="Its name.")] = "",
    /,
    *,
    by: Annotated[str, Parameter(name="--by", help="The person who signs off.")] = "",
    meaning: Annotated[str, Parameter(help="What the signature means; default: approval for care.")] = "",
    expires: Expires = None,
    key: Key = "",
    new_key: Annotated[
        Path | None, Parameter(help="Instead: make a person's pair of keys, PATH (private) and PATH.pub.")
    ] = None,
    program: ProgramFolder = HERE,
    show: Show = PLAIN,
) -> int:
    """Sign off a wave as its latest acceptance found it; or make a pair of keys."""
    if new_key is not None:
        return _new_key(new_key, show)
    if not wave or not by:
        raise ConfigurationError("a sign-off needs a wave and a person", hint="vna-lifecycle sign WAVE --by PERSON")
    with opened(program) as opening:
        given = opening.sign(wave, by=by, expires=expires, key=key, **({"meaning": meaning} if meaning else {}))
        readiness = opening.readiness(wave)
    if show.json:
        print_json({"sign_off": asdict(given), "ready": readiness.ready, "blockers": list(readiness.blockers)})
        return 0
    say(safe(f"wave {wave} is signed off by {by}, {given.role}, as acceptance {given.attempt} found it"))
    for blocker in readiness.blockers:
        say(safe(f"  not ready: {blocker}"))
    if readiness.ready:
        say(safe(f"wave {wave} is ready"))
    return 0


def _new_key(path: Path, show: Show) -> int:
    from vna_lifecycle.ledger import generate_key, public_key_text

    public = path.with_name(f"{path.name}.pub")
    write_file(public, f"{public_key_text(generate_key(path))}\n")
    told = f"{path}: the private key, for its owner alone\n{public}: the public key, for program.toml"
    _told({"private": str(path), "public": str(public)}, told, show)
    return 0


def cutover(
    *, by: By, reason: Reason, dry_run: DryRun = False, program: ProgramFolder = HERE, show: Show = PLAIN
) -> int:
    """Ask the gate whether reading may be switched to the target. What it says goes on record, with all it saw.

    Exit code 1 if it refuses.
    """
    with opened(program) as opening:
        result = opening.cutover(by=by, reason=reason, dry_run=dry_run)
    if show.json:
        print_json({"dry_run": dry_run, **result.to_dict()})
    else:
        say("\n".join(safe(line) for line in str(result).splitlines()))
        if dry_run:
            say("Nothing was put on record, and the target was not looked at again (--dry-run).")
    return int(not result.allowed)


def _ends(expires: str) -> str:
    return f", until {expires}" if expires else ""


def _told(facts: dict[str, object], text: str, show: Show) -> None:
    if show.json:
        print_json(facts)
    else:
        say("\n".join(safe(line) for line in text.splitlines()))
