"""Progress where there is no terminal, and on one."""

import io

import pytest

from vna_lifecycle.cli.progress import SECONDS_BETWEEN_LINES, Lines, telling
from vna_lifecycle.engine.progress import Progress


def progress(done: int, *, seconds: float = 2.0, note: str = "") -> Progress:
    return Progress(
        activity="transfer", subject="pilot", done=done, total=4, unit="studies", size=10**6, seconds=seconds, note=note
    )


def test_lines_come_at_most_every_few_seconds() -> None:
    now = 100.0
    lines: list[str] = []
    tell = Lines(lines.append, lambda: now)
    tell(progress(1))
    assert lines == []  # short work says nothing
    now += SECONDS_BETWEEN_LINES
    tell(progress(2))
    now += SECONDS_BETWEEN_LINES / 2
    tell(progress(3))
    assert lines == ["transfer pilot: 2/4 studies, 500.0 kB/s, 0:02 left\n"]


def test_a_line_holds_no_control_characters() -> None:
    lines: list[str] = []
    times = iter((0.0, 10.0))
    Lines(lines.append, lambda: next(times))(progress(1, note="\x1b[2J"))
    assert "\x1b" not in lines[0]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_with_count_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with telling() as tell:
        tell(progress(2))
        tell(progress(4, seconds=240.0))
        tell(progress(1, seconds=3700.0, note="paused"))
    shown = terminal.getvalue()
    assert "transfer pilot" in shown
    assert "1/4 studies" in shown
    assert "3:05:00 left - paused" in shown
    assert "B/s" in shown


def test_without_a_terminal_nothing_of_a_bar_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.StringIO()
    monkeypatch.setattr("sys.stderr", plain)
    with telling() as tell:
        tell(progress(2))
    assert plain.getvalue() == ""
