"""A circuit breaker per archive: stop asking one that fails as a whole, or that answers ever more slowly.

The state is a value and every step a pure function of it, so that it can be kept, shown and replayed. Only *systemic*
trouble counts (no connection, association refused, out of resources); a study that fails by itself is an answer.
"""

from __future__ import annotations

import datetime as dt
import enum
from types import MappingProxyType
from typing import Final

from attrs import evolve, field, frozen
from attrs.validators import ge, gt


class Phase(enum.Enum):
    """CLOSED: work flows. OPEN: nothing is asked. HALF_OPEN: one task at a time finds out how the archive is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Signal(enum.Enum):
    """What may happen to a breaker."""

    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_TOO_OFTEN = "failed-too-often"
    TOO_SLOW = "too-slow"
    TIME_IS_UP = "time-is-up"


TRANSITIONS: Final = MappingProxyType(
    {
        (Phase.CLOSED, Signal.ANSWERED): Phase.CLOSED,
        (Phase.CLOSED, Signal.FAILED): Phase.CLOSED,
        (Phase.CLOSED, Signal.FAILED_TOO_OFTEN): Phase.OPEN,
        (Phase.CLOSED, Signal.TOO_SLOW): Phase.OPEN,
        (Phase.CLOSED, Signal.TIME_IS_UP): Phase.CLOSED,
        # Answers to what was asked before it opened still come in; they decide nothing.
        (Phase.OPEN, Signal.ANSWERED): Phase.OPEN,
        (Phase.OPEN, Signal.FAILED): Phase.OPEN,
        (Phase.OPEN, Signal.FAILED_TOO_OFTEN): Phase.OPEN,
        (Phase.OPEN, Signal.TOO_SLOW): Phase.OPEN,
        (Phase.OPEN, Signal.TIME_IS_UP): Phase.HALF_OPEN,
        (Phase.HALF_OPEN, Signal.ANSWERED): Phase.CLOSED,
        (Phase.HALF_OPEN, Signal.FAILED): Phase.OPEN,
        (Phase.HALF_OPEN, Signal.FAILED_TOO_OFTEN): Phase.OPEN,
        (Phase.HALF_OPEN, Signal.TOO_SLOW): Phase.OPEN,
        # The task that was to find out never reported (its worker died): another one may.
        (Phase.HALF_OPEN, Signal.TIME_IS_UP): Phase.HALF_OPEN,
    }
)
"""The whole machine: (phase, signal) to phase."""


@frozen(kw_only=True)
class BreakerPolicy:
    """When a breaker opens, and for how long.

    It opens after ``failures`` systemic failures in a row, or when the moving average of response times is more than
    ``slow_factor`` times the baseline learnt from the first ``learn_from`` answers. ``pause`` is how long it stays
    open; each time it opens again without having closed, that doubles, up to ``longest_pause``.
    """

    failures: int = field(default=5, validator=ge(1))
    slow_factor: float = field(default=4.0, validator=gt(1.0))
    learn_from: int = field(default=20, validator=ge(1))
    pause: dt.timedelta = field(default=dt.timedelta(minutes=1), validator=gt(dt.timedelta()))
    longest_pause: dt.timedelta = field(default=dt.timedelta(minutes=30), validator=gt(dt.timedelta()))


@frozen(kw_only=True)
class Answered:
    """The archive answered. ``seconds`` must compare between requests: to the first byte, or per mebibyte."""

    seconds: float


@frozen(kw_only=True)
class Failed:
    """The archive failed as a whole. ``reason`` says how, without patient data."""

    reason: str


@frozen(kw_only=True)
class Breaker:
    """The state for one archive.

    ``until`` is when an open one may be tried again, or a half-open one may have another trial; ``because`` says
    why it opened. ``baseline`` and ``recent`` are response times in seconds, 0 before the first answer. ``answers``
    counts those that the baseline was learnt from, ``openings`` how often it opened since it was last closed.
    """

    phase: Phase = Phase.CLOSED
    failures_in_a_row: int = 0
    answers: int = 0
    baseline: float = 0.0
    recent: float = 0.0
    openings: int = 0
    until: dt.datetime | None = None
    because: str = ""


@frozen(kw_only=True)
class Admission:
    """Whether a task may ask the archive now; if not, why, and when to ask again."""

    allowed: bool
    because: str = ""
    until: dt.datetime | None = None


_RECENT_WEIGHT = 0.2  # five answers or so decide
# The baseline follows the time of day, but not an overload; an archive that stays slow is accepted after a few trials.
_DRIFT_WEIGHT: Final = MappingProxyType({Phase.CLOSED: 0.005, Phase.OPEN: 0.0, Phase.HALF_OPEN: 0.05})


def admit(breaker: Breaker, policy: BreakerPolicy, now: dt.datetime) -> tuple[Breaker, Admission]:
    """Ask before a task is submitted. The first one after an open breaker's time is up becomes its trial."""
    if breaker.phase is Phase.CLOSED:
        return breaker, Admission(allowed=True)
    if breaker.until is not None and now < breaker.until:
        return breaker, Admission(allowed=False, because=breaker.because, until=breaker.until)
    phase = TRANSITIONS[breaker.phase, Signal.TIME_IS_UP]
    trial = evolve(breaker, phase=phase, until=now + policy.pause)
    return trial, Admission(allowed=True, because=f"trying again after: {breaker.because}")


def record(breaker: Breaker, policy: BreakerPolicy, outcome: Answered | Failed, now: dt.datetime) -> Breaker:
    """The breaker after a task has reported how the archive behaved."""
    if isinstance(outcome, Failed):
        failed = evolve(breaker, failures_in_a_row=breaker.failures_in_a_row + 1)
        too_often = failed.failures_in_a_row >= policy.failures
        why = f"{failed.failures_in_a_row} systemic failures in a row, the last: {outcome.reason}"
        return _moved(failed, policy, Signal.FAILED_TOO_OFTEN if too_often else Signal.FAILED, why, now)
    timed = _timed(breaker, policy, outcome.seconds)
    if timed.recent > policy.slow_factor * timed.baseline:
        why = f"responses take {timed.recent:.3g} s, usually {timed.baseline:.3g} s"
        return _moved(timed, policy, Signal.TOO_SLOW, why, now)
    return _moved(timed, policy, Signal.ANSWERED, "", now)


def _timed(breaker: Breaker, policy: BreakerPolicy, seconds: float) -> Breaker:
    answers = min(breaker.answers + 1, policy.learn_from)
    if breaker.answers < policy.learn_from:
        baseline = breaker.baseline + (seconds - breaker.baseline) / answers
        # The two are equal while learning, so that slowness alone opens nothing yet.
        return evolve(breaker, failures_in_a_row=0, answers=answers, baseline=baseline, recent=baseline)
    # One stray answer must not trip it, however long it took: no single one counts for more than twice the limit.
    seconds = min(seconds, 2 * policy.slow_factor * breaker.baseline)
    weight = 1.0 if breaker.phase is Phase.HALF_OPEN else _RECENT_WEIGHT  # a trial speaks for itself
    return evolve(
        breaker,
        failures_in_a_row=0,
        baseline=breaker.baseline + (seconds - breaker.baseline) * _DRIFT_WEIGHT[breaker.phase],
        recent=breaker.recent + (seconds - breaker.recent) * weight,
    )


def _moved(breaker: Breaker, policy: BreakerPolicy, signal: Signal, why: str, now: dt.datetime) -> Breaker:
    phase = TRANSITIONS[breaker.phase, signal]
    if phase is Phase.CLOSED:
        return evolve(breaker, phase=phase, openings=0, until=None, because="")
    if breaker.phase is phase:
        return evolve(breaker, phase=phase)
    longer = 2 ** min(breaker.openings, 30)
    pause = min(policy.pause * longer, policy.longest_pause)
    return evolve(breaker, phase=phase, openings=breaker.openings + 1, until=now + pause, because=why)
