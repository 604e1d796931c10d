"""One dated pass over an archive, committed part by part and resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.model.counting import counted, size_text
from vna_lifecycle.model.event import InventoryCompleted, InventoryPartRecorded, InventoryStarted
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Cancellation, SourceAdapter

TOLD_EVERY = 500


@frozen(kw_only=True)
class InventoryResult:
    """What a pass found. ``completed`` is False when it was cancelled: the next call goes on with the next part."""

    archive: str
    inventory: int
    completed: bool
    resumed: bool
    parts: int
    studies: int
    instances: int
    refused: int
    size: int

    def __str__(self) -> str:
        if not self.completed:
            return f"{self.archive}: stopped after {counted(self.parts, 'part')}; the same command goes on from there"
        again = f", {counted(self.refused, 'file')} refused" if self.refused else ""
        held = f"{counted(self.studies, 'study')}, {counted(self.instances, 'instance')}"
        return f"{self.archive}: {held}, {size_text(self.size, self.instances)}{again}"


def take_inventory(
    journal: Journal,
    archive: str,
    source: SourceAdapter,
    *,
    cancelled: Cancellation,
    seconds: Callable[[], float],
    tell: Tell = silent,
) -> InventoryResult:
    """Fill the catalog from an archive.

    A pass that was interrupted is taken up again; otherwise a new one begins. Each part is one transaction of the
    catalog and then one event, so that an interruption repeats at most one part.

    Raises:
        ArchiveError: the archive does not answer.
    """
    catalog = journal.catalog
    interrupted = catalog.interrupted_inventory(archive)
    number = interrupted if interrupted is not None else catalog.next_inventory()
    catalog.begin_inventory(number, archive)
    journal.record([(f"inventory/{number}/started", InventoryStarted(inventory=number, archive=archive))])
    done = catalog.parts_done(number)
    begun = seconds()
    instances, size, parts = 0, 0, len(done)

    for part in source.parts():
        if cancelled.is_set():
            break
        label = journal.vault.label(part.key)
        if part.key not in done:
            counted = _told(source.inventory(part), part.title or archive, instances, begun, seconds, tell)
            catalog.record_part(number, part, counted)
            parts += 1
        totals = catalog.part_totals(number, part.key)
        instances, size = instances + totals.instances, size + totals.size
        # Also for parts that were done: a crash may have come between the catalog's commit and the ledger's.
        journal.record(
            [
                (
                    f"inventory/{number}/part/{label}",
                    InventoryPartRecorded(
                        inventory=number,
                        part=label,
                        instances=totals.instances,
                        refused=totals.refused,
                        size=totals.size,
                        commitment=journal.commitment(totals.content_sha256),
                    ),
                )
            ]
        )
        tell(
            Progress(
                activity="inventory",
                subject=archive,
                done=instances,
                total=None,
                unit="instances",
                size=size,
                seconds=seconds() - begun,
                note=part.title,
            )
        )
    else:
        return _complete(journal, catalog, archive, number, resumed=interrupted is not None)
    return InventoryResult(
        archive=archive,
        inventory=number,
        completed=False,
        resumed=interrupted is not None,
        parts=parts,
        studies=0,
        instances=instances,
        refused=0,
        size=size,
    )


def _complete(journal: Journal, catalog: Catalog, archive: str, number: int, *, resumed: bool) -> InventoryResult:
    totals = catalog.counted_inventory(number)
    journal.record(
        [
            (
                f"inventory/{number}/completed",
                InventoryCompleted(
                    inventory=number,
                    archive=archive,
                    parts=totals.parts,
                    studies=totals.studies,
                    instances=totals.instances,
                    refused=totals.refused,
                    size=totals.size,
                ),
            )
        ]
    )
    return InventoryResult(
        archive=archive,
        inventory=number,
        completed=True,
        resumed=resumed,
        parts=totals.parts,
        studies=totals.studies,
        instances=totals.instances,
        refused=totals.refused,
        size=totals.size,
    )


def _told(
    items: Iterator[StudyRecord | InstanceRecord | Refused],
    title: str,
    before: int,
    begun: float,
    seconds: Callable[[], float],
    tell: Tell,
) -> Iterator[StudyRecord | InstanceRecord | Refused]:
    for number, item in enumerate(items, 1):
        yield item
        if number % TOLD_EVERY == 0:
            tell(
                Progress(
                    activity="inventory",
                    subject=title,
                    done=before + number,
                    total=None,
                    unit="instances",
                    seconds=seconds() - begun,
                )
            )
