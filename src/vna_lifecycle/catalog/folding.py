"""The rows of studies while events are folded: one at a time in memory, many at once in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeAlias

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.interning import statement
from vna_lifecycle.catalog.schema import choice, member, migration, progress, wave
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState, fold

Value: TypeAlias = int | str

_CHUNK: Final = 10_000
_MEMBERS: Final = statement(member)
_SUMS: Final = (func.count(), func.sum(migration.c.instances), func.sum(migration.c.size))
_REWRITTEN: Final = [column.name for column in migration.columns if column.name not in ("label", "study_uid")]
_WRITE: Final = (
    update(migration)
    .where(migration.c.label == bindparam("label_"))
    .values({name: bindparam(name) for name in _REWRITTEN})
)


class Studies:
    """Studies' rows, read when first touched and written by `write`: memory is bounded by the events given at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, dict[str, Value]] = {}
        self._progress: dict[tuple[str, str], list[int]] = {}

    def move(self, label: str, kind: str, **values: Value) -> None:
        """A study goes to the state that an event of ``kind`` leads to, with ``values`` set.

        Raises:
            ValueError: it cannot, or no wave ever held it.
        """
        row = self._row(label)
        if row is None:
            raise ValueError(f"{kind} happened to a study that was never planned")
        state = fold(MigrationState(row["state"]), kind)
        self._count(row, -1)
        row.update(values, state=state.value)
        self._count(row, +1)

    def move_if_waiting(self, label: str, kind: str) -> None:
        """As `move`, but a study that the event does not concern in its state stays as it is."""
        row = self._row(label)
        if row is not None and (MigrationState(row["state"]), kind) in TRANSITIONS:
            self.move(label, kind)

    def choose(self, label: str, instance: str, content: str) -> None:
        """Keep the content that was chosen last for one of the study's instances, by its label."""
        row = upsert(choice).values(study=label, instance=instance, content=content)
        latest = {"content": row.excluded.content}
        self._connection.execute(row.on_conflict_do_update(index_elements=["study", "instance"], set_=latest))

    def note(self, label: str, **values: Value) -> None:
        """Set ``values``; the state stays.

        Raises:
            ValueError: no wave ever held the study.
        """
        row = self._row(label)
        if row is None:
            raise ValueError("a study that was never planned was looked at")
        row.update(values)

    def place(self, members: Iterable[tuple[str, str]], kind: str, **values: Value) -> None:
        """Put every member (label, UID) into the state that ``kind`` leads to, with ``values`` set; streamed.

        Raises:
            ValueError: a member's state does not allow it.
        """
        self.write()
        self._connection.execute(delete(member))
        for chunk in _chunks(members):
            self._connection.exec_driver_sql(_MEMBERS, chunk)
        joined = member.join(migration, migration.c.label == member.c.label)
        known = self._connection.execute(select(migration.c.wave, migration.c.state).select_from(joined).distinct())
        touched = {str(values["wave"])}
        for old_wave, old_state in known:
            fold(MigrationState(old_state), kind)  # refuses what cannot be
            touched.add(old_wave)
        values["state"] = fold(MigrationState.DISCOVERED, kind).value
        rows = select(member.c.label, member.c.study_uid, *map(literal, values.values())).where(true())
        added = upsert(migration).from_select(["label", "study_uid", *values], rows)
        self._connection.execute(
            added.on_conflict_do_update(index_elements=["label"], set_={name: added.excluded[name] for name in values})
        )
        self._connection.execute(delete(member))
        self._recount(touched)

    def drop(self, plan: int) -> None:
        """Set free what ``plan`` placed and what has not moved; its waves keep only what has."""
        self.write()
        freed = [state.value for state, kind in TRANSITIONS if kind == "plan-dropped"]
        theirs = (migration.c.plan == plan, migration.c.state.in_(freed))
        touched = set(self._connection.execute(select(migration.c.wave).where(*theirs).distinct()).scalars())
        state = fold(MigrationState(freed[0]), "plan-dropped").value
        self._connection.execute(update(migration).where(*theirs).values(state=state, wave="", plan=0, reason=""))
        self._recount(touched | {""})
        for name in self._connection.execute(select(wave.c.name).where(wave.c.plan == plan)).scalars().all():
            left = select(*_SUMS).where(migration.c.wave == name, migration.c.plan == plan)
            studies, instances, size = self._connection.execute(left).one()
            this = (wave.c.name == name, wave.c.plan == plan)
            if studies:
                totals = {"studies": studies, "instances": instances, "size": size}
                self._connection.execute(update(wave).where(*this).values(**totals))
            else:
                self._connection.execute(delete(wave).where(*this))

    def write(self) -> None:
        """Write what was changed in memory."""
        if self._rows:
            rows = [{**row, "label_": row["label"]} for row in self._rows.values()]
            self._connection.execute(_WRITE, rows)
            self._rows.clear()
        for (name, state), (studies, instances, size) in sorted(self._progress.items()):
            row = upsert(progress).values(wave=name, state=state, studies=studies, instances=instances, size=size)
            sums = {column: progress.c[column] + row.excluded[column] for column in ("studies", "instances", "size")}
            self._connection.execute(row.on_conflict_do_update(index_elements=["wave", "state"], set_=sums))
        self._progress.clear()

    def _row(self, label: str) -> dict[str, Value] | None:
        row = self._rows.get(label)
        if row is None:
            found = self._connection.execute(select(migration).where(migration.c.label == label)).mappings().first()
            if found is None:
                return None
            row = self._rows[label] = dict(found)
        return row

    def _count(self, row: dict[str, Value], sign: int) -> None:
        sums = self._progress.setdefault((str(row["wave"]), str(row["state"])), [0, 0, 0])
        for position, number in enumerate((1, int(row["instances"]), int(row["size"]))):
            sums[position] += sign * number

    def _recount(self, waves: set[str]) -> None:
        names = sorted(waves)
        self._connection.execute(delete(progress).where(progress.c.wave.in_(names)))
        rows = (
            select(migration.c.wave, migration.c.state, *_SUMS)
            .where(migration.c.wave.in_(names))
            .group_by(migration.c.wave, migration.c.state)
        )
        columns = ["wave", "state", "studies", "instances", "size"]
        self._connection.execute(insert(progress).from_select(columns, rows))


def _chunks(members: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str | bytes]]]:
    stream = iter(members)
    while chunk := [(label, canonical.stored(uid)) for label, uid in islice(stream, _CHUNK)]:
        yield chunk
