"""Whether everything that the source has of a study is at the target: sets of SOP Instance UIDs, with their basis."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.checks.about import About, Kind
from vna_lifecycle.checks.settings import CompletenessSettings
from vna_lifecycle.model.counting import counted, told_of
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.inventory import Basis
from vna_lifecycle.ports import StudyCase

ABOUT: Final = About(
    check="completeness",
    proves="The SOP Instance UIDs that the source lists of a study, those that were fetched and those that were read "
    "back from the target are the same set, and as many as the source claims to have.",
    cannot="What the source neither lists nor counts is not missed. Where a source lists no instances, what was "
    "fetched stands in for the list, and counts only if a second retrieval gave the same. It looks at transferred "
    "studies: one that the source knows and has no object of is told by *readability*.",
    kinds=(
        Kind(
            word="instances-not-in-hand",
            severity=Severity.BLOCKER,
            means="The source lists objects that were not fetched, or that several contents hold back.",
            remedy="See the findings of the transfer; then transfer the wave again with --retry",
        ),
        Kind(
            word="instances-dropped",
            severity=Severity.BLOCKER,
            means="Fewer instances should be at the target than were fetched.",
            remedy="Look at the rules of this program: none may take away an instance",
        ),
        Kind(
            word="not-read-back",
            severity=Severity.BLOCKER,
            means="The target was never read back for this study.",
            remedy="Transfer the wave",
        ),
        Kind(
            word="instances-missing",
            severity=Severity.BLOCKER,
            means="Instances that should be at the target were not read back from it.",
            remedy="Transfer the wave again with --retry; if it stays so, the target loses what it acknowledges",
        ),
        Kind(
            word="fewer-instances-than-claimed",
            severity=Severity.BLOCKER,
            means="The source claims more instances than it lists and served.",
            remedy="Compare with the source's database: look for lost media, hidden objects, or a stale count",
        ),
        Kind(
            word="more-instances-than-claimed",
            severity=Severity.WARNING,
            means="The source served more instances than it claims: its counts are stale, or its queries are capped.",
            remedy="Compare with the source's database, and note how this archive counts",
        ),
        Kind(
            word="completeness-indeterminate",
            severity=Severity.BLOCKER,
            means="The source lists no instances, so that only one retrieval says what the study consists of.",
            remedy="Withdraw the study and transfer it again: once a second retrieval gives the same instances, this "
            "is settled. Or waive it, with the reason",
        ),
    ),
)


@frozen
class Completeness:
    """See `ABOUT`."""

    settings: CompletenessSettings

    def examine(self, case: StudyCase) -> Iterable[Finding]:
        """Findings along the study's way: at the source, fetched, expected, read back."""
        listed = {record.sop_instance_uid for record in case.records}
        fetched = {entry.sop_instance_uid for entry in case.source.entries}
        expected = {entry.sop_instance_uid for entry in case.expected.entries}
        yield from _lacking(case, "instances-not-in-hand", listed - fetched, "listed by the source were not fetched")
        if len(expected) < len(fetched):
            dropped = fetched - expected
            yield from _lacking(case, "instances-dropped", dropped, "that were fetched are not to be at the target")
        if case.target is None:
            yield ABOUT.finding("not-read-back", "the target was not read back for this study", study=case.study)
        else:
            found = {entry.sop_instance_uid for entry in case.target.entries}
            yield from _lacking(case, "instances-missing", expected - found, "were not read back from the target")
        yield from _counts(case, len(listed | fetched))
        if case.basis is not Basis.INSTANCES and case.retrievals < 2:
            yield ABOUT.finding(
                "completeness-indeterminate",
                f"the source lists no instances of this study (basis: {case.basis.value}), and only one retrieval says "
                "what it consists of",
                study=case.study,
                details=[("basis", case.basis.value), ("retrievals", str(case.retrievals))],
            )


def _lacking(case: StudyCase, word: str, uids: Collection[str], told: str) -> Iterator[Finding]:
    if uids:
        yield ABOUT.finding(word, told_of(len(uids), "instance", told), study=case.study, subjects=sorted(uids))


def _counts(case: StudyCase, held: int) -> Iterator[Finding]:
    if case.claimed is None or case.claimed == held:
        return
    word = "fewer-instances-than-claimed" if held < case.claimed else "more-instances-than-claimed"
    message = f"the source claims {counted(case.claimed, 'instance')}, and has {held}"
    details = [("claimed", str(case.claimed)), ("held", str(held)), ("basis", case.basis.value)]
    yield ABOUT.finding(word, message, study=case.study, details=details)
