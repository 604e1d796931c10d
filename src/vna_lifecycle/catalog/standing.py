"""Reading where every study and wave stands, as folded from the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Engine, RowMapping, Select, distinct, func, select

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.asking import reference, stream
from vna_lifecycle.catalog.schema import choice, finding, migration, pause, progress, study, summary, wave
from vna_lifecycle.catalog.values import FindingLine, StudyWork, WaveStatus
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.identity import StudyUID
from vna_lifecycle.model.lifecycle import MigrationState

_WORK: Final = select(migration, func.coalesce(wave.c.modification_time, "").label("modification_time")).join_from(
    migration, wave, (wave.c.name == migration.c.wave) & (wave.c.plan == migration.c.plan), isouter=True
)
_NOT_FIELDS: Final = frozenset({"label", "study_uid", "state", "transient", "reason"})


def wave_names(engine: Engine) -> list[str]:
    """The waves on record, in the order in which they were first planned."""
    query = select(wave.c.name).group_by(wave.c.name).order_by(func.min(wave.c.sequence))
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def wave_status(engine: Engine, name: str) -> WaveStatus:
    """How a wave stands; its sizes are those on record, over all plans that filled it."""
    with engine.connect() as connection:
        plans = (
            connection.execute(select(wave).where(wave.c.name == name).order_by(wave.c.plan.desc())).mappings().all()
        )
        counts = {
            MigrationState(row.state): row
            for row in connection.execute(select(progress).where(progress.c.wave == name, progress.c.studies > 0))
        }
    if not plans:
        raise StateError(f"there is no wave {name}", hint="plan it, or look for its name in the status")
    latest, done = plans[0], counts.get(MigrationState.TRANSFERRED)
    return WaveStatus(
        name=name,
        plan=latest["plan"],
        studies=sum(row.studies for row in counts.values()),
        instances=sum(row["instances"] for row in plans),
        size=sum(row["size"] for row in plans),
        states=tuple((state, counts[state].studies) for state in MigrationState if state in counts),
        imported=done.studies if done else 0,
        imported_instances=done.instances if done else 0,
        imported_size=done.size if done else 0,
        outcome=latest["outcome"],
        members_ref=latest["members_ref"],
        modification_time=latest["modification_time"],
    )


def work(engine: Engine, name: str, states: Collection[MigrationState], after: str, limit: int) -> list[StudyWork]:
    """A page of a wave's studies in any of ``states``."""
    found: list[StudyWork] = []
    with engine.connect() as connection:
        # State by state, so that each is a walk along the index however many studies are in other states.
        for state in sorted({state.value for state in states}):
            here = (migration.c.wave == name, migration.c.state == state, migration.c.label > after)
            page = _WORK.where(*here).order_by(migration.c.label).limit(limit)
            found += map(_work, connection.execute(page).mappings())
    return sorted(found, key=lambda each: each.label)[:limit]


def work_on(engine: Engine, label: str) -> StudyWork | None:
    """Where one study stands."""
    with engine.connect() as connection:
        row = connection.execute(_WORK.where(migration.c.label == label)).mappings().first()
    return None if row is None else _work(row)


def _work(row: RowMapping) -> StudyWork:
    fields: dict[str, Any] = {name: value for name, value in row.items() if name not in _NOT_FIELDS}
    return StudyWork(
        ref=reference(row["study_uid"], row["label"]),
        state=MigrationState(row["state"]),
        transient=bool(row["transient"]),
        **fields,
    )


def members(engine: Engine, name: str, labels: Collection[str]) -> dict[str, StudyUID]:
    """The UIDs of those of these studies that are in a wave, by label."""
    # Compared here: asked for both, SQLite walks through the whole wave rather than look each label up.
    columns = (migration.c.label, migration.c.study_uid, migration.c.wave)
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).where(migration.c.label.in_(sorted(labels))))
        return {label: StudyUID(canonical.read(uid)) for label, uid, wave in rows if wave == name}


def paused(engine: Engine, name: str) -> bool:
    """Whether a wave, or all work, is paused."""
    with engine.connect() as connection:
        return connection.execute(select(pause.c.wave).where(pause.c.wave.in_((name, "")))).first() is not None


def choices(engine: Engine, label: str) -> Mapping[str, str]:
    """Instance label to chosen content."""
    with engine.connect() as connection:
        query = select(choice.c.instance, choice.c.content).where(choice.c.study == label)
        return dict(connection.execute(query).all())


def findings(engine: Engine, name: str | None, *, settled: bool) -> Iterator[FindingLine]:
    """Findings on record, in order: open ones, or all."""
    query = select(finding).order_by(finding.c.sequence)
    if not settled:
        query = query.where(finding.c.settled.is_(None))
    for row in stream(engine, query if name is None else query.where(finding.c.wave == name)):
        yield FindingLine(**row._mapping)


def count_findings(engine: Engine) -> list[tuple[str, str, int]]:
    """Open findings as (kind, severity, number)."""
    query = select(
        finding.c.kind, finding.c.severity, func.count(distinct(finding.c.wave + "/" + finding.c.evidence_ref))
    )
    query = query.where(finding.c.settled.is_(None)).group_by(finding.c.kind, finding.c.severity)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(finding.c.kind, finding.c.severity))]


def excluded(engine: Engine) -> list[tuple[str, int]]:
    """Excluded studies on record as (reason, number)."""
    query = select(migration.c.reason, func.count()).where(
        migration.c.wave == "", migration.c.state == MigrationState.EXCLUDED.value
    )
    with engine.connect() as connection:
        return [
            tuple(row) for row in connection.execute(query.group_by(migration.c.reason).order_by(migration.c.reason))
        ]


def unplanned(engine: Engine) -> Iterator[tuple[str, str]]:
    """Label and UID of the studies that no plan on record places, by label."""
    for label, uid in stream(engine, _free(study.c.label, study.c.uid).order_by(study.c.label)):
        yield label, canonical.read(uid)


def count_unplanned(engine: Engine) -> int:
    """How many studies no plan on record places."""
    with engine.connect() as connection:
        count: int = connection.execute(_free(func.count())).scalar_one()
    return count


def _free(*columns: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .join_from(summary, study, study.c.id == summary.c.study)
        .outerjoin(migration, migration.c.label == study.c.label)
        .where(migration.c.state.is_(None) | (migration.c.state == MigrationState.DISCOVERED.value))
    )
