"""Answering a study query from instances, for archives that have no database of their own to ask."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, StudyRecord
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import StudyQuery

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # DA, and the form of ACR-NEMA that PS3.5 6.2 still lets readers see


def summarize(records: Iterable[InstanceRecord]) -> StudyRecord:
    """The study that its instances make up.

    Attributes are those of the instance with the lowest locator, as an archive shows one of several that disagree.

    Raises:
        ValueError: there are no instances.
    """
    instances = sorted(records, key=lambda record: record.locator)
    if not instances:
        raise ValueError("a study without instances cannot be summarized")
    first = instances[0].series
    sizes = [record.size for record in instances if record.size is not None]
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
        modalities=tuple(sorted({record.series.modality for record in instances} - {""})),
        series_count=len({record.series_uid for record in instances}),
        instance_count=len(instances),
        size=sum(sizes) if len(sizes) == len(instances) else None,
        availability=Availability.ONLINE,
        basis=Basis.INSTANCES,
    )


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
