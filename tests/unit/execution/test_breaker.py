from __future__ import annotations

import datetime as dt
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.execution.breaker import (
    TRANSITIONS,
    Answered,
    Breaker,
    BreakerPolicy,
    Failed,
    Phase,
    Signal,
    admit,
    record,
)

NOW = dt.datetime(2025, 6, 4, 12, tzinfo=dt.UTC)
POLICY = BreakerPolicy(failures=3, learn_from=5, pause=dt.timedelta(minutes=1), longest_pause=dt.timedelta(minutes=5))
REFUSED = Failed(reason="association refused")


def told(breaker: Breaker, *outcomes: Answered | Failed, now: dt.datetime = NOW) -> Breaker:
    for outcome in outcomes:
        breaker = record(breaker, POLICY, outcome, now)
    return breaker


def test_the_table_answers_every_signal_in_every_phase_and_reaches_every_phase() -> None:
    assert set(TRANSITIONS) == set(itertools.product(Phase, Signal))
    assert set(TRANSITIONS.values()) == set(Phase)


def test_it_opens_at_the_stated_number_of_failures_in_a_row_and_says_why_and_until_when() -> None:
    almost = told(Breaker(), REFUSED, REFUSED)
    assert admit(almost, POLICY, NOW)[1].allowed
    opened = told(almost, REFUSED)
    assert opened.phase is Phase.OPEN
    admission = admit(opened, POLICY, NOW)[1]
    assert not admission.allowed
    assert admission.because == "3 systemic failures in a row, the last: association refused"
    assert admission.until == NOW + POLICY.pause


@pytest.mark.parametrize("answers_before", [0, 10])
def test_an_answer_between_failures_begins_the_count_anew(answers_before: int) -> None:
    breaker = told(Breaker(), *[Answered(seconds=1)] * answers_before)
    assert told(breaker, REFUSED, REFUSED, Answered(seconds=1), REFUSED, REFUSED).phase is Phase.CLOSED


def test_when_its_time_is_up_one_trial_is_admitted_and_no_second() -> None:
    opened = told(Breaker(), *[REFUSED] * 3)
    later = NOW + POLICY.pause
    assert not admit(opened, POLICY, later - dt.timedelta(microseconds=1))[1].allowed
    trial, admission = admit(opened, POLICY, later)
    assert admission.allowed and trial.phase is Phase.HALF_OPEN
    same, second = admit(trial, POLICY, later)
    assert not second.allowed and same == trial


def test_a_trial_that_is_answered_closes_it_and_one_that_fails_opens_it_for_twice_as_long() -> None:
    now = NOW
    breaker = told(Breaker(), *[REFUSED] * 3)
    for minutes in (2, 4, 5, 5):
        assert breaker.until is not None
        now = breaker.until
        breaker = told(admit(breaker, POLICY, now)[0], REFUSED, now=now)
        assert breaker.phase is Phase.OPEN
        assert breaker.until == now + dt.timedelta(minutes=minutes)
    now = now + dt.timedelta(minutes=5)
    closed = told(admit(breaker, POLICY, now)[0], Answered(seconds=1), now=now)
    assert closed.phase is Phase.CLOSED and closed.because == "" and closed.until is None
    again = told(closed, *[REFUSED] * 3, now=now)
    assert again.until == now + POLICY.pause


def test_a_trial_whose_worker_died_is_given_up_for_another() -> None:
    opened = told(Breaker(), *[REFUSED] * 3)
    trial, _ = admit(opened, POLICY, NOW + POLICY.pause)
    assert trial.until is not None
    assert not admit(trial, POLICY, trial.until - dt.timedelta(seconds=1))[1].allowed
    assert admit(trial, POLICY, trial.until)[1].allowed


def test_late_outcomes_of_what_was_asked_before_neither_close_nor_prolong_an_open_one() -> None:
    opened = told(Breaker(), *[REFUSED] * 3)
    later = told(opened, Answered(seconds=1), REFUSED, REFUSED, REFUSED, now=NOW + dt.timedelta(seconds=30))
    assert (later.phase, later.until, later.because) == (Phase.OPEN, opened.until, opened.because)


def test_it_opens_when_answers_become_slow_and_closes_after_a_quick_trial() -> None:
    usual = told(Breaker(), *[Answered(seconds=0.5)] * 50)
    assert told(usual, *[Answered(seconds=4)] * 2).phase is Phase.CLOSED
    slow = told(usual, *[Answered(seconds=4)] * 30)
    assert slow.phase is Phase.OPEN
    assert re.fullmatch(r"responses take 2\.\d+ s, usually 0\.5\d* s", slow.because)
    later = NOW + POLICY.pause
    trial, _ = admit(slow, POLICY, later)
    assert told(trial, Answered(seconds=4), now=later).phase is Phase.OPEN
    assert told(trial, Answered(seconds=0.6), now=later).phase is Phase.CLOSED


def test_an_archive_that_stays_slower_is_accepted_after_some_trials() -> None:
    breaker, now = told(Breaker(), *[Answered(seconds=0.5)] * 50, *[Answered(seconds=5)] * 30), NOW
    trials = 0
    while breaker.until is not None:
        now = breaker.until
        breaker = told(admit(breaker, POLICY, now)[0], Answered(seconds=5), now=now)
        trials += 1
    assert 1 < trials < 10
    assert told(breaker, *[Answered(seconds=5)] * 100, now=now).phase is Phase.CLOSED


def test_one_stray_answer_does_not_open_it_however_slow() -> None:
    usual = told(Breaker(), *[Answered(seconds=0.5)] * 50)
    assert told(usual, Answered(seconds=3600)).phase is Phase.CLOSED


def test_while_the_baseline_is_learnt_slowness_alone_opens_nothing() -> None:
    assert told(Breaker(), *[Answered(seconds=0.01)] * 4, Answered(seconds=10)).phase is Phase.CLOSED


@given(
    steps=st.lists(
        st.one_of(
            st.builds(Answered, seconds=st.floats(0, 1e6)),
            st.builds(Failed, reason=st.just("refused")),
            st.integers(0, 600),
        ),
        max_size=60,
    )
)
@settings(max_examples=200)
def test_whatever_happens_it_is_either_closed_or_says_why_and_opens_again_in_time(
    steps: list[Answered | Failed | int],
) -> None:
    breaker, now, in_a_row = Breaker(), NOW, 0
    for step in steps:
        before = breaker
        if isinstance(step, int):
            now += dt.timedelta(seconds=step)
            breaker, admission = admit(breaker, POLICY, now)
            if not admission.allowed:
                assert admission.because and admission.until is not None
                assert now < admission.until <= now + POLICY.longest_pause
            continue
        breaker = record(breaker, POLICY, step, now)
        in_a_row = in_a_row + 1 if isinstance(step, Failed) else 0
        if in_a_row >= POLICY.failures:
            assert breaker.phase is Phase.OPEN
        if before.phase is Phase.CLOSED and breaker.phase is Phase.OPEN:
            assert in_a_row == POLICY.failures or breaker.recent > POLICY.slow_factor * breaker.baseline
        assert (breaker.phase is Phase.CLOSED) == (breaker.until is None) == (breaker.because == "")


@pytest.mark.parametrize(
    "senseless", [{"failures": 0}, {"slow_factor": 1.0}, {"learn_from": 0}, {"pause": dt.timedelta()}]
)
def test_a_policy_that_could_not_work_is_refused(senseless: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(senseless))):
        BreakerPolicy(**senseless)  # type: ignore[arg-type]  # wrong on purpose
