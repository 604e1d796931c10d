"""What verbs that move tell."""

from __future__ import annotations

from vna_lifecycle.cli.moving import plan_dict, plan_lines
from vna_lifecycle.model.wave import Wave, WavePlan


def test_a_wave_that_gets_nothing_new_is_not_told_as_if_it_were_empty() -> None:
    waves = (
        Wave(name="pilot", studies=0, instances=0, size=0),
        Wave(name="rest", studies=2, instances=3, size=1000),
    )
    planned = WavePlan(waves=waves, excluded=(), unplanned=0, notes=("wave pilot gets nothing new",))
    assert plan_lines(planned) == ["rest: 2 studies, 3 instances, 1.0 kB", "note: wave pilot gets nothing new"]
    assert [wave["name"] for wave in plan_dict(planned, dry_run=False)["waves"]] == ["pilot", "rest"]
