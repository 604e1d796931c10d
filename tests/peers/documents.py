"""Runs the examples of a document, as its reader would.

``python`` blocks share one namespace and run from top to bottom in a folder of its own; those with ``>>>`` are compared
with what they print. In ``console`` blocks, lines after ``$`` are run by a shell, and what follows them, if anything,
is what they print (``...`` stands for any text). Every document finds what `lay_out` makes.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from sybil import Example
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
COMMAND = r"^\$ ((?:[^\n\\]|\\[^\n]|\\\n)*)\n((?:(?!\$ ).*\n)*)"  # a line goes on after a backslash; then its output
PROGRESS = re.compile(r"^[a-z][\w .-]*: [\d,]+(/[\d,]+)? (studies|instances|checks)\b.*\n", re.MULTILINE)


PROGRAM = """\
[program]
name = "Old to new"

[archives.old]
plugin = "files"
path = "{folder}/export"

[archives.new]
plugin = "files"
path = "{folder}/store"

[migration]
sources = ["old"]
target = "new"

[[waves]]
name = "pilot"
"""


def lay_out(folder: Path) -> None:
    """What documents may take for granted: two equal exports, an empty store, and a program.toml for old-to-new."""
    (folder / "export").mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm"):
        shutil.copy(str(get_testdata_file(name, download=False)), folder / "export")
    shutil.copytree(folder / "export", folder / "copy")
    (folder / "store").mkdir()
    (folder / "old-to-new").mkdir()
    (folder / "old-to-new" / "program.toml").write_text(PROGRAM.format(folder=folder))


def run_console(example: Example) -> str | None:
    """What is wrong with a console block, if anything."""
    commands = re.findall(COMMAND, f"{example.parsed}\n", re.MULTILINE)
    if not commands:
        return "a console block has no line that begins with '$ '"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1"}
    folder = Path.cwd()  # a cd holds until the block's end
    for command, expected in commands:
        with tempfile.NamedTemporaryFile("r") as place:
            script = f"trap 'pwd >\"{place.name}\"' EXIT\n{command}"
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            folder = Path(place.read().strip())
        printed = done.stdout + PROGRESS.sub("", done.stderr)  # a slow machine tells how far it is
        if done.returncode:
            return f"$ {command}\nended with exit code {done.returncode}:\n{printed}"
        if expected.strip() and not doctest.OutputChecker().check_output(
            f"{expected.strip()}\n", f"{printed.strip()}\n", OPTIONS
        ):
            return f"$ {command}\nprinted\n{printed}\nnot\n{expected}"
    return None


def run_document(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run every example of a document in ``folder``, and return how many were run."""
    monkeypatch.chdir(folder)
    lay_out(folder)
    parsers = (
        PythonCodeBlockParser(doctest_optionflags=OPTIONS),
        CodeBlockParser("console", run_console),
        SkipParser(),
    )
    count = 0
    for example in Document.parse(str(path), *parsers):
        try:
            example.evaluate()
        except unittest.SkipTest:
            continue
        count += 1
    return count
