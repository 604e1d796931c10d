"""Reading what acceptance found and what people decided, as folded from the ledger; and which findings are open."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, Final

from attrs import frozen
from sqlalchemy import ColumnElement, Engine, Select, Table, case, distinct, func, select

from vna_lifecycle.catalog.asking import stream
from vna_lifecycle.catalog.schema import (
    attempt,
    catch_up,
    covered,
    cutover,
    finding,
    migration,
    moved,
    profile,
    sign_off,
    truth,
    waiver,
)
from vna_lifecycle.catalog.values import FindingLine
from vna_lifecycle.model.lifecycle import MigrationState

_OPEN: Final = finding.c.settled.is_(None)


@frozen(kw_only=True)
class AttemptLine:
    """One acceptance of a wave. ``outcome`` is ``""`` while it runs, or when it was cut off.

    ``current`` says that nothing of the wave has moved since its sample was drawn. Rates are decimal text; the rest is
    as in `SampleDrawn` and `WaveExamined`.
    """

    wave: str
    attempt: int
    sequence: int
    time: str
    seed: str
    confidence: str
    max_defect_rate: str
    population: int
    size: int
    population_ref: str
    policy_sha256: str
    outcome: str
    sampled: int
    defective: int
    blockers: int
    warnings: int
    checks: tuple[tuple[str, str], ...]
    not_assessed: tuple[str, ...]
    result_ref: str
    current: bool


@frozen(kw_only=True)
class WaiverLine:
    """A waiver on record. ``open`` counts what it covers that is still open; ``withdrawn`` is when, or ``""``."""

    waiver: str
    sequence: int
    time: str
    wave: str
    finding: str
    findings: int
    open: int
    covers_ref: str
    by: str
    role: str
    reason: str
    expires: str
    key: str
    statement: str
    signature: str
    withdrawn: str
    withdrawn_by: str
    withdrawn_reason: str


@frozen(kw_only=True)
class SignOffLine:
    """A sign-off on record, of the wave as acceptance number ``attempt`` found it."""

    sequence: int
    time: str
    wave: str
    attempt: int
    by: str
    role: str
    meaning: str
    expires: str
    key: str
    statement: str
    signature: str


@frozen(kw_only=True)
class CutoverLine:
    """One time that somebody asked to switch over, and what the gate said. ``reasons`` counts those against it."""

    sequence: int
    time: str
    by: str
    reason: str
    allowed: bool
    reasons: int
    gate_ref: str


@frozen(kw_only=True)
class TruthLine:
    """The extract of a source's own database that was read last."""

    archive: str
    sequence: int
    time: str
    studies: int
    deleted: int
    hidden: int
    unusable: int
    extract_sha256: str


@frozen(kw_only=True)
class ProfileLine:
    """How an archive was last observed to behave."""

    archive: str
    sequence: int
    time: str
    observations: int
    profile_ref: str


@frozen(kw_only=True)
class CatchUpLine:
    """The last catch-up with a source. ``equal`` counts the comparisons in a row, this one included, without news."""

    archive: str
    sequence: int
    time: str
    inventory: int
    added: int
    changed: int
    vanished: int
    refetched: int
    sampled: int
    differing: int
    equal: int


@frozen(kw_only=True)
class OpenFindings:
    """The open findings of one kind and severity; ``waived`` of these ``count`` are covered by waivers that hold."""

    kind: str
    severity: str
    count: int
    waived: int


class Decisions:
    """What acceptance, people and gates have said so far. Each method is one look at the current state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def attempts(self, wave: str) -> list[AttemptLine]:
        """Every acceptance of a wave, in order."""
        latest = select(moved.c.sequence).where(moved.c.wave == wave).scalar_subquery()
        current = (attempt.c.sequence > func.coalesce(latest, -1)).label("current")
        query = select(attempt, current).where(attempt.c.wave == wave).order_by(attempt.c.attempt)
        return [
            AttemptLine(
                **{
                    **row,
                    "checks": tuple((name, brought) for name, brought in json.loads(row["checks"] or "[]")),
                    "not_assessed": tuple(json.loads(row["not_assessed"] or "[]")),
                    "current": bool(row["current"]),
                }
            )
            for row in self._rows(query)
        ]

    def waivers(self) -> list[WaiverLine]:
        """Every waiver on record, withdrawn ones too, in order."""
        left = (
            select(func.count(distinct(finding.c.evidence_ref)))
            .join_from(covered, finding, finding.c.evidence_ref == covered.c.evidence_ref)
            .where(covered.c.waiver == waiver.c.waiver, finding.c.wave == waiver.c.wave, _OPEN)
        )
        query = select(waiver, left.scalar_subquery().label("open")).order_by(waiver.c.sequence)
        return [WaiverLine(**row) for row in self._rows(query)]

    def sign_offs(self, wave: str) -> list[SignOffLine]:
        """Every sign-off of a wave, in order."""
        query = select(sign_off).where(sign_off.c.wave == wave).order_by(sign_off.c.sequence)
        return [SignOffLine(**row) for row in self._rows(query)]

    def cutovers(self) -> list[CutoverLine]:
        """Every time that somebody asked to switch over, in order."""
        return [CutoverLine(**row) for row in self._rows(select(cutover).order_by(cutover.c.sequence))]

    def truth(self, archive: str) -> TruthLine | None:
        """The latest extract of a source's own database; None before any was read."""
        row = self._one(truth, archive)
        return TruthLine(**row) if row else None

    def profile(self, archive: str) -> ProfileLine | None:
        """The latest observation of an archive's behaviour; None before any."""
        row = self._one(profile, archive)
        return ProfileLine(**row) if row else None

    def catch_up(self, archive: str) -> CatchUpLine | None:
        """The latest catch-up with a source; None before any."""
        row = self._one(catch_up, archive)
        return CatchUpLine(**row) if row else None

    # ------------------------------------------------------------------------------------------------ findings

    def open_findings(self, wave: str, waivers: Collection[str] = ()) -> list[OpenFindings]:
        """The open findings of a wave (``""``: about the program or a source) by kind, the same one counted once.

        ``waivers`` are those that hold.
        """
        these = (finding.c.wave == wave, _OPEN)
        count = func.count(distinct(finding.c.evidence_ref))
        waived = func.count(distinct(case((_covered(wave, waivers), finding.c.evidence_ref))))
        query = select(finding.c.kind, finding.c.severity, count.label("count"), waived.label("waived")).where(*these)
        query = query.group_by(finding.c.kind, finding.c.severity).order_by(finding.c.kind, finding.c.severity)
        return [OpenFindings(**row) for row in self._rows(query)]

    def open_lines(
        self, wave: str, kind: str = "", study: str = "", *, waivers: Collection[str] = ()
    ) -> Iterator[FindingLine]:
        """The open findings of a wave, of a kind and about a study where these are named, not waived, in order."""
        query = select(finding).where(finding.c.wave == wave, _OPEN, ~_covered(wave, waivers))
        if kind:
            query = query.where(finding.c.kind == kind)
        if study:
            query = query.where(finding.c.study == study)
        for row in stream(self._engine, query.order_by(finding.c.sequence)):
            yield FindingLine(**row._mapping)

    def is_waived(self, wave: str, evidence_ref: str, waivers: Collection[str]) -> bool:
        """Whether any of these waivers, which hold, covers the finding in this wave."""
        query = _waivers_of(wave, waivers).where(covered.c.evidence_ref == evidence_ref).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def waivers_of(self, line: FindingLine) -> list[str]:
        """The waivers, holding or not, that cover a finding."""
        query = select(waiver.c.waiver).join_from(covered, waiver, waiver.c.waiver == covered.c.waiver)
        query = query.where(covered.c.evidence_ref == line.evidence_ref, waiver.c.wave == line.wave)
        with self._engine.connect() as connection:
            return list(connection.execute(query.order_by(waiver.c.sequence)).scalars())

    def settled(self, wave: str, evidence_ref: str) -> int:
        """How often this very finding was on record in this wave and is settled."""
        query = select(func.count()).where(
            finding.c.evidence_ref == evidence_ref, finding.c.wave == wave, finding.c.settled.is_not(None)
        )
        with self._engine.connect() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    def held(self, wave: str) -> list[tuple[str, int]]:
        """The studies of a wave that are held back, as (kind of finding, number)."""
        here = (migration.c.wave == wave, migration.c.state == MigrationState.HELD.value)
        query = select(migration.c.code, func.count()).where(*here).group_by(migration.c.code)
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query.order_by(migration.c.code))]

    def _rows(self, query: Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _one(self, table: Table, archive: str) -> dict[str, Any] | None:
        return next(iter(self._rows(select(table).where(table.c.archive == archive))), None)


def _covered(wave: str, waivers: Collection[str]) -> ColumnElement[bool]:
    return finding.c.evidence_ref.in_(_waivers_of(wave, waivers))


def _waivers_of(wave: str, waivers: Collection[str]) -> Select[tuple[str]]:
    query = select(covered.c.evidence_ref).join_from(covered, waiver, waiver.c.waiver == covered.c.waiver)
    return query.where(waiver.c.wave == wave, waiver.c.waiver.in_(sorted(waivers)))
