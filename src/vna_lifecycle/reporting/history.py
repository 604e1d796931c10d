"""What the ledger tells of time: each study's steps, and how imports and readiness went up."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState
from vna_lifecycle.reporting.facts import Moment, Step
from vna_lifecycle.reporting.words import parsed

MOMENTS: Final = 120
"""At most so many points make up a line over time."""

_STATES: Final = tuple(MigrationState)
_REACHED: Final[Mapping[str, MigrationState]] = {kind: state for (_, kind), state in TRANSITIONS.items()}
_STEP: Final = 5  # bytes: a state, and seconds since 1970 (32 bits, until 2106)
_ANY_TIME: Final = frozenset({"content-chosen"})
"""Decisions that move only a study that waits for them."""


class History:
    """The ledger, folded once from its beginning, over as many studies as it has: some 200 bytes for each.

    ``exclusions`` are those on record, oldest first.
    """

    def __init__(self, events: Iterable[on_record.RecordedEvent]) -> None:
        self._steps: dict[str, bytearray] = {}
        self._imports: Counter[int] = Counter()
        self._planned: dict[tuple[str, int], int] = {}
        self._settled: dict[str, int] = {}
        self._begun = self._last = 0
        self.exclusions: list[on_record.StudiesExcluded] = []
        for recorded in events:
            self._fold(recorded)

    def steps(self, label: str, wave: str, plan: int) -> tuple[Step, ...]:
        """The states that a study reached, in order, from the plan that put it into its wave."""
        return tuple(Step(state=state.value, time=_text(seconds)) for state, seconds in self._way(label, wave, plan))

    def burn_up(self, ready: Mapping[str, int]) -> tuple[Moment, ...]:
        """Imported studies over time, and those of the waves that are ``ready`` today (with their studies).

        A wave counts as ready from the last decision on it. Nothing where nothing was ever imported.
        """
        if not self._imports:
            return ()
        readied = Counter({self._settled.get(wave, self._last): 0 for wave in ready})
        for wave, studies in ready.items():
            readied[self._settled.get(wave, self._last)] += studies
        first, last = self._begun, max(self._last, self._begun + 1)
        marks = [first + (last - first) * place // MOMENTS for place in range(MOMENTS + 1)]
        imported, usable = _running(self._imports, marks), _running(readied, marks)
        return tuple(
            Moment(time=_text(mark), imported=imports, ready=ready_by_then)
            for mark, imports, ready_by_then in zip(marks, imported, usable, strict=True)
        )

    def _fold(self, recorded: on_record.RecordedEvent) -> None:
        time = parsed(recorded.time)
        seconds = self._last = int(time.timestamp()) if time else self._last
        event = recorded.event
        match event:
            case on_record.WavePlanned():
                self._planned[event.wave, event.plan] = seconds
                self._begun = self._begun or seconds
            case on_record.StudiesExcluded():
                self.exclusions.append(event)
            case on_record.WaveExamined() | on_record.SignedOff() | on_record.FindingsWaived():
                self._settled[event.wave] = seconds
            case _:
                label = getattr(event, "study", "")
                if label and event.kind in _REACHED:
                    self._move(label, event.kind, seconds)

    def _move(self, label: str, kind: str, seconds: int) -> None:
        way = self._steps.setdefault(label, bytearray())
        before = _STATES[way[-_STEP]] if way else MigrationState.PLANNED
        after = TRANSITIONS.get((before, kind), before) if kind in _ANY_TIME else _REACHED[kind]
        if after is before and way:
            return
        way.append(_STATES.index(after))
        way += seconds.to_bytes(_STEP - 1, "big")
        arrived = (after is MigrationState.TRANSFERRED) - (before is MigrationState.TRANSFERRED)
        if arrived:
            self._imports[seconds] += arrived

    def _way(self, label: str, wave: str, plan: int) -> Iterator[tuple[MigrationState, int]]:
        planned = self._planned.get((wave, plan))
        way = self._steps.get(label, b"")
        steps = [
            (_STATES[way[at]], int.from_bytes(way[at + 1 : at + _STEP], "big")) for at in range(0, len(way), _STEP)
        ]
        if planned is not None:
            # a study that was planned again has older steps: the plan that counts goes between them
            older = [step for step in steps if step[1] < planned]
            yield from older
            yield MigrationState.PLANNED, planned
            steps = steps[len(older) :]
        yield from steps


def _running(changes: Counter[int], marks: Iterable[int]) -> list[int]:
    """The sum of all changes up to and including each mark."""
    pending = sorted(changes.items(), reverse=True)
    total, totals = 0, []
    for mark in marks:
        while pending and pending[-1][0] <= mark:
            total += pending.pop()[1]
        totals.append(total)
    return totals


def _text(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
