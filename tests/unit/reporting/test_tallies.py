"""What the page keeps of long lists, and where the parts of its charts lie."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from unit.reporting.synthetic import at
from vna_lifecycle.reporting import charts
from vna_lifecycle.reporting.facts import Amount, FindingRow, Moment, StudyPath
from vna_lifecycle.reporting.tallies import (
    EXAMPLES_SHOWN,
    OBJECTS_SHOWN,
    STUDIES_SHOWN,
    FindingTally,
    PictureTally,
    StudyTally,
)


def study(number: int) -> StudyPath:
    return StudyPath(study_uid=f"1.2.{number}", study=str(number), wave="w", state="s")


def finding(number: int, *, severity: str = "blocker", kind: str = "k", standing: str = "open", message: str = "m",
            objects: int = 0) -> FindingRow:  # fmt: skip
    return FindingRow(
        number=number, severity=severity, kind=kind, check="c", wave="w", study_uid="1.2", study="s",
        standing=standing, message=message, remedy="r", objects=tuple(f"1.2.{each}" for each in range(objects)),
    )  # fmt: skip


def test_all_studies_pass_and_those_that_need_somebody_are_shown_first() -> None:
    tally = StudyTally()
    given_studies = [(number % 100 == 99, study(number)) for number in range(1_000)]
    assert len(list(tally.passing(given_studies))) == tally.total == 1_000
    shown = tally.shown()
    assert len(shown) == STUDIES_SHOWN
    assert [each.study for each in shown[:11]] == [*(str(n * 100 + 99) for n in range(10)), "0"]


def test_findings_are_counted_by_kind_blockers_first_and_settled_ones_not_at_all() -> None:
    rows = [finding(1, severity="note", kind="n"), finding(2), finding(3, standing="waived")]
    rows += [finding(4, standing="settled"), finding(5, severity="warning", kind="v", objects=30)]
    tally = FindingTally()
    assert len(list(tally.passing(rows))) == 5
    first, second, third = tally.shown()
    assert (first.kind, first.findings, first.waived, first.message) == ("k", 2, 1, "m")
    assert (second.kind, second.examples[0].objects_total) == ("v", 30)
    assert len(second.examples[0].objects) == OBJECTS_SHOWN
    assert third.kind == "n"


def test_only_uids_are_shown_and_what_else_a_finding_is_about_is_only_counted() -> None:
    tally = FindingTally()
    about = (
        "1.2.3",
        "4711",
        "P1 (HOSP-A)",
        "Doe^Jane",
        "/mnt/DOE_JANE/IM1",
        "1.2.840.10008.1",
        "19700101",
        "1.02.3",
        "7.1.2",
    )
    list(tally.passing([evolve(finding(1), objects=about)]))
    [found] = tally.shown()[0].examples
    assert found.objects == ("1.2.3", "1.2.840.10008.1")
    assert found.objects_total == 9


def test_a_kind_whose_findings_say_different_things_has_no_common_message_and_few_examples() -> None:
    tally = FindingTally()
    list(tally.passing(finding(number, message=f"m{number}") for number in range(50)))
    [kind] = tally.shown()
    assert (kind.message, kind.findings, len(kind.examples)) == ("", 50, EXAMPLES_SHOWN)


def test_pictures_keep_the_latest_years_and_the_most_frequent_modalities_and_sum_the_rest() -> None:
    tally = PictureTally()
    for year in range(1950, 2026):
        tally.add(year=year, modalities=("CT", f"X{year % 20}"), instances=1, size=10)
    shown = tally.shown()
    assert shown.years[0].label == "older"
    assert (shown.years[-1].label, len(shown.years)) == ("2025", 41)
    assert sum(amount.studies for amount in shown.years) == 76
    assert (shown.modalities[0].label, shown.modalities[-1].label) == ("CT", "others")
    assert sum(amount.studies for amount in shown.modalities) == 76 * 2


def test_studies_whose_source_lists_no_sizes_are_not_among_the_small_ones() -> None:
    tally = PictureTally()
    tally.add(year=2020, modalities=("CT",), instances=3, size=0)
    assert tally.shown().sizes == ()
    tally.add(year=2020, modalities=("CT",), instances=3, size=5_000_000)
    assert [(amount.label, amount.studies) for amount in tally.shown().sizes if amount.studies] == [("<10 MB", 1)]


@given(st.integers(min_value=0, max_value=10**9))
def test_a_scale_is_round_reaches_the_most_and_has_few_marks(most: int) -> None:
    marks = charts.ticks(most)
    assert marks[0] == 0
    assert marks[-1] >= most
    assert 2 <= len(marks) <= 5
    assert str(marks[1]).rstrip("0") in {"1", "2", "5"}


@given(st.lists(st.integers(min_value=0, max_value=10**7), min_size=1, max_size=41))
def test_bars_lie_within_the_chart_and_are_as_high_as_they_say(counts: list[int]) -> None:
    chart = charts.columns([Amount(label=str(1985 + place), studies=count) for place, count in enumerate(counts)])
    for bar, count in zip(chart.bars, counts, strict=True):
        assert chart.left <= bar.x <= bar.x + bar.width <= charts.WIDTH
        assert bar.y + bar.height == pytest.approx(chart.bars[0].y + chart.bars[0].height)
        if max(counts):
            assert bar.height == pytest.approx(chart.bars[counts.index(max(counts))].height * count / max(counts))
    assert chart.labels[-1].text == str(1984 + len(counts))  # the newest year is named


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=10, unique=True))
def test_names_of_bars_are_cut_to_their_room(names: list[str]) -> None:
    chart = charts.rows([Amount(label=name, studies=1) for name in names])
    assert len(chart.labels) == len(names)
    assert all(label.text.isprintable() and len(label.text) <= 15 for label in chart.labels)


@given(
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=1, max_value=10**6),
)
def test_the_ends_of_lines_are_named_apart(imported: int, ready: int, planned: int) -> None:
    moments = [Moment(time=at(0), imported=0, ready=0), Moment(time=at(100), imported=imported, ready=ready)]
    chart = charts.steps(moments, planned)
    heights = sorted(label.y for label in chart.ends)
    assert all(below - above >= 12.9 for above, below in itertools.pairwise(heights))
    assert heights[-1] <= chart.height
    assert heights[0] > 0


def test_a_single_moment_is_a_chart_too() -> None:
    chart = charts.steps([Moment(time=at(0), imported=3, ready=0)], 3)
    assert chart.imported.startswith("M")
