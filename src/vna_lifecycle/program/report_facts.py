"""From what the program knows to what the report shows: waves, gate, people's decisions, sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from attrs import frozen

from vna_lifecycle.catalog.decisions import AttemptLine, Decisions, SignOffLine, WaiverLine
from vna_lifecycle.catalog.values import StudySummary, StudyWork
from vna_lifecycle.config import SourceConfig
from vna_lifecycle.engine.accept_result import acceptance_from
from vna_lifecycle.engine.status import SourceLine, Status, WaveLine
from vna_lifecycle.errors import EvidenceErased
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.policy import readiness as needs
from vna_lifecycle.policy.readiness import Standing
from vna_lifecycle.reporting.advice import advice, waiving
from vna_lifecycle.reporting.facts import (
    Attempt,
    FindingKind,
    Gate,
    GateDecision,
    Observed,
    Obstacle,
    Requirement,
    SignOffOnRecord,
    SourceReport,
    WaiverOnRecord,
    WaveReport,
)
from vna_lifecycle.reporting.plain import in_plain_words, without_repeats
from vna_lifecycle.reporting.tallies import PictureTally
from vna_lifecycle.reporting.words import day, sentence

IN_FORCE: Final = "in force"
ReadFacts: TypeAlias = Callable[[str], Any]
"""Gives what was kept as facts under a vault address."""

_MISSING: Final = (
    ("missing", "not at the target"),
    ("differ", "different at the target"),
    ("extra", "at the target that should not be there"),
    ("held", "held back"),
    ("refused", "refused"),
)


@frozen(kw_only=True)
class Decided:
    """What people decided, and who may: (name, role) of program.toml."""

    decisions: Decisions
    waivers: tuple[WaiverOnRecord, ...]
    people: tuple[tuple[str, str], ...]


def why_not_there(work: StudyWork) -> str:
    """Why a study stands where it stands, if that is no good place."""
    match work.state:
        case MigrationState.FAILED:
            return f"{work.phase or 'work'} failed: {work.code.replace('-', ' ')}"
        case MigrationState.INCOMPLETE:
            counts = ((getattr(work, name), what) for name, what in _MISSING)
            return ", ".join(f"{counted(count, 'instance')} {what}" for count, what in counts if count)
        case MigrationState.HELD:
            return work.code.replace("-", " ")
        case MigrationState.REMEDYING:
            return "objects are being corrected at the target, and are not all read back yet"
        case MigrationState.WITHDRAWING | MigrationState.WITHDRAWN:
            return "this program's copies were taken back from the target"
        case _:
            return ""


def wave_report(line: WaveLine, decided: Decided, kinds: Sequence[FindingKind], read: ReadFacts) -> WaveReport:
    """A wave of the status, with everything that it needs and its acceptances. ``kinds`` give words for findings."""
    return WaveReport(
        name=line.name,
        studies=line.studies,
        instances=line.instances,
        size=line.size,
        imported=line.imported,
        ready=line.ready,
        reasons=tuple(_reasons(line, kinds)),
        states=line.states,
        requirements=tuple(_requirement(each, line.name, decided, kinds) for each in line.requirements),
        attempts=tuple(_attempt(attempt, read) for attempt in decided.decisions.attempts(line.name)),
    )


def _reasons(line: WaveLine, kinds: Sequence[FindingKind]) -> list[str]:
    """Why the wave is not ready, each once: what holds studies back is no finding on top."""
    said = [in_plain_words(each.detail, kinds) for each in line.requirements if not each.standing.allows]
    held = {each.kind for each in said if each.held}
    return [each.sentence for each in said if each.held or each.kind not in held]


def _requirement(needed: needs.Requirement, wave: str, decided: Decided, kinds: Sequence[FindingKind]) -> Requirement:
    remedy, _ = advice(needed, decided.people, wave)
    notes = [
        f"Waived by {waiver.by}, {waiver.role}, until {day(waiver.expires) if waiver.expires else 'it is withdrawn'}: "
        f"{waiver.reason}"
        for waiver in decided.waivers
        if needed.standing is Standing.WAIVED
        and waiver.standing == IN_FORCE
        and waiver.wave == wave
        and f" {waiver.finding} " in needed.detail
    ]
    return Requirement(
        name=needed.name,
        standing=needed.standing,
        sentence=sentence(in_plain_words(needed.detail, kinds).sentence),
        note="; ".join(notes),
        remedy=remedy,
    )


def _attempt(line: AttemptLine, read: ReadFacts) -> Attempt:
    return Attempt(
        number=line.attempt,
        time=line.time,
        outcome=line.outcome,
        population=line.population,
        sampled=line.sampled if line.outcome else line.size,
        defective=line.defective,
        confidence=float(line.confidence),
        max_defect_rate=float(line.max_defect_rate),
        blockers=line.blockers,
        warnings=line.warnings,
        checks=line.checks,
        not_assessed=line.not_assessed,
        sentence=_said(line, read),
    )


def _said(line: AttemptLine, read: ReadFacts) -> str:
    if not line.outcome:
        return f"{counted(line.size, 'study')} of {line.population:,} drawn to be examined; no result yet."
    try:
        result = acceptance_from(read(line.result_ref))
    except EvidenceErased:
        result = None
    if result is None or result.verdict is None:
        return "Given up before it ended: another one has to be made."
    reasons = f": {'; '.join(result.verdict.reasons)}" if result.verdict.reasons else ""
    said = without_repeats(f"{line.outcome.capitalize()}{reasons}")
    if blockers := result.verdict.blockers:
        open_ = counted(sum(count for _, count in blockers), "finding")
        said += f"; {open_} of {counted(len(blockers), 'kind')} blocked it"
    outdated = "" if line.current else " Studies have moved since: it no longer counts."
    return f"{said}. {result.verdict.statement}{outdated}"


def gate_report(status: Status, decided: Decided, kinds: Sequence[FindingKind]) -> Gate:
    """Whether reading may be switched, what is in the way, and what was asked before.

    ``kinds`` give the words for findings: what a person reads first shall not need a glossary.
    """
    asked = [
        GateDecision(time=line.time, allowed=line.allowed, by=line.by, reason=line.reason, reasons=line.reasons)
        for line in decided.decisions.cutovers()
    ]
    obstacles = tuple(_obstacle(each, waves, decided, kinds) for each, waves in _in_the_way(status).items())
    return Gate(allowed=status.cutover.allowed, obstacles=obstacles, decisions=tuple(asked))


def _in_the_way(status: Status) -> dict[needs.Requirement, list[str]]:
    """What is not fulfilled, each once with all waves that lack it; what holds studies back is no finding on top."""
    blocked: dict[needs.Requirement, list[str]] = {}
    for wave in status.waves:
        lacking = [each for each in wave.requirements if not each.standing.allows]
        held = {said.kind for each in lacking if (said := in_plain_words(each.detail, ())).held}
        for each in lacking:
            if each.name != "findings" or in_plain_words(each.detail, ()).kind not in held:
                blocked.setdefault(each, []).append(wave.name)
    for each in status.cutover.requirements:  # those of waves are told already, one by one
        if each.detail in status.cutover.reasons and not (each.name == "waves" and status.waves):
            blocked[each] = []
    return blocked


def _obstacle(
    needed: needs.Requirement, waves: Sequence[str], decided: Decided, kinds: Sequence[FindingKind]
) -> Obstacle:
    wave = waves[0] if len(waves) == 1 else ""
    remedy, who = advice(needed, decided.people, wave)
    said = in_plain_words(needed.detail, kinds)
    for kind in kinds:
        if kind.kind == said.kind:
            remedy = kind.remedy or remedy
            remedy += (
                ""
                if said.held or "waive" in remedy
                else f"; or waive it: {waiving(kind.kind, waves[0] if waves else '')}"
            )
    return Obstacle(
        sentence=said.sentence if waves else sentence(said.sentence),
        waves=tuple(waves),
        remedy=remedy,
        who=who,
        kind=said.kind,
    )


def waiver_on_record(line: WaiverLine, void: str) -> WaiverOnRecord:
    """A waiver; ``void`` says why it does not hold, or nothing."""
    return WaiverOnRecord(
        wave=line.wave,
        finding=line.finding,
        findings=line.findings,
        by=line.by,
        role=line.role,
        reason=line.reason,
        given=line.time,
        expires=line.expires,
        standing=void or IN_FORCE,
        signed=bool(line.signature),
    )


def sign_off_on_record(line: SignOffLine, void: str, latest: int) -> SignOffOnRecord:
    """A sign-off of a wave whose latest acceptance has the number ``latest``; ``void`` as with waivers."""
    outdated = f"acceptance {latest} came after it" if line.attempt != latest else ""
    return SignOffOnRecord(
        wave=line.wave,
        attempt=line.attempt,
        by=line.by,
        role=line.role,
        meaning=line.meaning,
        given=line.time,
        expires=line.expires,
        standing=void or outdated or IN_FORCE,
        signed=bool(line.signature),
    )


def source_report(line: SourceLine, known: SourceConfig, decisions: Decisions, read: ReadFacts) -> SourceReport:
    """A source: its latest inventory, and what else is known of it."""
    truth, profile = decisions.truth(line.archive), decisions.profile(line.archive)
    said = "headers only: no extract of its database was given"
    if truth is not None:
        said = (
            f"{counted(truth.studies, 'study')} known, {truth.deleted:,} of them deleted and {truth.hidden:,} hidden; "
            f"{counted(truth.unusable, 'record')} unusable"
        )
    return SourceReport(
        archive=line.archive,
        inventory=line.inventory,
        studies=line.studies,
        instances=line.instances,
        size=line.size,
        refused=line.refused,
        truth=said,
        observed=_observed(read(profile.profile_ref)) if profile is not None else (),
        beyond_dicom=tuple((each.what, each.disposition) for each in known.beyond_dicom),
    )


def _observed(facts: Any) -> tuple[Observed, ...]:
    return tuple(Observed(name=str(each["name"]), value=str(each["value"]), unit=str(each["unit"])) for each in facts)


def count_picture(pictures: PictureTally, summary: StudySummary) -> None:
    """Count one study of the sources."""
    year = summary.study_date[:4]
    pictures.add(
        year=int(year) if len(summary.study_date) == 8 and summary.study_date.isdecimal() and year != "0000" else None,
        modalities=summary.modalities,
        instances=summary.instances or 0,
        size=summary.size,
    )
