"""How the demo ended: facts from the program, and plain sentences from the facts."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.engine.decide import HeldContent
from vna_lifecycle.engine.status import Status
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.program import Program

_DECIDER: Final = "you"
REFUSALS: Final[Mapping[str, str]] = {
    "not-dicom": "are no DICOM at all (text, a compressed file)",
    "truncated": "are cut off: the file says that it goes on",
    "media-directory": "are DICOMDIRs: they list images and are none",
    "incomplete-object": "lack what such an object cannot do without (UIDs, pixels)",
}


@frozen(kw_only=True)
class Facts:
    """What the ending is told from. ``refused`` counts files by the code of their refusal."""

    status: Status
    held: tuple[HeldContent, ...]
    refused: Mapping[str, int]

    @property
    def studies(self) -> int:
        """Studies in waves."""
        return sum(wave.studies for wave in self.status.waves)

    @property
    def imported(self) -> int:
        """Studies transferred."""
        return sum(wave.imported for wave in self.status.waves)

    @property
    def held_studies(self) -> int:
        """Studies in which a content waits for a decision."""
        return len({item.study for item in self.held})

    @property
    def withdrawn(self) -> int:
        """Studies that somebody withdrew after an earlier telling."""
        return sum(dict(wave.states).get(MigrationState.WITHDRAWN.value, 0) for wave in self.status.waves)

    @property
    def unexplained(self) -> int:
        """Studies that are not transferred although nothing is held of them: in the demo, a defect."""
        return max(self.studies - self.imported - self.held_studies - self.withdrawn, 0)


def gather(program: Program) -> Facts:
    """Ask the program."""
    refused = Counter(item.code for _, item in program.refused())
    return Facts(status=program.status(), held=tuple(program.held()), refused=refused)


def sentences(facts: Facts) -> list[str]:
    """What was transferred, held back, refused and excluded, and why; lines that begin with spaces go into detail."""
    told = [_transferred(facts)]
    if facts.held:
        told.append(_held(facts.held, facts.held_studies))
    if facts.withdrawn:
        told.append(f"{counted(facts.withdrawn, 'study')} withdrawn: plan again to move them again.")
    if facts.unexplained:
        told.append(f"{counted(facts.unexplained, 'study')} not transferred for another reason: see the findings.")
    if facts.refused:
        total = counted(sum(facts.refused.values()), "file")
        told.append(
            f"{total} refused: they are no DICOM objects that can be trusted. They stay in the old archive, and "
            "cutover waits until somebody has looked at them."
        )
        told += [f"    {count:>2} {REFUSALS.get(code, code)}" for code, count in sorted(facts.refused.items())]
    told += [
        f"{counted(count, 'study')} excluded by the settings: {reason}." for reason, count in facts.status.excluded
    ]
    told.append("No wave is ready: to be imported is not to be accepted for care, so cutover is not allowed.")
    return told


def counted(count: int, noun: str) -> str:
    """``1 study``, ``2 studies``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def _transferred(facts: Facts) -> str:
    return (
        f"{facts.imported} of {facts.studies} studies transferred: each of their instances was read back from the new "
        "archive and has the same bytes as in the old one."
    )


def _held(held: Sequence[HeldContent], studies: int) -> str:
    kinds = Counter({item.sop_instance_uid: item.conflict for item in held}.values())
    classes = ", ".join(f"{count} differ in {kind}" for kind, count in sorted(kinds.items()))
    return (
        f"{counted(studies, 'study')} incomplete: the old archive has {len(held)} different contents under "
        f"{kinds.total()} SOP Instance UIDs ({classes}). One name cannot stand for several images, and no "
        "program can know which is the true one: these are held back, the other images of the same studies were moved. "
        "A person decides."
    )


def next_commands(folder: Path, facts: Facts, command: str) -> list[tuple[str, str]]:
    """Commands to try, each with what it does. ``command`` is how the command line is called here."""
    commands = [
        (f"cd {shlex.quote(str(folder))}", "everything below acts on the program in this folder"),
        (f"{command} findings", "everything that was found, object by object, and what to do"),
        (f"{command} remediate", "the contents that wait for a decision"),
    ]
    if facts.held:
        item = facts.held[0]
        choice = f"{item.sop_instance_uid}={item.content[:12]}"
        commands += [
            (
                f"{command} remediate {item.wave} --choose {choice} --by {_DECIDER} --reason 'the original'",
                "decide for the first of them; the decision is put on record",
            ),
            (f"{command} transfer {item.wave}", "and move what you decided for"),
        ]
    return [
        *commands,
        (f"{command} ledger show", "the record, event by event; no patient data is in it"),
        (f"{command} compare old new", "an independent comparison of the two archives"),
        (f"{command} --help", "all commands"),
    ]
