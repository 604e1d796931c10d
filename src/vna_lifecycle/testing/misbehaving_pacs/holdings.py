"""What a misbehaving PACS holds, and what it answers to queries about it (PS3.4 C.2.2.2)."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from attrs import frozen
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from vna_lifecycle.testing.misbehaving_pacs.faults import Faults
from vna_lifecycle.testing.misbehaving_pacs.pdu import decoded, encoded

UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
"""The unique key of each level, from the top (PS3.4 C.6.1.1)."""

_NO_KEYS: Final = ("QueryRetrieveLevel", "SpecificCharacterSet")
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG: Final = "1.2.840.10008.1.2.2"


@frozen(kw_only=True)
class Held:
    """An object: its data set's bytes, and what they say."""

    dataset: Dataset
    transfer_syntax: str
    data: bytes

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.dataset.SOPInstanceUID)

    @property
    def sop_class(self) -> str:
        """SOP Class UID."""
        return str(self.dataset.SOPClassUID)

    def changed(self, attributes: Mapping[str, str]) -> Held:
        """The object with other values, encoded anew."""
        dataset = decoded(self.data, self.transfer_syntax)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        data = encoded(dataset, implicit=self.transfer_syntax == _IMPLICIT, big=self.transfer_syntax == _BIG)
        return Held(dataset=dataset, transfer_syntax=self.transfer_syntax, data=data)


def held_of(data: bytes, transfer_syntax: str) -> Held:
    """An object from its data set's bytes, which are not deflated."""
    return Held(dataset=decoded(data, transfer_syntax), transfer_syntax=transfer_syntax, data=data)


class Holdings:
    """Objects by SOP Instance UID; used by any number of threads. ``taken`` are the UIDs of those that were stored."""

    def __init__(self, files: Iterable[bytes]) -> None:
        self.taken: list[str] = []
        self._lock = threading.Lock()
        self._objects: dict[str, Held] = {}
        self._listed: dict[str, tuple[Faults, dict[str, list[Dataset]]]] = {}
        for file in files:
            self.keep(_held_of_file(file))

    def keep(self, held: Held) -> None:
        """Take an object, in place of another one of its UID."""
        with self._lock:
            self._objects[held.uid] = held
            self._listed.clear()

    def take(self, held: Held) -> None:
        """Keep an object that somebody stored."""
        self.keep(held)
        self.taken.append(held.uid)

    def all(self) -> tuple[Held, ...]:
        """What is held now."""
        with self._lock:
            return tuple(self._objects.values())

    def named(self, query: Dataset) -> list[Held]:
        """The objects of a retrieval: those under the unique keys of its levels (PS3.4 C.4.2.1)."""
        keys = [(word, _several(query.get(word))) for word in UNIQUE.values() if query.get(word)]
        return [held for held in self.all() if all(str(held.dataset.get(word, "")) in ids for word, ids in keys)]

    def answers(self, query: Dataset, faults: Faults) -> Iterator[Dataset]:
        """The answers to a query."""
        level = str(query.QueryRetrieveLevel)
        if level in faults.silent:
            return
        told = 0
        keys = [element for element in query if element.keyword not in _NO_KEYS and element.value not in (None, "")]
        conditions = [(element.tag, _condition(element)) for element in keys]
        listed = self._records(level, faults)
        asked = query.get(UNIQUE[level]) if level != "PATIENT" else None  # which may have wild cards
        for record in chain.from_iterable(
            (listed.get(uid, []) for uid in _several(asked)) if asked else listed.values()
        ):
            if all(tag in record and condition(_several(record[tag].value)) for tag, condition in conditions):
                told += 1
                if faults.cap is not None and told > faults.cap:
                    return
                yield _asked(query, record)

    def _records(self, level: str, faults: Faults) -> dict[str, list[Dataset]]:
        known = self._listed.get(level)
        if known is not None and known[0] is faults:
            return known[1]
        grouped: dict[str, list[Held]] = {}
        for held in self.all():
            grouped.setdefault(str(held.dataset.get(UNIQUE[level], "")), []).append(held)
        records = {
            uid: [
                _record(members, differing, faults)
                for differing in (faults.records.get(uid, ({},)) if level == "STUDY" else ({},))
            ]
            for uid, members in grouped.items()
        }
        self._listed[level] = (faults, records)
        return records


def _record(members: list[Held], differing: Mapping[str, str], faults: Faults) -> Dataset:
    record = Dataset()
    for element in members[0].dataset:
        if element.VR not in ("OB", "OW", "UN", "SQ"):
            record.add(element)
    series = {str(held.dataset.SeriesInstanceUID) for held in members}
    record.NumberOfStudyRelatedInstances = record.NumberOfSeriesRelatedInstances = len(members) + faults.miscount
    record.NumberOfStudyRelatedSeries = len(series) + faults.miscount
    record.ModalitiesInStudy = sorted({str(held.dataset.Modality) for held in members})
    record.InstanceAvailability = faults.availability
    for keyword, value in differing.items():
        old = record.get(keyword)
        vr = record[keyword].VR if old is not None else "LO"
        record.add(DataElement(keyword, vr, value, validation_mode=IGNORE))
    return record


def _asked(query: Dataset, record: Dataset) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = query.QueryRetrieveLevel
    if "SpecificCharacterSet" in record:
        answer.SpecificCharacterSet = record.SpecificCharacterSet
    for element in query:
        if element.keyword not in _NO_KEYS:
            value = record[element.tag].value if element.tag in record else None
            answer.add(DataElement(element.tag, element.VR, value, validation_mode=IGNORE))
    return answer


def _condition(element: DataElement) -> Callable[[list[str]], bool]:
    """What a key asks of a record's values (PS3.4 C.2.2.2); one that has no value itself asks nothing."""
    text = str(element.value)
    if element.VR == "UI":
        wanted = set(_several(element.value))
        return lambda found: not wanted.isdisjoint(found)
    if element.VR in ("DA", "TM") and "-" in text:
        first, last = text.split("-")
        return lambda found: any(one and (not first or one >= first) and (not last or one <= last) for one in found)
    pattern = re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."))
    return lambda found: any(pattern.fullmatch(one) for one in found)


def _several(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, MultiValue) else [str(value)]


def _held_of_file(file: bytes) -> Held:
    whole = dcmread(io.BytesIO(file))
    begin = 132 + 12 + int(whole.file_meta.FileMetaInformationGroupLength)  # preamble, prefix, the length itself
    return Held(dataset=whole, transfer_syntax=str(whole.file_meta.TransferSyntaxUID), data=file[begin:])
