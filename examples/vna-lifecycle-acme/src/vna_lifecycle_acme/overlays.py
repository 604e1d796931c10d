"""The vendor keeps overlays as presentation states, and some targets drop those without a word."""

from collections.abc import Iterator

from vna_lifecycle.authoring import Finding, Severity
from vna_lifecycle.ports import StudyCase
from vna_lifecycle_acme.settings import OverlaySettings

GRAYSCALE_SOFTCOPY_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"  # PS3.4 B.5


class OverlayCheck:
    """Every presentation state that the source has must be at the target."""

    def __init__(self, settings: OverlaySettings) -> None:
        self._severity = Severity.BLOCKER if settings.blocks else Severity.WARNING

    def examine(self, case: StudyCase) -> Iterator[Finding]:
        """One finding for all presentation states of the study that are missing."""
        if case.target is None:
            return
        arrived = {entry.sop_instance_uid for entry in case.target.entries}
        lost = [
            entry.sop_instance_uid
            for entry in case.source.entries
            if entry.sop_class_uid == GRAYSCALE_SOFTCOPY_PRESENTATION_STATE and entry.sop_instance_uid not in arrived
        ]
        if lost:
            yield Finding(
                kind="acme-overlay-lost",
                severity=self._severity,
                message=f"{len(lost)} presentation states of {case.study} are not at the target",
                check="acme-overlays",
                study=case.study,
                subjects=tuple(lost),
                remedy="transfer the study again, with presentation states enabled at the target",
            )
