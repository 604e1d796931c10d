"""Whatever befalls a program, nothing acknowledged is lost, nothing is done twice, and everything gets done at last."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from vna_lifecycle.testing.machine import ProgramMachine

_ALWAYS = settings(suppress_health_check=list(HealthCheck), print_blob=True)
PARTS = 12


@pytest.mark.timeout(900)
def test_a_program_survives_whatever_befalls_it() -> None:
    quick = settings(_ALWAYS, max_examples=18, stateful_step_count=12, derandomize=True, phases=[Phase.generate])
    run_state_machine_as_test(ProgramMachine, settings=quick)  # a failure prints its blob; to make it small takes long


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_program_survives_a_hundred_histories_of_each_part(part: int) -> None:
    """Parts can be run one by one, and side by side; the seed of each is its number, so it can be run again."""
    machine = seed(part)(type(f"Part{part}", (ProgramMachine,), {}))
    run_state_machine_as_test(machine, settings=settings(_ALWAYS, max_examples=100, stateful_step_count=40))
