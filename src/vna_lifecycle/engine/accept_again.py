"""Looking again, outside of an acceptance: at the sources, or at the target just before a gate."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vna_lifecycle.engine.accept_members import of_the_wave
from vna_lifecycle.engine.examining import Call, Examiner, PreparedCheck, Scope
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.model.event import Event, FindingSettled
from vna_lifecycle.model.finding import Origin
from vna_lifecycle.ports import Cancellation, WaveCase


@frozen(kw_only=True)
class LookedAgain:
    """What looking again showed: findings that are ``new``, that are ``still`` so, and that are ``settled``.

    ``not_assessed`` are checks that gave no result: what they found before stays open.
    """

    wave: str
    new: int
    still: int
    settled: int
    not_assessed: tuple[str, ...]


def look_again(
    journal: Journal, case: WaveCase, checks: Sequence[PreparedCheck], *, check_seconds: float, cancelled: Cancellation
) -> LookedAgain:
    """Run wave checks on a case again: what they find goes on record, and what they find no more is settled.

    The case is a wave's, or the program's own.
    """
    wave, start = case.wave, journal.ledger.size()
    mine = {check.name for check in checks if check.scope is Scope.WAVE}
    known = {
        line.evidence_ref: line
        for line in journal.catalog.findings(wave)
        if line.check in mine and line.origin != Origin.HOLD.value
    }
    examiner, found = Examiner(check_seconds, cancelled), set[str]()
    assessed, failed = set[str](), set[str]()
    new = 0
    for check in checks:
        if check.name not in mine:
            continue
        for said in examiner.examine([Call(check=check, case=case)]):
            answer = of_the_wave(journal, wave, said)
            events: list[tuple[str, Event]] = []
            for finding in answer.findings:
                key, event = journal.finding(finding, wave=wave, under=f"again/{wave}/{start}")
                if event.evidence_ref not in known and event.evidence_ref not in found:
                    events.append((key, event))
                found.add(event.evidence_ref)
            journal.record(events)
            new += len(events)
            if answer.ended:
                (assessed if answer.assessed else failed).add(answer.check)
    assessed -= failed
    gone = [line for ref, line in known.items() if ref not in found and line.check in assessed]
    settled: list[tuple[str, Event]] = [
        (
            f"settled/{wave}/{start}/{line.sequence}",
            FindingSettled(
                finding=line.kind,
                study=line.study,
                wave=wave,
                evidence_ref=line.evidence_ref,
                reason=f"{line.check} looked again and does not find it any more",
            ),
        )
        for line in gone
    ]
    journal.record(settled)
    return LookedAgain(
        wave=wave,
        new=new,
        still=len(found & known.keys()),
        settled=len(settled),
        not_assessed=tuple(sorted(mine - assessed)),
    )
