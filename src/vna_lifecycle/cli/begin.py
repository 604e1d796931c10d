"""Beginning: a new program, or the demo."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vna_lifecycle.cli.options import HERE, PLAIN, Show
from vna_lifecycle.cli.output import print_json, say


def init(
    folder: Annotated[Path, Parameter(help="The program's folder; made if it is not there; default: here.")] = HERE,
    /,
    *,
    name: Annotated[str, Parameter(help="The program's name; default: the folder's.")] = "",
    show: Show = PLAIN,
) -> int:
    """Make a program: a folder with a commented program.toml, keys, ledger and vault."""
    from vna_lifecycle.program import Program

    config = Program.init(folder, name=name)
    if show.json:
        print_json({"program": config.parent, "config": config})
        return 0
    say(f"made a program in {config.parent}")
    say("Next:")
    say(f"  1. Say in {config} what shall move from where to where.")
    say(f"  2. vna-lifecycle check --program {config.parent}")
    say("Keep the folder 'keys' out of ordinary backups, and a copy of it in a safe place: without it, the evidence")
    say("cannot be read. Give program.pub to whoever shall verify.")
    return 0


def demo(
    folder: Annotated[Path, Parameter(help="Where the demo's archives and program are made.")],
    /,
    *,
    show: Show = PLAIN,
) -> int:
    """Move a small legacy archive of real files into a verified store, and explain each step.

    The archive is made of the DICOM files that pydicom ships for its own tests, under invented names; their contents
    are untouched. Nothing outside the folder is read or written.
    """
    from vna_lifecycle.cli.interrupts import stoppable
    from vna_lifecycle.cli.stage import stage
    from vna_lifecycle.demo import Demo

    story = Demo(folder, command=_invocation())
    with stoppable(story.cancel):
        story.tell(stage(as_json=show.json))
    if show.json:
        print_json(story.to_dict())
    return story.exit_code


def _invocation() -> str:
    """How people can call this command line from any folder: it need not be on the search path."""
    if shutil.which("vna-lifecycle"):
        return "vna-lifecycle"
    script = Path(sys.executable).with_name("vna-lifecycle")
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(sys.executable)} -m vna_lifecycle"
