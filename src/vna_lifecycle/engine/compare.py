"""Comparing two archives object by object, by what they serve and not by what they list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.engine.progress import Progress, Tell, silent
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.counting import counted
from vna_lifecycle.model.encoding import EncodingClass
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Rung
from vna_lifecycle.ports import Cancellation, Fetched, SourceAdapter, Spool

SIDES = ("a", "b")
ROWS_SHOWN = 100


@frozen(kw_only=True)
class Difference:
    """One SOP Instance UID whose content is not the same in both archives.

    ``pixels`` says whether the pixels are the same: False also where that could not be decided. ``attributes`` are the
    keywords of top-level attributes that differ, ``(gggg,eeee)`` where there is no keyword.
    """

    sop_instance_uid: str
    pixels: bool
    attributes: tuple[str, ...]
    note: str = ""


@frozen(kw_only=True)
class ReEncoded:
    """One SOP Instance UID with the same header and pixels in both archives, and in what its encodings differ."""

    sop_instance_uid: str
    classes: tuple[EncodingClass, ...]


@frozen(kw_only=True)
class RefusedObject:
    """Something in archive ``archive`` (a or b) that is no DICOM object that can be trusted."""

    archive: str
    path: str
    reason: str


@frozen(kw_only=True)
class ArchiveComparison:
    """What two archives differ in, by SOP Instance UID.

    ``match`` counts the same instances: ``hashed`` of these with the same bytes, and those in ``re_encoded`` with the
    same header and pixels in another encoding. ``missing`` are only in the first archive, ``extra`` only in the
    second.
    """

    match: int
    hashed: int
    re_encoded: tuple[ReEncoded, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    differ: tuple[Difference, ...]
    refused: tuple[RefusedObject, ...]
    completed: bool = True

    @property
    def equivalent(self) -> tuple[str, ...]:
        """The SOP Instance UIDs that match in another encoding."""
        return tuple(item.sop_instance_uid for item in self.re_encoded)

    @property
    def same(self) -> bool:
        """Whether both hold the same instances, and everything in both could be read."""
        return self.completed and not (self.missing or self.extra or self.differ or self.refused)

    def to_dict(self) -> dict[str, Any]:
        """The facts as ``vna-lifecycle compare --json`` prints them."""
        return {
            "match": self.match,
            "rungs": {"hashed": self.hashed, "equivalent": len(self.equivalent)},
            "equivalent": list(self.equivalent),
            "re_encoded": [
                {"sop_instance_uid": item.sop_instance_uid, "classes": [each.value for each in item.classes]}
                for item in self.re_encoded
            ],
            "missing": list(self.missing),
            "extra": list(self.extra),
            "differ": [{**asdict(item), "attributes": list(item.attributes)} for item in self.differ],
            "refused": [asdict(item) for item in self.refused],
            "completed": self.completed,
        }

    def to_dicts(self) -> list[dict[str, Any]]:
        """One row for each thing that is not a match, for a data frame."""
        rows: list[dict[str, Any]] = [{"kind": "missing", "subject": uid, "detail": ""} for uid in self.missing]
        rows += [{"kind": "extra", "subject": uid, "detail": ""} for uid in self.extra]
        rows += [
            {"kind": "differ", "subject": item.sop_instance_uid, "detail": ", ".join(item.attributes) or item.note}
            for item in self.differ
        ]
        rows += [{"kind": "refused", "subject": item.path, "detail": item.reason} for item in self.refused]
        return rows

    def __str__(self) -> str:
        match = "matches" if self.match == 1 else "match"
        head = (
            f"{counted(self.match, 'instance')} {match} ({self.hashed} by their bytes, "
            f"{len(self.re_encoded)} re-encoded), "
            f"{len(self.missing)} missing, {len(self.extra)} extra, {len(self.differ)} differ, "
            f"{len(self.refused)} refused"
        )
        return head if self.completed else f"{head} (stopped before the end)"

    def _repr_html_(self) -> str:
        """For notebooks: the figures, and the first things that are not a match. Whatever archives say stays text."""
        rows = self.to_dicts()
        figures = {
            "match": self.match,
            "by their bytes": self.hashed,
            "re-encoded": len(self.re_encoded),
            "missing": len(self.missing),
            "extra": len(self.extra),
            "differ": len(self.differ),
            "refused": len(self.refused),
        }
        said = "The same" if self.same else "Not the same" if self.completed else "Stopped before the end"
        parts = [f"<p><strong>{said}</strong></p>", _table(tuple(figures), [tuple(figures.values())])]
        if rows:
            parts.append(_table(("kind", "subject", "detail"), [tuple(row.values()) for row in rows[:ROWS_SHOWN]]))
        if len(rows) > ROWS_SHOWN:
            parts.append(f"<p>and {len(rows) - ROWS_SHOWN:,} more: to_dicts() has them all</p>")
        return "\n".join(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["".join(f"<th>{escape(head)}</th>" for head in heads)]
    lines += ["".join(f"<td><bdi>{escape(str(value))}</bdi></td>" for value in row) for row in rows]
    return "\n".join(["<table>", *(f"<tr>{line}</tr>" for line in lines), "</table>"])


def compare_archives(
    catalog: Catalog,
    a: SourceAdapter,
    b: SourceAdapter,
    spool: Callable[[str], Spool],
    *,
    cancelled: Cancellation,
    seconds: Callable[[], float],
    tell: Tell = silent,
) -> ArchiveComparison:
    """List both archives into an empty ``catalog``, fetch what both list, and compare.

    ``spool`` makes an empty folder for a purpose. A UID with several contents on one side matches when the other side
    has all of these contents.
    """
    refused: list[RefusedObject] = []
    for number, (side, reads) in enumerate(zip(SIDES, (a, b), strict=True), 1):
        catalog.begin_inventory(number, side)
        for part in reads.parts():
            if cancelled.is_set():
                break
            catalog.record_part(number, part, reads.inventory(part))
            tell(Progress(activity="list", subject=side, done=0, total=None, unit="instances", note=part.title))
        catalog.complete_inventory(number)
        refused += [
            RefusedObject(archive=side, path=item.locator, reason=item.reason) for item in catalog.refused(number)
        ]
    catalog.refresh_studies(SIDES)
    comparing = _Comparing(a, b, spool, refused)
    begun = seconds()
    total = sum(catalog.inventory_totals(number).instances for number in (1, 2))
    done = 0
    for study in catalog.studies():
        if cancelled.is_set():
            break
        listed = list(catalog.candidates(study.study_uid))
        comparing.study(study.ref, listed)
        done += len(listed)
        tell(
            Progress(
                activity="compare",
                subject="both",
                done=done,
                total=total,
                unit="instances",
                size=comparing.size,
                seconds=seconds() - begun,
            )
        )
    return comparing.result(completed=not cancelled.is_set())


class _Comparing:
    """The comparison so far."""

    def __init__(
        self, a: SourceAdapter, b: SourceAdapter, spool: Callable[[str], Spool], refused: list[RefusedObject]
    ) -> None:
        self._reads = {"a": a, "b": b}
        self._spool = spool
        self._refused = refused
        self._hashed = 0
        self._re_encoded: list[ReEncoded] = []
        self._differ: list[Difference] = []
        self._alone: dict[str, dict[SOPInstanceUID, list[tuple[StudyRef, InstanceRecord]]]] = {"a": {}, "b": {}}
        self.size = 0

    def study(self, study: StudyRef, listed: Sequence[tuple[str, InstanceRecord]]) -> None:
        """Compare what both archives list under one Study Instance UID."""
        sides: dict[str, dict[SOPInstanceUID, list[InstanceRecord]]] = {"a": {}, "b": {}}
        for side, record in listed:
            sides[side].setdefault(record.sop_instance_uid, []).append(record)
        shared = sides["a"].keys() & sides["b"].keys()
        for side, records in sides.items():
            for uid in records.keys() - shared:
                self._alone[side].setdefault(uid, []).extend((study, record) for record in records[uid])
        if shared:
            self._pairs(
                shared,
                *(
                    [(study, record) for uid in shared for record in records[uid]]
                    for records in (sides["a"], sides["b"])
                ),
            )

    def result(self, *, completed: bool) -> ArchiveComparison:
        """Settle what is alone: the same UID in another study of the other archive is a difference, not two losses."""
        moved = self._alone["a"].keys() & self._alone["b"].keys()
        for uid in sorted(moved):
            self._pairs({uid}, self._alone["a"].pop(uid), self._alone["b"].pop(uid))
        return ArchiveComparison(
            match=self._hashed + len(self._re_encoded),
            hashed=self._hashed,
            re_encoded=tuple(sorted(self._re_encoded, key=lambda item: item.sop_instance_uid)),
            missing=tuple(sorted(self._alone["a"])),
            extra=tuple(sorted(self._alone["b"])),
            differ=tuple(sorted(self._differ, key=lambda item: item.sop_instance_uid)),
            refused=tuple(sorted(self._refused, key=lambda item: (item.archive, item.path))),
            completed=completed,
        )

    def _pairs(
        self,
        uids: Iterable[SOPInstanceUID],
        in_a: Sequence[tuple[StudyRef, InstanceRecord]],
        in_b: Sequence[tuple[StudyRef, InstanceRecord]],
    ) -> None:
        served = {side: self._served(side, listed) for side, listed in (("a", in_a), ("b", in_b))}
        for uid in sorted(uids):
            ones, others = served["a"].get(uid, {}), served["b"].get(uid, {})
            if not ones or not others:
                note = "listed, and not served as a DICOM object that can be trusted"
                self._differ.append(Difference(sop_instance_uid=uid, pixels=False, attributes=(), note=note))
            else:
                self._compare(uid, ones, others)

    def _served(
        self, side: str, listed: Sequence[tuple[StudyRef, InstanceRecord]]
    ) -> dict[SOPInstanceUID, dict[str, Path]]:
        """For each UID its distinct contents: data set SHA-256 and where the object lies."""
        served: dict[SOPInstanceUID, dict[str, Path]] = {}
        spool = self._spool(side)
        for item in self._fetch(side, listed, spool):
            record = item.record
            try:
                digest, size = dataset_sha256(item.path)
            except DicomRefused as refusal:
                self._refuse(side, record, str(refusal))
                continue
            except OSError as error:
                self._refuse(side, record, error.strerror or "it cannot be read")
                continue
            self.size += size
            served.setdefault(record.sop_instance_uid, {}).setdefault(digest, item.path)
        return served

    def _fetch(self, side: str, listed: Sequence[tuple[StudyRef, InstanceRecord]], spool: Spool) -> Iterator[Fetched]:
        by_study: dict[StudyRef, list[InstanceRecord]] = {}
        for study, record in listed:
            by_study.setdefault(study, []).append(record)
        for study, records in by_study.items():
            for item in self._reads[side].fetch(study, records, spool):
                if isinstance(item, Fetched):
                    yield item
                else:
                    self._refuse(side, item.record, item.message)

    def _refuse(self, side: str, record: InstanceRecord, reason: str) -> None:
        self._refused.append(RefusedObject(archive=side, path=record.locator, reason=reason))

    def _compare(self, uid: SOPInstanceUID, ones: dict[str, Path], others: dict[str, Path]) -> None:
        only_a = [path for digest, path in ones.items() if digest not in others]
        only_b = [path for digest, path in others.items() if digest not in ones]
        if not only_a and not only_b:
            self._hashed += 1
            return
        pairs = [compare_files(x, y) for x in only_a or ones.values() for y in only_b or others.values()]
        equal_a = all(_has_equal(x, only_b or list(others.values())) for x in only_a)
        equal_b = all(_has_equal(y, only_a or list(ones.values())) for y in only_b)
        if equal_a and equal_b:
            told = {each for pair in pairs for each in pair.encoding}
            classes = tuple(each for each in EncodingClass if each in told)
            self._re_encoded.append(ReEncoded(sop_instance_uid=uid, classes=classes))
            return
        closest = min(pairs, key=lambda pair: (not pair.pixels_equal, len(pair.attributes)))
        note = "" if len(ones) == len(others) == 1 else "several contents under this UID"
        if closest.pixels_equal is None:
            note = "; ".join(filter(None, (note, "the pixels could not be compared")))
        self._differ.append(
            Difference(
                sop_instance_uid=uid,
                pixels=bool(closest.pixels_equal),
                attributes=closest.attributes,
                note=note,
            )
        )


def _has_equal(path: Path, others: Sequence[Path]) -> bool:
    return any((compare_files(path, other).rung or 0) >= Rung.EQUIVALENT for other in others)
