"""Two passes over an archive compared: by variants, counts and fingerprints; no instance row is read."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from typing import Any

from sqlalchemy import CTE, Engine, case, func, literal, select, union_all

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.asking import reference, stream
from vna_lifecycle.catalog.loading import FINGERPRINTS
from vna_lifecycle.catalog.passes import studies_of
from vna_lifecycle.catalog.schema import claim, holding, study, variant
from vna_lifecycle.catalog.values import StudyDelta

_COUNTS = ("instances", "size", "unsized", "fingerprint")


def compare(engine: Engine, old: int, new: int) -> Iterator[StudyDelta]:
    """The studies that two passes tell differently, by label."""
    before, after = _rows(old, "before"), _rows(new, "after")
    was, now = _totals(before, "was"), _totals(after, "now")
    touched = _different(before, after, ("study", "variant", *_COUNTS), "touched")
    headed = _different(before, after, ("study", "variant"), "headed")
    query = (
        select(
            study.c.uid,
            study.c.label,
            *(table.c[name] for table in (was, now) for name in _COUNTS),
            headed.c.study.is_not(None),
        )
        .join_from(touched, study, study.c.id == touched.c.study)
        .outerjoin(was, was.c.study == touched.c.study)
        .outerjoin(now, now.c.study == touched.c.study)
        .outerjoin(headed, headed.c.study == touched.c.study)
        .order_by(study.c.label)
    )
    for row in stream(engine, query):
        uid, label, *counts, headers = row
        earlier, later = counts[:4], counts[4:]
        yield StudyDelta(
            ref=reference(uid, label),
            kind="added" if earlier[0] is None else "vanished" if later[0] is None else "changed",
            old_instances=earlier[0] or 0,
            new_instances=later[0] or 0,
            old_size=earlier[1] or 0,
            new_size=later[1] or 0,
            headers_changed=bool(headers),
            content_changed=earlier != later,
        )


def sample(engine: Engine, old: int, new: int, count: int, seed: int) -> list[str]:
    """UIDs of ``count`` studies that both passes tell alike; the same seed draws the same ones."""
    before, after = _rows(old, "before"), _rows(new, "after")
    touched = _different(before, after, ("study", "variant", *_COUNTS), "touched")
    both = studies_of(old).intersect(studies_of(new)).subquery()
    query = (
        select(study.c.label, study.c.uid)
        .join_from(both, study, study.c.id == both.c.study)
        .where(study.c.id.not_in(select(touched.c.study)))
    )

    def lot(row: Any) -> bytes:
        return hashlib.sha256(f"{seed}:{row.label}".encode()).digest()

    return [canonical.read(row.uid) for row in heapq.nsmallest(count, stream(engine, query), key=lot)]


def _rows(inventory: int, name: str) -> CTE:
    """A pass as rows per study and variant, and per claim: equal rows mean that nothing was seen to change."""
    sums = (func.sum(holding.c[name]).label(name) for name in ("instances", "size", "unsized"))
    listed = (
        select(
            variant.c.study,
            holding.c.variant,
            *sums,
            (func.sum(holding.c.fingerprint) % FINGERPRINTS).label("fingerprint"),
        )
        .join_from(holding, variant, variant.c.id == holding.c.variant)
        .where(holding.c.inventory == inventory)
        .group_by(variant.c.study, holding.c.variant)
    )
    any_listed = (
        select(variant.c.study)
        .join_from(holding, variant, variant.c.id == holding.c.variant)
        .where(holding.c.inventory == inventory, holding.c.instances > 0)
    )
    unlisted = claim.c.study.not_in(any_listed)
    claimed = select(
        claim.c.study,
        -claim.c.header,
        case((unlisted, func.coalesce(claim.c.instance_count, 0)), else_=0),
        case((unlisted, func.coalesce(claim.c.size, 0)), else_=0),
        literal(0),
        # what is not counted elsewhere still has to differ when it changes
        func.coalesce(claim.c.series_count, -1) * 1_000_003 + func.coalesce(claim.c.instance_count, -1),
    ).where(claim.c.inventory == inventory)
    return union_all(listed, claimed).cte(name)


def _totals(rows: CTE, name: str) -> CTE:
    return (
        select(rows.c.study, *(func.sum(rows.c[count]).label(count) for count in _COUNTS))
        .group_by(rows.c.study)
        .cte(name)
    )


def _different(before: CTE, after: CTE, columns: tuple[str, ...], name: str) -> CTE:
    old, new = (select(*(table.c[column] for column in columns)) for table in (before, after))
    gone, come = old.except_(new).subquery(), new.except_(old).subquery()
    return select(gone.c.study).union(select(come.c.study)).cte(name)
