"""Finding windows whose answers are whole, although archives cap answers and do not say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.windows import UNDATED, Window


@frozen(kw_only=True)
class Answered:
    """What an archive answered to a window: the studies that belong there, and how many records there were in all.

    ``cut``: we stopped it, since there were more than wanted.
    """

    studies: frozenset[str]
    records: int
    cut: bool = False


Ask = Callable[[Window, "int | None"], Answered]
"""Ask a window; with a number, stop after more studies than that."""

_LONGEST_BEGINNING: Final = 64  # characters of a Patient ID (LO)


class Divider:
    """Divides windows until each holds at most ``limit`` studies, and its answer is seen to be whole.

    An answer with fewer than ``trusted`` records is taken as whole, and so is one with fewer than an answer that was
    seen to be cut short: ``cap`` is how many records that had, None if there was none.
    """

    def __init__(self, ask: Ask, *, limit: int, trusted: int) -> None:
        self._ask = ask
        self._limit = limit
        self._trusted = trusted
        self.cap: int | None = None

    def parts(self, windows: Iterable[Window]) -> Iterator[Window]:
        """All parts of the archive: dated windows in order, then those of studies without a date."""
        dated = 0
        for window in windows:
            for leaf, studies in self._leaves(window, None):
                dated += studies
                yield leaf
        yield from self._undated(dated)

    def _leaves(self, window: Window, answer: Answered | None) -> Iterator[tuple[Window, int]]:
        """The window, or those that it divides into, each with how many studies it holds; empty ones are left out."""
        if answer is None:
            # A day is read to its end: its halves by time do not show studies without a time.
            answer = self._ask(window, None if window.single_day else self._limit)
        if answer.cut:
            for half in window.halves():
                yield from self._leaves(half, None)
            return
        size = len(answer.studies)
        if not size:
            return
        if size <= self._limit and self._is_sure(answer):
            yield window, size
            return
        yield from self._divided(window, answer)

    def _divided(self, window: Window, answer: Answered) -> Iterator[tuple[Window, int]]:
        size = len(answer.studies)
        halves = () if window.patient else window.halves()
        known = self._asked(halves)
        strays = answer.studies - _union(known.values()) if window.single_day else frozenset()
        whole = self._is_sure(answer) or self._shows_all(answer, known)
        if strays or not halves:  # times tell not all of them apart, so that they cannot show that none is hidden
            patients = {} if self._is_sure(answer) else self._asked(_narrower(window))
            if patients and not self._shows_all(answer, patients):
                yield from self._of_patients(window, patients)
                return
            whole = True
        if not halves or (whole and size <= self._limit):
            yield window, size
            return
        for half in halves:
            yield from self._leaves(half, known[half])
        if strays:
            yield window.remainder("minutes"), len(strays)

    def _shows_all(self, answer: Answered, narrower: dict[Window, Answered]) -> bool:
        """Whether narrower answers show an answer to be whole: none has more, and each was shorter than it.

        One that was as long may have been cut short at the same number.
        """
        if _union(narrower.values()) - answer.studies:
            self._capped(answer.records)
            return False
        return all(one.records < answer.records for one in narrower.values())

    def _undated(self, dated: int) -> Iterator[Window]:
        """Studies without a date can only be found among all: no query asks for the lack of a value."""
        answer = self._ask(UNDATED, None)
        if not self._is_sure(answer) and answer.records < dated:
            self._capped(answer.records)
            yield from (leaf for leaf, _ in self._of_patients(UNDATED, self._asked(_narrower(UNDATED))))
        elif answer.studies:
            yield UNDATED

    def _of_patients(self, window: Window, narrower: dict[Window, Answered]) -> Iterator[tuple[Window, int]]:
        for one, found in narrower.items():
            further = {} if self._is_sure(found) else self._asked(_narrower(one))
            if further and not self._shows_all(found, further):
                yield from self._of_patients(one, further)
            elif found.studies:
                yield one, len(found.studies)
        remainder = window.remainder("patients")
        if strays := self._ask(remainder, None).studies:
            yield remainder, len(strays)

    def _asked(self, windows: Iterable[Window]) -> dict[Window, Answered]:
        return {window: self._ask(window, None) for window in windows}

    def _is_sure(self, answer: Answered) -> bool:
        return answer.records < self._trusted or (self.cap is not None and answer.records < self.cap)

    def _capped(self, records: int) -> None:
        self.cap = records if self.cap is None else min(self.cap, records)


def _narrower(window: Window) -> tuple[Window, ...]:
    return window.by_patient() if len(window.patient) < _LONGEST_BEGINNING else ()


def _union(answers: Iterable[Answered]) -> set[str]:
    return {study for answer in answers for study in answer.studies}
