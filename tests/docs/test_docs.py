"""Every example of the documentation is executed.

``python`` blocks of a document share one namespace and run from top to bottom in a folder of its own; those with
``>>>`` are compared with what they print. In ``console`` blocks, lines after ``$`` are run by a shell, and what follows
them, if anything, is what they print (``...`` stands for any text). What cannot run says why just before it:
``<!-- skip: next "needs a PACS" -->``. Every document finds what `lay_out` makes.
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
DOCUMENTS = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
COMMAND = r"^\$ ((?:[^\n\\]|\\[^\n]|\\\n)*)\n((?:(?!\$ ).*\n)*)"  # a line goes on after a backslash; then its output
PROGRESS = re.compile(r"^[a-z][\w .-]*: [\d,]+(/[\d,]+)? (studies|instances|checks)\b.*\n", re.MULTILINE)
LANGUAGES = {"python", "console", "toml", "text", "json", ""}


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_example_of_the_documentation_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_document(path, tmp_path, monkeypatch)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_block_escapes_by_an_unknown_language(path: Path) -> None:
    fences = re.findall(r"^ *```(.*)\n(?:.*\n)*? *```$", path.read_text(encoding="utf-8"), re.MULTILINE)
    directives = re.compile(r"\{[\w-]+\}.*")  # MyST: {note}, {toctree}, ...
    assert {fence.strip() for fence in fences if not directives.fullmatch(fence)} <= LANGUAGES


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_skipped_example_says_why(path: Path) -> None:
    skips = re.findall(r"<!--+ *skip: *next(.*?)-->", path.read_text(encoding="utf-8"))
    assert all(re.search(r'"[^"]{5,}"', reason) for reason in skips)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_and_headings_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, heading = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        if heading and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}
            assert heading in slugs, link


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("```python\nx = 1\n```\n\n```python\n>>> x\n1\n```\n", 2),
        ('```console\n$ echo "a  b" && echo c\na b\n...\n$ echo \\\n    more\n```\n', 1),
        ('<!-- skip: next "needs a PACS" -->\n```python\nraise ValueError\n```\n', 1),
        (
            (
                "```console\n$ mkdir a && cd a\n$ basename $PWD\na\n```\n"
                "```python\nopen('export/CT_small.dcm').close()\n```\n"
            ),
            2,
        ),
        ("```console\n$ echo done; echo 'transfer rest: 23/24 studies, 9 kB/s, 0:00 left' >&2\ndone\n```\n", 1),
        ("no example\n", 0),
    ],
)
def test_right_examples_pass(text: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_text(text)
    assert run_document(tmp_path / "a.md", tmp_path, monkeypatch) == count


@pytest.mark.parametrize(
    "text",
    [
        "```python\nassert False\n```\n",
        "```python\n>>> 1\n2\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo a\nb\n```\n",
        "```console\n$ echo a; echo error: no studies >&2\na\n```\n",
        "```console\n$ echo a\na\n$ echo b\nc\n```\n",
        "```console\necho a\n```\n",
    ],
)
def test_wrong_examples_fail(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(AssertionError):
        run_document(tmp_path / "a.md", tmp_path, monkeypatch)
