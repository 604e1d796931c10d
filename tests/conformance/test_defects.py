"""The suites are worth something: each catches every defect that is known to happen, by the tests that are meant to."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

_DEFECTS = Path(__file__).with_name("defects.py")


def _expected() -> dict[str, set[str]]:
    """Each class of `defects` with the tests that its docstring says must fail."""
    classes = [node for node in ast.parse(_DEFECTS.read_text()).body if isinstance(node, ast.ClassDef)]
    return {node.name: set((ast.get_docstring(node) or "").split()) for node in classes if node.name.startswith("Test")}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Each class with the tests that failed, from one run of the expected ones, and of all for what is sound."""
    folder = tmp_path_factory.mktemp("defects")
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    for defect, tests in _expected().items():
        command += [f"{_DEFECTS}::{defect}::{test}" for test in tests] or [f"{_DEFECTS}::{defect}"]
    run = subprocess.run([*command, f"--basetemp={folder / 'base'}"], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout[-3000:] + run.stderr
    failed: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by pytest just now
        if case.find("failure") is not None or case.find("error") is not None:
            name = case.attrib["name"].partition("[")[0]
            failed.setdefault(case.attrib["classname"].rpartition(".")[2], set()).add(name)
    return failed


@pytest.mark.parametrize(("defect", "tests"), sorted(_expected().items()), ids=sorted(_expected()))
def test_every_defect_is_caught(failures: dict[str, set[str]], defect: str, tests: set[str]) -> None:
    """A defect fails the tests that are meant for it, and what is sound fails none."""
    assert failures.get(defect, set()) == tests
