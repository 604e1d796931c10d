"""Gathering what the report shows from an open program, and writing it. Reads only: no lease, no effect.

Long lists are streamed into their tables; what the page shows of them is kept on the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from vna_lifecycle._version import __version__
from vna_lifecycle.catalog.values import FindingLine, StudyWork
from vna_lifecycle.engine.gate import sign_off_void, waiver_void
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import EvidenceErased, StorageError
from vna_lifecycle.ledger.store import timestamp
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.program.beginning import SERVICE
from vna_lifecycle.program.report_facts import (
    Decided,
    count_picture,
    gate_report,
    sign_off_on_record,
    source_report,
    waiver_on_record,
    wave_report,
    why_not_there,
)
from vna_lifecycle.program.terms import gate_terms
from vna_lifecycle.reporting import tables
from vna_lifecycle.reporting.facts import (
    Excluded,
    Facts,
    FindingRow,
    LedgerHead,
    SignOffOnRecord,
    StudyPath,
    WaveReport,
)
from vna_lifecycle.reporting.files import replacing
from vna_lifecycle.reporting.history import History
from vna_lifecycle.reporting.html import render
from vna_lifecycle.reporting.tallies import FindingTally, PictureTally, StudyTally

if TYPE_CHECKING:
    from vna_lifecycle.program.program import Program

PAGE: Final = 1_000
_NEEDS_SOMEBODY: Final = frozenset(
    {
        MigrationState.HELD,
        MigrationState.FAILED,
        MigrationState.INCOMPLETE,
        MigrationState.REMEDYING,
        MigrationState.WITHDRAWING,
        MigrationState.WITHDRAWN,
    }
)


@frozen(kw_only=True)
class Report:
    """A report that was written: its ``folder``, the page to open, and all files. ``facts`` are what it shows."""

    folder: Path
    page: Path
    files: tuple[Path, ...]
    facts: Facts


def write_report(program: Program, folder: Path) -> Report:
    """Write ``index.html``, ``report.json`` and the tables into ``folder``, each whole or not at all, the page last."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it names studies
    except OSError as exc:
        raise StorageError(f"the report's folder cannot be made ({exc.strerror})", path=folder) from exc
    names = ("waves.csv", "studies.csv", "findings.csv", "report.json", "index.html")
    waves, studies, findings, facts_file, page = (folder / name for name in names)
    gathering = _Gathering(program)
    tables.write_table(studies, tables.STUDIES, tables.study_rows(gathering.studies()))
    tables.write_table(findings, tables.FINDINGS, tables.finding_rows(gathering.findings()))
    facts = gathering.facts()
    tables.write_table(waves, tables.WAVES, tables.wave_rows(facts))
    with replacing(facts_file) as file:
        json.dump(facts.to_dict(), file, indent=1)
        file.write("\n")
    with replacing(page) as file:
        file.writelines(render(facts))
    return Report(folder=folder, page=page, files=(page, facts_file, waves, studies, findings), facts=facts)


class _Gathering:
    """One look at a program. The streams come first: what the page shows of them is known when they have passed."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._status = program.status()
        self._journal = Journal(program.ledger, program.catalog, program.vault, actor=SERVICE)
        self._catalog = program.catalog
        self._decisions = program.catalog.decisions
        self._head = program.ledger.head()
        self._history = History(program.ledger.read(0, self._head.size))
        self._studies = StudyTally()
        self._findings = FindingTally()
        self._terms = gate_terms(program)
        lines = self._decisions.waivers()
        self._void = {line.waiver: waiver_void(self._journal, self._terms, line) for line in lines}
        self._holding = frozenset(waiver for waiver, void in self._void.items() if not void)
        self._decided = Decided(
            decisions=self._decisions,
            waivers=tuple(waiver_on_record(line, self._void[line.waiver]) for line in lines),
            people=tuple((person.name, person.role) for person in program.config.people),
        )

    # ------------------------------------------------------------------------------------------------ streams

    def studies(self) -> Iterator[StudyPath]:
        """Every study that any inventory or plan knows."""
        return self._studies.passing(self._every_study())

    def _every_study(self) -> Iterator[tuple[bool, StudyPath]]:
        waves = [wave.name for wave in self._status.waves]
        for wave in waves:
            for states in (_NEEDS_SOMEBODY, set(MigrationState) - _NEEDS_SOMEBODY):
                for work in self._work(wave, states):
                    yield states is _NEEDS_SOMEBODY, self._path(work, why_not_there(work))
        reasons = self._excluded_for()
        for work in self._work("", {MigrationState.EXCLUDED}):
            yield False, self._path(work, f"excluded: {reasons.get(work.label, 'for a reason of an older plan')}")
        for label, uid in self._catalog.unplanned():
            why = "in no wave and not excluded"
            yield True, StudyPath(study_uid=uid, study=label, wave="", state=MigrationState.DISCOVERED.value, why=why)

    def _work(self, wave: str, states: Iterable[MigrationState]) -> Iterator[StudyWork]:
        after, wanted = "", frozenset(states)
        while page := self._catalog.work(wave, wanted, after, PAGE):
            yield from page
            after = page[-1].label

    def _path(self, work: StudyWork, why: str) -> StudyPath:
        steps = self._history.steps(work.label, work.wave, work.plan)
        return StudyPath(
            study_uid=work.study_uid, study=work.label, wave=work.wave, state=work.state.value, why=why, steps=steps
        )

    def _excluded_for(self) -> Mapping[str, str]:
        """The reason by study: of the latest plan that excluded it."""
        return {
            label: exclusion.reason
            for exclusion in self._history.exclusions
            for label, _ in self._journal.members(exclusion.members_ref)
        }

    def findings(self) -> Iterator[FindingRow]:
        """Every finding on record, with its evidence."""
        return self._findings.passing(map(self._row, self._catalog.findings(None, settled=True)))

    def _row(self, line: FindingLine) -> FindingRow:
        message, remedy, uid = "the evidence was erased on purpose", "", ""
        objects: tuple[str, ...] = ()
        with suppress(EvidenceErased):
            told = self._journal.read_finding(line.evidence_ref)
            message, remedy, objects = told.message, told.remedy, told.subjects
            uid = told.study.study_uid if told.study else ""
        return FindingRow(
            number=line.sequence,
            severity=line.severity,
            kind=line.kind,
            check=line.check,
            wave=line.wave,
            study_uid=uid,
            study=line.study,
            standing=self._standing(line),
            message=message,
            remedy=remedy,
            objects=objects,
        )

    def _standing(self, line: FindingLine) -> str:
        if line.settled is not None:
            return "settled"
        waived = self._decisions.is_waived(line.wave, line.evidence_ref, self._holding)
        return "waived" if waived else "open"

    # ------------------------------------------------------------------------------------------------ facts

    def facts(self) -> Facts:
        """What the page shows, after the streams have passed."""
        status, program, decisions = self._status, self._program, self._decisions
        kinds = self._findings.shown()
        waves = tuple(wave_report(line, self._decided, kinds, self._journal.facts) for line in status.waves)
        pictures = PictureTally()
        for summary in self._catalog.studies():
            count_picture(pictures, summary)
        return Facts(
            program=status.program,
            time=timestamp(program.clock()),
            software=f"vna_lifecycle {__version__}",
            target=program.config.migration.target,
            gate=gate_report(status, self._decided, kinds),
            ledger=LedgerHead(
                size=self._head.size,
                root=self._head.root,
                origin=self._head.origin,
                checkpoint=self._head.note,
                public_key=self._head.public_key,
            ),
            waves=waves,
            sources=tuple(
                source_report(line, program.config.source(line.archive), decisions, self._journal.facts)
                for line in status.sources
            ),
            unplanned=status.unplanned,
            pictures=pictures.shown(),
            burn_up=self._history.burn_up({wave.name: wave.studies for wave in waves if wave.ready}),
            findings=kinds,
            studies=self._studies.shown(),
            studies_total=self._studies.total,
            excluded=tuple(Excluded(reason=reason, studies=count) for reason, count in status.excluded),
            waivers=self._decided.waivers,
            sign_offs=tuple(self._sign_offs(waves)),
        )

    def _sign_offs(self, waves: Iterable[WaveReport]) -> Iterator[SignOffOnRecord]:
        for wave in waves:
            latest = wave.attempts[-1].number if wave.attempts else 0
            for line in self._decisions.sign_offs(wave.name):
                yield sign_off_on_record(line, sign_off_void(self._journal, self._terms, line), latest)
