"""How the demo ended: facts from the program, and plain sentences from the facts."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.demo.gate import put_right
from vna_lifecycle.engine.status import Status
from vna_lifecycle.model.counting import counted
from vna_lifecycle.program import Program

REFUSALS: Final[Mapping[str, str]] = {
    "not-dicom": "are no DICOM at all (text, a compressed file)",
    "truncated": "are cut off: the file says that it goes on",
    "media-directory": "are DICOMDIRs: they list images and are none",
    "incomplete-object": "lack what such an object cannot do without (UIDs, pixels)",
}


@frozen(kw_only=True)
class Facts:
    """What the ending is told from.

    ``refused`` counts files by the code of their refusal; ``edited`` are the waves in which an object at the target
    differs from what was accepted; ``gate`` is what the gate said, with the number of its reasons, in order.
    """

    status: Status
    refused: Mapping[str, int]
    waived: int
    edited: tuple[str, ...]
    gate: tuple[tuple[bool, int], ...]

    @property
    def studies(self) -> int:
        """Studies in waves."""
        return sum(wave.studies for wave in self.status.waves)

    @property
    def imported(self) -> int:
        """Studies transferred."""
        return sum(wave.imported for wave in self.status.waves)

    @property
    def unexpected(self) -> bool:
        """Whether the story did not run as designed, for which somebody may also have changed its folder."""
        said = [answer for answer, _ in self.gate]
        return self.imported < self.studies or said[:3] != [False, True, False]


def gather(program: Program) -> Facts:
    """Ask the program."""
    return Facts(
        status=program.status(),
        refused=Counter(item.code for _, item in program.refused()),
        waived=sum(item.open for item in program.waivers()),
        edited=tuple(sorted({line.wave for line in program.findings() if line.kind == "changed-at-target"})),
        gate=tuple((line.allowed, line.reasons) for line in program.catalog.decisions.cutovers()),
    )


def sentences(facts: Facts) -> list[str]:
    """What was transferred, refused, excluded and decided; lines that begin with spaces go into detail."""
    told = [_transferred(facts)]
    if facts.refused:
        total = counted(sum(facts.refused.values()), "file")
        told.append(f"{total} refused: they are no DICOM objects that can be trusted. They stay in the old archive.")
        told += [f"    {count:>2} {REFUSALS.get(code, code)}" for code, count in sorted(facts.refused.items())]
    told += [f"{counted(count, 'study')} excluded: {reason}." for reason, count in facts.status.excluded]
    if facts.waived:
        told.append(
            f"{counted(facts.waived, 'finding')} waived: a radiologist stands for them, with her key and a reason."
        )
    if facts.gate:
        answers = ", then ".join("allowed" if said else f"refused ({counted(n, 'reason')})" for said, n in facts.gate)
        told.append(f"Cutover was {answers}.")
    told += [
        f"In wave {wave} an object of the new archive is not as it was accepted: somebody edited it."
        for wave in facts.edited
    ]
    for wave in facts.status.waves:
        told.append(
            f"Wave {wave.name} may be used for care." if wave.ready else f"Wave {wave.name} may not be used for care."
        )
    return told


def next_commands(folder: Path, command: str) -> list[tuple[str, str]]:
    """Commands to try, each with what it does. ``command`` is how the command line is called here."""
    return [
        (f"cd {shlex.quote(str(folder))}", "everything below acts on the program in this folder"),
        (f"{command} findings", "everything that is open, object by object, and what to do"),
        (f"{command} waivers", "who stands for what, and whether that holds today"),
        *put_right(folder, command),
        (f"{command} ledger show", "the record, event by event; no patient data is in it"),
        (f"{command} compare old new", "an independent comparison of the two archives"),
        (f"{command} --help", "all commands"),
    ]


def _transferred(facts: Facts) -> str:
    return (
        f"{facts.imported} of {counted(facts.studies, 'study')} transferred: each of their instances was read "
        "back from the new archive and has the same bytes as in the old one."
    )
