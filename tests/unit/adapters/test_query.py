"""Answering study queries from instances."""

from __future__ import annotations

import datetime as dt
import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.adapters.query import matches, summarize
from vna_lifecycle.model.identity import PatientKey, SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes, StudyRecord
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import StudyQuery


def _study(**attributes: str) -> StudyRecord:
    return StudyRecord(study_uid=StudyUID("1.2"), patient=PatientKey(issuer="", id="P"), **attributes)  # type: ignore[arg-type]  # text fields only


@given(pattern=st.text("ab*?[^", max_size=6), name=st.text("ab[^", max_size=6))
def test_wild_cards_are_those_of_a_shell_without_brackets(pattern: str, name: str) -> None:
    expected = not pattern or fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))
    assert matches(StudyQuery(patient_name=pattern), _study(patient_name=name)) == expected
    assert matches(StudyQuery(description=pattern), _study(description=name)) == expected


@given(day=st.dates(), first=st.none() | st.dates(), last=st.none() | st.dates())
def test_a_range_includes_both_of_its_ends(day: dt.date, first: dt.date | None, last: dt.date | None) -> None:
    expected = (first or dt.date.min) <= day <= (last or dt.date.max)
    query = StudyQuery(studied=DateRange(first=first, last=last))
    assert matches(query, _study(study_date=f"{day:%Y%m%d}".rjust(8, "0"))) == expected


@pytest.mark.parametrize("date", ["", "20241131", "2024", "yesterday", "20240101-20240201"])
def test_a_study_without_a_usable_date_is_in_no_range(date: str) -> None:
    assert not matches(StudyQuery(studied=DateRange()), _study(study_date=date))
    assert matches(StudyQuery(), _study(study_date=date))


def _instance(locator: str, **attributes: object) -> InstanceRecord:
    series = SeriesAttributes(
        study_uid=StudyUID("1.2"), series_uid=SeriesUID(str(attributes.get("series", "1.2.1"))), modality="CT"
    )
    return InstanceRecord(locator=locator, sop_instance_uid=SOPInstanceUID("1." + locator), size=7, series=series)


def test_a_study_is_the_sum_of_its_instances() -> None:
    study = summarize([_instance("1"), _instance("2", series="1.2.2"), _instance("3")])
    assert (study.instance_count, study.series_count, study.size, study.modalities) == (3, 2, 21, ("CT",))


def test_a_size_that_one_instance_lacks_is_not_guessed() -> None:
    unsized = InstanceRecord(locator="9", sop_instance_uid=SOPInstanceUID("1.9"))
    assert summarize([_instance("1"), unsized]).size is None


def test_no_instances_are_no_study() -> None:
    with pytest.raises(ValueError, match="without instances"):
        summarize([])
