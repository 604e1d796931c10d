"""Answering a study query from instances, for archives that have no database of their own to ask."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, StudyRecord
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import StudyQuery

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # DA, and the form of ACR-NEMA that PS3.5 6.2 still lets readers see


class StudyTally:
    """A study as it grows out of its instances, none of which is kept but the one with the lowest locator.

    That one's attributes are the study's, as an archive shows one of several that disagree.
    """

    def __init__(self) -> None:
        self._first: InstanceRecord | None = None
        self._series: set[str] = set()
        self._modalities: set[str] = set()
        self._count = 0
        self._size: int | None = 0

    def add(self, record: InstanceRecord) -> None:
        """Count an instance."""
        if self._first is None or record.locator < self._first.locator:
            self._first = record
        self._series.add(record.series_uid)
        self._modalities.add(record.series.modality)
        self._count += 1
        self._size = None if self._size is None or record.size is None else self._size + record.size

    def study(self) -> StudyRecord:
        """The study as counted so far.

        Raises:
            ValueError: there are no instances.
        """
        if self._first is None:
            raise ValueError("a study without instances cannot be summarized")
        first = self._first.series
        return StudyRecord(
            study_uid=first.study_uid,
            patient=first.patient,
            patient_name=first.patient_name,
            patient_birth_date=first.patient_birth_date,
            patient_sex=first.patient_sex,
            study_id=first.study_id,
            study_date=first.study_date,
            study_time=first.study_time,
            accession_number=first.accession_number,
            issuer_of_accession_number=first.issuer_of_accession_number,
            description=first.study_description,
            procedure_code=first.procedure_code,
            modalities=tuple(sorted(self._modalities - {""})),
            series_count=len(self._series),
            instance_count=self._count,
            size=self._size,
            availability=Availability.ONLINE,
            basis=Basis.INSTANCES,
        )


def summarize(records: Iterable[InstanceRecord]) -> StudyRecord:
    """The study that its instances make up.

    Raises:
        ValueError: there are no instances.
    """
    tally = StudyTally()
    for record in records:
        tally.add(record)
    return tally.study()


def matches(query: StudyQuery, study: StudyRecord) -> bool:
    """Whether a reader who asks ``query`` is shown ``study`` (PS3.4 C.2.2.2: single value, wild card, range)."""
    exact = (
        (query.study_uid, study.study_uid),
        (query.patient_id, study.patient.id),
        (query.issuer_of_patient_id, study.patient.issuer),
        (query.accession_number, study.accession_number),
    )
    return (
        all(asked in ("", found) for asked, found in exact)
        and (not query.modality or query.modality in study.modalities)
        and _matches_text(query.patient_name, study.patient_name)
        and _matches_text(query.description, study.description)
        and (query.studied is None or _within(query.studied, study.study_date))
    )


def _matches_text(pattern: str, text: str) -> bool:
    if not pattern:
        return True
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _within(days: DateRange, study_date: str) -> bool:
    """A study without a usable date is in no range: archives do not show it to date queries."""
    found = _DATE.fullmatch(study_date)
    try:
        day = dt.date(*map(int, found.groups())) if found else None
    except ValueError:  # such as 20230231
        day = None
    if day is None:
        return False
    return (days.first is None or days.first <= day) and (days.last is None or day <= days.last)
