"""What a worker does with one study: fetch it, store it, read it back. Module-level functions over frozen values.

A task has no memory and writes no record: it may run in any thread or process, and again after a crash.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from attrs import evolve, frozen

from vna_lifecycle.dicom.compare import compare_entries, conflict_class, entry_against, entry_of
from vna_lifecycle.dicom.digest import dataset_sha256, examine_file
from vna_lifecycle.dicom.encoding import encoding_classes, encoding_of
from vna_lifecycle.engine.reconcile import ReadBack
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, ManifestEntry, Rung
from vna_lifecycle.ports import (
    Archive,
    Cancellation,
    ConflictClass,
    Fetched,
    FetchFailure,
    Receipt,
    Spool,
    StoreFailure,
)

_NOT_AS_LISTED: Final = "the object that was served is not the one that was listed"


class Pace(Protocol):
    """Holds a task back so that the program keeps to its byte rate."""

    def consume(self, size: int, cancelled: Cancellation, /) -> None:
        """Wait until ``size`` more bytes may pass, or until cancelled."""
        ...


class Workbench(Protocol):
    """What a task works with, in whichever thread or process it runs."""

    @property
    def cancelled(self) -> Cancellation:
        """Whether to stop early."""
        ...

    @property
    def pace(self) -> Pace:
        """This task's share of the byte rate."""
        ...

    def archive(self, name: str) -> Archive:
        """The opened archive of that name."""
        ...

    def spool(self, label: str, purpose: str) -> Spool:
        """An empty folder of its own for one task."""
        ...

    def clear(self, label: str) -> None:
        """Remove what a study's tasks left in the spool."""
        ...


@frozen(kw_only=True)
class Candidate:
    """An object that a source lists for a study."""

    archive: str
    record: InstanceRecord


@frozen(kw_only=True)
class SpooledObject:
    """An object in hand, with what it is."""

    archive: str
    fetched: Fetched
    entry: ManifestEntry


@frozen(kw_only=True)
class HeldInstance:
    """Several contents under one SOP Instance UID: nothing of it is stored before a person chose one.

    ``contents`` pairs each content's data set SHA-256 with the archive and the locator it was found under.
    """

    sop_instance_uid: SOPInstanceUID
    conflict: ConflictClass
    contents: tuple[tuple[str, str, str], ...]


@frozen(kw_only=True)
class FetchedStudy:
    """All that could be had of a study.

    ``answered`` says how quickly: for each archive its seconds, objects and bytes. ``spoilt`` copies cannot be had,
    while another one under the same SOP Instance UID could.
    """

    objects: tuple[SpooledObject, ...]
    held: tuple[HeldInstance, ...]
    failures: tuple[FetchFailure, ...]
    present_before: tuple[str, ...]
    answered: tuple[tuple[str, float, int, int], ...] = ()
    spoilt: tuple[FetchFailure, ...] = ()
    cancelled: bool = False

    @property
    def size(self) -> int:
        """Bytes in hand."""
        return sum(item.entry.size for item in self.objects)

    def manifest(self, study: StudyRef) -> Manifest:
        """The manifest of what is in hand."""
        return Manifest(study_uid=study.study_uid, entries=tuple(item.entry for item in self.objects))


def fetch_study(
    bench: Workbench,
    study: StudyRef,
    candidates: Sequence[Candidate],
    chosen: Sequence[tuple[str, str]],
    target: str,
    required: Rung = Rung.HASHED,
) -> FetchedStudy:
    """Fetch every listed object of a study, look at each, and settle which content each SOP Instance UID has.

    ``chosen`` pairs SOP Instance UIDs with the data set SHA-256 that a person decided for. What was fetched counts,
    not what was listed: an object whose UIDs are not those of its listing is a failure. Where only
    EQUIVALENT is ``required`` of the target, which may re-encode them, lossless objects are also digested decoded, and
    how each object is encoded is kept.
    """
    spool = bench.spool(study.label, "fetch")
    by_archive: dict[str, list[InstanceRecord]] = {}
    for candidate in candidates:
        by_archive.setdefault(candidate.archive, []).append(candidate.record)

    contents: dict[SOPInstanceUID, list[SpooledObject]] = {}
    failures: list[FetchFailure] = []
    answered: list[tuple[str, float, int, int]] = []
    for name, records in by_archive.items():
        watch, in_hand, answers = Stopwatch(), 0, set[str]()
        for item in watch.over(bench.archive(name).reads.fetch(study, records, spool)):
            if bench.cancelled.is_set():
                return FetchedStudy(objects=(), held=(), failures=(), present_before=(), cancelled=True)
            answers.add(item.record.locator)
            looked = item if isinstance(item, FetchFailure) else look(name, study, item, required)
            if isinstance(looked, FetchFailure):
                failures.append(looked)
            else:
                bench.pace.consume(looked.entry.size, bench.cancelled)
                in_hand += looked.entry.size
                contents.setdefault(looked.entry.sop_instance_uid, []).append(looked)
        failures += [undelivered(record) for record in records if record.locator not in answers]
        answered.append((name, watch.seconds, len(records), in_hand))

    order = {name: position for position, name in enumerate(by_archive)}
    decisions = dict(chosen)
    # What did not come for now may be another content of the same UID: until it is seen, nothing of that UID is stored.
    awaited = {failure.record.sop_instance_uid for failure in failures if failure.transient}
    objects: list[SpooledObject] = []
    held: list[HeldInstance] = []
    for uid, found in sorted(contents.items()):
        if uid in awaited:
            continue
        found.sort(key=lambda item: (order[item.archive], item.fetched.record.locator))
        settled = _settle(uid, found, decisions.get(uid))
        if isinstance(settled, SpooledObject):
            objects.append(settled)
        else:
            held.append(settled)
    spoilt = [f for f in failures if not f.transient and f.record.sop_instance_uid in contents]
    missed = [failure for failure in failures if failure not in spoilt]
    before = tuple(record.sop_instance_uid for record in bench.archive(target).reads.list_instances(study))
    return FetchedStudy(
        objects=tuple(objects),
        held=tuple(held),
        failures=tuple(missed),
        present_before=before,
        answered=tuple(answered),
        spoilt=tuple(spoilt),
    )


def undelivered(record: InstanceRecord) -> FetchFailure:
    """What stands for an object that was asked for and never came."""
    message = "the archive ended its answer without this object"
    return FetchFailure(record=record, code="not-delivered", message=message, transient=True)


class Stopwatch:
    """How long an archive takes, without what is done with its answers meanwhile."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, answers: Iterator[Fetched | FetchFailure]) -> Iterator[Fetched | FetchFailure]:
        """The same answers, timed."""
        begun = time.monotonic()
        for answer in answers:
            self.seconds += time.monotonic() - begun
            yield answer
            begun = time.monotonic()
        self.seconds += time.monotonic() - begun


def look(archive: str, study: StudyRef, item: Fetched, required: Rung = Rung.HASHED) -> SpooledObject | FetchFailure:
    """What an object in hand is: what was served counts, not what was listed."""
    listed = item.record
    try:
        examined = examine_file(item.path, locator=listed.locator)
        re_encoding = required <= Rung.EQUIVALENT
        entry = entry_of(item.path, examined, decoded=re_encoding, encoding=re_encoding)
    except DicomRefused as refusal:
        return FetchFailure(record=listed, code=refusal.code, message=str(refusal))
    except OSError as error:
        return FetchFailure(record=listed, code="unreadable", message=error.strerror or "the file cannot be read")
    served = examined.record
    if (served.sop_instance_uid, served.study_uid) != (listed.sop_instance_uid, study.study_uid):
        return FetchFailure(record=listed, code="not-as-listed", message=_NOT_AS_LISTED)
    return SpooledObject(archive=archive, fetched=evolve(item, digest=entry.digest), entry=entry)


def _settle(uid: SOPInstanceUID, found: Sequence[SpooledObject], chosen: str | None) -> SpooledObject | HeldInstance:
    """The only content, the chosen one, the first source's where sources differ only in encoding, or none."""
    distinct: dict[str, SpooledObject] = {}
    for item in found:
        distinct.setdefault(item.entry.digest.dataset_sha256, item)
    if chosen in distinct:
        return distinct[chosen]
    first = found[0]
    if len(distinct) == 1:
        return first
    conflict = _worst([conflict_class(first.fetched.path, item.fetched.path) for item in list(distinct.values())[1:]])
    same_source = {item.archive for item in distinct.values()} == {first.archive}
    alone_in_first = len({i.entry.digest.dataset_sha256 for i in found if i.archive == first.archive}) == 1
    if conflict is ConflictClass.ENCODING and not same_source and alone_in_first:
        return first
    return HeldInstance(
        sop_instance_uid=uid,
        conflict=conflict,
        contents=tuple((digest, item.archive, item.fetched.record.locator) for digest, item in distinct.items()),
    )


def _worst(classes: Sequence[ConflictClass]) -> ConflictClass:
    ranked = [ConflictClass.ENCODING, ConflictClass.DEMOGRAPHICS, ConflictClass.CONTENT]
    return max(classes, key=ranked.index)


def store_study(
    bench: Workbench, study: StudyRef, target: str, instances: Sequence[Fetched]
) -> tuple[Receipt | StoreFailure, ...]:
    """Store what is in hand; what the target said of each instance. Instances it said nothing of are failures."""
    store = bench.archive(target).stores
    if store is None:
        message = "the target cannot be written"
        return tuple(_unanswered(item, "no-store", message) for item in instances)
    answers: dict[str, Receipt | StoreFailure] = {}
    sizes = {item.record.sop_instance_uid: size_of(item) for item in instances}
    for answer in store.store(study, instances):
        answers[answer.sop_instance_uid] = answer
        bench.pace.consume(sizes.get(answer.sop_instance_uid, 0), bench.cancelled)
        if bench.cancelled.is_set():
            break
    silent = "the target did not say what became of it"
    return tuple(
        answers.get(item.record.sop_instance_uid) or _unanswered(item, "no-answer", silent) for item in instances
    )


def size_of(item: Fetched) -> int:
    """An object's bytes, for the pace: as listed, or else as they lie there."""
    return item.path.stat().st_size if item.record.size is None else item.record.size


def _unanswered(item: Fetched, code: str, message: str) -> StoreFailure:
    return StoreFailure(sop_instance_uid=item.record.sop_instance_uid, code=code, message=message, transient=True)


def read_back(
    bench: Workbench,
    study: StudyRef,
    archive: str,
    expected: Manifest,
    originals: Mapping[SOPInstanceUID, Path] | None = None,
) -> ReadBack:
    """Fetch a study from an archive independently of what was said when it was stored, and look at every instance.

    An instance with the expected data set bytes is not looked at any further; any other is examined in full.
    ``originals`` are the files that were stored, where they are still in hand: of what the archive re-encoded they
    tell how it was encoded before, where the manifest does not.
    """
    reads = bench.archive(archive).reads
    wanted = {entry.sop_instance_uid: entry for entry in expected.entries}
    listed: dict[SOPInstanceUID, InstanceRecord] = {}
    extra: list[SOPInstanceUID] = []
    for record in reads.list_instances(study):
        if record.sop_instance_uid in wanted:
            listed[record.sop_instance_uid] = record
        else:
            extra.append(record.sop_instance_uid)
    found: list[ManifestEntry] = []
    unreadable: list[FetchFailure] = []
    re_encoded: list[tuple[SOPInstanceUID, tuple[EncodingClass, ...]]] = []
    spool = bench.spool(study.label, "read-back")
    answers: set[str] = set()
    for item in _fetched(bench, reads.fetch(study, list(listed.values()), spool)):
        answers.add(item.record.locator)
        if isinstance(item, FetchFailure):
            unreadable.append(item)
            continue
        uid = item.record.sop_instance_uid
        entry = _read(item, wanted[uid])
        if isinstance(entry, FetchFailure):
            unreadable.append(entry)
            continue
        found.append(entry)
        if compare_entries(wanted[uid], entry) is Rung.EQUIVALENT:
            original = originals.get(uid) if originals else None
            re_encoded.append((uid, _classes(wanted[uid], entry, original, item.path)))
    unreadable += [undelivered(record) for record in listed.values() if record.locator not in answers]
    return ReadBack(
        manifest=Manifest(study_uid=study.study_uid, entries=tuple(found)),
        extra=tuple(sorted(extra)),
        unreadable=tuple((item.record.sop_instance_uid, item.code, item.transient) for item in unreadable),
        re_encoded=tuple(sorted(re_encoded, key=lambda pair: pair[0])),
        cancelled=bench.cancelled.is_set(),
    )


def _fetched(bench: Workbench, items: Iterator[Fetched | FetchFailure]) -> Iterator[Fetched | FetchFailure]:
    for item in items:
        if bench.cancelled.is_set():
            return
        if isinstance(item, Fetched):
            bench.pace.consume(size_of(item), bench.cancelled)
        yield item


def _read(item: Fetched, expected: ManifestEntry) -> ManifestEntry | FetchFailure:
    try:
        entry = entry_against(item.path, expected, locator=item.record.locator)
    except DicomRefused as refusal:
        return FetchFailure(record=item.record, code=refusal.code, message=str(refusal))
    except OSError as error:
        return FetchFailure(record=item.record, code="unreadable", message=error.strerror or "unreadable")
    if entry.sop_instance_uid != expected.sop_instance_uid:
        return FetchFailure(record=item.record, code="not-as-listed", message=_NOT_AS_LISTED)
    return entry


def _classes(
    meant: ManifestEntry, entry: ManifestEntry, original: Path | None, served: Path
) -> tuple[EncodingClass, ...]:
    """In what the encoding of an object differs from the one that was stored."""
    if meant.digest.encoding is None and original is not None:
        try:
            if dataset_sha256(original)[0] == meant.digest.dataset_sha256:  # it may be a folder's own file
                meant, entry = _encoded(meant, original), _encoded(entry, served)
        except (DicomRefused, OSError):
            pass  # not in hand any more
    return encoding_classes(meant, entry)


def _encoded(entry: ManifestEntry, path: Path) -> ManifestEntry:
    return evolve(entry, digest=evolve(entry.digest, encoding=encoding_of(path)))
