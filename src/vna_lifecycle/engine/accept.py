"""Accepting a wave: every check looks at what it is for, what it finds goes on record, and a verdict follows.

The sample is drawn and on record before anything is looked at. An acceptance that was cut off goes on with the same
sample, and records nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor

from attrs import asdict, define, evolve, field, frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.engine.accept_attempt import Sample, open_attempt
from vna_lifecycle.engine.accept_cases import study_cases, transferred
from vna_lifecycle.engine.accept_findings import Findings
from vna_lifecycle.engine.accept_members import of_the_wave
from vna_lifecycle.engine.accept_result import Acceptance, CheckLine
from vna_lifecycle.engine.accept_sample import Bringing
from vna_lifecycle.engine.accept_served import Served
from vna_lifecycle.engine.examining import Answer, Call, Examiner, PreparedCheck, Scope
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.event import WaveExamined
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.policy.acceptance import AcceptancePolicy, Examination, WaveVerdict, wave_verdict
from vna_lifecycle.policy.sampling import Seen
from vna_lifecycle.ports import Cancellation, StudyCase, WaveCase

CHECK = "sample"


@frozen(kw_only=True)
class AcceptanceTerms:
    """How waves are accepted. ``strata`` is none, modality or year; ``required`` names the checks that must tell.

    ``check_seconds`` is what a check may take for a study; ``readers`` are asked for every sampled study.
    """

    policy: AcceptancePolicy
    strata: str
    required: frozenset[str]
    check_seconds: float
    target: str
    readers: tuple[str, ...]
    workers: int

    @property
    def sha256(self) -> str:
        """SHA-256 of what decides on a wave, as canonical JSON: not how fast that is found out."""
        facts = {
            **asdict(self.policy),
            "strata": self.strata,
            "required": sorted(self.required),
            "readers": self.readers,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@define
class _Tally:
    studies: int = 0
    seconds: float = 0.0
    failures: int = 0
    ended: bool = False


@define(kw_only=True)
class Accept:
    """Acceptance of one wave. ``case`` shows it to checks; ``waived`` says which findings, by address, are waived."""

    journal: Journal
    bench: Workbench
    executor: Callable[[], Executor]
    cancelled: Cancellation
    checks: tuple[PreparedCheck, ...]
    terms: AcceptanceTerms
    case: WaveCase
    waived: Callable[[str], bool]
    seconds: Callable[[], float]
    sleep: Callable[[float], object]
    tell: Tell = silent
    _tallies: dict[str, _Tally] = field(factory=dict, init=False)
    _begun: float = field(default=0.0, init=False)

    def run(self, *, seed: str, census: bool = False) -> Acceptance:
        """Accept the wave; ``seed`` (hexadecimal) draws the sample, unless an attempt is taken up. See `open_attempt`.

        Raises:
            StateError: the wave cannot be accepted now.
            ArchiveError, StorageError: acceptance had to stop; the same call takes it up.
        """
        self._begun = self.seconds()
        terms, wave = self.terms, self.case.wave
        sample = open_attempt(
            self.journal,
            self.case,
            terms.policy,
            strata=terms.strata,
            policy_sha256=terms.sha256,
            seed=seed,
            census=census,
        )
        findings = Findings(self.journal, wave, sample.key, waived=self.waived, sampled=sample.chosen)
        if sample.resumed:
            findings.take_up(sample.sequence)
        examiner = Examiner(terms.check_seconds, self.cancelled)
        self._tallies = {check.name: _Tally() for check in self.checks}
        self._look_at_studies(sample, examiner, findings)
        self._look_at_wave(examiner, findings)
        seen = self._look_at_sample(sample, examiner, findings)
        findings.flush()
        if self.cancelled.is_set():
            return self._result(sample, findings, examiner, None)
        verdict = self._verdict(sample, findings, examiner, seen)
        result = self._result(sample, findings, examiner, verdict)
        self.journal.record([self._examined(sample, result, verdict)])
        return result

    # ------------------------------------------------------------------------------------------------ looking

    def _look_at_studies(self, sample: Sample, examiner: Examiner, findings: Findings) -> None:
        checks = [check for check in self.checks if check.scope is Scope.STUDY]
        done, total = 0, sample.design.population
        for page in transferred(self.journal, sample.wave) if checks else ():
            if self.cancelled.is_set():
                return
            calls = [Call(check=check, case=case) for case in self._cases(page, findings) for check in checks]
            for answer in examiner.examine(calls):
                self._take(answer, findings)
            done += len(page)
            self._tell(sample, "every study", done, total)
        findings.flush()

    def _cases(self, page: list[StudyWork], findings: Findings) -> Iterator[StudyCase]:
        for case in study_cases(self.journal, page):
            if isinstance(case, StudyCase):
                yield case
            else:
                findings.add([_erased()])

    def _look_at_wave(self, examiner: Examiner, findings: Findings) -> None:
        for check in self.checks:
            if check.scope is Scope.WAVE and not self.cancelled.is_set():
                for answer in examiner.examine([Call(check=check, case=self.case)]):
                    self._take(of_the_wave(self.journal, self.case.wave, answer), findings)
        findings.flush()

    def _look_at_sample(self, sample: Sample, examiner: Examiner, findings: Findings) -> Mapping[str, int]:
        """How many studies of each stratum were looked at."""
        checks = [check for check in self.checks if check.scope is Scope.SAMPLE]
        if not checks:
            return Counter(sample.chosen.values())
        seen: Counter[str] = Counter()
        bringing = Bringing(
            journal=self.journal,
            bench=self.bench,
            executor=self.executor,
            sleep=self.sleep,
            cancelled=self.cancelled,
            target=self.terms.target,
            readers=self.terms.readers,
            workers=self.terms.workers,
        )
        for work, served in bringing.studies(self._drawn(sample)):
            for case in self._cases([work], findings):
                shown = evolve(case, originals=served.originals, retrieved=served.retrieved)
                findings.add(_not_served(work.ref, served))
                for answer in examiner.examine([Call(check=check, case=shown) for check in checks]):
                    self._take(answer, findings)
            seen[sample.chosen[work.label]] += 1
            self._tell(sample, "the sample", seen.total(), sample.design.size)
        findings.flush()
        return seen

    def _drawn(self, sample: Sample) -> Iterator[StudyWork]:
        for label in sorted(sample.chosen):
            work = self.journal.catalog.work_on(label)
            if work is not None:
                yield work

    def _take(self, answer: Answer, findings: Findings) -> None:
        tally = self._tallies[answer.check]
        tally.seconds += answer.seconds
        if answer.ended:
            tally.ended = True
            tally.studies += answer.study is not None
            tally.failures += not answer.assessed
        findings.add(answer.findings)

    # ------------------------------------------------------------------------------------------------ judging

    def _not_assessed(self, examiner: Examiner) -> dict[str, str]:
        """Why a check gave no result, or not for everything, by its name."""
        missing = {}
        for check in self.checks:
            tally = self._tallies[check.name]
            if check.name in examiner.given_up:
                missing[check.name] = examiner.given_up[check.name]
            elif tally.failures:
                missing[check.name] = f"it failed {counted(tally.failures, 'time')}"
        return missing

    def _verdict(self, sample: Sample, findings: Findings, examiner: Examiner, seen: Mapping[str, int]) -> WaveVerdict:
        defective = Counter(sample.chosen[label] for label in findings.defective)
        found = findings.counted()
        blockers: Counter[str] = Counter()
        for kind in found:
            if kind.severity == Severity.BLOCKER.value:
                blockers[kind.kind] += kind.open
        examination = Examination(
            number=sample.number,
            design=sample.design,
            seen=tuple(
                Seen(
                    stratum=share.stratum,
                    population=share.population,
                    examined=seen.get(share.stratum, 0),
                    defective=defective[share.stratum],
                )
                for share in sample.design.shares
            ),
            blockers=tuple((kind, count) for kind, count in sorted(blockers.items()) if count),
            warnings=sum(kind.open for kind in found if kind.severity == Severity.WARNING.value),
            not_assessed=tuple(sorted(self.terms.required & self._not_assessed(examiner).keys())),
        )
        return wave_verdict(examination, self.terms.policy, sample.earlier)

    def _result(
        self, sample: Sample, findings: Findings, examiner: Examiner, verdict: WaveVerdict | None
    ) -> Acceptance:
        missing = self._not_assessed(examiner)
        lines = []
        for check in self.checks:
            tally, found = self._tallies[check.name], findings.of(check.name)
            lines.append(
                CheckLine(
                    name=check.name,
                    provider=check.provider,
                    scope=check.scope.value,
                    required=check.name in self.terms.required,
                    studies=sample.design.population if check.scope is Scope.WAVE and tally.ended else tally.studies,
                    blockers=found.get(Severity.BLOCKER.value, 0),
                    warnings=found.get(Severity.WARNING.value, 0),
                    notes=found.get(Severity.NOTE.value, 0),
                    seconds=round(tally.seconds, 3),
                    not_assessed=missing.get(check.name, ""),
                )
            )
        return Acceptance(
            wave=sample.wave,
            attempt=sample.number,
            outcome=verdict.outcome.value if verdict else "cancelled",
            seed=sample.seed,
            seconds=round(self.seconds() - self._begun, 3),
            verdict=verdict,
            checks=tuple(lines),
            findings=findings.counted(),
        )

    def _examined(self, sample: Sample, result: Acceptance, verdict: WaveVerdict) -> tuple[str, WaveExamined]:
        event = WaveExamined(
            wave=sample.wave,
            attempt=sample.number,
            outcome=result.outcome,
            sampled=verdict.examined,
            defective=verdict.defective,
            blockers=sum(count for _, count in verdict.blockers),
            warnings=verdict.warnings,
            checks=tuple((line.name, line.provider) for line in result.checks),
            not_assessed=verdict.not_assessed,
            result_ref=self.journal.keep_facts(result.to_dict()),
        )
        return f"{sample.key}/examined", event

    def _tell(self, sample: Sample, note: str, done: int, total: int) -> None:
        self.tell(
            Progress(
                activity="accept",
                subject=sample.wave,
                done=done,
                total=total,
                unit="studies",
                seconds=self.seconds() - self._begun,
                note=note,
            )
        )


def _erased() -> Finding:
    return Finding(
        kind="evidence-erased",
        severity=Severity.BLOCKER,
        message="the manifests of a study were erased on purpose: no check can look at it",
        check=CHECK,
        remedy="Exclude the study from the wave, or move it again",
    )


def _not_served(study: StudyRef, served: Served) -> Iterator[Finding]:
    if served.failures:
        yield Finding(
            kind="original-not-served",
            severity=Severity.WARNING,
            message=f"the source did not serve {counted(len(served.failures), 'object')} again: only digests compared",
            check=CHECK,
            study=study,
            subjects=tuple(failure.record.sop_instance_uid for failure in served.failures),
            details=tuple((failure.record.sop_instance_uid, failure.code) for failure in served.failures),
            remedy="See whether the source still has them: once it is gone, nobody can look at them again",
        )
