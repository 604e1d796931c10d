"""Cutting an archive into parts: ranges of Study Dates, halved until each is answered whole, and the rest."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.searching import Capped, Search, range_of
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import Part

_FIRST_DAY: Final = dt.date(1970, 1, 1)
_REST: Final = "other-dates"
_KEY: Final = re.compile(r"(\d{4}-\d\d-\d\d)/(\d{4}-\d\d-\d\d)")
_DATE: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")


@frozen(kw_only=True)
class Window:
    """Days from ``first`` to ``last``, both included."""

    first: dt.date
    last: dt.date

    @property
    def key(self) -> str:
        """What `window_of` reads back."""
        return f"{self.first}/{self.last}"

    def holds(self, answer: Answer) -> bool:
        """Whether the answer's Study Date is one of these days."""
        day = day_of(answer.text(at.STUDY_DATE))
        return day is not None and self.first <= day <= self.last

    def halves(self) -> tuple[Window, Window] | None:
        """The window in two; None where it has one day."""
        if self.first == self.last:
            return None
        middle = self.first + (self.last - self.first) // 2
        return Window(first=self.first, last=middle), Window(first=middle + dt.timedelta(days=1), last=self.last)


def day_of(study_date: str) -> dt.date | None:
    """A Study Date as a day; None where it is none."""
    found = _DATE.fullmatch(study_date)
    try:
        return dt.date(*map(int, found.groups())) if found else None
    except ValueError:  # such as 20230231
        return None


def usual(today: dt.date) -> Window:
    """The days that are divided. What is of no such day is asked for apart."""
    return Window(first=_FIRST_DAY, last=dt.date(today.year + 1, 12, 31))


class Division:
    """Divides one archive's studies."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._settings = search.settings

    def _today(self) -> dt.date:
        return self._search.connection.site.clock().date()

    def parts(self) -> Iterator[Part]:
        """Ranges of dates with some studies each, and then whatever is of no such date.

        Raises:
            ArchiveError: the archive does not answer, or never with all that it has.
        """
        yield from self._divide(usual(self._today()))
        yield Part(key=_REST, title="studies of no or unusual dates")

    def _divide(self, window: Window) -> Iterator[Part]:
        limit = self._settings.studies_per_part
        found = self._search.page(["studies"], _dates(window), (), limit=limit + 1) or []
        if not found:
            return
        halves = window.halves()
        if halves and len(found) > min(limit, self._settings.trusted_answers - 1):
            for half in halves:
                yield from self._divide(half)
        elif any(window.holds(answer) for answer in found) or len(found) > limit:
            title = f"{window.first}" if halves is None else f"{window.first} to {window.last}"
            yield Part(key=window.key, title=title)

    def studies(self, part: Part) -> list[Answer]:
        """The studies of a part.

        Raises:
            ArchiveError: no archive of this kind issued the part; or the archive does not answer with all of it.
        """
        if part.key == _REST:
            days = usual(self._today())
            return [answer for answer in self._all({}, "all studies") if not days.holds(answer)]
        window = _window_of(part.key)
        return [answer for answer in self._all(_dates(window), f"studies of {part.title}") if window.holds(answer)]

    def _all(self, conditions: dict[str, str], what: str) -> Iterator[Answer]:
        try:
            yield from self._search.all(["studies"], conditions, at.STUDY_FIELDS, at.STUDY_UID)
        except Capped:
            raise capped_error(self._search, what) from None


def capped_error(search: Search, what: str) -> ArchiveError:
    """The error of an archive that caps its answers and does not turn pages."""
    name = search.connection.archive
    message = f"{name}: does not tell all of {what}: it limits its answers, and does not continue them"
    hint = "let its operator raise the limit of answers to a search, or allow paging (limit and offset)"
    return ArchiveError(message, archive=name, hint=hint)


def _dates(window: Window) -> dict[str, str]:
    return {"StudyDate": range_of(DateRange(first=window.first, last=window.last))}


def _window_of(key: str) -> Window:
    found = _KEY.fullmatch(key)
    try:
        if found:
            return Window(first=dt.date.fromisoformat(found[1]), last=dt.date.fromisoformat(found[2]))
    except ValueError:
        pass
    raise ArchiveError("this part was not issued by this archive")
