"""Before a wave moves: checks that can look at listings already, and the studies that they hold back.

What a blocker says of a study must be decided, or be gone, before anything of it is stored: once it is at the target,
taking it back is work. The rest of the wave moves meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from attrs import define, field, frozen

from vna_lifecycle.catalog import Catalog, FindingLine
from vna_lifecycle.engine.accept_members import of_the_wave
from vna_lifecycle.engine.examining import Answer, Call, Examiner, PreparedCheck
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.model.event import Event, FindingRecorded, StudyHeld, StudyReleased
from vna_lifecycle.model.finding import Finding, Origin, Severity
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState
from vna_lifecycle.ports import Cancellation, WaveCase

_PAGE = 500


@frozen(kw_only=True)
class Holding:
    """What looking at a wave before its transfer came to. ``new`` and ``released`` count studies."""

    new: int
    released: int


def held_for(catalog: Catalog, wave: str) -> tuple[tuple[str, int], ...]:
    """Why studies of a wave are held back: the kinds of findings, each with its number of studies."""
    kinds: Counter[str] = Counter()
    after = ""
    while page := catalog.work(wave, (MigrationState.HELD,), after=after, limit=_PAGE):
        after = page[-1].label
        kinds.update(work.code for work in page)
    return tuple(sorted(kinds.items()))


def what_holds(catalog: Catalog) -> dict[str, list[FindingLine]]:
    """The open findings of every study that is held back, by its label: the one that holds it comes first."""
    lines: dict[str, list[FindingLine]] = {}
    for line in catalog.findings():
        if line.study:
            lines.setdefault(line.study, []).append(line)
    return {
        label: sorted(found, key=lambda line: line.origin != Origin.HOLD.value)
        for label, found in lines.items()
        if any(line.origin == Origin.HOLD.value for line in found)
    }


def hold_again(journal: Journal, held: Mapping[str, Sequence[FindingLine]], plan: int) -> None:
    """Hold back in their new places what was held before a plan: it moves nothing out of the way that stood there.

    ``held`` is what `what_holds` said before the plan numbered ``plan`` went on record. A study that got no place in a
    wave is let go with its findings.
    """
    labels = sorted(held)
    for first in range(0, len(labels), _PAGE):
        events: list[tuple[str, Event]] = []
        for label in labels[first : first + _PAGE]:
            work = journal.catalog.work_on(label)
            if work is None or work.state is not MigrationState.PLANNED:
                continue
            for line in held[label]:
                found = FindingRecorded(
                    finding=line.kind,
                    severity=line.severity,
                    check=line.check,
                    study=label,
                    wave=work.wave,
                    subjects=line.subjects,
                    evidence_ref=line.evidence_ref,
                )
                events.append((f"hold/plan-{plan}/{line.evidence_ref}", found))
            holding = held[label][0]
            event = StudyHeld(study=label, wave=work.wave, finding=holding.kind, evidence_ref=holding.evidence_ref)
            events.append((f"hold/plan-{plan}/{label}", event))
        journal.record(events)


@define(kw_only=True)
class HoldBack:
    """Looks at one wave. ``waived`` says which findings, by address, a waiver covers: these hold nothing back."""

    journal: Journal
    case: WaveCase
    checks: Sequence[PreparedCheck]
    waived: Callable[[str], bool]
    check_seconds: float
    cancelled: Cancellation
    tell: Tell = silent
    _start: int = field(default=0, init=False)
    _open: dict[str, FindingLine] = field(factory=dict, init=False)
    _blocked: dict[str, dict[str, str]] = field(factory=dict, init=False)
    _excused: set[str] = field(factory=set, init=False)
    _holding: dict[str, str] = field(factory=dict, init=False)
    _new: int = field(default=0, init=False)

    def run(self) -> Holding:
        """Hold back what must not move yet, and release what may move now."""
        wave, checks = self.case.wave, [check for check in self.checks if check.before_transfer]
        status = self.journal.catalog.wave_status(wave)
        if not checks and not status.count(MigrationState.HELD):
            return Holding(new=0, released=0)
        self._start = self.journal.ledger.size()
        self._open = {line.evidence_ref: line for line in self.journal.catalog.findings(wave)}
        self._holding = {
            line.study: line.evidence_ref for line in self._open.values() if line.origin == Origin.HOLD.value
        }
        examiner = Examiner(self.check_seconds, self.cancelled)
        unsure = set[str]()
        for number, check in enumerate(checks):
            self.tell(
                Progress(
                    activity="look at", subject=wave, done=number, total=len(checks), unit="checks", note=check.name
                )
            )
            for said in examiner.examine([Call(check=check, case=self.case)]):
                answer = of_the_wave(self.journal, wave, said)
                self._take(answer)
                if answer.ended and not answer.assessed:
                    unsure.add(answer.check)
        if self.cancelled.is_set():
            return Holding(new=self._new, released=0)
        return Holding(new=self._new, released=self._release(unsure))

    def _take(self, answer: Answer) -> None:
        """Record blockers, and hold their studies back, in one append."""
        told = [finding for finding in answer.findings if finding.severity is Severity.BLOCKER]
        events: list[tuple[str, Event]] = []
        for finding in told:
            events += self._blocker(finding)
        self.journal.record(events)

    def _blocker(self, finding: Finding) -> Iterator[tuple[str, Event]]:
        wave = self.case.wave
        key, event = self.journal.finding(finding, wave=wave, under=f"hold/{wave}/{self._start}")
        address = event.evidence_ref
        label = event.study
        if not label:
            if address not in self._open:
                yield key, event  # about the wave: nobody is held, acceptance will come to it
            return
        if self.waived(address):
            self._excused.add(label)
            return
        work = self.journal.catalog.work_on(label)
        if work is None or (work.state, StudyHeld.kind) not in TRANSITIONS:
            return  # it has moved: acceptance will come to it
        if address not in self._open:
            yield key, event
        first = label not in self._blocked
        self._blocked.setdefault(label, {})[address] = finding.kind
        if first and work.state is not MigrationState.HELD:
            self._new += 1
            self._holding[label] = address
            yield self._held(label, address, finding.kind)

    def _held(self, label: str, address: str, kind: str) -> tuple[str, StudyHeld]:
        event = StudyHeld(study=label, wave=self.case.wave, finding=kind, evidence_ref=address)
        return f"hold/{self.case.wave}/{self._start}/{label}/{address}", event

    def _release(self, unsure: Collection[str]) -> int:
        """Let go what nothing blocks any more. A check that gave no result lets nothing go that it holds."""
        catalog, wave, after, count = self.journal.catalog, self.case.wave, "", 0
        while page := catalog.work(wave, (MigrationState.HELD,), after=after, limit=_PAGE):
            after = page[-1].label
            events: list[tuple[str, Event]] = []
            for work in page:
                holding = self._holding.get(work.label, "")
                line, blocked = self._open.get(holding), self._blocked.get(work.label, {})
                if holding in blocked or (line is not None and line.check in unsure):
                    continue
                if blocked:  # by something else now
                    events.append(self._held(work.label, *min(blocked.items())))
                    continue
                reason = "waived" if work.label in self._excused else "no longer found"
                released = StudyReleased(study=work.label, wave=wave, reason=reason)
                events.append((f"release/{wave}/{self._start}/{work.label}", released))
                count += 1
            self.journal.record(events)
        return count
