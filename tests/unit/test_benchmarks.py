"""What a benchmark tells of a target."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # they lie beside the tests
    return importlib.import_module("benchmarks")


@pytest.mark.parametrize(
    ("target", "reached", "word"), [("<= 2", True, "reached"), ("<= 1", False, "missed"), ("", None, None)]
)
def test_what_has_no_target_is_neither_reached_nor_missed(
    benchmarks: ModuleType, capsys: pytest.CaptureFixture[str], target: str, reached: bool | None, word: str | None
) -> None:
    row = benchmarks.Row(name="a row", ours=1.5, target=target, reached=reached)
    shown = importlib.import_module("benchmarks.__main__").table({"one": [row]})
    Console(width=160).print(shown)
    told = capsys.readouterr().out
    assert "a row" in told
    assert [each for each in ("reached", "missed") if each in told] == ([word] if word else [])


@pytest.mark.parametrize(("target", "reached"), [("", True), ("", False), ("<= 1", None)])
def test_a_row_cannot_claim_what_has_no_target_or_leave_a_target_open(
    benchmarks: ModuleType, target: str, reached: bool | None
) -> None:
    with pytest.raises(ValueError, match="a row"):
        benchmarks.Row(name="a row", ours=1.5, target=target, reached=reached)
