"""Reading what a bucket holds: a store by its manifests, any other objects by their headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

from vna_lifecycle.adapters.either import EitherReader
from vna_lifecycle.adapters.query import StudyTally, matches, summarize
from vna_lifecycle.adapters.s3.bucket import Bucket, Listed
from vna_lifecycle.adapters.s3.cut import cut, range_of
from vna_lifecycle.adapters.s3.fetch import fetch_objects
from vna_lifecycle.adapters.s3.holdings import Holdings
from vna_lifecycle.adapters.s3.layout import study_manifests
from vna_lifecycle.adapters.s3.ranged import scan_object
from vna_lifecycle.adapters.s3.remembered import Remembered
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Part, SourceAdapter, Spool, StudyQuery

_LINE: Final = 600  # bytes of a manifest per instance, about; only evens out the parts
_AHEAD: Final = 64  # studies or objects that are read at a time
_Found: TypeAlias = InstanceRecord | Refused


class StoreReader:
    """The reading side of a store: its listing tells what is there, and its manifests what that is."""

    def __init__(self, holdings: Holdings, remembered: Remembered) -> None:
        self._holdings = holdings
        self._bucket = holdings.bucket
        self._remembered = remembered

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """One study by its manifest; any other question by a listing of all manifests, of which new ones are read."""
        if query.study_uid:
            records = [item.record for item in self._holdings.contents(StudyUID(query.study_uid)).instances.values()]
            studies: Iterable[StudyRecord] = [summarize(records)] if records else []
        else:
            studies = sorted(self._studies(), key=lambda study: study.study_uid)
        return (study for study in studies if matches(query, study))

    def _studies(self) -> Iterator[StudyRecord]:
        grouped = self._holdings.manifests()
        while batch := list(islice(grouped, _AHEAD)):
            marks = [" ".join(f"{item.key[-14:]}{item.etag}" for item in segments) for _, segments in batch]
            known = [
                self._remembered.get(study, mark, StudyRecord) for (study, _), mark in zip(batch, marks, strict=True)
            ]
            missing = [number for number, study in enumerate(known) if study is None]
            read = self._bucket.pool.map(self._summary, (batch[number][1] for number in missing))
            new: list[tuple[str, str, object]] = []
            for number, study in zip(missing, read, strict=True):
                known[number] = study
                if study is not None:
                    new.append((batch[number][0], marks[number], study))
            self._remembered.put(new, StudyRecord)
            yield from (study for study in known if study is not None)

    def _summary(self, segments: list[Listed]) -> StudyRecord | None:
        records = [item.record for item in self._holdings.read_segments(segments).instances.values()]
        return summarize(records) if records else None

    def parts(self) -> Iterator[Part]:
        """Ranges of studies, by the digests of their UIDs."""
        weights = (
            (study, max(1, sum(item.size for item in segments) // _LINE))
            for study, segments in self._holdings.manifests()
        )
        parts = cut(weights, "studies")
        if not parts:  # objects whose manifests a crash prevented
            parts = cut(((study, len(objects)) for study, _, objects in self._holdings.studies()), "studies")
        return iter(parts)

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Each study of the part and its instances, from its manifest and what is there of it."""
        after, last = range_of(part)
        studies = self._holdings.studies(after, last or "")
        while batch := list(islice(studies, _AHEAD)):
            contents = self._bucket.pool.map(self._holdings.read_segments, [segments for _, segments, _ in batch])
            for (study, _, objects), said in zip(batch, contents, strict=True):
                if said.damaged:
                    reason = f"{said.damaged} lines or segments of a study's manifest cannot be read"
                    yield Refused(locator=study_manifests(study), code="damaged-manifest", reason=reason)
                found = list(self._holdings.present(said, objects))
                records = [item for item in found if isinstance(item, InstanceRecord)]
                if records:
                    yield summarize(records)
                yield from found

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """What is there of the study."""
        return (item for item in self._holdings.study(study.study_uid) if isinstance(item, InstanceRecord))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object, streamed into the spool."""
        return fetch_objects(self._bucket, wanted, spool)

    def close(self) -> None:
        """Close what is remembered, and the connections."""
        self._remembered.close()
        self._bucket.close()


class ForeignReader:
    """Any objects under a prefix, whatever they are called: their headers tell what they are, and are remembered."""

    def __init__(self, bucket: Bucket, remembered: Remembered) -> None:
        self._bucket = bucket
        self._remembered = remembered

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies whose instances answer the query, by a listing of everything; new objects' headers are read."""
        found: dict[StudyUID, StudyTally] = {}
        for item in self._all():
            if isinstance(item, InstanceRecord):
                found.setdefault(item.study_uid, StudyTally()).add(item)
        studies = (tally.study() for _, tally in sorted(found.items()))
        return (study for study in studies if matches(query, study))

    def parts(self) -> Iterator[Part]:
        """Ranges of keys."""
        return iter(cut(((item.key, 1) for item in self._bucket.listing()), "objects"))

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Every object in the part's range, one that came into it since included."""
        yield from self._all(*range_of(part))

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """The study's instances, by a listing of everything."""
        for item in self._all():
            if isinstance(item, InstanceRecord) and item.study_uid == study.study_uid:
                yield item

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object, streamed into the spool."""
        return fetch_objects(self._bucket, wanted, spool)

    def close(self) -> None:
        """Close what is remembered, and the connections."""
        self._remembered.close()
        self._bucket.close()

    def _all(self, after: str = "", last: str | None = None) -> Iterator[_Found]:
        listed = (item for item in self._bucket.listing(after=after, last=last) if not _is_folder(item))
        while batch := list(islice(listed, _AHEAD)):
            known: list[_Found | None] = [self._remembered.get(*_name(item), InstanceRecord) for item in batch]
            missing = [number for number, record in enumerate(known) if record is None]
            read = self._bucket.pool.map(self._scan, [batch[number] for number in missing])
            new: list[tuple[str, str, object]] = []
            for number, record in zip(missing, read, strict=True):
                known[number] = record
                if isinstance(record, InstanceRecord):
                    new.append((*_name(batch[number]), record))
            self._remembered.put(new, InstanceRecord)
            yield from (record for record in known if record is not None)

    def _scan(self, item: Listed) -> _Found:
        return scan_object(self._bucket, item)


def _is_folder(item: Listed) -> bool:
    """What consoles make where somebody clicks "new folder"."""
    return item.size == 0 and item.key.endswith("/")


def _name(item: Listed) -> tuple[str, str]:
    return item.key, f"{item.etag} {item.size} {item.availability.value}"


class Reader(EitherReader):
    """The reading side of a bucket, whichever of the two it is now."""

    def __init__(self, holdings: Holdings, remembered: Remembered) -> None:
        self._holdings = holdings
        self._store = StoreReader(holdings, remembered)
        self._foreign = ForeignReader(holdings.bucket, remembered)

    def _now(self) -> SourceAdapter:
        return self._store if self._holdings.is_store() else self._foreign

    def close(self) -> None:
        """Close what is remembered, and the connections."""
        self._store.close()
