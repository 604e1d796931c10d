"""The last chapters: the gate, and what happens behind our back."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

from vna_lifecycle.demo.defects import TWO_UIDS, made_uid
from vna_lifecycle.demo.judging import waive_losses
from vna_lifecycle.demo.scene import Scene
from vna_lifecycle.demo.settings import ENGINEER
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused, IntegrityError, StorageError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.program import Program

BACKUP: Final = "backup of the edited object.dcm"
_REASON: Final = "department meeting of May 4"
_PASSES: Final = 2


def refused(scene: Scene) -> None:
    """Ready waves are not enough."""
    scene.audience.chapter(
        "Cutover is refused",
        "Both waves are ready. May readers be switched to the new archive? The gate asks for more: that somebody "
        "stands for files that were refused, and that the old archive has come to rest.",
    )
    with scene.program() as program:
        _ask(scene, program)


def allowed(scene: Scene) -> None:
    """What was lacking is done."""
    scene.audience.chapter(
        "Cutover is allowed",
        "The old archive lives on while it is moved. Catch-up looks for what came or changed since, until twice in a "
        "row there is nothing. Somebody who has looked at the refused files stands for that loss. Then the gate opens.",
    )
    with scene.program() as program:
        waive_losses(scene, program)
        for _ in range(_PASSES):
            if scene.cancelled:
                return
            scene.did("catch-up", "what changed at the source since?")
            with scene.audience.watching() as tell:
                for result in program.catch_up(progress=tell):
                    scene.audience.say(str(result))
        _ask(scene, program)
        if scene.cancelled:
            return
        scene.did("report --output reports/2-cutover-allowed", "the report of this moment")
        scene.audience.say(str(program.report(scene.folder / "reports" / "2-cutover-allowed").page))


def behind_our_back(scene: Scene) -> None:
    """Somebody edits an object in the new archive, and the gate sees it."""
    scene.audience.chapter(
        "Behind our back",
        "Before anybody is switched over, somebody edits one image in the new archive, with a tool of his own. Nothing "
        "announces it. The gate compares every object with what was accepted, finds it, and closes again.",
    )
    edited = _edit(scene.folder)
    scene.audience.say(f"a patient's name was edited in {edited.relative_to(scene.folder)}")
    with scene.program() as program:
        _ask(scene, program)


def verify(scene: Scene) -> None:
    """The record."""
    scene.audience.chapter(
        "Verify the ledger",
        "Every step and every decision is on record, in a signed Merkle tree: a changed, lost or added event would be "
        "found. No patient data is in it.",
        scene.command("ledger verify --deep"),
    )
    with scene.program() as program:
        found = program.verify_ledger(deep=True)
    if not found.ok:
        scene.exit_code = IntegrityError.exit_code
        scene.audience.say(f"the ledger does not hold: {found.reason}")
    else:
        scene.audience.say(f"the ledger holds: {counted(found.size, 'event')}")


def put_right(folder: Path, command: str) -> list[tuple[str, str]]:
    """Commands by which people put the edited object right, with what each is for."""
    edited, rosa = _object(folder), "rosa"
    key = shlex.quote(f"file:{folder / 'desk of the radiologist' / rosa}")
    return [
        (f"cp {shlex.quote(str(folder / BACKUP))} {shlex.quote(str(edited))}", "the object as it was, from a backup"),
        (f"{command} accept rest", "examine the wave anew"),
        (f"{command} sign rest --by {rosa} --key {key}", "sign it anew"),
        (f"{command} cutover --by {ENGINEER} --reason 'after the repair'", "ask the gate again"),
    ]


def _ask(scene: Scene, program: Program) -> None:
    if scene.cancelled:
        return
    scene.did(f"cutover --by {ENGINEER} --reason {shlex.quote(_REASON)}", "may reading be switched?")
    scene.say(str(program.cutover(by=ENGINEER, reason=_REASON)))


def _object(folder: Path) -> Path:
    uid = made_uid(TWO_UIDS.key, 1)
    for path in sorted(path for path in (folder / "new").rglob("*") if path.is_file()):
        try:
            if scan_file(path, locator=path.name).sop_instance_uid == uid:
                return path
        except DicomRefused:
            continue
    raise StorageError("the demo's new archive has lost an object", hint="Delete the demo's folder, and start over")


def _edit(folder: Path) -> Path:
    """Edit the patient's name in place; once."""
    path, backup = _object(folder), folder / BACKUP
    if not backup.exists():
        partial = backup.with_suffix(".partial")
        shutil.copyfile(path, partial)
        partial.rename(backup)
    edited = path.with_suffix(".partial")
    edited.write_bytes(backup.read_bytes().replace(b"Costa^Joana", b"Costa^Diana"))
    edited.replace(path)
    return path
