"""Cutting an archive into parts: windows of Study Dates, divided further until each is answered whole, and the rest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dicomweb import answers as at
from vna_lifecycle.adapters.dicomweb.answers import Answer
from vna_lifecycle.adapters.dicomweb.capping import look
from vna_lifecycle.adapters.dicomweb.searching import Capped, Search
from vna_lifecycle.adapters.dicomweb.trouble import TooBroad
from vna_lifecycle.adapters.dividing import Answered, Divider, remarks
from vna_lifecycle.adapters.habits import known_crowded, remember_crowded
from vna_lifecycle.adapters.windows import PATIENT_ID, STUDY_DATE, STUDY_TIME, Window, window_of
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.inventory import Refused
from vna_lifecycle.ports import Part

_REMARKS: Final = "remarks"
_FIRST_DAY: Final = dt.date(1970, 1, 1)
_PARAMETERS: Final = {STUDY_DATE: "StudyDate", STUDY_TIME: "StudyTime", PATIENT_ID: "PatientID"}


@frozen
class _ByTag:
    """An answer whose attributes are asked for by number."""

    answer: Answer

    def text(self, tag: int, /) -> str:
        """An attribute's value."""
        return self.answer.text(f"{tag:08X}")


class Division:
    """Divides one archive's studies."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._settings = search.settings
        self._remarks: tuple[Refused, ...] = ()

    def parts(self) -> Iterator[Part]:
        """Windows whose answers are whole, then the studies without a date, and remarks about what was not answered.

        Raises:
            ArchiveError: the archive does not answer.
        """
        site = self._search.connection.site
        look(self._search)
        divider = Divider(
            self._answered,
            limit=self._settings.studies_per_part,
            trusted=self._search.trusted,
            known_crowded=known_crowded(site),
        )
        for window in divider.parts(_eras(site.clock().date())):
            yield Part(key=window.key, title=window.title)
        remember_crowded(site, divider.crowded)
        self._remarks = tuple(remarks(divider))
        if self._remarks:
            yield Part(key=_REMARKS, title="what could not be asked for")

    def remarks(self, part: Part) -> tuple[Refused, ...] | None:
        """What the inventory lacks, or may lack, if that is what the part is about."""
        return self._remarks if part.key == _REMARKS else None

    def studies(self, part: Part) -> list[Answer]:
        """The studies of a part, in a stable order; one without a UID stands for all such.

        Raises:
            ArchiveError: no archive of this kind issued the part; or the archive does not answer.
        """
        try:
            window = window_of(part.key)
        except ValueError:
            raise ArchiveError("this part was not issued by this archive") from None
        return [answer for _, answer in sorted(self._shown(window).items())]

    def _answered(self, window: Window, most: int | None) -> Answered:
        if window.rest == "minutes":
            return Answered(studies=frozenset(self._shown(window)), records=0)
        size = self._settings.page_size
        studies: set[str] = set()
        records = 0
        whole: bool | None = True
        try:
            for answer in self._search.all(
                ["studies"],
                _conditions(window),
                (),
                at.STUDY_UID,
                limit=size if most is None else min(size, most + 1),
            ):
                records += 1
                if window.holds(_ByTag(answer)):
                    studies.add(answer.text(at.STUDY_UID))
                    if most is not None and len(studies) > most:
                        return Answered(studies=frozenset(studies), records=records, cut=True)
        except Capped as capped:
            whole = False if capped.told else None
        except TooBroad as problem:
            return Answered(studies=frozenset(), records=0, refused=problem)
        return Answered(studies=frozenset(studies), records=records, whole=whole)

    def _shown(self, window: Window) -> dict[str, Answer]:
        """The studies of a window. What its answer may lack, the remarks tell."""
        found: dict[str, Answer] = {}
        try:
            for answer in self._search.all(["studies"], _conditions(window), at.STUDY_FIELDS, at.STUDY_UID):
                if window.holds(_ByTag(answer)):
                    found.setdefault(answer.text(at.STUDY_UID), answer)
        except Capped:
            pass
        if window.rest == "minutes":
            for half in window.halves():
                for uid in self._shown(half):
                    found.pop(uid, None)
        return found


def capped_error(search: Search, what: str) -> ArchiveError:
    """The error of an archive that caps its answers and does not turn pages."""
    name = search.connection.archive
    message = f"{name}: does not tell all of {what}: it limits its answers, and does not continue them"
    hint = (
        "let its operator raise the limit of answers to a search, or allow paging (limit and offset); "
        "if it is known to answer with all that it has, set page_size and trusted_answers above that"
    )
    return ArchiveError(message, archive=name, hint=hint)


def _conditions(window: Window) -> dict[str, str]:
    return {_PARAMETERS[tag]: value for tag, value in window.keys.items()}


def _eras(today: dt.date) -> tuple[Window, ...]:
    """All dates: the usual ones as one window, which divides by itself where there are many studies."""
    last = dt.date(today.year + 1, 12, 31)
    return (
        Window(first=dt.date.min, last=_FIRST_DAY - dt.timedelta(1)),
        Window(first=_FIRST_DAY, last=last),
        Window(first=last + dt.timedelta(1), last=dt.date.max),
    )
