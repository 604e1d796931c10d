"""A plug-in author's mistakes are reported by mypy in the author's own file, and a right plug-in is clean."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import vna_lifecycle
from vna_lifecycle import authoring, results
from vna_lifecycle.program import Program

REPOSITORY = Path(__file__).parents[2]
ACME = REPOSITORY / "examples" / "vna-lifecycle-acme" / "src" / "vna_lifecycle_acme"

MISTAKES: dict[str, tuple[str, str, str, str]] = {
    # name of the copy: (file, right text, wrong text, what mypy must say of that line)
    "hook_takes_something_else": (
        "__init__.py",
        "def vna_lifecycle_register(registry: Registry) -> None:",
        "def vna_lifecycle_register(registry: str) -> None:",
        "call-overload",
    ),
    "hook_parameter_is_misnamed": (
        "__init__.py",
        "def vna_lifecycle_register(registry: Registry) -> None:",
        "def vna_lifecycle_register(plugins: Registry) -> None:",
        "call-overload",
    ),
    "hook_takes_more": (
        "__init__.py",
        "def vna_lifecycle_register(registry: Registry) -> None:",
        "def vna_lifecycle_register(registry: Registry, site: Site) -> None:",
        "call-overload",
    ),
    "hook_returns_something": (
        "__init__.py",
        "def vna_lifecycle_register(registry: Registry) -> None:\n",
        "def vna_lifecycle_register(registry: Registry) -> list[str]:\n",
        "call-overload",
    ),
    "archive_is_registered_with_other_settings": (
        "__init__.py",
        'registry.archive("acme", AcmeSettings,',
        'registry.archive("acme", OverlaySettings,',
        "OverlaySettings|AcmeSettings",
    ),
    "check_is_registered_with_other_settings": (
        "__init__.py",
        'registry.check("acme-overlays", OverlaySettings,',
        'registry.check("acme-overlays", AcmeSettings,',
        "AcmeSettings|OverlaySettings",
    ),
    "url_makes_other_settings": (
        "settings.py",
        "    return AcmeSettings(path=Path(path))",
        "    return OverlaySettings()",
        "return-value",
    ),
    "open_returns_no_archive": (
        "__init__.py",
        "return Archive(reads=AcmeSource(settings, site))",
        "return AcmeSource(settings, site)",
        "return-value",
    ),
    "adapter_lacks_a_method": (
        "archive.py",
        "    def close(self) -> None:",
        "    def shut(self) -> None:",
        "",  # it is told where the adapter becomes a power: see below
    ),
    "adapter_takes_something_else": (
        "archive.py",
        "def inventory(self, part: Part)",
        "def inventory(self, part: StudyQuery)",
        "",
    ),
    "reader_is_given_as_a_store": (
        "__init__.py",
        "Archive(reads=AcmeSource(settings, site))",
        "Archive(reads=AcmeSource(settings, site), stores=AcmeSource(settings, site))",
        r'has incompatible type "AcmeSource"; expected "TargetStore \| None"',
    ),
    "power_has_no_such_name": (
        "__init__.py",
        "Archive(reads=AcmeSource(settings, site))",
        "Archive(reads=AcmeSource(settings, site), writes=None)",
        "call-arg",
    ),
    "check_yields_no_findings": (
        "overlays.py",
        "def examine(self, case: StudyCase) -> Iterator[Finding]:",
        "def examine(self, case: StudyCase) -> Iterator[str]:",
        "",
    ),
}

ELSEWHERE = {
    "adapter_lacks_a_method": ("__init__.py", 'incompatible type "AcmeSource"; expected "SourceAdapter"'),
    "adapter_takes_something_else": ("__init__.py", 'incompatible type "AcmeSource"; expected "SourceAdapter"'),
    "check_yields_no_findings": ("__init__.py", "OverlayCheck"),
}
"""Mistakes that show where the faulty class is handed over, which is in another of the author's files."""


PUBLIC = re.compile(r"vna_lifecycle(\.(authoring|errors|plugin|ports|results|model\.event|testing\.[a-z_.]+))?")
SOURCES = sorted([*ACME.parents[1].rglob("*.py"), *(REPOSITORY / "docs" / "how-to").glob("write-*.md")])
STRICT = ("--strict", "--no-implicit-reexport")


def imported(text: str) -> Iterator[str]:
    """The modules of ours that some Python text imports from."""
    for match in re.finditer(r"^\s*(?:from|import) (vna_lifecycle(?:\.[\w.]+)?)(?: |$)", text, re.MULTILINE):
        yield match[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_an_author_needs_nothing_but_public_modules(path: Path) -> None:
    private = {name for name in imported(path.read_text()) if not PUBLIC.fullmatch(name)}
    assert private == set()


@pytest.mark.parametrize("module", [authoring, results], ids=lambda module: module.__name__)
def test_a_public_module_says_all_that_it_has(module: ModuleType) -> None:
    has = {name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert sorted(module.__all__) == sorted(has)


def test_whatever_a_method_of_a_program_gives_can_be_named() -> None:
    given = {
        name
        for _, method in inspect.getmembers(Program, inspect.isfunction)
        if not method.__name__.startswith("_")
        for name in re.findall(r"\b[A-Z]\w+", str(inspect.signature(method).return_annotation))
    }
    assert given - set(vna_lifecycle.__all__) - set(results.__all__) == {"Iterator", "None"}


@pytest.fixture(scope="session", name="report")
def report_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says of the right plug-in and of a copy for each mistake, by copy; one run for all of them."""
    root = tmp_path_factory.mktemp("authors")
    shutil.copytree(ACME, root / "right")
    for name, (file, right, wrong, _) in MISTAKES.items():
        shutil.copytree(ACME, root / name)
        text = (root / name / file).read_text()
        assert text.count(right) == 1, f"{file} of the example no longer has: {right}"
        (root / name / file).write_text(text.replace(right, wrong))
    for copy in root.iterdir():
        for path in copy.glob("*.py"):
            path.write_text(path.read_text().replace("vna_lifecycle_acme", copy.name))
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-implicit-reexport",
            "--config-file=",
            "--no-error-summary",
            "--show-error-codes",
            ".",
        ],
        cwd=root,
        env={**os.environ, "MYPYPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found: dict[str, list[str]] = {copy.name: [] for copy in root.iterdir() if copy.name != ".mypy_cache"}
    for line in run.stdout.splitlines():
        found.setdefault(Path(line.split(":")[0]).parts[0], []).append(line)
    return found


def test_a_right_plugin_is_clean(report: dict[str, list[str]]) -> None:
    assert report["right"] == []


def test_mistakes_are_reported_in_the_authors_files_only(report: dict[str, list[str]]) -> None:
    assert set(report) == {"right", *MISTAKES}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_where_the_author_made_it(report: dict[str, list[str]], name: str) -> None:
    file, _, _, said = MISTAKES[name]
    file, said = ELSEWHERE.get(name, (file, said))
    errors = [line for line in report[name] if line.startswith(f"{name}/{file}:") and ": error:" in line]
    assert any(re.search(said, line) for line in errors), report[name]
