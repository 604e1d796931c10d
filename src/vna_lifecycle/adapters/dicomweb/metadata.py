"""WADO-RS metadata (PS3.18 10.4.1.1.2): what a series' own data sets say, where answers to searches say too little.

It only completes records of instances that were listed. No Bulk Data URI in it is ever followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.connection import Connection
from vna_lifecycle.adapters.dicomweb.json_array import BadArray, JsonArray, UnfinishedArray
from vna_lifecycle.adapters.dicomweb.searching import JSON
from vna_lifecycle.adapters.dicomweb.trouble import BrokenAnswer, broken
from vna_lifecycle.model.inventory import InstanceRecord, StudyRecord

UNUSABLE: Final = "metadata-unusable"
"""Flag of an instance whose listing lacks attributes, and whose metadata could not be read."""

_METADATA: Final = "a retrieval of metadata"
_LARGEST: Final = 8 << 20  # characters of one instance's metadata
_SURPLUS: Final = 20  # data sets about other instances, beyond as many again as were listed
_ABSENT: Final = frozenset({204, 404, 410})
_NOT_SERVED: Final = frozenset({405, 406, 501})
_MISSES: Final = 3  # in a row, after which an archive is not asked for metadata any more
_OF_INSTANCE: Final = ("sop_class_uid", "transfer_syntax", "instance_number", "rows", "columns", "frames")
_OF_SERIES: Final = ("series_number", "modality", "series_description", "body_part", "laterality")


class _NoMetadata(Exception):
    """The archive has none: for a series, or ``at_all``."""

    def __init__(self, *, at_all: bool) -> None:
        super().__init__()
        self.at_all = at_all


class Metadata:
    """Asks one archive for metadata as long as that is of use. Threads may share it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._misses = 0
        self._flags: tuple[str, ...] = ()

    def complete(self, study: StudyRecord, records: Sequence[InstanceRecord]) -> list[InstanceRecord]:
        """A study's records, in their order. Series with a record that lacks SOP class or modality are asked for.

        What was listed stays as it was; only what is empty is filled in. Metadata that cannot be read leave a record
        as it was, with a flag; where the archive has none, without one.

        Raises:
            ArchiveError: the archive does not answer, or would not have us.
        """
        by_series: dict[str, list[InstanceRecord]] = {}
        for record in records:
            by_series.setdefault(record.series_uid, []).append(record)
        known = {
            record.locator: record
            for listed in by_series.values()
            if lacks(listed)
            for record in self._series(study, listed)
        }
        return [known.get(record.locator, record) for record in records]

    def _series(self, study: StudyRecord, listed: Sequence[InstanceRecord]) -> list[InstanceRecord]:
        flags = self._flags
        if self._misses < _MISSES:
            try:
                told = self._connection.again(lambda: self._ask(study, listed))
            except _NoMetadata as absent:
                self._misses = _MISSES if absent.at_all else self._misses + 1
                flags = self._flags = ()
            except (BadArray, BrokenAnswer):
                self._misses += 1
                flags = self._flags = (UNUSABLE,)
            else:
                self._misses = 0
                return [_filled(record, told.get(record.sop_instance_uid)) for record in listed]
        return [evolve(record, flags=record.flags + flags) if _lacks(record) else record for record in listed]

    def _ask(self, study: StudyRecord, listed: Sequence[InstanceRecord]) -> dict[str, InstanceRecord]:
        """What the metadata of one series say of the instances that were listed, by SOP Instance UID."""
        connection = self._connection
        names = ("studies", study.study_uid, "series", listed[0].series_uid, "metadata")
        path = connection.path(connection.settings.wado_prefix, *names)
        uids = {record.sop_instance_uid for record in listed}
        told: dict[str, InstanceRecord] = {}
        with connection.request(path, _METADATA, accept=JSON) as answer:
            if answer.status in _ABSENT | _NOT_SERVED:
                raise _NoMetadata(at_all=answer.status in _NOT_SERVED)
            if answer.status >= 500:
                raise broken(connection.archive, _METADATA, f"HTTP status {answer.status}")
            if answer.status not in (200, 206):
                raise BadArray(f"HTTP status {answer.status}")
            try:
                for count, elements in enumerate(JsonArray(connection.chunks(answer), largest=_LARGEST), 1):
                    if count > 2 * len(listed) + _SURPLUS:
                        raise BadArray("more data sets than instances")
                    found = Answer(elements)
                    if found.text(at.SOP_UID) in uids and _is_of(found, listed[0]):
                        record = at.instance_record(study, found, found, ())
                        told.setdefault(record.sop_instance_uid, record)
            except UnfinishedArray:
                raise broken(connection.archive, _METADATA, "the answer ended too early") from None
        return told


def lacks(records: Sequence[InstanceRecord]) -> list[str]:
    """What metadata are asked for since some of these records lack it, in words; nothing where all have it."""
    words = []
    if not all(record.sop_class_uid for record in records):
        words.append("SOP class")
    if not all(record.series.modality for record in records):
        words.append("modality")
    return words


def _lacks(record: InstanceRecord) -> bool:
    return bool(lacks([record]))


def _is_of(found: Answer, listed: InstanceRecord) -> bool:
    """Whether metadata are about the study and the series that were asked for; those that do not say so are not."""
    return (found.text(at.STUDY_UID), found.text(at.SERIES_UID)) == (listed.study_uid, listed.series_uid)


def _filled(record: InstanceRecord, told: InstanceRecord | None) -> InstanceRecord:
    if told is None:
        return record
    series = {name: getattr(told.series, name) for name in _OF_SERIES if not getattr(record.series, name)}
    own = {name: getattr(told, name) for name in _OF_INSTANCE if getattr(record, name) in ("", None)}
    return evolve(record, series=evolve(record.series, **series), **own)
