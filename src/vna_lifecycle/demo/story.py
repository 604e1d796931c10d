"""The demo as a story: each step is the library call behind a command, and is explained before it runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from vna_lifecycle.demo import gate, judging, moving
from vna_lifecycle.demo.defects import DEFECTS
from vna_lifecycle.demo.ending import Facts, gather, next_commands, sentences
from vna_lifecycle.demo.extract import write_extract
from vna_lifecycle.demo.legacy import build_legacy_archive
from vna_lifecycle.demo.scene import Audience, Scene
from vna_lifecycle.demo.settings import MARK, NAME, PROGRAM_TOML, RADIOLOGIST
from vna_lifecycle.errors import StateError
from vna_lifecycle.ledger import generate_key, public_key_text
from vna_lifecycle.model.counting import counted
from vna_lifecycle.program import Program

UNEXPECTED: Final = 1
_TOLD: Final = "told.txt"
_CHAPTERS: Final[dict[str, Callable[[Scene], None]]] = {
    "check": moving.check,
    "inventory": moving.inventory,
    "plan": moving.plan,
    "transfer": moving.transfer,
    "judge": judging.judge,
    "leave-out": judging.leave_out,
    "settle-pilot": judging.settle_pilot,
    "settle-rest": judging.settle_rest,
    "refused": gate.refused,
    "allowed": gate.allowed,
    "behind-our-back": gate.behind_our_back,
}


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
    _scene: Scene | None = field(default=None, init=False)
    _facts: Facts | None = field(default=None, init=False)
    _cancelled: bool = field(default=False, init=False)

    def cancel(self) -> None:
        """Ask the step at hand to stop; the next telling goes on from there."""
        self._cancelled = True
        if self._scene is not None:
            self._scene.cancel()

    def tell(self, audience: Audience) -> None:
        """Run the whole line. ``exit_code`` says how it ended: 0 when it ran as designed.

        Raises:
            StateError: the folder holds something else.
            VnaLifecycleError: a step failed; the next telling goes on from there.
        """
        self._prepare(audience)
        scene = self._scene = Scene(folder=self.folder, audience=audience, cancelled=self._cancelled)
        told = self.folder / _TOLD
        done = told.read_text(encoding="utf-8").split() if told.exists() else []
        for name, chapter in _CHAPTERS.items():
            if name in done or scene.cancelled:
                continue
            chapter(scene)
            if not scene.cancelled:
                with told.open("a", encoding="utf-8") as lines:
                    lines.write(f"{name}\n")
        for last in (gate.verify, self._end):
            if not scene.cancelled:
                last(scene)
        self.exit_code = scene.exit_code

    def to_dict(self) -> dict[str, Any]:
        """How it ended, as ``demo --json`` prints it."""
        facts = self._facts
        return {
            "folder": str(self.folder),
            "complete": facts is not None,
            "status": facts.status.to_dict() if facts else None,
            "gate": [list(asked) for asked in facts.gate] if facts else [],
            "story": sentences(facts) if facts else [],
            "next": next_commands(self.folder, self.command) if facts else [],
            "report": str(self.folder / "reports" / "index.html") if facts else "",
        }

    def _prepare(self, audience: Audience) -> None:
        config, old = self.folder / "program.toml", self.folder / "old"
        begun = config.exists() and config.read_text(encoding="utf-8", errors="replace").startswith(MARK)
        if not begun and self.folder.exists() and any(self.folder.iterdir()):
            raise StateError("the folder holds something else than the demo", hint="Name a new or an empty folder")
        scene = Scene(folder=self.folder, audience=audience)
        public = self.folder / "keys" / f"{RADIOLOGIST}.pub"
        if begun and old.exists() and public.exists():
            audience.say("The demo is there already: nothing that is done is done again.")
            audience.command(f"rm -r {shlex.quote(str(self.folder))}", "To start over, delete its folder:")
            return
        audience.chapter(
            "An old archive, and a program to move it",
            "The archive is made of real DICOM files (those that pydicom ships): imported discs, two volumes with "
            "copies of copies, odd and damaged files, paperwork. A third volume came from a clinic, with the defects "
            f"that real archives have: {', '.join(DEFECTS)}. Its database says of one study that its header is stale. "
            "A program is a folder: settings, a record that can only grow (ledger), what was found (catalog), and "
            "evidence (vault).",
            f"vna-lifecycle init {shlex.quote(str(self.folder))}",
        )
        (self.folder / "new").mkdir(parents=True, exist_ok=True)
        config.write_text(PROGRAM_TOML, encoding="utf-8")
        if not old.exists():
            build_legacy_archive(old)
        files = sum(1 for path in old.rglob("*") if path.is_file())
        audience.say(f"the old archive: {counted(files, 'file')} in {old.name}")
        write_extract(self.folder / "old-database.csv", old)
        if not (self.folder / "ledger.db").exists():
            Program.init(self.folder, name=NAME)
        private = shlex.quote(str(scene.private_key))
        audience.command(f"vna-lifecycle sign --new-key {private}", "a radiologist makes her pair of keys")
        scene.private_key.parent.mkdir(exist_ok=True)
        scene.private_key.unlink(missing_ok=True)
        partial = public.with_suffix(".partial")
        partial.write_text(f"{public_key_text(generate_key(scene.private_key))}\n", encoding="utf-8")
        partial.replace(public)
        audience.say(f"the program: {', '.join(sorted(path.name for path in self.folder.iterdir()))}")

    def _end(self, scene: Scene) -> None:
        audience = scene.audience
        audience.chapter(
            "Where the program stands",
            "Imported and ready are not the same: imported studies are proved to be there; only acceptance makes "
            "a wave ready for care.",
            scene.command("status"),
        )
        with scene.program() as program:
            facts = self._facts = gather(program)
            report = program.report()
        audience.status(facts.status)
        if facts.unexpected:
            scene.exit_code = scene.exit_code or UNEXPECTED
        audience.chapter("What happened, in plain words", "")
        for sentence in sentences(facts):
            audience.say(sentence if sentence.startswith(" ") else f"- {sentence}")
        audience.chapter("Try next", "")
        for command, what in next_commands(self.folder, self.command):
            audience.command(command, what)
        audience.chapter("The report", "Which wave may be used, which may not, and why; for anybody:")
        audience.command(str(report.page), "one page that needs no network")
