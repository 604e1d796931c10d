"""What an acceptance finds goes on record: in batches, each finding once, however often the attempt is cut off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from attrs import evolve, frozen

from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import EvidenceErased
from vna_lifecycle.model.event import FindingRecorded
from vna_lifecycle.model.finding import Finding, Severity

AT_ONCE: Final = 2_000


@frozen(kw_only=True)
class FoundKind:
    """How often one check found one kind of thing. ``waived`` of them are covered by a waiver that holds.

    ``message`` and ``remedy`` are those of the first one.
    """

    check: str
    kind: str
    severity: str
    count: int
    waived: int
    message: str
    remedy: str

    @property
    def open(self) -> int:
        """Those that no waiver covers."""
        return self.count - self.waived


class Findings:
    """The findings of one attempt. ``waived`` says of a finding's address whether a waiver covers it.

    ``sampled`` are the labels of the drawn studies: `defective` tells which of them have a blocker that is not waived.
    """

    def __init__(
        self, journal: Journal, wave: str, key: str, *, waived: Callable[[str], bool], sampled: Collection[str]
    ) -> None:
        self.defective: set[str] = set()
        self._journal = journal
        self._wave = wave
        self._key = key
        self._waived = waived
        self._sampled = sampled
        self._seen: set[bytes] = set()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._covered: Counter[tuple[str, str, str]] = Counter()
        self._first: dict[tuple[str, str, str], str] = {}
        self._waiting: list[Finding] = []

    def take_up(self, sequence: int) -> None:
        """Count what the attempt, drawn at ``sequence``, had found before it was cut off."""
        for recorded in self._journal.ledger.read(sequence):
            if isinstance(recorded.event, FindingRecorded) and recorded.key.startswith(f"{self._key}/"):
                self._count(recorded.event)

    def add(self, findings: Iterable[Finding]) -> None:
        """Put findings on record, soon; one that is there already is not recorded again."""
        self._waiting += findings
        if len(self._waiting) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Put on record what waits for it, and count it."""
        self._journal.record([(key, event) for key, event in self._kept() if self._count(event)])
        self._waiting.clear()

    def _kept(self) -> list[tuple[str, FindingRecorded]]:
        """The events, their evidence kept; what is about a study whose evidence was erased loses what identifies it."""
        try:
            return self._journal.findings(self._waiting, wave=self._wave, under=self._key)
        except EvidenceErased:
            return [self._journal.finding(self._bare(each), wave=self._wave, under=self._key) for each in self._waiting]

    def _bare(self, finding: Finding) -> Finding:
        try:
            self._journal.finding(finding, wave=self._wave, under=self._key)
        except EvidenceErased:
            return evolve(finding, study=None, subjects=(), details=())
        return finding

    def counted(self) -> tuple[FoundKind, ...]:
        """Everything found, by check and kind, worst first."""
        order = {severity.value: place for place, severity in enumerate(Severity)}
        found = []
        for each in sorted(self._counts, key=lambda each: (order[each[2]], each)):
            check, kind, severity = each
            first = self._journal.read_finding(self._first[each])
            found.append(
                FoundKind(
                    check=check,
                    kind=kind,
                    severity=severity,
                    count=self._counts[each],
                    waived=self._covered[each],
                    message=first.message,
                    remedy=first.remedy,
                )
            )
        return tuple(found)

    def of(self, check: str) -> Mapping[str, int]:
        """How many findings of each severity a check has made."""
        found: Counter[str] = Counter()
        for (name, _, severity), count in self._counts.items():
            if name == check:
                found[severity] += count
        return found

    def _count(self, event: FindingRecorded) -> bool:
        """Whether it is new."""
        address = bytes.fromhex(event.evidence_ref)
        if address in self._seen:
            return False
        self._seen.add(address)
        each = (event.check, event.finding, event.severity)
        covered = self._waived(event.evidence_ref)
        self._counts[each] += 1
        self._covered[each] += covered
        self._first.setdefault(each, event.evidence_ref)
        if event.severity == Severity.BLOCKER.value and event.study in self._sampled and not covered:
            self.defective.add(event.study)
        return True
