"""The harness is worth something: it finds each defect that is put in on purpose, and nothing where there is none."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.exc import IntegrityError

from vna_lifecycle.errors import VnaLifecycleError
from vna_lifecycle.testing.machine import ProgramMachine


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


seeded = _load("seeded_defects")
_NAMES = [defect.name for defect in seeded.DEFECTS]
_SEARCHED = [*_NAMES, "a pause is ignored"]  # which no history shows: only who gave the pause knows of it


@pytest.mark.parametrize("defect", seeded.DEFECTS, ids=_NAMES)
def test_a_seeded_defect_is_found(defect: object, monkeypatch: pytest.MonkeyPatch) -> None:
    defect.seed(monkeypatch)  # type: ignore[attr-defined]  # the module is loaded by its path
    found = {violation.invariant for violation in seeded.violations(defect.history)}  # type: ignore[attr-defined]
    assert defect.breaks in found  # type: ignore[attr-defined]


@pytest.mark.parametrize("defect", seeded.DEFECTS, ids=_NAMES)
def test_the_same_history_without_the_defect_breaks_nothing(defect: object) -> None:
    assert seeded.violations(defect.history) == []  # type: ignore[attr-defined]


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [*(defect.seed for defect in seeded.DEFECTS), seeded.ignore_pauses], ids=_SEARCHED)
def test_the_state_machine_finds_the_defect_by_itself(
    seed: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(monkeypatch)
    search = settings(
        max_examples=500,
        stateful_step_count=25,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises((AssertionError, VnaLifecycleError, IntegrityError)):
        run_state_machine_as_test(ProgramMachine, settings=search)


def test_the_documentation_lists_every_seeded_defect() -> None:
    document = (Path(__file__).parents[2] / "docs" / "explanation" / "faults.md").read_text(encoding="utf-8")
    _, _, rest = document.partition("<!-- seeded defects: begin -->\n")
    table, _, _ = rest.partition("<!-- seeded defects: end -->")
    rows = [f"| {defect.name} | `{defect.where}` | {defect.breaks} |" for defect in seeded.DEFECTS]
    expected = "\n".join(["| defect | where | what is told |", "|---|---|---|", *rows]) + "\n"
    assert table == expected, f"docs/explanation/faults.md must list\n{expected}"
