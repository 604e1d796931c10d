"""How long jobs will still take: measured by those that ended, and unknown before any has."""

from __future__ import annotations

import datetime as dt

import pytest

from vna_lifecycle.catalog import BatchLine
from vna_lifecycle.engine.jobs import WaveLeft, seconds_left_by_wave, seconds_left_of
from vna_lifecycle.model.counting import counted

BEGUN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def line(batch: str, wave: str, state: str, opened: int, ended: int = 0, instances: int = 10) -> BatchLine:
    return BatchLine(
        batch=batch,
        wave=wave,
        state=state,
        opened=at(opened).isoformat(),
        ended=at(ended).isoformat() if ended else "",
        studies=1,
        instances=instances,
        size=1,
        job="",
        stored=0,
        already_present=0,
        refused=0,
        unaccounted=0,
        warnings=0,
        members_ref="",
        results_ref="",
    )


def at(seconds: int) -> dt.datetime:
    return BEGUN + dt.timedelta(seconds=seconds)


DONE = line("a", "one", "ended", 0, 100)
WAITS = line("b", "one", "submitted", 100, instances=20)
NEXT = line("c", "two", "closed", 110)


def test_a_job_is_measured_by_those_that_ended() -> None:
    assert seconds_left_of(WAITS, [DONE, WAITS, NEXT], at(150)) == pytest.approx(20 * 10 - 50)
    assert seconds_left_of(NEXT, [DONE, WAITS, NEXT], at(150)) == pytest.approx(10 * 10 - 40)
    assert seconds_left_of(WAITS, [DONE, WAITS], at(10_000)) == 0.0


def test_what_nobody_can_know_yet_is_unknown() -> None:
    assert seconds_left_of(WAITS, [WAITS, NEXT], at(150)) is None
    assert seconds_left_of(DONE, [DONE, WAITS], at(150)) is None
    assert seconds_left_by_wave([WAITS], at(150)) == (WaveLeft(wave="one", under_way=1, seconds_left=None),)


def test_a_wave_of_which_nothing_has_ended_is_measured_by_the_others() -> None:
    told = seconds_left_by_wave([DONE, WAITS, NEXT], at(150))
    assert told == (
        WaveLeft(wave="one", under_way=1, seconds_left=pytest.approx(20 * 10 - 50)),
        WaveLeft(wave="two", under_way=1, seconds_left=pytest.approx(10 * 10 - 50)),
    )
    assert seconds_left_by_wave([DONE], at(150)) == ()


def test_batches_are_counted_as_such() -> None:
    assert (counted(1, "batch"), counted(2, "batch")) == ("1 batch", "2 batches")
