"""Finding windows whose answers are whole, although archives cap answers and do not say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.windows import UNDATED, Window
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.inventory import Refused


@frozen(kw_only=True)
class Answered:
    """What an archive answered to a window: the studies that belong there, and how many records there were in all.

    ``cut``: we stopped it, since there were more than wanted. ``refused``: the archive ended it with this failure.
    ``whole``: the archive let know that this is all, or that it is not; None where it let nothing know.
    """

    studies: frozenset[str]
    records: int
    cut: bool = False
    refused: ArchiveError | None = None
    whole: bool | None = None


Ask = Callable[[Window, "int | None"], Answered]
"""Ask a window; with a number, stop after more studies than that."""

_LONGEST_BEGINNING: Final = 64  # characters of a Patient ID (LO)
_DEEPEST_REFUSED: Final = 6
"""Characters of a Patient ID until which a query that is refused is asked again narrower."""

_NAMED: Final = 20
"""Windows that a remark names."""


class Divider:
    """Divides windows until each holds at most ``limit`` studies, and its answer is seen to be whole.

    An answer with fewer than ``trusted`` records is taken as whole, and so is one with fewer than an answer that was
    seen to be cut short: ``cap`` is how many records that had, None if there was none. Afterwards, ``doubtful`` are
    windows whose answers may be cut short, and cannot be compared with narrower ones; ``refused`` are those that the
    archive does not answer, not even in parts, each with how it failed; ``crowded`` are the keys of windows of several
    days that had to be divided. Of those that were ``known_crowded`` before, only the halves are asked. A cap that was
    known before counts once an answer of that length is seen again: it may have been lowered since.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        limit: int,
        trusted: int,
        known_cap: int | None = None,
        known_crowded: Collection[str] = (),
    ) -> None:
        self._ask = ask
        self._limit = limit
        self._trusted = trusted
        self._known_cap = known_cap
        self._known_crowded = known_crowded
        self._longest = 0
        self._among_all: int | None = None
        self.crowded: set[str] = set()
        self.cap: int | None = None
        self.doubtful: list[Window] = []
        self.refused: list[tuple[Window, ArchiveError]] = []

    def parts(self, windows: Iterable[Window]) -> Iterator[Window]:
        """All parts of the archive: dated windows in order, then those of studies without a date.

        Raises:
            ArchiveError: the archive answered no dated window.
        """
        among_all = self._asking(UNDATED, None)
        if among_all.refused is None:
            self._among_all = among_all.records
        if among_all.records == self._known_cap:
            self.cap = self._known_cap
        answered = False
        refusal: ArchiveError | None = None
        later: list[tuple[Window, Answered]] = []
        for window in windows:
            answer = self._first(window)
            if answer.refused is not None:
                refusal = answer.refused
                later.append((window, answer))
                continue
            answered = True
            yield from self._leaves(window, answer)
        if refusal is not None and not answered:
            raise refusal
        for window, answer in later:
            yield from self._leaves(window, answer)
        yield from self._undated(among_all)

    def _first(self, window: Window) -> Answered:
        if window.key in self._known_crowded:
            return Answered(studies=frozenset(), records=0, cut=True)
        # A day is read to its end: its halves by time do not show studies without a time.
        return self._asking(window, None if window.single_day else self._limit)

    def _leaves(self, window: Window, answer: Answered) -> Iterator[Window]:
        """The window, or those that it divides into; empty ones are left out."""
        if answer.refused is not None:
            # Not below a day: an archive that refuses whole years would be asked half a million times.
            halves = () if window.single_day else window.halves()
            if not halves:
                self.refused.append((window, answer.refused))
            for half in halves:
                yield from self._leaves(half, self._first(half))
            return
        if answer.cut:
            self.crowded.add(window.key)
            for half in window.halves():
                yield from self._leaves(half, self._first(half))
            return
        size = len(answer.studies)
        if not size:
            return
        if size <= self._limit and self._is_sure(answer):
            yield window
            return
        yield from self._divided(window, answer)

    def _divided(self, window: Window, answer: Answered) -> Iterator[Window]:
        size = len(answer.studies)
        halves = window.halves()
        known = self._asked(halves)
        strays = answer.studies - _union(known.values()) if window.single_day else frozenset()
        whole = self._is_sure(answer) or self._shows_all(answer, known)
        if strays or not halves:  # times tell not all of them apart, so that they cannot show that none is hidden
            patients = {} if self._is_sure(answer) else self._by_patient(window, answer)
            if patients and not self._shows_all(answer, patients):
                yield from self._of_patients(window, patients)
                return
            whole = True
        if not halves or (whole and size <= self._limit):
            yield window
            return
        if not window.single_day:
            self.crowded.add(window.key)
        for half in halves:
            yield from self._leaves(half, known[half])
        if strays:
            yield window.remainder("minutes")

    def _shows_all(self, answer: Answered, narrower: dict[Window, Answered]) -> bool:
        """Whether narrower answers show an answer to be whole: none has more, and each was shorter than it.

        One that was as long may have been cut short at the same number.
        """
        if _union(narrower.values()) - answer.studies:
            self._capped(answer.records)
            return False
        return all(one.refused is None and one.records < answer.records for one in narrower.values())

    def _undated(self, answer: Answered) -> Iterator[Window]:
        """Studies without a date can only be found among all: no query asks for the lack of a value."""
        if answer.refused is not None:
            yield from self._refused_of_patients(UNDATED, answer.refused)
            return
        patients = {} if self._is_sure(answer) else self._by_patient(UNDATED, answer)
        if patients and not self._shows_all(answer, patients):
            yield from self._of_patients(UNDATED, patients)
        elif answer.studies:
            yield UNDATED

    def _of_patients(self, window: Window, narrower: dict[Window, Answered]) -> Iterator[Window]:
        for one, found in narrower.items():
            yield from self._of_patient(one, found)
        remainder = window.remainder("patients")
        others = self._asking(remainder, None)
        if others.studies:
            yield remainder
        if not self._is_sure(others):
            self._doubt(remainder, others)

    def _of_patient(self, window: Window, answer: Answered) -> Iterator[Window]:
        further = {} if self._is_sure(answer) else self._by_patient(window, answer)
        if further and not self._shows_all(answer, further):
            yield from self._of_patients(window, further)
        elif answer.studies:
            yield window

    def _refused_of_patients(self, window: Window, problem: ArchiveError) -> Iterator[Window]:
        """A query without dates is refused: by the beginnings of Patient IDs it may be answered."""
        narrower = self._asked(_narrower(window)) if len(window.patient) < _DEEPEST_REFUSED else {}
        if all(one.refused is not None for one in narrower.values()):
            self.refused.append((window, problem))
            return
        for one, found in narrower.items():
            if found.refused is not None:
                yield from self._refused_of_patients(one, found.refused)
            else:
                yield from self._of_patient(one, found)
        self.refused.append((window.remainder("patients"), problem))

    def _by_patient(self, window: Window, answer: Answered) -> dict[Window, Answered]:
        """The answers by the next character of the Patient ID; none where the archive does not divide them so."""
        answers = self._asked(_narrower(window))
        found = answers.values()
        if (
            not answers
            or any(one.refused is not None for one in found)
            or all(one.records >= answer.records for one in found)  # the archive overlooks beginnings of Patient IDs
            or not any(one.records for one in found)  # or takes them for whole ones
        ):
            if not answer.whole or self.cap is not None:
                self._doubt(window, answer)
            return {}
        return answers

    def _doubt(self, window: Window, answer: Answered) -> None:
        if answer.records >= self._longest:  # a longer answer was seen, so that this is not where it is cut
            self.doubtful.append(window)

    def _asked(self, windows: Iterable[Window]) -> dict[Window, Answered]:
        return {window: self._asking(window, None) for window in windows}

    def _asking(self, window: Window, most: int | None) -> Answered:
        answer = self._ask(window, most)
        self._longest = max(self._longest, answer.records)
        return answer

    def _is_sure(self, answer: Answered) -> bool:
        if answer.whole:  # not where all there is has no more: an archive may cut short also what it continues
            return answer.records < self._trusted or self._among_all is None or answer.records < self._among_all
        if answer.whole is not None:
            return False
        return answer.records < self._trusted or (self.cap is not None and answer.records < self.cap)

    def _capped(self, records: int) -> None:
        self.cap = records if self.cap is None else min(self.cap, records)


def remarks(divider: Divider) -> Iterator[Refused]:
    """What an inventory lacks, or may lack, because of how the archive answers. Windows may name patients."""
    by_message: dict[str, list[Window]] = {}
    for window, problem in divider.refused:
        by_message.setdefault(str(problem), []).append(window)
    for message, windows in by_message.items():
        reason = f"{len(windows)} queries for studies were refused, so that nobody knows what is there: {message}"
        yield Refused(locator="; ".join(window.key for window in windows[:_NAMED]), code="query-refused", reason=reason)
    if divider.doubtful:
        count = len(divider.doubtful)
        reason = f"{count} answers have as many studies as the archive ever shows, and no narrower query tells if more"
        locator = "; ".join(window.key for window in divider.doubtful[:_NAMED])
        yield Refused(locator=locator, code="answers-may-be-cut-short", reason=reason)


def _narrower(window: Window) -> tuple[Window, ...]:
    return window.by_patient() if len(window.patient) < _LONGEST_BEGINNING else ()


def _union(answers: Iterable[Answered]) -> set[str]:
    return {study for answer in answers for study in answer.studies}
