"""Sampled studies as they are now: at the sources, and as every reader is served them. Tasks, as in `tasks`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from attrs import frozen

from vna_lifecycle.engine.tasks import (
    Candidate,
    SpooledObject,
    Stopwatch,
    Workbench,
    fetch_study,
    look,
    undelivered,
)
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import Fetched, FetchFailure, Retrieved, StudyQuery


@frozen(kw_only=True)
class Served:
    """A sampled study in hand. ``failures`` are of the sources; those of readers are with what they served."""

    originals: tuple[Fetched, ...]
    failures: tuple[FetchFailure, ...]
    retrieved: tuple[Retrieved, ...]
    cancelled: bool = False


def serve_study(
    bench: Workbench,
    study: StudyRef,
    candidates: Sequence[Candidate],
    chosen: Sequence[tuple[str, str]],
    target: str,
    readers: Sequence[str],
) -> Served:
    """Fetch a study again from the sources, as a transfer would, and from every reader, as its users would."""
    source = fetch_study(bench, study, candidates, chosen, target)
    retrieved = [] if source.cancelled else [retrieve(bench, study, reader) for reader in readers]
    return Served(
        originals=tuple(item.fetched for item in source.objects),
        failures=source.failures,
        retrieved=tuple(retrieved),
        cancelled=source.cancelled or bool(bench.cancelled.is_set()),
    )


def retrieve(bench: Workbench, study: StudyRef, reader: str) -> Retrieved:
    """Ask for a study as a reader does, by its UID, and fetch all that the archive lists of it."""
    reads = bench.archive(reader).reads
    begun = time.monotonic()
    answers = reads.find_studies(StudyQuery(study_uid=study.study_uid))
    listed = next((found for found in answers if found.study_uid == study.study_uid), None)
    records = list(reads.list_instances(study))
    asking = time.monotonic() - begun
    watch, objects, failures, answered = Stopwatch(), list[Fetched](), list[FetchFailure](), set[str]()
    for item in watch.over(reads.fetch(study, records, bench.spool(spooled(study, reader), "read-back"))):
        if bench.cancelled.is_set():
            break
        answered.add(item.record.locator)
        looked = item if isinstance(item, FetchFailure) else look(reader, study, item)
        if isinstance(looked, SpooledObject):
            bench.pace.consume(looked.entry.size, bench.cancelled)
            objects.append(looked.fetched)
        else:
            failures.append(looked)
    failures += [undelivered(record) for record in records if record.locator not in answered]
    objects.sort(key=lambda item: (item.record.sop_instance_uid, item.record.locator))
    return Retrieved(
        reader=reader,
        listed=listed,
        objects=tuple(objects),
        failures=tuple(failures),
        seconds=asking + watch.seconds,
    )


def release(bench: Workbench, study: StudyRef, readers: Sequence[str]) -> None:
    """Let go of what lies in the spool of a study."""
    bench.clear(study.label)
    for reader in readers:
        bench.clear(spooled(study, reader))


def spooled(study: StudyRef, reader: str) -> str:
    """Under which name what a reader was served lies in the spool."""
    return f"{study.label}/{reader}"
