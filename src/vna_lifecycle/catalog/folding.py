"""The rows of studies while events are folded: one at a time in memory, many at once in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeAlias

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert

from vna_lifecycle.catalog import canonical
from vna_lifecycle.catalog.interning import statement
from vna_lifecycle.catalog.schema import choice, finding, member, migration, moved, progress, wave
from vna_lifecycle.catalog.settling import settle
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState, fold

Value: TypeAlias = int | str

_CHUNK: Final = 10_000
_MEMBERS: Final = statement(member)
_SUMS: Final = (func.count(), func.sum(migration.c.instances), func.sum(migration.c.size))
_NOTHING_FAILED: Final[dict[str, Value]] = {"phase": "", "code": "", "transient": 0, "retry_at": ""}
NO_COPIES: Final = migration.c.expected_ref == ""
"""The target has nothing of the study from this program: it may change its place. Else it stays, until withdrawn."""

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
        self._touched: dict[str, int] = {}

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

    def touch(self, wave: str, sequence: int) -> None:
        """What ``wave`` holds at the target, or its list of studies, is another one: earlier acceptance is outdated."""
        self._touched[wave] = sequence

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

    def place(self, members: Iterable[tuple[str, str]], kind: str, sequence: int, **values: Value) -> None:
        """Put every member (label, UID) into the state that ``kind`` leads to, with ``values`` set; streamed.

        Their open findings are settled, and the waves that they leave keep the sums of what is left.

        Raises:
            ValueError: a member's state does not allow it.
        """
        self.write()
        self._connection.execute(delete(member))
        touched, left = set[str](), set[tuple[str, int]]()
        for chunk in _chunks(members):
            self._connection.exec_driver_sql(_MEMBERS, chunk)
            touched.add(str(values["wave"]))  # a wave that gets nothing stays what it was when it was accepted
        joined = member.join(migration, migration.c.label == member.c.label)
        known = select(migration.c.wave, migration.c.plan, migration.c.state).select_from(joined).distinct()
        for old_wave, old_plan, old_state in self._connection.execute(known).all():
            fold(MigrationState(old_state), kind)  # refuses what cannot be
            touched.add(old_wave)
            left.add((old_wave, old_plan))
        settle(self._connection, sequence, finding.c.study != "", finding.c.study.in_(select(member.c.label)))
        values |= _NOTHING_FAILED | {"state": fold(MigrationState.DISCOVERED, kind).value}
        rows = select(member.c.label, member.c.study_uid, *map(literal, values.values())).where(true())
        added = upsert(migration).from_select(["label", "study_uid", *values], rows)
        self._connection.execute(
            added.on_conflict_do_update(index_elements=["label"], set_={name: added.excluded[name] for name in values})
        )
        self._connection.execute(delete(member))
        self._recount(touched, sequence)
        self._resize(left - {(str(values["wave"]), int(values["plan"]))})

    def drop(self, plan: int, sequence: int) -> None:
        """Set free what ``plan`` placed and what has not moved; its waves keep only what has."""
        self.write()
        freed = [state.value for state, kind in TRANSITIONS if kind == "plan-dropped"]
        theirs = (migration.c.plan == plan, migration.c.state.in_(freed), NO_COPIES)
        settle(self._connection, sequence, finding.c.study.in_(select(migration.c.label).where(*theirs)))
        touched = set(self._connection.execute(select(migration.c.wave).where(*theirs).distinct()).scalars())
        state = fold(MigrationState(freed[0]), "plan-dropped").value
        free = {"state": state, "wave": "", "plan": 0, "reason": ""}
        self._connection.execute(update(migration).where(*theirs).values(**free, **_NOTHING_FAILED))
        self._recount(touched | {""}, sequence)
        names = self._connection.execute(select(wave.c.name).where(wave.c.plan == plan)).scalars()
        self._resize({(name, plan) for name in names})

    def _resize(self, rows: set[tuple[str, int]]) -> None:
        """The waves, as these plans filled them, hold what is left in them and has moved."""
        for name, plan in sorted(rows):
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
        for name, sequence in sorted(self._touched.items()):
            row = upsert(moved).values(wave=name, sequence=sequence)
            latest = {"sequence": row.excluded.sequence}
            self._connection.execute(row.on_conflict_do_update(index_elements=["wave"], set_=latest))
        self._touched.clear()

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

    def _recount(self, waves: set[str], sequence: int) -> None:
        names = sorted(waves)
        self._touched |= dict.fromkeys(names, sequence)
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
