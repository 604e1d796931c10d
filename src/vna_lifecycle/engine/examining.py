"""Calling acceptance checks so that none can do harm: one that raises, hangs or lies costs its own result, no more.

Checks are called in a thread that can be left behind: Python cannot end a call that does not come back.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import GeneratorType
from typing import Any, Final

from attrs import define, evolve, field, frozen

from vna_lifecycle.engine.examining_findings import (
    CHECK_FAILED,
    CHECK_MISBEHAVED,
    CHECK_TIMED_OUT,
    ELSEWHERE,
    MOST_OF_A_STUDY,
    MOST_OF_A_WAVE,
    class_name,
    fault_of,
    trouble_finding,
)
from vna_lifecycle.engine.examining_wave import watched
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.plugin import Registry
from vna_lifecycle.ports import Cancellation, StudyCase, WaveCase

FAILURES_BORNE: Final = 20
"""A check that failed for so many studies is not called any more in this run."""

_PIECE: Final = 200
_MOST_WAITING: Final = 2_000
_LOOKS: Final = 20


class Scope(enum.Enum):
    """What a check is shown: every study, only those of the sample, or waves."""

    STUDY = "study"
    SAMPLE = "sample"
    WAVE = "wave"


@define(kw_only=True)
class PreparedCheck:
    """A registered check with its settings. ``make`` is called at its first use, where it can do no harm either.

    ``provider`` is the distribution and version that brought it. One that looks at waves ``before_transfer`` too is
    told so.
    """

    name: str
    provider: str
    scope: Scope
    before_transfer: bool = False
    make: Callable[[], Any]
    _made: Any = field(default=None, init=False)

    def examine(self, case: StudyCase | WaveCase) -> Iterable[Finding]:
        """Whatever the check gives: see `AcceptanceCheck` and `WaveCheck`."""
        if self._made is None:
            self._made = self.make()
        findings: Iterable[Finding] = self._made.examine(case)
        return findings


@frozen(kw_only=True)
class Call:
    """A check and what it shall look at."""

    check: PreparedCheck
    case: StudyCase | WaveCase

    @property
    def study(self) -> StudyRef | None:
        """The study that it is about, None for a wave."""
        return self.case.study if isinstance(self.case, StudyCase) else None


@frozen(kw_only=True)
class Answer:
    """What came of a call, or the next piece of it. ``assessed`` says whether it ended as it should.

    A call whose check was given up before has no answer. ``seconds`` are those of the piece.
    """

    check: str
    study: StudyRef | None
    findings: tuple[Finding, ...]
    ended: bool
    assessed: bool
    seconds: float


class Examiner:
    """Calls checks, and gives up those that cannot be called any more. ``given_up`` says of each check why.

    A check may take ``limit`` seconds for a study, or between two signs of life over a wave. Time that the machine
    sleeps, or that a case takes to answer, is not the check's.
    """

    def __init__(self, limit: float, cancelled: Cancellation) -> None:
        self.given_up: dict[str, str] = {}
        self.failures: Counter[str] = Counter()
        self._limit = limit
        self._cancelled = cancelled

    def examine(self, calls: Sequence[Call]) -> Iterator[Answer]:
        """The answers, in the order of the calls; ends early when cancelled.

        Raises:
            Exception: what a case raised while a check asked it; that is not the check's fault.
        """
        first = 0
        while first < len(calls):
            worker = _Worker(calls, first, self)
            yield from self._watch(worker)
            if worker.error is not None:
                raise worker.error
            if worker.ended or self._cancelled.is_set():
                return
            stuck = calls[worker.position]
            why = f"it did not come back within {self._limit:g} s"
            self.given_up[stuck.check.name] = why
            yield _stuck(stuck, why, self._limit)
            first = worker.position + 1

    def _watch(self, worker: _Worker) -> Iterator[Answer]:
        """Hand on what a worker gives until it is done, stuck, or nobody wants it any more."""
        look = self._limit / _LOOKS
        beats, looks = -1, 0
        while True:
            yield from worker.take(min(look, 0.5))
            if worker.ended:
                yield from worker.take(0.0)
                return
            if self._cancelled.is_set():
                worker.leave()
                return
            # Looks are counted, not the clock: it also runs on while this process is asleep.
            beats, looks, before = worker.beats, looks + 1, beats
            if beats != before or not worker.inside:
                looks = 0
            elif looks * min(look, 0.5) >= self._limit and worker.leave(beats):
                yield from worker.take(0.0)
                return


class _Worker:
    """A thread that goes through calls. ``beats`` counts its signs of life; ``inside``: a check has control."""

    def __init__(self, calls: Sequence[Call], first: int, examiner: Examiner) -> None:
        self.position = first
        self.beats = 0
        self.inside = False
        self.ended = False
        self.error: BaseException | None = None
        self._calls = calls
        self._examiner = examiner
        self._left = False
        self._changed = threading.Condition()
        self._answers: deque[Answer] = deque()
        threading.Thread(target=self._run, name="acceptance-check", daemon=True).start()

    def take(self, seconds: float) -> list[Answer]:
        """What it gave since; waits for much of it, or for the end, that long at most."""
        with self._changed:
            if not self.ended and len(self._answers) < _PIECE:
                self._changed.wait(seconds)
            taken = list(self._answers)
            self._answers.clear()
            self._changed.notify_all()
        return taken

    def leave(self, beats: int | None = None) -> bool:
        """Leave it behind, unless it gave a sign of life after ``beats``: from now on it gives nothing any more."""
        with self._changed:
            if beats not in (None, self.beats):
                return False
            self._left = True
            self._changed.notify_all()
            return True

    def _run(self) -> None:
        try:
            for position in range(self.position, len(self._calls)):
                call = self._calls[position]
                if call.check.name not in self._examiner.given_up:
                    self._beat(inside=True, position=position)
                    self._answer(call)
        except _LeftBehind:
            return
        except BaseException as error:  # noqa: BLE001 - ours, not a check's: it is raised where somebody waits
            self.error = self.error or error
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _beat(self, *, inside: bool, position: int | None = None) -> None:
        with self._changed:
            if self._left:
                raise _LeftBehind
            self.beats += 1
            self.inside = inside
            if position is not None:
                self.position = position

    def _give(self, answer: Answer) -> None:
        self._beat(inside=False)
        with self._changed:
            while len(self._answers) >= _MOST_WAITING and not self._left:
                self._changed.wait()
            self._answers.append(answer)
            if len(self._answers) >= _PIECE:
                self._changed.notify_all()

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """While a case is asked, the check's time stands still, and what goes wrong is not the check's."""
        self._beat(inside=False)
        try:
            yield
        except BaseException as error:
            self.error = self.error or error
            raise
        finally:
            self._beat(inside=True)

    def _answer(self, call: Call) -> None:
        begun, found, count = time.perf_counter(), list[Finding](), 0
        study, name = call.study, call.check.name
        case = call.case if isinstance(call.case, StudyCase) else watched(call.case, self._outside)
        most = MOST_OF_A_STUDY if isinstance(call.case, StudyCase) else MOST_OF_A_WAVE
        kind = why = ""
        try:
            findings = call.check.examine(case)
            try:
                for item in findings:
                    count += 1
                    why = fault_of(item) or _elsewhere(item, study) or ("it found no end" if count > most else "")
                    if why:
                        kind = CHECK_MISBEHAVED
                        break
                    found.append(evolve(item, check=name, study=item.study or study))
                    if study is None:
                        if len(found) >= _PIECE:
                            self._give(_answer(call, found, begun, ended=False, assessed=False))
                            begun, found = time.perf_counter(), []
                        self._beat(inside=True)
            finally:
                if isinstance(findings, GeneratorType):
                    findings.close()
        except _LeftBehind:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a check raises, SystemExit too, is the check's failure
            kind, why = CHECK_FAILED, f"it raised {class_name(error)}"
        if self.error is not None:
            raise self.error
        if kind:
            found.append(trouble_finding(kind, self._borne(name, why), name, study))
        self._give(_answer(call, found, begun, ended=True, assessed=not kind))

    def _borne(self, name: str, why: str) -> str:
        """Whether the check may go on failing; ``why``, with what follows from it."""
        failures = self._examiner.failures
        failures[name] += 1
        if failures[name] < FAILURES_BORNE:
            return why
        self._examiner.given_up[name] = why
        return f"{why}, as {FAILURES_BORNE - 1} times before, and was not called again"


class _LeftBehind(BaseException):
    """Nobody waits for this thread any more."""


def _elsewhere(finding: Finding, study: StudyRef | None) -> str:
    return ELSEWHERE if study is not None and finding.study not in (None, study) else ""


def _answer(call: Call, findings: Sequence[Finding], begun: float, *, ended: bool, assessed: bool) -> Answer:
    return Answer(
        check=call.check.name,
        study=call.study,
        findings=tuple(findings),
        ended=ended,
        assessed=assessed,
        seconds=time.perf_counter() - begun,
    )


def prepare_checks(registry: Registry, settings: Mapping[str, object]) -> tuple[PreparedCheck, ...]:
    """Every registered check with its settings, by name."""
    found = [
        PreparedCheck(
            name=plugin.name,
            provider=str(plugin.provider),
            scope=Scope.SAMPLE if plugin.sampled else Scope.STUDY,
            make=partial(plugin.factory, settings[plugin.name]),
        )
        for plugin in registry.checks.values()
    ]
    found += [
        PreparedCheck(
            name=plugin.name,
            provider=str(plugin.provider),
            scope=Scope.WAVE,
            before_transfer=plugin.before_transfer,
            make=partial(plugin.factory, settings[plugin.name]),
        )
        for plugin in registry.wave_checks.values()
    ]
    return tuple(sorted(found, key=lambda check: check.name))


def _stuck(call: Call, why: str, seconds: float) -> Answer:
    finding = trouble_finding(CHECK_TIMED_OUT, f"{why}, and was not called again", call.check.name, call.study)
    return evolve(_answer(call, [finding], 0.0, ended=True, assessed=False), seconds=seconds)
