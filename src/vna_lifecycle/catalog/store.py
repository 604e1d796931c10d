"""The catalog of a program: what was found where, and where every study stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from vna_lifecycle.catalog import (
    asking,
    batches,
    canonical,
    comparing,
    passes,
    planning,
    projection,
    schema,
    standing,
    summary,
)
from vna_lifecycle.catalog.batches import BatchLine
from vna_lifecycle.catalog.deciding import Members
from vna_lifecycle.catalog.decisions import Decisions
from vna_lifecycle.catalog.listing import Listing, listings
from vna_lifecycle.catalog.loading import Item
from vna_lifecycle.catalog.measuring import Measures, measure
from vna_lifecycle.catalog.questions import WaveQuestions
from vna_lifecycle.catalog.truth import Truth
from vna_lifecycle.catalog.values import (
    FindingLine,
    InventoryTotals,
    PartTotals,
    StudyDelta,
    StudySummary,
    StudyWork,
    Tally,
    WaveStatus,
)
from vna_lifecycle.database import Schema, open_sqlite, writing
from vna_lifecycle.errors import CatalogCorrupt, StateError, VnaLifecycleError
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.model.identity import PatientKey, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.model.lifecycle import MigrationState
from vna_lifecycle.model.wave import Exclusion, WavePlan, WavePolicy
from vna_lifecycle.ports import Part

APPLICATION_ID: Final = 0x766E6163  # "vnac"
REBUILD: Final = (
    "It is set aside. Waves and states come back from the ledger. Then: vna-lifecycle inventory, plan, transfer --retry"
)
READ_AHEAD: Final = 20_000
"""Items taken from an archive before the write lock is: most parts then hold it only while they are written."""

_PRAGMAS: Final = {"cache_size": -65_536}  # KiB; the default of 2 MiB makes large updates read every page again


class Catalog:
    """What was found where, and where every study stands. Rebuildable; holds identifiers.

    Every method that writes is one transaction. Iterators stream over a connection of their own and see the catalog
    as it was when they began. Errors of storage are `StorageError` and its kinds; a damaged file is `CatalogCorrupt`,
    and ``damages`` then says what was seen of it.
    """

    def __init__(self, engine: Engine, label: Callable[[str], str], damages: list[str]) -> None:
        self._engine = engine
        self._label = label
        self.damages = damages

    @classmethod
    def open(cls, path: Path, *, label: Callable[[str], str]) -> Catalog:
        """Open the catalog at ``path``, or make an empty one. ``label`` gives a UID's short label (a keyed digest).

        Raises:
            CatalogCorrupt: the file is damaged.
            SchemaTooNew: it was written by a newer version of this software.
        """
        damages: list[str] = []

        def corrupt(message: str) -> VnaLifecycleError:
            damages.append(message)
            return CatalogCorrupt(message, path=path, hint=REBUILD)

        known = Schema(
            name="catalog",
            application_id=APPLICATION_ID,
            version=schema.VERSION,
            create=schema.METADATA.create_all,
            corrupt=corrupt,
            pragmas=_PRAGMAS,
        )
        return cls(open_sqlite(path, schema=known, create=True), label, damages)

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def label(self, uid: str) -> str:
        """The short label of a UID: what messages and the ledger say instead of it."""
        return self._label(uid)

    # ------------------------------------------------------------------------------------------------ inventories

    def next_inventory(self) -> int:
        """The number of a pass that would begin now; passes on record count, should the catalog be a new one."""
        with self._engine.connect() as connection:
            return passes.following(connection)

    def begin_inventory(self, number: int, archive: str) -> None:
        """Begin pass ``number`` over ``archive``, or take it up again.

        Raises:
            StateError: the number belongs to a pass over another archive.
        """
        with writing(self._engine) as connection:
            passes.begin(connection, number, archive)

    def parts_done(self, inventory: int) -> frozenset[str]:
        """Keys of the parts that are recorded."""
        with self._engine.connect() as connection:
            return passes.parts(connection, inventory)

    def record_part(self, inventory: int, part: Part, items: Iterable[Item]) -> PartTotals:
        """Record everything in a part, in place of whatever was recorded of it before.

        ``items`` is consumed once. If it raises, what was recorded before is still there.

        Raises:
            StateError: no such pass was begun.
            DiskFull: no space is left; nothing was recorded.
        """
        stream = iter(items)
        first = list(islice(stream, READ_AHEAD))
        with writing(self._engine) as connection:
            return passes.record(connection, inventory, part.key, chain(first, stream), self._label)

    def part_totals(self, inventory: int, key: str) -> PartTotals:
        """What `record_part` told.

        Raises:
            StateError: the part is not recorded.
        """
        with self._engine.connect() as connection:
            return passes.part_totals(connection, inventory, key)

    def complete_inventory(self, inventory: int) -> InventoryTotals:
        """Close a pass that is on no ledger: it now counts as the latest of its archive.

        One that is on record is closed by its event, so that nothing goes by a pass of which the ledger does not know.

        Raises:
            StateError: no such pass was begun.
        """
        with writing(self._engine) as connection:
            counts = passes.counted(connection, inventory)
            if not passes.complete(connection, inventory, counts):
                raise StateError(f"inventory {inventory} was not begun")
            return counts

    def counted_inventory(self, inventory: int) -> InventoryTotals:
        """What the parts recorded of a pass come to, whether or not it is complete."""
        with self._engine.connect() as connection:
            return passes.counted(connection, inventory)

    def inventory_totals(self, inventory: int) -> InventoryTotals:
        """What `complete_inventory` told; zeros for a pass that is not complete.

        Raises:
            StateError: no such pass was begun.
        """
        with self._engine.connect() as connection:
            return passes.totals(connection, inventory)

    def latest_inventory(self, archive: str, *, complete: bool = True) -> int | None:
        """The number of the latest pass over ``archive``: a complete one, or any."""
        with self._engine.connect() as connection:
            return passes.latest(connection, archive, complete=complete)

    def previous_inventory(self, archive: str) -> int | None:
        """The complete pass with which the latest one is to be compared, so that no change in between is missed.

        That is the one up to which the last catch-up on record came; before any, or where the catalog is a new one and
        does not have it, the first.
        """
        with self._engine.connect() as connection:
            return passes.earlier(connection, archive, projection.caught_up(connection, archive))

    def lost_inventories(self, archive: str) -> bool:
        """Whether passes went with an earlier catalog before any catch-up looked at what changed after them."""
        with self._engine.connect() as connection:
            return passes.lost(connection, archive, projection.caught_up(connection, archive))

    def interrupted_inventory(self, archive: str) -> int | None:
        """The latest pass over ``archive`` if it was begun and not completed."""
        latest = self.latest_inventory(archive, complete=False)
        return None if latest == self.latest_inventory(archive) else latest

    def refresh_studies(self, sources: Sequence[str]) -> None:
        """Rebuild the studies over the latest complete pass of each source, in order of precedence."""
        passes = [(name, number) for name in sources if (number := self.latest_inventory(name)) is not None]
        with writing(self._engine) as connection:
            summary.refresh(connection, passes)

    # ------------------------------------------------------------------------------------------------ questions

    def study(self, study_uid: str) -> StudySummary | None:
        """A study as of the last `refresh_studies`."""
        return next(asking.summaries(self._engine, schema.study.c.uid == canonical.stored(study_uid)), None)

    def patients(self, labels: Sequence[str]) -> dict[str, PatientKey]:
        """The patient of each of these studies, by the study's label, as of the last `refresh_studies`."""
        return asking.patients(self._engine, labels)

    def studies(self) -> Iterator[StudySummary]:
        """Every study as of the last `refresh_studies`, by label."""
        return asking.summaries(self._engine)

    def count_studies(self, inventory: int) -> int:
        """How many distinct studies a pass found."""
        with self._engine.connect() as connection:
            return passes.count_studies(connection, inventory)

    def candidates(self, study_uid: str) -> Iterator[tuple[str, InstanceRecord]]:
        """Every listed object of a study with its archive, over all sources: in order of precedence, then by locator.

        Several under one SOP Instance UID are several copies, or several contents.
        """
        return asking.candidates(self._engine, study_uid)

    def listings(self, labels: Sequence[str]) -> dict[str, Listing]:
        """What the sources list of each of these studies, by the study's label; unlisted ones are left out."""
        return listings(self._engine, labels)

    def refused(self, inventory: int) -> Iterator[Refused]:
        """What a pass could not trust."""
        return asking.refused(self._engine, inventory)

    def totals(self) -> Iterator[Tally]:
        """What the sources hold, by archive, modality and year."""
        return asking.tallies(self._engine)

    def measure(self, inventory: int) -> Measures:
        """What a pass comes to, by which archives can be compared; linear in its objects."""
        return measure(self._engine, inventory)

    def about(self, wave: str) -> WaveQuestions:
        """What the latest inventories say of a wave's studies, as of the last `refresh_studies`."""
        return WaveQuestions(self._engine, wave)

    @property
    def truth(self) -> Truth:
        """What the sources' own databases say, beside what was found."""
        return Truth(self._engine)

    # ------------------------------------------------------------------------------------------------ planning

    def next_plan(self) -> int:
        """The number of a plan that would be made now."""
        with self._engine.connect() as connection:
            return projection.latest_plan(connection) + 1

    def plan(self, waves: Sequence[WavePolicy], exclusions: Sequence[Exclusion], *, plan: int) -> WavePlan:
        """Draft plan number ``plan`` over the studies that have not moved; it replaces any earlier draft.

        First what the sources' own databases do not show, then exclusions, the first that matches giving the reason;
        then the waves in their order. See `planning`.
        """
        with writing(self._engine) as connection:
            return planning.fill(connection, waves, exclusions, plan)

    def plan_members(self, plan: int, wave: str) -> Iterator[tuple[str, str]]:
        """Label and UID of the studies that the draft puts into a wave, by label.

        Raises:
            StateError: another plan was drafted since.
        """
        return planning.members(self._engine, plan, wave, excluded=False)

    def excluded_members(self, plan: int, reason: str) -> Iterator[tuple[str, str]]:
        """Label and UID of the studies that the draft excludes for a reason; otherwise as `plan_members`."""
        return planning.members(self._engine, plan, reason, excluded=True)

    def left_members(self, plan: int) -> Iterator[tuple[str, str]]:
        """Label and UID of the studies that the draft has no place for; otherwise as `plan_members`."""
        return planning.left(self._engine, plan)

    # ------------------------------------------------------------------------------------------------ comparing passes

    def compare_inventories(self, old: int, new: int) -> Iterator[StudyDelta]:
        """The studies that two passes tell differently, by label; edits in place of equal size go unseen."""
        return comparing.compare(self._engine, old, new)

    def sample_untouched(self, old: int, new: int, count: int, seed: int) -> list[str]:
        """UIDs of at most ``count`` studies that both passes tell alike, drawn by ``seed``."""
        return comparing.sample(self._engine, old, new, count, seed)

    # ------------------------------------------------------------------------------------------------ the ledger

    def projected_size(self) -> int:
        """How many ledger events are folded into the current state."""
        return self.folded()[0]

    def folded(self) -> tuple[int, str]:
        """How many ledger events are folded, and the ledger's Merkle root over them, in hexadecimal."""
        with self._engine.connect() as connection:
            return projection.folded(connection)

    def project(self, events: Sequence[RecordedEvent], members: Members, root: str = "") -> None:
        """Fold events that follow those already folded; earlier ones are skipped.

        ``members(ref)`` gives the (label, UID) pairs behind a ``members_ref``. ``root`` is the ledger's Merkle root
        over all events up to the last of these, by which the same ledger is known again.

        Raises:
            StateError: events are missing in between.
            LedgerCorrupt: an event cannot happen in the state that the earlier ones lead to.
        """
        with writing(self._engine) as connection:
            projection.apply(connection, events, members, root)

    def forget_outdated(self) -> None:
        """Forget a current state that other software folded otherwise; what was found at archives stays."""
        with self._engine.connect() as connection:
            outdated = projection.outdated(connection)
        if outdated:
            with writing(self._engine) as connection:
                projection.clear(connection)

    def wave_names(self) -> list[str]:
        """The waves on record, in the order in which they were planned."""
        return standing.wave_names(self._engine)

    def wave_status(self, name: str) -> WaveStatus:
        """How a wave stands.

        Raises:
            StateError: no such wave is on record.
        """
        return standing.wave_status(self._engine, name)

    def work(
        self, wave: str, states: Collection[MigrationState], after: str = "", limit: int = 1000
    ) -> list[StudyWork]:
        """At most ``limit`` studies of a wave in any of ``states``, by label, after the label ``after``."""
        return standing.work(self._engine, wave, states, after, limit)

    def work_on(self, label: str) -> StudyWork | None:
        """Where one study stands; None if no plan ever placed it."""
        return standing.work_on(self._engine, label)

    def members(self, wave: str, labels: Collection[str]) -> dict[str, StudyUID]:
        """The UIDs of those of these studies that are in a wave, by label."""
        return standing.members(self._engine, wave, labels)

    def paused(self, wave: str) -> bool:
        """Whether the wave, or all work, is paused."""
        return standing.paused(self._engine, wave)

    def choices(self, study_label: str) -> Mapping[str, str]:
        """The contents that people chose for a study's instances: instance label to content."""
        return standing.choices(self._engine, study_label)

    def batches(self, wave: str | None = None, *, unresolved: bool = False) -> Iterator[BatchLine]:
        """Batches on record, of one wave or all, in order; or only those that wait for their job's answer."""
        return batches.lines(self._engine, wave, unresolved=unresolved)

    @property
    def decisions(self) -> Decisions:
        """What acceptance found and people decided, and which findings are open."""
        return Decisions(self._engine)

    def findings(self, wave: str | None = None, *, settled: bool = False) -> Iterator[FindingLine]:
        """Open findings, of one wave or all, in order; also settled ones if asked."""
        return standing.findings(self._engine, wave, settled=settled)

    def count_findings(self) -> list[tuple[str, str, int]]:
        """Open findings as (kind, severity, number)."""
        return standing.count_findings(self._engine)

    def excluded(self) -> list[tuple[str, int]]:
        """Excluded studies on record as (reason, number)."""
        return standing.excluded(self._engine)

    def unplanned(self) -> Iterator[tuple[str, str]]:
        """Label and UID of the studies that no plan on record places, by label."""
        return standing.unplanned(self._engine)

    def count_unplanned(self) -> int:
        """How many studies no plan on record places."""
        return standing.count_unplanned(self._engine)
