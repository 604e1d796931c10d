"""Windows over an archive's studies, narrow enough that no answer is cut short: pure values, and how they divide."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, Literal, Protocol, cast

from attrs import evolve, frozen

STUDY_DATE, STUDY_TIME, PATIENT_ID = 0x00080020, 0x00080030, 0x00100020

_ALPHABET: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in '*?\\"')
_LAST_MINUTE: Final = 24 * 60 - 1
_DATE: Final = re.compile(r"\d{8}")
_TIME: Final = re.compile(r"(\d\d):?(\d\d)?")
_KEY: Final = re.compile(
    r"(?P<days>undated|(?P<first>\d{4}-\d\d-\d\d)\.\.(?P<last>\d{4}-\d\d-\d\d))"
    r"(?: (?P<begin>\d{4})-(?P<end>\d{4}))?(?: rest of (?P<rest>minutes|patients))?"
    r"(?: (?P<match>[*=])(?P<patient>.*))?",
    re.DOTALL,
)
_FIRST_YEAR: Final = 1970


class StudyAnswer(Protocol):
    """What an archive answered about one study."""

    def text(self, tag: int, /) -> str:
        """An attribute's value without padding; empty where it is absent."""
        ...


@frozen(kw_only=True)
class Window:
    """Studies by day, and where that is not enough by minute or by how the Patient ID begins.

    Days are both included; without days, studies that have no usable date. ``begin`` and ``end`` are minutes of the
    day, both included. ``patient`` is a beginning of Patient IDs, or with ``exact`` a whole one. ``rest`` are those of
    the window's studies that it does not divide among its halves by "minutes", or among its "patients".
    """

    first: dt.date | None = None
    last: dt.date | None = None
    begin: int = 0
    end: int = _LAST_MINUTE
    patient: str = ""
    exact: bool = False
    rest: Literal["", "minutes", "patients"] = ""

    @property
    def key(self) -> str:
        """The window as text, which `window_of` reads."""
        days = "undated" if self.first is None or self.last is None else f"{self.first}..{self.last}"
        minutes = "" if self._whole_day else f" {_clock(self.begin)}-{_clock(self.end)}"
        patient = f" {'=' if self.exact else '*'}{self.patient}" if self.patient or self.exact else ""
        rest = f" rest of {self.rest}" if self.rest else ""
        return f"{days}{minutes}{rest}{patient}"

    @property
    def title(self) -> str:
        """What progress shows: no part of anybody's ID."""
        return self.key.partition(" *")[0].partition(" =")[0].replace("undated", "studies without a date")

    @property
    def single_day(self) -> bool:
        """Whether it is within one day."""
        return self.first is not None and self.first == self.last

    @property
    def keys(self) -> dict[int, str]:
        """The matching keys of its query (PS3.4 C.2.2.2)."""
        asked: dict[int, str] = {}
        if self.first is not None and self.last is not None:
            first = "" if self.first == dt.date.min else f"{self.first:%Y%m%d}"
            last = "" if self.last == dt.date.max else f"{self.last:%Y%m%d}"
            asked[STUDY_DATE] = first if self.single_day else f"{first.rjust(8, '0') if first else ''}-{last}"
        if not self._whole_day:
            asked[STUDY_TIME] = f"{_clock(self.begin)}00-{_clock(self.end)}59.999999"
        if self.patient or self.exact:
            asked[PATIENT_ID] = self.patient if self.exact else f"{self.patient}*"
        return asked

    def holds(self, answer: StudyAnswer) -> bool:
        """Whether an answer belongs here: archives answer more than they were asked."""
        day = day_of(answer.text(STUDY_DATE))
        if self.first is None or self.last is None:
            dated = day is None
        else:
            dated = day is not None and self.first <= day <= self.last
        if not dated:
            return False
        if not self._whole_day and not self._within(answer.text(STUDY_TIME)):
            return False
        patient = answer.text(PATIENT_ID)
        if self.rest == "patients" and any(window.holds(answer) for window in self.by_patient()):
            return False
        return patient == self.patient if self.exact else patient.startswith(self.patient)

    def halves(self) -> tuple[Window, ...]:
        """Two windows that make up this one: of days, then of minutes; none where it is one minute, or undated."""
        if self.first is None or self.last is None:
            return ()
        whole = evolve(self, rest="")
        if self.first < self.last:
            middle = self.first + (self.last - self.first) // 2
            return evolve(whole, last=middle), evolve(whole, first=middle + dt.timedelta(1))
        if self.begin < self.end:
            noon = (self.begin + self.end) // 2
            return evolve(whole, end=noon), evolve(whole, begin=noon + 1)
        return ()

    def by_patient(self) -> tuple[Window, ...]:
        """Windows that make up this one, by the next character of the Patient ID."""
        if self.exact:
            return ()
        whole = evolve(self, rest="")
        longer = tuple(evolve(whole, patient=self.patient + character) for character in _ALPHABET)
        return (evolve(whole, exact=True), *longer) if self.patient else longer

    def remainder(self, of: Literal["minutes", "patients"]) -> Window:
        """What is here, but in none of the windows that this one divides into."""
        return evolve(self, rest=of)

    @property
    def _whole_day(self) -> bool:
        return (self.begin, self.end) == (0, _LAST_MINUTE)

    def _within(self, time: str) -> bool:
        found = _TIME.match(time)
        return found is not None and self.begin <= int(found[1]) * 60 + int(found[2] or 0) <= self.end


UNDATED: Final = Window()
"""Studies without a usable Study Date, which date queries do not show."""


def window_of(key: str) -> Window:
    """The window that has this key.

    Raises:
        ValueError: none has.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError("no window has this key")
    return Window(
        first=dt.date.fromisoformat(found["first"]) if found["first"] else None,
        last=dt.date.fromisoformat(found["last"]) if found["last"] else None,
        begin=_minute(found["begin"]) if found["begin"] else 0,
        end=_minute(found["end"]) if found["end"] else _LAST_MINUTE,
        patient=found["patient"] or "",
        exact=found["match"] == "=",
        rest=cast(Literal["", "minutes", "patients"], found["rest"] or ""),
    )


def years(today: dt.date) -> tuple[Window, ...]:
    """Windows over all dates: what lies before and after those that are usual in one each."""
    usual = range(_FIRST_YEAR, today.year + 1)
    return (
        Window(first=dt.date.min, last=dt.date(_FIRST_YEAR - 1, 12, 31)),
        *(Window(first=dt.date(year, 1, 1), last=dt.date(year, 12, 31)) for year in usual),
        Window(first=dt.date(today.year + 1, 1, 1), last=dt.date.max),
    )


def day_of(study_date: str) -> dt.date | None:
    """A Study Date as a day, None where it is none (PS3.5 6.2, DA)."""
    if not _DATE.fullmatch(study_date):
        return None
    try:
        return dt.date(int(study_date[:4]), int(study_date[4:6]), int(study_date[6:]))
    except ValueError:  # such as 20230231
        return None


def _clock(minute: int) -> str:
    return f"{minute // 60:02}{minute % 60:02}"


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[2:])
