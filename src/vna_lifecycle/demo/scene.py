"""What every chapter of the story has at hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from attrs import define, field

from vna_lifecycle.demo.settings import RADIOLOGIST
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.engine.status import Status
from vna_lifecycle.program import Program


class Audience(Protocol):
    """Who the story is told to."""

    def chapter(self, title: str, why: str, command: str = "") -> None:
        """A step begins: what it is, why it is there, and the command that does the same."""
        ...

    def say(self, text: str) -> None:
        """Plain text."""
        ...

    def command(self, command: str, what: str) -> None:
        """A command to copy, and what it does."""
        ...

    def watching(self) -> AbstractContextManager[Tell]:
        """What long work tells its progress to."""
        ...

    def status(self, status: Status) -> None:
        """The status table."""
        ...


@define
class Scene:
    """The folder, the listener, and the program while it is open."""

    folder: Path
    audience: Audience
    cancelled: bool = False
    exit_code: int = 0
    _program: Program | None = field(default=None, init=False)

    def cancel(self) -> None:
        """Ask the step at hand to stop."""
        self.cancelled = True
        if self._program is not None:
            self._program.cancel()

    @contextmanager
    def program(self) -> Iterator[Program]:
        """The program, with program.toml as it is now."""
        with Program.open(self.folder) as self._program:
            if self.cancelled:
                self._program.cancel()
            try:
                yield self._program
            finally:
                self._program = None

    def command(self, verb: str) -> str:
        """A command that acts on the demo from any folder."""
        return f"vna-lifecycle {verb} --program {shlex.quote(str(self.folder))}"

    def say(self, text: str) -> None:
        """Tell several lines."""
        for line in text.splitlines():
            self.audience.say(line)

    def did(self, verb: str, what: str) -> None:
        """Tell a command whose work is being done."""
        self.audience.command(self.command(verb), what)

    @property
    def private_key(self) -> Path:
        """The radiologist's. In earnest it is hers alone, and on another machine."""
        return self.folder / "desk of the radiologist" / RADIOLOGIST

    @property
    def key(self) -> str:
        """Where her key is, as ``--key`` takes it."""
        return f"file:{self.private_key}"
