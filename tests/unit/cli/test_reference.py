"""The reference of the command line is complete."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from vna_lifecycle.cli.app import BROKEN_PIPE, INTERRUPTED, app
from vna_lifecycle.errors import VnaLifecycleError

REFERENCE = (Path(__file__).parents[3] / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")


def verbs(parent: App, prefix: str = "") -> Iterator[tuple[str, App]]:
    for name in parent:
        if not name.startswith("-"):
            below = list(verbs(parent[name], f"{prefix}{name} "))
            yield from below or [(f"{prefix}{name}", parent[name])]


def error_classes(cls: type[VnaLifecycleError]) -> Iterator[type[VnaLifecycleError]]:
    yield cls
    for below in cls.__subclasses__():
        yield from error_classes(below)


@pytest.mark.parametrize(
    ("verb", "command"), list(verbs(app)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_verb_and_each_of_its_options_is_found(verb: str, command: App) -> None:
    rows = [line for line in REFERENCE.splitlines() if line.startswith("|") and re.search(rf"`{verb}`", line)]
    assert len(rows) >= 2, "a row that tells what it does, and one that tells its JSON"
    everywhere = {"--program", "--json", "--verbose"}
    for argument in command.assemble_argument_collection():
        options = {name for name in argument.names if name.startswith("--")}
        where = REFERENCE if options & everywhere else "\n".join(rows)
        for option in options:
            assert f"`{option}" in where, option


def test_every_exit_code_is_found() -> None:
    codes = {cls.exit_code for cls in error_classes(VnaLifecycleError)} | {0, 1, INTERRUPTED, BROKEN_PIPE}
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", REFERENCE, re.MULTILINE)}
    assert told == codes


def test_nothing_is_told_of_verbs_that_are_not_there() -> None:
    known = {verb for verb, _ in verbs(app)}
    first_column = {
        verb
        for cell in re.findall(r"^\| (`[^|]*`) \|", REFERENCE, re.MULTILINE)
        for verb in re.findall(r"`([^`]+)`", cell)
    }
    assert {verb for verb in first_column if not verb.startswith("--")} <= known
