"""Progress tells what is left from what this run did, not from what earlier ones did."""

from __future__ import annotations

import pytest

from vna_lifecycle.engine.progress import Progress


def progress(**changes: object) -> Progress:
    values = {"activity": "transfer", "subject": "pilot", "done": 60, "total": 100, "unit": "studies", "seconds": 10.0}
    return Progress(**{**values, **changes})  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, pytest.approx(40 * 10 / 60)),
        ({"before": 50}, pytest.approx(40.0)),
        ({"before": 60}, None),
        ({"done": 0}, None),
        ({"total": None}, None),
        ({"done": 100}, 0),
    ],
)
def test_the_time_left_follows_this_runs_own_rate(changes: dict[str, object], left: float | None) -> None:
    assert progress(**changes).seconds_left == left


def test_progress_reads_as_a_sentence() -> None:
    told = str(progress(size=20_000_000, note="outside the transfer window"))
    assert told == "transfer pilot: 60/100 studies, 2.0 MB/s, about 7 s left - outside the transfer window"
