"""Windows divide until nothing that an archive would show is hidden by its caps, and no study is in two."""

from __future__ import annotations

import datetime as dt

from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vna_lifecycle.adapters.dividing import Answered, Divider
from vna_lifecycle.adapters.windows import PATIENT_ID, STUDY_DATE, STUDY_TIME, Window, window_of, years

TODAY = dt.date(2025, 1, 1)


@frozen
class Study:
    uid: str
    date: str
    time: str
    patient: str

    def text(self, tag: int, /) -> str:
        return {STUDY_DATE: self.date, STUDY_TIME: self.time, PATIENT_ID: self.patient}[tag]


def shown(window: Window, study: Study) -> bool:
    """What an archive that keeps to PS3.4 C.2.2.2 matches."""
    keys = window.keys
    if STUDY_DATE in keys:
        first, dash, last = keys[STUDY_DATE].partition("-")
        if not study.date or not (first or "0") <= study.date <= (last or "9" if dash else first):
            return False
    if STUDY_TIME in keys:
        begin, _, end = keys[STUDY_TIME].partition("-")
        if not study.time or not begin <= study.time <= end:
            return False
    asked = keys.get(PATIENT_ID, "*")
    return study.patient.startswith(asked[:-1]) if asked.endswith("*") else study.patient == asked


def divided(studies: list[Study], cap: int, *, limit: int, trusted: int) -> tuple[list[str], list[int]]:
    """UIDs as all parts together hold them, each asked with the cap in force; and how many records each part had."""

    def members(window: Window) -> tuple[list[Study], int]:
        found = [study for study in studies if shown(window, study)][:cap]
        kept = [study for study in found if window.holds(study)]
        if window.rest == "minutes":
            others = {study.uid for half in window.halves() for study in members(half)[0]}
            kept = [study for study in kept if study.uid not in others]
        return kept, len(found)

    def ask(window: Window, most: int | None) -> Answered:
        kept, records = members(window)
        cut = most is not None and len(kept) > most
        return Answered(studies=frozenset(study.uid for study in kept), records=records, cut=cut)

    parts = list(Divider(ask, limit=limit, trusted=trusted).parts(years(TODAY)))
    assert [window_of(part.key) for part in parts] == parts
    assert len({part.key for part in parts}) == len(parts)
    held = [[study.uid for study in members(part)[0]] for part in parts]
    return sorted(uid for uids in held for uid in uids), [len(uids) for uids in held]


DATES = st.sampled_from(["", "20240229", "20240301", "19500101", "20231231", "20990101", "2024", "20230231"])
TIMES = st.sampled_from(["", "000000", "120000", "120059", "235959"])
PATIENTS = st.text(alphabet="AB1 ", min_size=0, max_size=3).map(str.strip)
STUDIES = st.lists(st.tuples(DATES, TIMES, PATIENTS), max_size=60).map(
    lambda rows: [Study(str(number), *row) for number, row in enumerate(rows)]
)
CROWDED = [Study(str(number), "20240229", "", f"A{number:02}") for number in range(60)]
UNDATED = [Study(str(number), "", "", f"A{number:02}") for number in range(60)]


@settings(max_examples=30)
@given(studies=STUDIES)
@example(studies=CROWDED)
@example(studies=UNDATED)
def test_without_a_cap_every_study_is_in_one_part(studies: list[Study]) -> None:
    found, _ = divided(studies, 10**6, limit=5, trusted=3)
    assert found == sorted(study.uid for study in studies)


@settings(max_examples=30)
@given(studies=STUDIES)
@example(studies=[Study(str(number), f"2024{number % 12 + 1:02}15", "120000", "A") for number in range(60)])
def test_parts_are_small_where_dates_or_times_tell_studies_apart(studies: list[Study]) -> None:
    apart = [
        Study(study.uid, f"2024{number % 12 + 1:02}15", f"{number % 24:02}{number % 60:02}00", "A")
        for number, study in enumerate(studies)
    ]
    _, sizes = divided(apart, 10**6, limit=5, trusted=3)
    assert max(sizes, default=0) <= 5


def test_studies_of_one_day_without_a_time_are_found_behind_a_cap() -> None:
    found, _ = divided(CROWDED, 20, limit=100, trusted=10)
    assert found == sorted(study.uid for study in CROWDED)


def test_studies_without_a_date_are_found_behind_a_cap_that_dated_ones_betray() -> None:
    dated = [Study(f"d{number}", f"2024{number % 12 + 1:02}10", "120000", f"B{number:02}") for number in range(60)]
    found, _ = divided([*dated, *UNDATED], 20, limit=100, trusted=10)
    assert found == sorted(study.uid for study in [*dated, *UNDATED])


def test_a_cap_over_days_hides_nothing() -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(number * 5) for number in range(300)]
    studies = [Study(str(number), f"{day:%Y%m%d}", "120000", "A") for number, day in enumerate(days)]
    found, _ = divided(studies, 20, limit=100, trusted=10)
    assert found == sorted(study.uid for study in studies)


def test_a_cap_on_one_crowded_month_of_a_year_hides_nothing() -> None:
    """Both halves together show no more than the year did, since all of it lies in one of them."""
    days = [dt.date(2020, 1, 1) + dt.timedelta(number % 31) for number in range(60)]
    studies = [Study(str(number), f"{day:%Y%m%d}", "120000", "A") for number, day in enumerate(days)]
    found, _ = divided(studies, 20, limit=100, trusted=10)
    assert found == sorted(study.uid for study in studies)


@settings(max_examples=30)
@given(studies=STUDIES)
@example(studies=CROWDED)
@example(studies=[Study(str(number), f"2024{number % 12 + 1:02}15", "120000", "A") for number in range(60)])
def test_beginning_with_the_halves_of_what_was_crowded_gives_the_same_parts_and_asks_no_such_window_again(
    studies: list[Study],
) -> None:
    asked: list[str] = []

    def ask(window: Window, most: int | None) -> Answered:
        asked.append(window.key)
        kept = [study.uid for study in studies if shown(window, study) and window.holds(study)]
        return Answered(studies=frozenset(kept), records=len(kept), cut=most is not None and len(kept) > most)

    first = Divider(ask, limit=5, trusted=3)
    parts = list(first.parts(years(TODAY)))
    asked.clear()
    again = Divider(ask, limit=5, trusted=3, known_crowded=first.crowded)
    assert list(again.parts(years(TODAY))) == parts
    assert again.crowded == first.crowded
    assert not first.crowded & set(asked)
