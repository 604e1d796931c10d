"""What went wrong, in words on standard error or as a JSON object on standard output. Never a traceback."""

from __future__ import annotations

import sys
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
    lines = [f"error: {_headline(error)}"]
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


def print_stopped() -> None:
    """Tell that the work was interrupted by the user."""
    sys.stderr.write("stopped; the same command goes on from there\n")
