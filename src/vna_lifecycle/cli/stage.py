"""Where the demo is told: on a terminal (or as plain text), or to nobody when only JSON is wanted."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from vna_lifecycle.cli.output import safe, say, show
from vna_lifecycle.cli.progress import telling

if TYPE_CHECKING:
    from vna_lifecycle.demo import Audience
    from vna_lifecycle.engine.progress import Tell
    from vna_lifecycle.engine.status import Status


class TerminalStage:
    """Tells to people."""

    def __init__(self) -> None:
        self._number = 0

    def chapter(self, title: str, why: str, command: str = "") -> None:
        """A numbered heading; the reason, wrapped; the command."""
        from rich.text import Text

        self._number += 1
        show("", Text(f"{self._number}. {title}", style="bold"))
        if why:
            show(Text(why, style="dim"))
        if command:
            show(Text(f"$ {command}", style="cyan", overflow="fold"))

    def say(self, text: str) -> None:
        """Wrapped at the terminal's width."""
        from rich.text import Text

        show(Text(safe(text)))

    def command(self, command: str, what: str) -> None:
        """In one line however long, so that it can be copied."""
        from rich.text import Text

        show(Text(f"# {what}", style="dim"))
        say(safe(command))

    def watching(self) -> AbstractContextManager[Tell]:
        """A bar on a terminal, otherwise a line now and then."""
        return telling()

    def status(self, status: Status) -> None:
        """The table that ``vna-lifecycle status`` prints."""
        from vna_lifecycle.cli.status_table import print_status

        print_status(status)


class SilentStage:
    """Tells nobody: with ``--json``, standard output is for the outcome alone."""

    def chapter(self, title: str, why: str, command: str = "") -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def command(self, command: str, what: str) -> None:
        """Nothing."""

    def watching(self) -> AbstractContextManager[Tell]:
        """Progress goes to standard error all the same."""
        return telling()

    def status(self, status: Status) -> None:
        """Nothing."""


def stage(*, as_json: bool) -> Audience:
    """Where the demo is told."""
    return SilentStage() if as_json else TerminalStage()
