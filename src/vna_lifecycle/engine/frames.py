"""Single frames of sampled studies, held against their originals: another way into the target than the read-back."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from attrs import field, frozen

from vna_lifecycle.engine.accept_cases import transferred
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.progress import Progress, Tell
from vna_lifecycle.engine.sources import fetch_again
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import Event
from vna_lifecycle.model.finding import Finding, Origin, Severity
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.policy.sampling import draw
from vna_lifecycle.ports import FrameLook, LooksAtFrames


@frozen(kw_only=True)
class FramesSeen:
    """What looking at frames came to. ``undecided`` counts frames by why they could not be compared.

    ``equal`` counts frames by what the answer rests on, ``differing`` the studies with a frame that differs.
    """

    studies: int
    differing: int
    equal: dict[str, int] = field(factory=dict)
    undecided: dict[str, int] = field(factory=dict)

    def __str__(self) -> str:
        parts = [f"{counted(self.studies, 'study')} looked at, {self.differing} with frames that differ"]
        parts += [f"{counted(count, 'frame')} equal ({basis})" for basis, count in sorted(self.equal.items())]
        parts += [f"{counted(count, 'frame')} not decided ({why})" for why, count in sorted(self.undecided.items())]
        return "; ".join(parts)


def look_at_frames(journal: Journal, bench: Workbench, wave: str, target: str, sample: int, tell: Tell) -> FramesSeen:
    """Look at ``sample`` of a wave's transferred studies (0: all); what differs goes on record as a finding.

    A study whose originals the source has no more is left out.

    Raises:
        StateError: the target serves no single frames.
        ArchiveError: an archive cannot be read.
    """
    frames = bench.archive(target).frames
    if frames is None:
        raise StateError(f"{target} serves no single frames", hint="What was read back is compared whole as it is")
    labels = {work.label: work.ref for page in transferred(journal, wave) for work in page}
    seed = hashlib.sha256(f"{wave}\n{journal.ledger.size()}".encode()).hexdigest()
    chosen = draw(seed, labels, sample or len(labels))
    equal, undecided = Counter[str](), Counter[str]()
    studies = differing = 0
    for done, label in enumerate(chosen):
        if bench.cancelled.is_set():
            break
        tell(Progress(activity="look at frames", subject=wave, done=done, total=len(chosen), unit="studies"))
        looks = _looks(journal, bench, labels[label], target, frames)
        studies += bool(looks)
        equal.update(look.basis for look in looks if look.equal)
        undecided.update(look.basis for look in looks if look.equal is None)
        differs = [look for look in looks if look.equal is False]
        differing += bool(differs)
        journal.record(list(_told(journal, wave, labels[label], differs)))
    return FramesSeen(studies=studies, differing=differing, equal=dict(equal), undecided=dict(undecided))


def _looks(journal: Journal, bench: Workbench, study: StudyRef, target: str, frames: LooksAtFrames) -> list[FrameLook]:
    try:
        now = fetch_again(bench, journal.catalog, study, target)
        return list(frames.look_at_frames(study, [item.fetched for item in now.objects]))
    finally:
        bench.clear(study.label)


def _told(journal: Journal, wave: str, study: StudyRef, differs: list[FrameLook]) -> Iterator[tuple[str, Event]]:
    if not differs:
        return
    finding = Finding(
        kind="frame-differs",
        severity=Severity.BLOCKER,
        message=f"the target serves {counted(len(differs), 'frame')} of this study with other pixels than were moved",
        check=Origin.TRANSFER.value,  # settled by the study's next attempt, not by looking at something else
        study=study,
        subjects=sorted({look.sop_instance_uid for look in differs}),
        details=[(str(look.number), look.basis) for look in differs],
        remedy="Compare the frames by eye; withdraw the study and transfer it again if they are not the same",
    )
    yield journal.finding(finding, wave=wave)
