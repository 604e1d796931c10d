"""Filling waves: exclusions first, then wave after wave, in SQL; every study that may be planned ends in one place.

The unit that a wave takes or leaves whole is the patient (issuer and ID) under `Patients.TOGETHER`. A study without a
Patient ID, or whose headers name several patients, is a unit of its own: it must not tie unrelated people together.
The same ID under no issuer counts as one patient here, since travelling in one wave asserts nothing about identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, Engine, Select, case, delete, func, insert, literal, select, update

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.asking import stream
from vna_lifecycle.catalog.filtering import Picks, conditions
from vna_lifecycle.catalog.folding import NO_COPIES
from vna_lifecycle.catalog.loading import rank
from vna_lifecycle.catalog.projection import keep
from vna_lifecycle.catalog.schema import draft, match, meta, migration, pick, place, study, summary, taken
from vna_lifecycle.catalog.truth import withheld
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.inventory import Availability
from vna_lifecycle.model.lifecycle import TRANSITIONS
from vna_lifecycle.model.wave import Exclusion, Order, Patients, Wave, WavePlan, WavePolicy

PLANNABLE: Final = tuple(sorted(state.value for state, kind in TRANSITIONS if kind == "wave-planned"))
"""States in which a study may be planned; in any other, or with copies at the target, it keeps its wave."""

_ORDERS: Final = {
    Order.NEWEST_FIRST: (summary.c.day.is_(None), summary.c.day.desc(), summary.c.clock.desc()),
    Order.OLDEST_FIRST: (summary.c.day.is_(None), summary.c.day, summary.c.clock),
    Order.SMALLEST_FIRST: (summary.c.size,),
    Order.LARGEST_FIRST: (summary.c.size.desc(),),
}


def fill(connection: Connection, waves: Sequence[WavePolicy], exclusions: Sequence[Exclusion], plan: int) -> WavePlan:
    """Write the draft membership of ``plan`` in place of any earlier draft, and tell what it comes to."""
    for table in (draft, place, pick):
        connection.execute(delete(table))
    keep(connection, "draft", plan)
    _pool(connection)
    picks = Picks(connection)
    excluded: dict[str, int] = {}
    # What a source does not show its own readers is left out before anything that program.toml says.
    meant = [(reason, studies) for reason, studies in withheld() if _any(connection, studies)]
    meant += [(each.reason, select(summary.c.study).where(*conditions(each.select, picks))) for each in exclusions]
    for number, (reason, studies) in enumerate(meant):
        _name(connection, number, reason, excluded=True)
        excluded[reason] = excluded.get(reason, 0) + _exclude(connection, number, studies)
    filled, notes = [], []
    for number, policy in enumerate(waves, len(meant)):
        _name(connection, number, policy.name, excluded=False)
        wave, remarks = _fill_wave(connection, number, policy, picks)
        filled.append(wave)
        notes += remarks
    for table in (match, taken, pick):
        connection.execute(delete(table))
    unplanned = select(func.count()).select_from(draft).where(draft.c.place.is_(None))
    return WavePlan(
        waves=tuple(filled),
        excluded=tuple(excluded.items()),
        unplanned=connection.execute(unplanned).scalar_one(),
        notes=tuple(notes),
    )


def members(engine: Engine, plan: int, name: str, *, excluded: bool) -> Iterator[tuple[str, str]]:
    """Label and UID of the studies that the draft puts into a wave, or excludes for a reason, by label."""
    places = select(place.c.id).where(place.c.name == name, place.c.excluded == excluded)
    return _members(engine, plan, draft.c.place.in_(places))


def left(engine: Engine, plan: int) -> Iterator[tuple[str, str]]:
    """Label and UID of the studies that the draft has no place for, by label."""
    return _members(engine, plan, draft.c.place.is_(None))


def _members(engine: Engine, plan: int, condition: ColumnElement[bool]) -> Iterator[tuple[str, str]]:
    with engine.connect() as connection:
        drafted = connection.execute(select(meta.c.value).where(meta.c.name == "draft")).scalar()
    if drafted != plan:
        raise StateError(f"plan {plan} is not the one that was drafted last", hint="draft it again")
    query = select(study.c.label, study.c.uid).join_from(draft, study, study.c.id == draft.c.study).where(condition)
    for label, uid in stream(engine, query.order_by(study.c.label)):
        yield label, canonical.read(uid)


def _pool(connection: Connection) -> None:
    names = ("study", "unit", "size", "unsized")
    rows = (
        select(*(summary.c[name] for name in names), func.coalesce(summary.c.instances, 0))
        .join_from(summary, migration, migration.c.label == summary.c.label, isouter=True)
        .where(migration.c.state.is_(None) | (migration.c.state.in_(PLANNABLE) & NO_COPIES))
    )
    connection.execute(insert(draft).from_select([*names, "instances"], rows))


def _name(connection: Connection, number: int, name: str, *, excluded: bool) -> None:
    connection.execute(insert(place).values(id=number, name=name, excluded=excluded))


def _any(connection: Connection, studies: Select[int]) -> bool:
    return connection.execute(select(draft.c.study).where(draft.c.study.in_(studies)).limit(1)).first() is not None


def _exclude(connection: Connection, number: int, studies: Select[int]) -> int:
    return connection.execute(
        update(draft).where(draft.c.place.is_(None), draft.c.study.in_(studies)).values(place=number)
    ).rowcount


def _fill_wave(connection: Connection, number: int, policy: WavePolicy, picks: Picks) -> tuple[Wave, list[str]]:
    unit = draft.c.unit if policy.patients is Patients.TOGETHER else draft.c.study
    free = draft.c.place.is_(None)
    for table in (match, taken):
        connection.execute(delete(table))
    capped = policy.max_studies is not None or policy.max_total_bytes is not None
    # Without a cap, all that match are taken, and the order makes no difference.
    position = func.row_number().over(order_by=(*_ORDERS[policy.order], summary.c.label)) if capped else literal(0)
    rows = (
        select(draft.c.study, unit, position)
        .join_from(draft, summary, summary.c.study == draft.c.study)
        .where(free, *conditions(policy.select, picks))
    )
    matched = connection.execute(insert(match).from_select(["study", "unit", "position"], rows)).rowcount
    _take(connection, policy, unit)
    connection.execute(update(draft).where(free, unit.in_(select(taken.c.unit))).values(place=number))
    here = draft.c.place == number
    totals = select(
        func.count(),
        func.coalesce(func.sum(draft.c.instances), 0),
        func.coalesce(func.sum(draft.c.size), 0),
        func.coalesce(func.sum(case((draft.c.unsized > 0, 1), else_=0)), 0),
    ).where(here)
    studies, instances, size, unsized = connection.execute(totals).one()
    own = select(func.count()).join_from(match, draft, draft.c.study == match.c.study).where(here)
    came_along = studies - connection.execute(own).scalar_one()
    far = select(func.count()).join_from(summary, draft, draft.c.study == summary.c.study)
    nearline = connection.execute(far.where(here, summary.c.availability == rank(Availability.NEARLINE))).scalar_one()
    wave = Wave(
        name=policy.name,
        studies=studies,
        instances=instances,
        size=size,
        came_along=came_along,
        nearline=nearline,
    )
    kept = matched == 0 and _has_moved(connection, policy.name)
    notes = _notes(policy, matched, studies, unsized, kept=kept)
    if nearline:
        notes.append(f"wave {policy.name}: {counted(nearline, 'study')} on nearline media, to be staged before")
    return wave, notes


def _has_moved(connection: Connection, wave: str) -> bool:
    """Whether the wave has studies that keep their place whatever is planned."""
    free = migration.c.state.in_(PLANNABLE) & NO_COPIES
    return (
        connection.execute(select(migration.c.label).where(migration.c.wave == wave, ~free).limit(1)).first()
        is not None
    )


def _take(connection: Connection, policy: WavePolicy, unit: ColumnElement[int]) -> None:
    """Fill ``taken`` with the units that come before the first one that would exceed a cap."""
    if policy.max_studies is None and policy.max_total_bytes is None:
        connection.execute(insert(taken).from_select(["unit"], select(match.c.unit).distinct()))
        return
    first = select(match.c.unit, func.min(match.c.position).label("position")).group_by(match.c.unit).subquery("first")
    whole = (
        select(unit.label("unit"), func.count().label("studies"), func.sum(draft.c.size).label("size"))
        .where(draft.c.place.is_(None), unit.in_(select(match.c.unit)))
        .group_by(unit)
        .subquery("whole")
    )
    filled = (
        select(
            first.c.unit,
            func.sum(whole.c.studies).over(order_by=first.c.position).label("studies"),
            func.sum(whole.c.size).over(order_by=first.c.position).label("size"),
        )
        .join_from(first, whole, whole.c.unit == first.c.unit)
        .subquery("filled")
    )
    rows = select(filled.c.unit)
    # Both sums only grow, so these conditions cut at the first unit that exceeds either.
    if policy.max_studies is not None:
        rows = rows.where(filled.c.studies <= policy.max_studies)
    if policy.max_total_bytes is not None:
        rows = rows.where(filled.c.size <= policy.max_total_bytes)
    connection.execute(insert(taken).from_select(["unit"], rows))


def _notes(policy: WavePolicy, matched: int, studies: int, unsized: int, *, kept: bool) -> list[str]:
    notes = []
    unit = "patient" if policy.patients is Patients.TOGETHER else "study"
    if kept:
        notes.append(f"wave {policy.name} gets nothing new: no study that is still free matches")
    elif matched == 0:
        notes.append(f"wave {policy.name} is empty: no study that is still free matches")
    elif studies == 0:
        notes.append(f"wave {policy.name} is empty: its first {unit} alone exceeds the cap")
    if unsized and policy.max_total_bytes is not None:
        notes.append(f"wave {policy.name}: of {counted(unsized, 'study')} only the known bytes count")
    return notes
