"""The status for people."""

import pytest
from attrs import evolve

from vna_lifecycle.cli.status_table import print_status
from vna_lifecycle.engine.status import SourceLine, Status, WaveLine
from vna_lifecycle.policy.cutover import CutoverDecision


def wave(name: str, *, imported: int, ready: bool, blockers: tuple[str, ...] = ()) -> WaveLine:
    return WaveLine(
        name=name,
        studies=4,
        instances=40,
        size=4_000_000,
        imported=imported,
        ready=ready,
        blockers=blockers,
        states=(("transferred", imported), ("incomplete", 4 - imported)),
    )


STATUS = Status(
    program="Old\x1b[2J to new",
    waves=(
        wave("pilot", imported=4, ready=True),
        wave("rest", imported=1, ready=False, blockers=("3 studies incomplete at the target", "the wave is paused")),
        wave("copied", imported=4, ready=False, blockers=("not accepted: acceptance has not examined it",)),
    ),
    cutover=CutoverDecision(
        allowed=False, reasons=("wave rest: 3 studies incomplete at the target", "2 studies in no wave")
    ),
    sources=(SourceLine(archive="old", inventory=2, studies=15, instances=150, refused=3, size=16_000_000),),
    excluded=(("phantoms", 1),),
    unplanned=2,
    findings=(("several-contents-content", "blocker", 3),),
    ledger_size=99,
    ledger_root="ab" * 32,
)


def rows(text: str) -> dict[str, list[str]]:
    """The first line of each wave, in words."""
    return {words[0]: words for line in text.splitlines() if (words := line.split())}


def test_imported_and_ready_stand_side_by_side_and_differ(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(STATUS)
    table = rows(capsys.readouterr().out)
    assert table["Wave"][:4] == ["Wave", "Size", "Imported", "Ready"]
    assert table["pilot"][:5] == ["pilot", "4.0", "MB", "4/4", "ready"]
    assert table["copied"][:5] == ["copied", "4.0", "MB", "4/4", "no"]
    assert table["rest"][:5] == ["rest", "4.0", "MB", "1/4", "no"]


def test_a_reason_is_one_line_where_no_terminal_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "wave rest: " + "many things stand in the way; " * 9
    print_status(evolve(STATUS, cutover=CutoverDecision(allowed=False, reasons=(reason,))))
    assert f"  - {reason}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "told"), [("60", False), ("80", True)])
def test_a_narrow_terminal_has_reasons_under_cutover_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, told: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_status(STATUS)
    out = capsys.readouterr().out
    assert ("because" in out) is told
    assert "  - wave rest: 3 studies incomplete at the target\n" in out


def test_everything_that_stands_in_the_way_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(STATUS)
    words = " ".join(capsys.readouterr().out.split())
    for told in (
        "Source old: 15 studies, 150 instances, 16.0 MB, 3 files refused (inventory 2)",
        "- the wave is paused",
        "Excluded: 1 study (phantoms)",
        "In no wave and not excluded: 2 studies",
        "3 blocker several-contents-content",
        "Cutover: not allowed - wave rest: 3 studies incomplete at the target - 2 studies in no wave",
        "Ledger: 99 events, root abababababababab",
    ):
        assert told in words


def test_piped_it_fits_80_columns_without_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_status(STATUS)
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out


def test_imported_and_ready_have_different_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_status(STATUS)
    out = capsys.readouterr().out
    assert "\x1b[1;36m4/4" in out or "\x1b[1;36m     4/4" in out
    assert "\x1b[1;32mready" in out
    assert "\x1b[1;31mno" in out


def test_an_empty_program_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(
        Status(
            program="New",
            waves=(),
            cutover=CutoverDecision(allowed=True, reasons=()),
            sources=(),
            excluded=(),
            unplanned=0,
            findings=(),
            ledger_size=1,
            ledger_root="00",
        )
    )
    out = capsys.readouterr().out
    assert "Nothing is inventoried yet: vna-lifecycle inventory" in out
    assert "reading may be switched" in out
