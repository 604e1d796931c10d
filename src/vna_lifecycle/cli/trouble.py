"""What went wrong, in words on standard error or as a JSON object on standard output.

A traceback is for defects alone, and without what their errors say: that may quote patient data.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from typing import Any

from cyclopts import CycloptsError

from vna_lifecycle.cli.output import print_json, safe
from vna_lifecycle.errors import ConfigurationError, VnaLifecycleError


def error_dict(error: VnaLifecycleError) -> dict[str, Any]:
    """The error as ``--json`` prints it: type, message, hint, exit code, and the fields of its class."""
    fields = {name: value for name, value in vars(error).items() if name not in ("hint", "problems")}
    if isinstance(error, ConfigurationError):
        fields["problems"] = [{"path": path, "message": message} for path, message in error.problems]
    return {
        "type": type(error).__name__,
        "message": _headline(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
        **fields,
    }


def error_lines(error: VnaLifecycleError) -> list[str]:
    """The error for people: what, where, what to do next."""
    headline, archive = _headline(error), getattr(error, "archive", "")
    lines = [
        f"error: {headline}" if headline.startswith(f"{archive}: ") or not archive else f"error: {archive}: {headline}"
    ]
    if isinstance(error, ConfigurationError):
        lines += [f"  {path}: {message}" if path else f"  {message}" for path, message in error.problems]
    place = getattr(error, "path", None)
    if place is not None and str(place) not in ("", "."):
        lines.append(f"  where: {place}")
    if error.hint:
        lines.append(f"what to do next: {error.hint}")
    return [safe(line) for line in lines]


def _headline(error: VnaLifecycleError) -> str:
    # A configuration error's message lists its problems as well, for people who see it without a command line.
    return str(error).split("\n", 1)[0]


def print_error(error: VnaLifecycleError, *, as_json: bool) -> int:
    """Tell of an error; the exit code of its class."""
    if as_json:
        print_json({"error": error_dict(error)})
    else:
        sys.stderr.write("\n".join(error_lines(error)) + "\n")
    return error.exit_code


def print_usage_error(error: CycloptsError, *, as_json: bool) -> int:
    """Tell of arguments that cannot be understood; exit code 2."""
    chain = " ".join(error.command_chain or ())
    command = f"vna-lifecycle {chain}".rstrip()
    told = ConfigurationError(" ".join(str(error).split()), hint=f"{command} --help")
    if as_json:
        print_json({"error": error_dict(told) | {"type": "UsageError"}})
    else:
        sys.stderr.write("\n".join(error_lines(told)) + "\n")
    return told.exit_code


def print_defect(error: Exception) -> int:
    """Tell where a defect came to light, for its author; exit code 70."""
    for each in reversed(list(_chain(error))):
        safe_to_tell = isinstance(each, (VnaLifecycleError, ImportError))
        said = str(each) if safe_to_tell else "(its text is left out: it may hold patient data)"
        sys.stderr.write("Traceback (most recent call last):\n")
        sys.stderr.writelines(traceback.format_tb(each.__traceback__))
        sys.stderr.write(f"{type(each).__name__}: {said}\n")
    sys.stderr.write("This is a defect. Nothing that was acknowledged is lost; the same command may be repeated.\n")
    return VnaLifecycleError.exit_code


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, the latest first."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def print_stopped() -> None:
    """Tell that the work was interrupted by the user."""
    sys.stderr.write("stopped; the same command goes on from there\n")
