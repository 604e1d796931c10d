"""Weekly windows: when a program may use its archives, and how much of the allowed rate it may use then.

Windows are read off the wall clock of one time zone. So in spring a window that begins in the missing hour begins when
that hour is over, and in autumn a window within the repeated hour is open in both of them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import frozen

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The words for days of the week; a day's number is its place, Monday being 0."""

_KEYS = ("days", "from", "to", "share")
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_HORIZON_DAYS = 15  # two weeks, since a window that lies in a skipped hour does not open in that week


@frozen(kw_only=True)
class Window:
    """Open from ``start`` (included) to ``end`` (not included), beginning on each of ``days`` (0 is Monday).

    When ``end`` is not after ``start``, it is on the following day, so equal times are a whole day. ``share`` is the
    part of the allowed rate in use, above 0 and up to 1.
    """

    days: frozenset[int]
    start: dt.time
    end: dt.time
    share: float = 1.0

    def covers(self, wall: dt.datetime) -> bool:
        """Whether the window is open when clocks show ``wall``."""
        time, day = wall.time(), wall.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= time < self.end
        return (day in self.days and self.start <= time) or ((day - 1) % 7 in self.days and time < self.end)


def share_at(windows: Sequence[Window], time_zone: dt.tzinfo, now: dt.datetime) -> float:
    """The share in force at ``now`` (with a time zone): the largest of the open windows'.

    Without any windows it is 1; with all of them closed, 0.
    """
    if not windows:
        return 1.0
    wall = now.astimezone(time_zone)
    return max((window.share for window in windows if window.covers(wall)), default=0.0)


def next_change(windows: Sequence[Window], time_zone: dt.tzinfo, now: dt.datetime) -> dt.datetime | None:
    """The first instant after ``now`` at which the share becomes another one, in UTC; None if it never does."""
    share = share_at(windows, time_zone, now)
    today = now.astimezone(time_zone).date()
    times = {time for window in windows for time in (window.start, window.end)}
    candidates: set[dt.datetime] = set()
    for day in (today + dt.timedelta(days=n) for n in range(-1, _HORIZON_DAYS)):
        for fold in (0, 1):
            local = (dt.datetime.combine(day, time, time_zone).replace(fold=fold) for time in times)
            candidates.update(moment.astimezone(dt.UTC) for moment in local)
        candidates.update(_clock_changes(day, time_zone))
    for moment in sorted(candidates):
        if moment > now and share_at(windows, time_zone, moment) != share:
            return moment
    return None


def _clock_changes(day: dt.date, time_zone: dt.tzinfo) -> list[dt.datetime]:
    """The instants on a day (by UTC) at which clocks are put forward or back, found by halving hours."""
    changes = []
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    offsets = [(midnight + dt.timedelta(hours=n)).astimezone(time_zone).utcoffset() for n in range(25)]
    for hour in range(24):
        if offsets[hour] != offsets[hour + 1]:
            before, after = hour * 3600, (hour + 1) * 3600
            while after - before > 1:
                middle = (before + after) // 2
                offset = (midnight + dt.timedelta(seconds=middle)).astimezone(time_zone).utcoffset()
                before, after = (middle, after) if offset == offsets[hour] else (before, middle)
            changes.append(midnight + dt.timedelta(seconds=after))
    return changes


def parse_window(table: Mapping[str, object]) -> Window:
    """A window from ``{days = "mon-fri", from = "19:00", to = "06:00", share = 1.0}``.

    ``days`` (default ``daily``) is a list of days and ranges, which may run over the week's end (``fri-mon``). Times
    are ``HH:MM``, ``to`` may be ``24:00``, or times of TOML. ``share`` defaults to 1.

    Raises:
        ValueError: says which key is wrong, and what it may be.
    """
    if unknown := sorted(set(table) - set(_KEYS)):
        raise ValueError(f"unknown key {unknown[0]!r}: a window has {', '.join(_KEYS)}")
    for key in ("from", "to"):
        if key not in table:
            raise ValueError(f"{key!r} is missing: a window needs 'from' and 'to', such as \"19:00\" and \"06:00\"")
    end = table["to"]
    return Window(
        days=_parse_days(table.get("days", "daily")),
        start=_parse_time("from", table["from"]),
        end=dt.time() if end == "24:00" else _parse_time("to", end),
        share=_parse_share(table.get("share", 1.0)),
    )


def parse_time_zone(name: str) -> ZoneInfo:
    """The time zone of that name in the IANA database, such as ``Europe/Berlin``.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise ValueError(f"{name!r} is not a known time zone: give an IANA name such as Europe/Berlin") from problem


def _parse_days(text: object) -> frozenset[int]:
    if not isinstance(text, str):
        raise ValueError(f'\'days\' must be text such as "mon-fri" or "sat,sun", not {text!r}')
    if text.strip().lower() == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip().lower() for word in part.partition("-"))
        for word in (first, last) if dash else (first,):
            if word not in DAY_NAMES:
                raise ValueError(f"'days' has {word!r}: give {', '.join(DAY_NAMES)}, or 'daily' alone")
        start = DAY_NAMES.index(first)
        length = (DAY_NAMES.index(last) - start) % 7 if dash else 0
        days.update((start + n) % 7 for n in range(length + 1))
    return frozenset(days)


def _parse_time(key: str, value: object) -> dt.time:
    if isinstance(value, dt.time) and value.tzinfo is None:
        return value
    match = _CLOCK_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{key!r} must be a time of day such as "19:00", not {value!r}')
    return dt.time(int(match[1]), int(match[2]))


def _parse_share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 1.0:
        raise ValueError(f"'share' must be a number above 0 and up to 1, not {value!r} (outside all windows it is 0)")
    return float(value)
