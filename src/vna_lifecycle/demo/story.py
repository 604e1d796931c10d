"""The demo as a story: each step is the library call behind a command, and is explained before it runs."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import define, field

from vna_lifecycle.demo.ending import Facts, counted, gather, next_commands, sentences
from vna_lifecycle.demo.legacy import build_legacy_archive
from vna_lifecycle.demo.settings import MARK, NAME, PROGRAM_TOML
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.engine.status import Status
from vna_lifecycle.errors import IntegrityError, StateError
from vna_lifecycle.program import Program

INCOMPLETE: Final = 1


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


def _resolved(folder: Path) -> Path:
    return folder.resolve()


@define
class Demo:
    """The demo in one folder. Told again, it goes on where it stopped, and repeats nothing that is done.

    ``command`` is how the command line is called here, for commands that people will copy.
    """

    folder: Path = field(converter=_resolved)
    command: str = "vna-lifecycle"
    exit_code: int = field(default=0, init=False)
    _program: Program | None = field(default=None, init=False)
    _facts: Facts | None = field(default=None, init=False)
    _cancelled: bool = field(default=False, init=False)

    def cancel(self) -> None:
        """Ask the step at hand to stop; the next telling goes on from there."""
        self._cancelled = True
        if self._program is not None:
            self._program.cancel()

    def tell(self, audience: Audience) -> None:
        """Run the whole line. ``exit_code`` says how it ended: 0 when it ran as designed.

        Raises:
            StateError: the folder holds something else.
            VnaLifecycleError: a step failed; the next telling goes on from there.
        """
        self._prepare(audience)
        with Program.open(self.folder) as self._program:
            for step in (self._check, self._inventory, self._plan, self._transfer, self._verify, self._end):
                if not self._cancelled:
                    step(self._program, audience)
        self._program = None

    def to_dict(self) -> dict[str, Any]:
        """How it ended, as ``demo --json`` prints it."""
        facts = self._facts
        return {
            "folder": str(self.folder),
            "complete": facts is not None,
            "status": facts.status.to_dict() if facts else None,
            "story": sentences(facts) if facts else [],
            "next": next_commands(self.folder, facts, self.command) if facts else [],
        }

    def _command(self, verb: str) -> str:
        return f"vna-lifecycle {verb} --program {shlex.quote(str(self.folder))}"

    # ------------------------------------------------------------------------------------------------ steps

    def _prepare(self, audience: Audience) -> None:
        config, old = self.folder / "program.toml", self.folder / "old"
        begun = config.exists() and config.read_text(encoding="utf-8", errors="replace").startswith(MARK)
        if not begun and self.folder.exists() and any(self.folder.iterdir()):
            raise StateError("the folder holds something else than the demo", hint="Name a new or an empty folder")
        if begun and old.exists() and (self.folder / "ledger.db").exists():
            audience.say("The demo is there already: nothing that is done is done again.")
            audience.command(f"rm -r {shlex.quote(str(self.folder))}", "To start over, delete its folder:")
            return
        audience.chapter(
            "An old archive, and a program to move it",
            "The archive is made of real DICOM files (those that pydicom ships): imported discs, two volumes with "
            "copies of copies, odd and damaged files, paperwork. A program is a folder: settings, a record that can "
            "only grow (ledger), what was found (catalog), and evidence (vault).",
            f"vna-lifecycle init {shlex.quote(str(self.folder))}",
        )
        (self.folder / "new").mkdir(parents=True, exist_ok=True)
        config.write_text(PROGRAM_TOML, encoding="utf-8")
        if not old.exists():
            build_legacy_archive(old)
        files = sum(1 for path in old.rglob("*") if path.is_file())
        audience.say(f"the old archive: {files} files in {old.name}")
        if not (self.folder / "ledger.db").exists():
            Program.init(self.folder, name=NAME)
        audience.say(f"the program: {', '.join(sorted(path.name for path in self.folder.iterdir()))}")

    def _check(self, program: Program, audience: Audience) -> None:
        audience.chapter(
            "Check",
            "Before anything moves: can the settings be used, and do the archives answer?",
            self._command("check"),
        )
        for config in program.config.archives:
            archive = program.archive(config.name)
            written = "can be read and written" if archive.stores is not None else "can be read"
            audience.say(f"{config.name} answers; it {written}")

    def _inventory(self, program: Program, audience: Audience) -> None:
        audience.chapter(
            "Inventory",
            "Every header is read. A file that is no DICOM object that can be trusted is refused: it stays where it "
            "is, and is reported with the reason. Nothing is skipped silently.",
            self._command("inventory"),
        )
        if program.catalog.latest_inventory("old") is not None:
            audience.say("taken already")
            return
        with audience.watching() as tell:
            results = program.take_inventory(progress=tell)
        for result in results:
            audience.say(str(result))

    def _plan(self, program: Program, audience: Audience) -> None:
        audience.chapter(
            "Plan",
            "Studies move in waves: a small one first, to learn from. What shall not move is excluded, with a reason.",
            self._command("plan"),
        )
        if not program.waves():
            program.plan()
        status = program.status()
        for wave in status.waves:
            instances = counted(wave.instances, "instance")
            audience.say(f"{wave.name}: {counted(wave.studies, 'study')}, {instances} (copies counted once)")
        for reason, studies in status.excluded:
            audience.say(f"excluded: {counted(studies, 'study')} ({reason})")

    def _transfer(self, program: Program, audience: Audience) -> None:
        audience.chapter(
            "Transfer",
            "Each study is fetched, stored, read back from the new archive and compared, byte for byte: an "
            "acknowledgement is not proof. A study with a contradiction waits for a person; the others go on.",
            self._command("transfer"),
        )
        for wave in program.waves():
            if self._cancelled:
                return
            with audience.watching() as tell:
                result = program.transfer(wave, progress=tell)
            audience.say(str(result))

    def _verify(self, program: Program, audience: Audience) -> None:
        audience.chapter(
            "Verify the ledger",
            "Every step is on record, in a signed Merkle tree: a changed, lost or added event would be found.",
            self._command("ledger verify --deep"),
        )
        found = program.verify_ledger(deep=True)
        if not found.ok:
            self.exit_code = IntegrityError.exit_code
            audience.say(f"the ledger does not hold: {found.reason}")
        else:
            audience.say(f"the ledger holds: {found.size} events")

    def _end(self, program: Program, audience: Audience) -> None:
        audience.chapter(
            "Where the program stands",
            "Imported and ready are not the same: imported studies are proved to be there; only acceptance makes "
            "a wave ready for care.",
            self._command("status"),
        )
        facts = self._facts = gather(program)
        audience.status(facts.status)
        if facts.unexplained:
            self.exit_code = self.exit_code or INCOMPLETE
        audience.chapter("What happened, in plain words", "")
        for sentence in sentences(facts):
            audience.say(sentence if sentence.startswith(" ") else f"- {sentence}")
        audience.chapter("Try next", "")
        for command, what in next_commands(self.folder, facts, self.command):
            audience.command(command, what)
