"""Studies to be taken up again, each from its time on."""

from __future__ import annotations

import datetime as dt
from collections import deque

from attrs import define, field

from vna_lifecycle.catalog import StudyWork


@define
class Later:
    """A queue by time; false while it is empty."""

    _waiting: deque[tuple[dt.datetime, StudyWork]] = field(factory=deque, init=False)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, when: dt.datetime, work: StudyWork) -> None:
        """Take it up at ``when``, after those that were put in for the same time."""
        self._waiting = deque(sorted([*self._waiting, (when, work)], key=lambda item: item[0]))

    def put_first(self, now: dt.datetime, work: StudyWork) -> None:
        """Take it up before all others: its turn had come, and nothing could begin."""
        self._waiting.appendleft((now, work))

    def due(self, now: dt.datetime) -> StudyWork | None:
        """The next one whose time has come."""
        if self._waiting and self._waiting[0][0] <= now:
            return self._waiting.popleft()[1]
        return None
