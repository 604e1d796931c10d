"""One SOP Instance UID, one content: for ever, and in every archive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind, few
from vna_lifecycle.checks.settings import CollisionsSettings
from vna_lifecycle.model.counting import counted, told_of
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.ports import ConflictClass, WaveCase

_DECIDE: Final = "Decide which content is the true one: vna-lifecycle remediate"

ABOUT: Final = About(
    check="collisions",
    proves="The sources list no SOP Instance UID of the wave with contents that differ in their headers, their "
    "encoding or their size, and what was fetched of each is one content; no two images of a study have the same "
    "pixels.",
    cannot="Before the transfer it knows only what the sources list: contents of equal size and equal patient, study "
    "and series attributes are told apart when they are fetched. Equal pixels can be two blank images: somebody must "
    "look.",
    kinds=(
        Kind(
            word="one-uid-several-contents",
            severity=Severity.BLOCKER,
            means="Different images or documents have the same SOP Instance UID.",
            remedy=_DECIDE,
        ),
        Kind(
            word="one-uid-several-demographics",
            severity=Severity.BLOCKER,
            means="The same image is there with different patient data under the same SOP Instance UID.",
            remedy=_DECIDE,
        ),
        Kind(
            word="one-uid-several-encodings",
            severity=Severity.WARNING,
            means="The same image is there in different encodings under the same SOP Instance UID.",
            remedy="The first source's is taken where each source has one. Else decide: vna-lifecycle remediate",
        ),
        Kind(
            word="one-uid-not-compared",
            severity=Severity.BLOCKER,
            means="Objects that are listed differently have the same SOP Instance UID, and could not all be fetched.",
            remedy="Look why the source does not serve them, then accept the wave again",
        ),
        Kind(
            word="one-content-several-uids",
            severity=Severity.WARNING,
            means="Images of one study have the same pixels under different SOP Instance UIDs: perhaps one image that "
            "was given a new UID at each retrieval.",
            remedy="Look at them. If they are one image, take one of them out of use at the source",
        ),
    ),
)

_WORDS: Final = {
    ConflictClass.CONTENT: "one-uid-several-contents",
    ConflictClass.DEMOGRAPHICS: "one-uid-several-demographics",
    ConflictClass.ENCODING: "one-uid-several-encodings",
    None: "one-uid-not-compared",
}


@frozen
class Collisions:
    """See `ABOUT`."""

    settings: CollisionsSettings

    def examine(self, case: WaveCase) -> Iterable[Finding]:
        """Findings of UIDs first, then of contents."""
        for collision in case.collisions():
            count = len(collision.studies) + len(collision.elsewhere)
            across = f" of {counted(count, 'study')}" if count > 1 else ""
            message = f"a SOP Instance UID has several contents, in {counted(len(collision.copies), 'object')}{across}"
            for study in collision.studies:
                yield ABOUT.finding(
                    _WORDS[collision.conflict],
                    message,
                    study=study,
                    subjects=[collision.sop_instance_uid],
                    details=few(collision.copies),
                )
        for shared in case.shared_contents():
            yield ABOUT.finding(
                "one-content-several-uids",
                told_of(len(shared.sop_instance_uids), "image", "of this study have the same pixels"),
                study=shared.study,
                subjects=shared.sop_instance_uids,
            )
