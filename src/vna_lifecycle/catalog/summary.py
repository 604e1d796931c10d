"""Studies over the latest inventories of all sources: rebuilt in SQL from the counts per part and variant."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Join, Select, case, delete, distinct, func, insert, literal, select, update

from vna_lifecycle.catalog.schema import (
    claim,
    current,
    header,
    holding,
    instance,
    patient,
    source,
    study,
    summary,
    variant,
)


def refresh(connection: Connection, inventories: Sequence[tuple[str, int]]) -> None:
    """Rebuild ``current`` and ``summary`` over these passes: (archive, inventory), in order of precedence."""
    for table in (summary, current, source):
        connection.execute(delete(table))
    for rank, (archive, number) in enumerate(inventories):
        connection.execute(insert(source).values(rank=rank, archive=archive, inventory=number))
        _add_current(connection, rank, number)
    _drop_claims_where_listed(connection)
    _summarize(connection)
    _choose_headers(connection)
    _count_distinct(connection)
    _add_claims(connection)


def _add_current(connection: Connection, rank: int, number: int) -> None:
    held = (
        select(
            holding.c.variant,
            *(func.sum(holding.c[name]).label(name) for name in ("instances", "repeats", "size", "unsized")),
            func.max(holding.c.availability).label("availability"),
            func.min(holding.c.part).label("first_part"),
            func.max(holding.c.part).label("last_part"),
        )
        .where(holding.c.inventory == number)
        .group_by(holding.c.variant)
        .subquery()
    )
    names = ["instances", "repeats", "size", "unsized", "availability", "first_part", "last_part"]
    rows = select(
        variant.c.study, literal(rank), held.c.variant, variant.c.header, *(held.c[name] for name in names)
    ).join_from(held, variant, variant.c.id == held.c.variant)
    connection.execute(insert(current).from_select(["study", "source", "variant", "header", *names], rows))


def _drop_claims_where_listed(connection: Connection) -> None:
    listed = current.alias()
    exists = select(listed.c.study).where(listed.c.study == current.c.study, listed.c.instances > 0).exists()
    connection.execute(delete(current).where(current.c.instances == 0, exists))


def _summarize(connection: Connection) -> None:
    facts = (
        select(
            current.c.study,
            func.min(current.c.header).label("header"),
            func.count(distinct(case((current.c.instances > 0, variant.c.series_uid)))).label("series"),
            func.sum(current.c.instances).label("instances"),
            func.sum(current.c.size).label("size"),
            func.sum(current.c.unsized).label("unsized"),
            func.max(current.c.availability).label("availability"),
            func.count(distinct(current.c.header)).label("headers"),
            func.json_group_array(distinct(variant.c.modality)).label("modalities"),
            func.json_group_array(distinct(current.c.source)).label("sources"),
        )
        .join_from(current, variant, variant.c.id == current.c.variant)
        .group_by(current.c.study)
        .subquery()
    )
    single = case((header.c.patient.in_(_nameless()), -facts.c.study), else_=header.c.patient)
    names = [column.name for column in facts.columns]
    rows = (
        select(*facts.columns, literal(1), single, study.c.label, header.c.day, header.c.clock)
        .join_from(facts, header, header.c.id == facts.c.header)
        .join(study, study.c.id == facts.c.study)
    )
    connection.execute(insert(summary).from_select([*names, "patients", "unit", "label", "day", "clock"], rows))


def _nameless() -> Select[tuple[int]]:
    return select(patient.c.id).where(patient.c.patient_id == "")


def _choose_headers(connection: Connection) -> None:
    """Where headers disagree: the leading one, and how many patients they name (then the study stands for itself)."""
    several = select(summary.c.study).where(summary.c.headers > 1)
    weighed = (
        select(
            current.c.study,
            current.c.source,
            current.c.header,
            func.sum(current.c.instances).label("instances"),
        )
        .where(current.c.study.in_(several))
        .group_by(current.c.study, current.c.source, current.c.header)
        .subquery()
    )
    ordered = (
        select(
            weighed.c.study,
            weighed.c.header,
            func.row_number()
            .over(
                partition_by=weighed.c.study,
                order_by=(weighed.c.source, weighed.c.instances.desc(), header.c.digest),
            )
            .label("place"),
        )
        .join_from(weighed, header, header.c.id == weighed.c.header)
        .subquery()
    )
    leading = (
        select(ordered.c.study, header.c.id, header.c.day, header.c.clock)
        .join_from(ordered, header, header.c.id == ordered.c.header)
        .where(ordered.c.place == 1)
        .subquery()
    )
    connection.execute(
        update(summary)
        .where(summary.c.study == leading.c.study)
        .values(header=leading.c.id, day=leading.c.day, clock=leading.c.clock)
    )
    named = (
        select(current.c.study, func.count(distinct(header.c.patient)).label("patients"))
        .join_from(current, header, header.c.id == current.c.header)
        .where(current.c.study.in_(several))
        .group_by(current.c.study)
        .subquery()
    )
    connection.execute(update(summary).where(summary.c.study == named.c.study).values(patients=named.c.patients))
    connection.execute(update(summary).where(summary.c.patients > 1).values(unit=-summary.c.study))


def listed_instances() -> Join:
    """``current`` joined with the instance rows behind it."""
    return (
        current.join(source, source.c.rank == current.c.source)
        .join(holding, (holding.c.variant == current.c.variant) & (holding.c.inventory == source.c.inventory))
        .join(instance, (instance.c.part == holding.c.part) & (instance.c.variant == holding.c.variant))
    )


def _count_distinct(connection: Connection) -> None:
    """Look at the rows of those studies that may hold an object twice: in several parts, or repeated in one."""
    doubtful = (
        select(current.c.study)
        .where(current.c.instances > 0)
        .group_by(current.c.study)
        .having((func.max(current.c.repeats) > 0) | (func.min(current.c.first_part) != func.max(current.c.last_part)))
    )
    copies = (
        select(current.c.study, instance.c.sop_instance_uid, func.max(instance.c.size).label("size"))
        .select_from(listed_instances())
        .where(current.c.study.in_(doubtful))
        .group_by(current.c.study, instance.c.sop_instance_uid)
        .subquery()
    )
    counted = (
        select(
            copies.c.study,
            func.count().label("instances"),
            func.coalesce(func.sum(copies.c.size), 0).label("size"),
            func.sum(case((copies.c.size.is_(None), 1), else_=0)).label("unsized"),
        )
        .group_by(copies.c.study)
        .subquery()
    )
    connection.execute(
        update(summary)
        .where(summary.c.study == counted.c.study)
        .values(instances=counted.c.instances, size=counted.c.size, unsized=counted.c.unsized)
    )


def _add_claims(connection: Connection) -> None:
    """What archives say about their studies; it stands in for the counts of studies of which no object is listed."""
    said = (
        select(
            claim.c.study,
            func.max(claim.c.series_count).label("series"),
            func.max(claim.c.instance_count).label("instances"),
            func.max(claim.c.size).label("size"),
            func.max(claim.c.availability).label("availability"),
            func.min(claim.c.basis).label("basis"),
        )
        .join_from(claim, source, source.c.inventory == claim.c.inventory)
        .group_by(claim.c.study)
        .subquery()
    )
    connection.execute(
        update(summary)
        .where(summary.c.study == said.c.study)
        .values(
            claimed=said.c.instances,
            basis=said.c.basis,
            availability=case(
                (said.c.availability > summary.c.availability, said.c.availability), else_=summary.c.availability
            ),
        )
    )
    connection.execute(
        update(summary)
        .where(summary.c.study == said.c.study, summary.c.instances == 0)
        .values(
            series=func.coalesce(said.c.series, 0),
            instances=said.c.instances,
            size=func.coalesce(said.c.size, 0),
            unsized=case((said.c.size.is_(None), func.coalesce(said.c.instances, 1)), else_=0),
        )
    )
