from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vna_lifecycle.execution.windows import Window, next_change, parse_time_zone, parse_window, share_at

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata"), dt.UTC]
NIGHTS = parse_window({"days": "mon-fri", "from": "19:00", "to": "06:00"})
ALL_DAYS = frozenset(range(7))


def minutes(windows: list[Window], zone: dt.tzinfo, start: dt.datetime) -> list[float]:
    """The share in each minute of the fortnight from ``start``, by counting the minutes that a window is open."""
    shares = []
    for n in range(14 * 24 * 60):
        wall = (start + dt.timedelta(minutes=n)).astimezone(zone)
        minute = wall.weekday() * 1440 + wall.hour * 60 + wall.minute
        open_shares = [0.0] if windows else [1.0]
        for window in windows:
            first = window.start.hour * 60 + window.start.minute
            length = (window.end.hour * 60 + window.end.minute - first) % 1440 or 1440
            if any((minute - day * 1440 - first) % 10080 < length for day in window.days):
                open_shares.append(window.share)
        shares.append(max(open_shares))
    return shares


times = st.builds(dt.time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
windows_lists = st.lists(
    st.builds(
        Window,
        days=st.frozensets(st.integers(0, 6), min_size=1),
        start=times,
        end=times,
        share=st.sampled_from([0.25, 0.5, 1.0]),
    ),
    max_size=3,
)
# Days around which clocks change in one of the zones, and one ordinary week.
starts = st.builds(
    lambda day, hour, minute: dt.datetime.combine(day, dt.time(hour, minute), dt.UTC),
    st.sampled_from(
        [dt.date(2025, 3, 28), dt.date(2025, 10, 24), dt.date(2025, 3, 7), dt.date(2025, 4, 4), dt.date(2025, 6, 2)]
    ),
    st.integers(0, 23),
    st.integers(0, 59),
)


@given(windows=windows_lists, zone=st.sampled_from(ZONES), start=starts)
@example(
    windows=[Window(days=ALL_DAYS, start=dt.time(2, 30), end=dt.time(5))],
    zone=BERLIN,
    start=dt.datetime(2025, 3, 29, 12, tzinfo=dt.UTC),
)
@example(
    windows=[Window(days=ALL_DAYS, start=dt.time(1, 30), end=dt.time(2, 30))],
    zone=BERLIN,
    start=dt.datetime(2025, 10, 25, 12, tzinfo=dt.UTC),
)
@settings(max_examples=20)
def test_shares_and_changes_are_those_of_counting_every_minute(
    windows: list[Window], zone: dt.tzinfo, start: dt.datetime
) -> None:
    shares = minutes(windows, zone, start)
    now, minute = start, 0
    while True:
        assert share_at(windows, zone, now) == shares[minute]
        change = next_change(windows, zone, now)
        following = next((n for n in range(minute, len(shares)) if shares[n] != shares[minute]), None)
        if following is None:
            assert change is None or change >= start + dt.timedelta(minutes=len(shares))
            break
        assert change is not None
        assert (change, change.tzinfo) == (start + dt.timedelta(minutes=following), dt.UTC)
        now, minute = change, following


def test_a_night_window_that_begins_on_friday_ends_on_saturday() -> None:
    friday = dt.datetime(2025, 6, 6, 18, 59, tzinfo=BERLIN)
    assert share_at([NIGHTS], BERLIN, friday) == 0.0
    assert share_at([NIGHTS], BERLIN, friday + dt.timedelta(minutes=1)) == 1.0
    assert share_at([NIGHTS], BERLIN, dt.datetime(2025, 6, 7, 5, 59, tzinfo=BERLIN)) == 1.0
    assert share_at([NIGHTS], BERLIN, dt.datetime(2025, 6, 7, 6, 0, tzinfo=BERLIN)) == 0.0
    assert next_change([NIGHTS], BERLIN, dt.datetime(2025, 6, 7, 6, 0, tzinfo=BERLIN)) == dt.datetime(
        2025, 6, 9, 19, 0, tzinfo=BERLIN
    )


def test_the_largest_share_of_overlapping_windows_is_in_force() -> None:
    day = Window(days=ALL_DAYS, start=dt.time(0), end=dt.time(0), share=0.2)
    noon = dt.datetime(2025, 6, 4, 12, tzinfo=BERLIN)
    assert share_at([day, NIGHTS], BERLIN, noon) == 0.2
    assert share_at([NIGHTS, day], BERLIN, noon.replace(hour=20)) == 1.0


def test_without_windows_all_of_the_rate_may_be_used_and_nothing_changes() -> None:
    now = dt.datetime(2025, 6, 4, 12, tzinfo=dt.UTC)
    assert share_at([], BERLIN, now) == 1.0
    assert next_change([], BERLIN, now) is None
    assert next_change([Window(days=ALL_DAYS, start=dt.time(8), end=dt.time(8))], BERLIN, now) is None


def test_a_window_in_the_skipped_hour_of_spring_opens_again_a_week_later() -> None:
    window = Window(days=frozenset({6}), start=dt.time(2), end=dt.time(3))
    saturday = dt.datetime(2025, 3, 29, 12, tzinfo=BERLIN)
    assert next_change([window], BERLIN, saturday) == dt.datetime(2025, 4, 6, 2, tzinfo=BERLIN)


def test_in_autumn_the_repeated_hour_is_open_twice() -> None:
    window = Window(days=frozenset({6}), start=dt.time(2), end=dt.time(3))
    opens = next_change([window], BERLIN, dt.datetime(2025, 10, 25, 12, tzinfo=BERLIN))
    assert opens is not None
    closes = next_change([window], BERLIN, opens)
    assert closes is not None
    assert closes - opens == dt.timedelta(hours=2)


def test_now_in_the_second_of_two_equal_hours_never_finds_a_change_in_the_first() -> None:
    window = Window(days=ALL_DAYS, start=dt.time(2, 15), end=dt.time(2, 45))
    now = dt.datetime(2025, 10, 26, 2, 20, tzinfo=BERLIN, fold=1)
    assert next_change([window], BERLIN, now) == dt.datetime(2025, 10, 26, 1, 45, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat-sun", {5, 6}),
        ("mon,wed", {0, 2}),
        ("fri-mon", {4, 5, 6, 0}),
        (" Mon - Tue , SUN", {0, 1, 6}),
        ("daily", set(range(7))),
        ("wed-wed", {2}),
        ("sun-sat", set(range(7))),
    ],
)
def test_days_are_lists_of_days_and_ranges(text: str, days: set[int]) -> None:
    assert parse_window({"days": text, "from": "00:00", "to": "24:00"}).days == days


def test_a_window_is_read_from_its_table() -> None:
    table = {"days": "mon,tue", "from": "19:00", "to": dt.time(6, 30), "share": 0.5}
    assert parse_window(table) == Window(days=frozenset({0, 1}), start=dt.time(19), end=dt.time(6, 30), share=0.5)
    assert parse_window({"from": "08:00", "to": "24:00"}) == Window(days=ALL_DAYS, start=dt.time(8), end=dt.time(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"days": "mon-foo"}, "'days' has 'foo'"),
        ({"days": ""}, "'days' has ''"),
        ({"days": "mon-"}, "'days' has ''"),
        ({"days": "mon-tue-wed"}, "'days' has 'tue-wed'"),
        ({"days": "mon,daily"}, "'days' has 'daily'"),
        ({"days": ["mon"]}, "'days' must be text"),
        ({"from": "25:00"}, "'from' must be a time of day"),
        ({"from": "24:00"}, "'from' must be a time of day"),
        ({"from": "7:00"}, "'from' must be a time of day"),
        ({"to": 6}, "'to' must be a time of day"),
        ({"to": "06:00\n"}, "'to' must be a time of day"),
        ({"share": 0}, "'share' must be a number"),
        ({"share": 1.5}, "'share' must be a number"),
        ({"share": float("nan")}, "'share' must be a number"),
        ({"share": True}, "'share' must be a number"),
        ({"share": "1"}, "'share' must be a number"),
        ({"until": "06:00"}, "unknown key 'until'"),
        ({"from": None}, "'from' is missing"),
        ({"to": None}, "'to' is missing"),
    ],
)
def test_what_is_wrong_with_a_window_is_named(change: dict[str, object], message: str) -> None:
    table = {"days": "mon-fri", "from": "19:00", "to": "06:00", "share": 1.0, **change}
    with pytest.raises(ValueError, match="^" + message):
        parse_window({key: value for key, value in table.items() if value is not None})


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "../etc/passwd", "/etc/passwd", "Europe", "a\0b"])
def test_an_unknown_time_zone_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="not a known time zone"):
        parse_time_zone(name)


def test_a_time_zone_has_its_iana_name() -> None:
    assert parse_time_zone("Europe/Berlin") == BERLIN
