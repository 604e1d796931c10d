"""What follows from what a worker brought back: events and findings. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from attrs import evolve, frozen

from vna_lifecycle.engine.reconcile import Reconciliation
from vna_lifecycle.engine.tasks import FetchedStudy
from vna_lifecycle.model.counting import counted, told_of
from vna_lifecycle.model.encoding import EncodingClass, classes_counted
from vna_lifecycle.model.event import StudyFailed, StudyIncomplete, StudyTransferred
from vna_lifecycle.model.finding import LASTING, Finding, Severity
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.ports import ConflictClass, Outcome, Receipt, StoreFailure

CHECK = "transfer"
UNANSWERED = "unanswered"
_UNANSWERED_REMEDY = "See that the target knows where we listen for its reports, and whether its queue of them is stuck"
_NOT_COMMITTED_REMEDY = "Ask the target's administrator why; the source must not let go of these instances before"


def _not_stored_remedy(code: str, conflict: ConflictClass | None) -> str:
    if conflict is not None:
        return "Nothing was overwritten. Compare both objects, and settle which one is true"
    if code == "non-primary":
        return "See what disagrees with what readers are shown, then correct it: vna-lifecycle jobs remedy --dry-run"
    return (
        "Look for the target's own reason (of an import: vna-lifecycle jobs show --ask) and mend the object at the "
        "source, or the setting there; then transfer the wave again with --retry"
    )


@frozen(kw_only=True)
class Attempt:
    """One attempt at one study."""

    study: StudyRef
    wave: str
    number: int

    def key(self, step: str) -> str:
        """The idempotency key of a step of this attempt."""
        return f"transfer/{self.wave}/{self.study.label}/{self.number}/{step}"


@frozen(kw_only=True)
class StoreSummary:
    """The target's answers, counted; ``stored`` are those of which it says that it stored them now."""

    stored: frozenset[SOPInstanceUID]
    already_present: int
    failures: tuple[StoreFailure, ...]
    warned: tuple[Receipt, ...]


def repeats(answer: Receipt | StoreFailure) -> bool:
    """Whether these are warnings with which the target took, at an earlier time, what it has already."""
    return isinstance(answer, Receipt) and answer.outcome is Outcome.ALREADY_PRESENT and bool(answer.warnings)


def summarize(
    answers: Sequence[Receipt | StoreFailure], told: Container[tuple[SOPInstanceUID, str]] = ()
) -> StoreSummary:
    """Count the target's answers, without what is repeated of ``told``: instances with kinds of finding."""
    receipts = [_news(answer, told) for answer in answers if isinstance(answer, Receipt)]
    return StoreSummary(
        stored=frozenset(receipt.sop_instance_uid for receipt in receipts if receipt.outcome is Outcome.STORED),
        already_present=sum(receipt.outcome is Outcome.ALREADY_PRESENT for receipt in receipts),
        failures=tuple(answer for answer in answers if isinstance(answer, StoreFailure)),
        warned=tuple(receipt for receipt in receipts if receipt.warnings),
    )


def _news(receipt: Receipt, told: Container[tuple[SOPInstanceUID, str]]) -> Receipt:
    if not repeats(receipt):
        return receipt
    new = (code for code in receipt.warnings if (receipt.sop_instance_uid, warned_kind(code)) not in told)
    return evolve(receipt, warnings=tuple(new))


def fetch_findings(study: StudyRef, fetched: FetchedStudy) -> Iterator[Finding]:
    """Held and failed instances, each kind of trouble as one finding; also that no source lists anything."""
    if not (fetched.objects or fetched.held or fetched.failures):
        yield Finding(
            kind="not-listed",
            severity=Severity.BLOCKER,
            message="no source lists this study",
            check=CHECK,
            study=study,
            remedy="Take the inventory and plan again, then transfer the wave with --retry",
        )
    for conflict in ConflictClass:
        held = [item for item in fetched.held if item.conflict is conflict]
        if held:
            yield Finding(
                kind=f"several-contents-{conflict.value}",
                severity=Severity.BLOCKER,
                message=f"{len(held)} SOP Instance UIDs have several contents at the source ({conflict.value}); "
                "none of these was stored",
                check=CHECK,
                study=study,
                subjects=tuple(item.sop_instance_uid for item in held),
                details=tuple(
                    (item.sop_instance_uid, f"{digest} {archive}:{locator}")
                    for item in held
                    for digest, archive, locator in item.contents
                ),
                remedy="Decide which content is the true one: vna-lifecycle remediate",
            )
    for code in sorted({failure.code for failure in fetched.failures}):
        failed = [failure for failure in fetched.failures if failure.code == code]
        yield Finding(
            kind=f"not-fetched-{code}",
            severity=Severity.BLOCKER,
            message=f"{counted(len(failed), 'instance')} could not be fetched: {failed[0].message}",
            check=CHECK,
            study=study,
            subjects=tuple(failure.record.sop_instance_uid for failure in failed),
            details=tuple((failure.record.sop_instance_uid, failure.record.locator) for failure in failed),
            remedy="Look at these objects at the source, then transfer the wave again with --retry",
        )
    if fetched.spoilt:
        yield Finding(
            kind="copy-not-fetched",
            severity=Severity.WARNING,
            message=f"of {counted(len({f.record.sop_instance_uid for f in fetched.spoilt}), 'instance')} another copy "
            f"is at the source, which cannot be had: {fetched.spoilt[0].message}",
            check=CHECK,
            study=study,
            subjects=tuple(sorted({failure.record.sop_instance_uid for failure in fetched.spoilt})),
            details=tuple((f.record.sop_instance_uid, f"{f.code} {f.record.locator}") for f in fetched.spoilt),
            remedy="See whether the copy that was taken is the true one: nobody could compare the two",
        )


def warned_kind(code: str) -> str:
    """The kind of the finding about a warning of the target."""
    return f"{LASTING}{code.lower()}"


def store_findings(study: StudyRef, summary: StoreSummary) -> Iterator[Finding]:
    """Refused and warned instances, each kind as one finding."""
    for code in sorted({failure.code for failure in summary.failures if not failure.transient}):
        refused = [failure for failure in summary.failures if failure.code == code]
        conflict = refused[0].conflict
        what = f" ({conflict.value})" if conflict else ""
        yield Finding(
            kind=f"not-stored-{code}",
            severity=Severity.BLOCKER,
            message=f"the target did not take {counted(len(refused), 'instance')}{what}: {refused[0].message}",
            check=CHECK,
            study=study,
            subjects=tuple(failure.sop_instance_uid for failure in refused),
            remedy=_not_stored_remedy(code, conflict),
        )
    for code in sorted({warning for receipt in summary.warned for warning in receipt.warnings}):
        warned = [receipt for receipt in summary.warned if code in receipt.warnings]
        yield Finding(
            kind=warned_kind(code),
            severity=Severity.WARNING,
            message=f"the target took {counted(len(warned), 'instance')} with warning {code}",
            check=CHECK,
            study=study,
            subjects=tuple(receipt.sop_instance_uid for receipt in warned),
            remedy="A warning is not acceptance: see what the read-back found of these instances",
        )


def commitment_findings(study: StudyRef, answers: Sequence[Receipt | StoreFailure]) -> Iterator[Finding]:
    """Instances that the target did not take responsibility for, each reason as one finding."""
    refused = [answer for answer in answers if isinstance(answer, StoreFailure)]
    for code in sorted({failure.code for failure in refused}):
        failures = [failure for failure in refused if failure.code == code]
        yield Finding(
            kind=f"not-committed-{code}",
            severity=Severity.WARNING if code == UNANSWERED else Severity.BLOCKER,
            message=f"the target did not commit to the storage of {counted(len(failures), 'instance')}: "
            f"{failures[0].message}",
            check=CHECK,
            study=study,
            subjects=tuple(failure.sop_instance_uid for failure in failures),
            remedy=_UNANSWERED_REMEDY if code == UNANSWERED else _NOT_COMMITTED_REMEDY,
        )


def verify_findings(study: StudyRef, result: Reconciliation) -> Iterator[Finding]:
    """What reconciling the read-back with the expected manifest showed."""
    told = [
        ("missing-at-target", Severity.BLOCKER, result.missing, "are not at the target, whatever it said"),
        ("not-readable-at-target", Severity.BLOCKER, result.indeterminate, "are listed by the target and not served"),
        (
            "differs-at-target",
            Severity.BLOCKER,
            tuple(uid for uid in result.differ if uid not in {*result.below, *result.undecided}),
            "are not at the target what they are at the source",
        ),
        (
            "not-comparable-at-target",
            Severity.BLOCKER,
            result.undecided,
            "were re-encoded by the target without loss, and cannot be decoded here to compare them",
        ),
        ("extra-at-target", Severity.WARNING, result.extra, "of this study are at the target but not at the source"),
    ]
    for kind, severity, subjects, what in told:
        if subjects:
            yield Finding(
                kind=kind,
                severity=severity,
                message=told_of(len(subjects), "instance", what),
                check=CHECK,
                study=study,
                subjects=subjects,
                remedy=_REMEDIES[kind],
            )
    yield from _re_encoded(study, result)


def _re_encoded(study: StudyRef, result: Reconciliation) -> Iterator[Finding]:
    """What the target re-encoded, each difference by its class; what no class explains is told apart."""
    unexplained = [each for each in result.re_encoded if EncodingClass.UNEXPLAINED in each[1]]
    explained = [each for each in result.re_encoded if EncodingClass.UNEXPLAINED not in each[1]]
    for kind, severity, found in (
        ("re-encoded-at-target", Severity.NOTE, explained),
        ("re-encoded-unexplained", Severity.WARNING, unexplained),
    ):
        if not found:
            continue
        differing = classes_counted(classes for _, classes in found)
        told = told_of(len(found), "instance", "were re-encoded by the target, with the same header and pixels")
        below = bool(result.below)
        yield Finding(
            kind=kind,
            severity=Severity.BLOCKER if below else severity,
            message=f"{told}; what differs: {differing or 'not known'}",
            check=CHECK,
            study=study,
            subjects=tuple(uid for uid, _ in found),
            details=tuple((uid, ", ".join(each.value for each in classes) or "not known") for uid, classes in found),
            remedy=_REMEDIES["below" if below else kind],
        )


_REMEDIES = {
    "not-readable-at-target": "Transfer the wave again with --retry once the target serves what it lists",
    "missing-at-target": "Transfer the wave again with --retry; if it stays so, the target loses what it acknowledges",
    "below": 'If this archive is known to re-encode, set verify = "equivalent" and record why',
    "re-encoded-at-target": "Nothing is to be done if this archive is known to re-encode in this way",
    "re-encoded-unexplained": "Compare a file from the source with the target's, byte by byte: something changed that "
    "is neither attribute nor pixel nor known as encoding",
    "differs-at-target": "Do not overwrite. Compare both objects. A withdrawal takes back what was damaged on its way; "
    "then plan and transfer again. What others changed at the target it leaves: settle that with its operator",
    "not-comparable-at-target": "Install the extra 'pixels' and transfer the wave again with --retry; an object that "
    "no decoder reads must be compared by other means",
    "extra-at-target": "Find out who stored them; they may be another program's, or belong to another study",
}


@frozen(kw_only=True)
class Lacking:
    """How many instances of a study are lacking: held for a decision, not to be had, or not taken by the target."""

    held: int = 0
    failed: int = 0
    refused: int = 0


def verdict(
    attempt: Attempt,
    lacking: Lacking,
    result: Reconciliation,
    read_back_ref: str,
    size: int,
) -> tuple[str, StudyTransferred | StudyIncomplete]:
    """Transferred means: everything listed at the source was in hand, nothing is held, and all of it was read back."""
    if result.complete and result.rung is not None and not lacking.held and not lacking.failed:
        event = StudyTransferred(
            study=attempt.study.label,
            wave=attempt.wave,
            attempt=attempt.number,
            instances=len(result.match),
            size=size,
            rung=result.rung.name.lower(),
            read_back_ref=read_back_ref,
        )
        return attempt.key("transferred"), event
    return attempt.key("incomplete"), incomplete(attempt, lacking, result, read_back_ref)


def incomplete(
    attempt: Attempt, lacking: Lacking, result: Reconciliation | None, read_back_ref: str = ""
) -> StudyIncomplete:
    """The event that says what is lacking."""
    return StudyIncomplete(
        study=attempt.study.label,
        wave=attempt.wave,
        attempt=attempt.number,
        matched=len(result.match) if result else 0,
        missing=lacking.failed + (len(result.missing) if result else 0),
        differ=len(result.differ) if result else 0,
        extra=len(result.extra) if result else 0,
        held=lacking.held,
        refused=lacking.refused,
        read_back_ref=read_back_ref,
    )


def failed(attempt: Attempt, phase: str, code: str, *, transient: bool, retry_at: str) -> tuple[str, StudyFailed]:
    """The event for a phase that failed as a whole."""
    event = StudyFailed(
        study=attempt.study.label,
        wave=attempt.wave,
        attempt=attempt.number,
        phase=phase,
        code=code,
        transient=transient,
        retry_at=retry_at,
    )
    return attempt.key(f"failed-{phase}"), event
