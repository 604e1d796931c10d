"""What to do about a requirement that is not met, and who can."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from vna_lifecycle.policy.readiness import Requirement

_ENGINEER: Final = "The imaging engineer"
_NAMED: Final = 3


@frozen
class Advice:
    """A sentence, with ``WAVE`` where a wave's name belongs, and who acts on it."""

    remedy: str
    who: str = _ENGINEER


_ACCEPT: Final = Advice("Examine it: vna-lifecycle accept WAVE")
_LOOK: Final = "do what each asks for, or waive it with a reason and a last day: vna-lifecycle waive"
ADVICE: Final[Mapping[tuple[str, str], Advice]] = {
    # (name of the requirement, standing): what to do
    ("transferred", "failed"): Advice(
        "Look at the findings below and do what each asks for; then: vna-lifecycle transfer WAVE --retry"
    ),
    ("transferred", "missing"): Advice("Move it: vna-lifecycle transfer WAVE"),
    ("findings", "failed"): Advice(f"Look at the findings below; {_LOOK}", _ENGINEER),
    ("findings", "not-assessed"): _ACCEPT,
    ("acceptance", "missing"): _ACCEPT,
    ("acceptance", "failed"): Advice("Remove the causes that the findings below tell, then: vna-lifecycle accept WAVE"),
    ("acceptance", "not-assessed"): Advice("See below what is missing, then: vna-lifecycle accept WAVE"),
    ("checks", "not-assessed"): Advice(
        "Find out from the findings below why the check gave no result, then: vna-lifecycle accept WAVE"
    ),
    ("sign-off", "missing"): Advice("Read what acceptance found, and sign: vna-lifecycle sign WAVE --by PERSON", ""),
    ("sign-off", "failed"): Advice("Read what acceptance found, and sign: vna-lifecycle sign WAVE --by PERSON", ""),
    ("running", "failed"): Advice("Let it go on: vna-lifecycle resume WAVE --by PERSON", "Whoever paused it"),
    ("waves", "missing"): Advice("Plan: vna-lifecycle plan"),
    ("inventory", "missing"): Advice("Look at it: vna-lifecycle inventory"),
    ("planned", "missing"): Advice(
        "Give them a wave, or exclude them with a reason, in program.toml; then: vna-lifecycle plan"
    ),
    ("passes", "missing"): Advice("Compare the source with its last inventory: vna-lifecycle catch-up"),
    ("unchanged", "not-assessed"): Advice("See that the target answers, then ask again: vna-lifecycle cutover"),
}


def advice(requirement: Requirement, people: Sequence[tuple[str, str]], wave: str = "") -> tuple[str, str]:
    """What to do and who can, each ``""`` where nothing is to be done.

    ``people`` are those of program.toml, as (name, role). Without ``wave`` a command is for all waves.
    """
    if requirement.standing.allows:
        return "", ""
    found = ADVICE.get((requirement.name, requirement.standing.value), Advice("", ""))
    remedy = found.remedy.replace(" WAVE", f" {shlex.quote(wave)}" if wave else "")
    who = found.who or _signers(requirement, people)
    return remedy, f"{who}; {_waivers(people)} may waive it" if requirement.name == "findings" else who


def waiving(kind: str, wave: str) -> str:
    """The command by which findings of a kind are waived; ``wave`` ``""``: those about the program."""
    of_wave = f" {shlex.quote(wave)}" if wave else ""
    return f"vna-lifecycle waive{of_wave} --finding {kind} --by PERSON --reason WHY"


def _waivers(people: Sequence[tuple[str, str]]) -> str:
    named = [f"{name} ({role})" for name, role in people[:_NAMED]]
    if not named:
        return "whoever program.toml will list"
    others = ["others"] if len(people) > _NAMED else []
    return " or ".join([*named, *others])


def _signers(requirement: Requirement, people: Sequence[tuple[str, str]]) -> str:
    if requirement.name != "sign-off":
        return ""
    named = [f"{name}, {role}" for name, role in people if role in requirement.detail]
    return " or ".join(named) or "Somebody with that role; program.toml lists nobody yet"
