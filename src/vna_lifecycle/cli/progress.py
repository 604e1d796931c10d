"""Progress on standard error: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from vna_lifecycle.cli.output import safe
from vna_lifecycle.model.counting import bytes_text

if TYPE_CHECKING:
    from rich.progress import TaskID

    from vna_lifecycle.engine.progress import Progress, Tell

SECONDS_BETWEEN_LINES: Final = 3.0


@contextmanager
def telling() -> Iterator[Tell]:
    """What a long verb tells its progress to."""
    if sys.stderr.isatty():
        with _bars() as tell:
            yield tell
    else:
        yield Lines(sys.stderr.write, time.monotonic)


class Lines:
    """Progress as plain lines, at most one every `SECONDS_BETWEEN_LINES`; short work says nothing."""

    def __init__(self, write: Callable[[str], object], seconds: Callable[[], float]) -> None:
        self._write = write
        self._seconds = seconds
        self._last = seconds()

    def __call__(self, progress: Progress) -> None:
        """Write a line, unless the last one was just now."""
        now = self._seconds()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            facts = ", ".join(text for text in (_count(progress), _rate(progress), _left(progress)) if text)
            self._write(f"{_title(progress)}: {facts}\n")


@contextmanager
def _bars() -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}", style="cyan"),
        TextColumn("{task.fields[left]}", style="dim"),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True, markup=False, highlight=False), transient=True) as bars:

        def tell(progress: Progress) -> None:
            title = _title(progress)
            if progress.activity not in tasks:
                tasks[progress.activity] = bars.add_task(title, count="", rate="", left="")
            bars.update(
                tasks[progress.activity],
                description=title,
                completed=progress.done,
                total=progress.total,
                count=_count(progress),
                rate=_rate(progress),
                left=_left(progress),
            )

        yield tell


def _title(progress: Progress) -> str:
    return safe(f"{progress.activity} {progress.subject}")


def _rate(progress: Progress) -> str:
    return f"{bytes_text(round(progress.bytes_per_second))}/s" if progress.size else ""


def _count(progress: Progress) -> str:
    of = "" if progress.total is None else f"/{progress.total:,}"
    return f"{progress.done:,}{of} {progress.unit}"


def _left(progress: Progress) -> str:
    left = progress.seconds_left
    if not left:
        return safe(progress.note)
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{shown} left" + (f" - {safe(progress.note)}" if progress.note else "")
