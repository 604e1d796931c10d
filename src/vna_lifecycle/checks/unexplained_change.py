"""What somebody else did at the target since it was accepted."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.settings import UnexplainedChangeSettings
from vna_lifecycle.model.counting import told_of
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.ports import WaveCase

ABOUT: Final = About(
    check="unexplained-change",
    proves="Every object of every transferred study is at the target as it was read back when the transfer was "
    "proved, and the study has got no other objects since.",
    cannot='It sees the moment at which it looks. With `depth = "listing"` an object that was edited in place, and '
    "has kept its size and its series, is not seen. Changes to the target's own database that its objects do not show "
    "are seen by *fidelity*, in the sample.",
    kinds=(
        Kind(
            word="changed-at-target",
            severity=Severity.BLOCKER,
            means="Objects at the target are not as they were accepted, and no change record says why.",
            remedy="Find out who changed them, and why. Nothing is overwritten: replace them through a rejection note, "
            "or withdraw the study",
        ),
        Kind(
            word="vanished-from-target",
            severity=Severity.BLOCKER,
            means="Objects that were accepted are not at the target any more.",
            remedy="Find out who removed them, and why; then transfer the study again",
        ),
        Kind(
            word="unreadable-at-target",
            severity=Severity.BLOCKER,
            means="The target lists objects that were accepted, and does not serve them.",
            remedy="Look at the target's own errors, then accept the wave again",
        ),
        Kind(
            word="added-at-target",
            severity=Severity.WARNING,
            means="The target has objects in a study that were not there when it was accepted.",
            remedy="Find out who stored them: another program, a modality, or somebody by mistake",
        ),
    ),
)

_KINDS: Final = {
    "changed": ("changed-at-target", "were changed at the target after they were accepted"),
    "vanished": ("vanished-from-target", "are not at the target any more"),
    "unreadable": ("unreadable-at-target", "are listed by the target and not served"),
    "added": ("added-at-target", "are at the target and were not when the study was accepted"),
}


@frozen
class UnexplainedChange:
    """See `ABOUT`."""

    settings: UnexplainedChangeSettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Findings study by study."""
        for (study, what), items in groupby(
            case.target_differences(self.settings.depth), key=lambda item: (item.study, item.what)
        ):
            word, told = _KINDS[what]
            uids = [item.sop_instance_uid for item in items]
            yield ABOUT.finding(word, told_of(len(uids), "object", f"of this study {told}"), study=study, subjects=uids)
