"""The chapters in which people decide: acceptance, exclusions, waivers, choices, signatures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from vna_lifecycle.demo.defects import STALE
from vna_lifecycle.demo.scene import Scene
from vna_lifecycle.demo.settings import ENGINEER, RADIOLOGIST, exclude
from vna_lifecycle.engine.decide import HeldContent
from vna_lifecycle.model.counting import counted
from vna_lifecycle.program import Program

PILOT: Final = "pilot"
REST: Final = "rest"
STALE_REASON: Final = "belongs to another patient by now: the clinic sends it anew, ticket 31"
_EXCLUDED: Final = {
    # kind of finding: why its studies do not move
    "missing-patient-id": "no patient ID, and nobody knows whose it is: stays in the old archive, ticket 32",
    "patient-id-for-several-people": "one patient ID for two people: stays until the register has told them apart",
    "series-in-several-studies": "a series in two studies: stays until the department has corrected it, ticket 34",
}
_WAIVED: Final = {
    # kind of finding: why it may be as it is
    "missing-issuer": "IDs without an issuer are the hospital's own: looked up in its register, ticket 35",
    "one-person-under-several-issuers": "the register links both IDs of this patient, and the viewer asks it",
}


def judge(scene: Scene) -> None:
    """Everything is imported that can be, and nothing is ready."""
    scene.audience.chapter(
        "Accept: imported, and not ready",
        "To be imported is not to be fit for care. Eleven checks look at every study, at the wave as a whole, and at "
        "a sample as readers are served it. The pilot was copied to the last image, and it is not ready: it says why.",
        scene.command("accept"),
    )
    with scene.program() as program:
        for wave in program.waves():
            _accept(scene, program, wave)
        if scene.cancelled:
            return
        scene.did("report --output reports/1-imported-not-ready", "the report of this moment")
        scene.audience.say(str(program.report(scene.folder / "reports" / "1-imported-not-ready").page))


def leave_out(scene: Scene) -> None:
    """What must not be at the target is taken back, and what cannot be mended is excluded."""
    scene.audience.chapter(
        "Leave out what must not move",
        "A study whose header names the wrong patient must not be at the target: it is taken back and excluded. Some "
        "held studies cannot be mended here: they stay in the old archive, each with the reason.",
    )
    with scene.program() as program:
        found = [(line.kind, program.evidence(line).study) for line in program.findings(REST)]
        if any(line.kind == "truth-patient-differs" for line in program.findings(PILOT)):
            verb = f"withdraw {PILOT} --study {STALE.study_uid} --by {ENGINEER} --reason {shlex.quote(STALE_REASON)}"
            scene.did(verb, "take the study back: only our own copy, and only while the source still has it")
            with scene.audience.watching() as tell:
                taken = program.withdraw(PILOT, study=STALE.study_uid, by=ENGINEER, reason=STALE_REASON, progress=tell)
            scene.audience.say(str(taken))
    if scene.cancelled:
        return
    _exclude(scene, STALE_REASON, [STALE.study_uid])
    for kind, reason in _EXCLUDED.items():
        if studies := sorted({study.study_uid for word, study in found if word == kind and study is not None}):
            _exclude(scene, reason, studies)
    with scene.program() as program:
        scene.did("plan", "what is excluded leaves its wave")
        program.plan()


def settle_pilot(scene: Scene) -> None:
    """One finding waived, one signature."""
    scene.audience.chapter(
        "The pilot becomes ready",
        "Of one study the database counts one image more than there is: a radiologist knows why, and stands for it "
        "with her key. What was waived, by whom and why stays visible for good.",
    )
    with scene.program() as program:
        _waive(scene, program, PILOT, "truth-counts-differ", "the third image was a test exposure, deleted in 2014")
        _accept_and_sign(scene, program, PILOT)


def settle_rest(scene: Scene) -> None:
    """Held studies are released, contents are chosen, and the wave is judged anew."""
    scene.audience.chapter(
        "The rest becomes ready",
        "For the other held studies somebody stands: they are released and move. Where the old archive has several "
        "contents under one UID, no program can know which one is true: a person chooses.",
    )
    with scene.program() as program:
        for kind, reason in _WAIVED.items():
            _waive(scene, program, REST, kind, reason)
        _transfer(scene, program)
        _choose(scene, program)
        _transfer(scene, program)
        _accept_and_sign(scene, program, REST)


def _accept(scene: Scene, program: Program, wave: str) -> bool:
    if scene.cancelled:
        return False
    with scene.audience.watching() as tell:
        readiness = program.accept(wave, progress=tell)
    if not scene.cancelled:
        scene.say(f"{wave}: {readiness}")
    return not scene.cancelled


def _accept_and_sign(scene: Scene, program: Program, wave: str) -> None:
    if scene.cancelled or program.readiness(wave).ready:
        return
    scene.did(f"accept {wave}", "examine the wave anew, with a fresh sample")
    if not _accept(scene, program, wave):
        return
    scene.did(f"sign {wave} --by {RADIOLOGIST} --key {shlex.quote(scene.key)}", "approve of what acceptance found")
    program.sign(wave, by=RADIOLOGIST, key=scene.key)
    ready = "is ready" if program.readiness(wave).ready else "is not ready"
    scene.audience.say(f"signed off by {RADIOLOGIST}; wave {wave} {ready}")


def _waive(scene: Scene, program: Program, wave: str, kind: str, reason: str) -> None:
    if scene.cancelled or any(item.finding == kind and item.wave == wave for item in program.waivers()):
        return
    of_wave = f"{wave} " if wave else ""
    verb = f"waive {of_wave}--finding {kind} --by {RADIOLOGIST} --reason {shlex.quote(reason)}"
    scene.did(f"{verb} --key {shlex.quote(scene.key)}", "stand for what cannot be mended")
    given = program.waive(kind, wave=wave, by=RADIOLOGIST, reason=reason, key=scene.key)
    scene.audience.say(f"waiver {given.waiver} covers {counted(given.findings, 'finding')}")


def _exclude(scene: Scene, reason: str, studies: Sequence[str]) -> None:
    exclude(scene.folder, reason, studies)
    scene.audience.say(f"program.toml: [[exclusions]] {counted(len(studies), 'study')}: {reason}")


def _transfer(scene: Scene, program: Program) -> None:
    if scene.cancelled:
        return
    scene.did(f"transfer {REST}", "move what was released or decided")
    with scene.audience.watching() as tell:
        scene.audience.say(str(program.transfer(REST, progress=tell)))


def _choose(scene: Scene, program: Program) -> None:
    if scene.cancelled:
        return
    first: dict[str, HeldContent] = {}
    for item in sorted(program.held(REST), key=lambda item: item.locator):
        first.setdefault(item.sop_instance_uid, item)
    reason = "the older file, by its place in the archive; compared by eye"
    for number, (uid, item) in enumerate(first.items()):
        if number == 0:
            verb = f"remediate {REST} --choose {uid}={item.content[:12]} --by {ENGINEER} --reason {shlex.quote(reason)}"
            scene.did(verb, "say which content is the true one; and so on for each UID")
        program.choose(uid, item.content, by=ENGINEER, reason=reason)
    scene.audience.say(f"decided for {counted(len(first), 'SOP Instance UID')}")


def waive_losses(scene: Scene, program: Program) -> None:
    """Files that were refused: somebody has looked at them."""
    _waive(
        scene, program, "", "objects-refused", "looked at one by one: test files, and discs that were never readable"
    )
