"""Every example of the documentation is executed.

What cannot run on every machine says why just before it: ``<!-- skip: next "needs a PACS" -->``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from peers.documents import ROOT, run_document

DOCUMENTS = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LANGUAGES = {"python", "console", "toml", "text", "json", ""}


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
