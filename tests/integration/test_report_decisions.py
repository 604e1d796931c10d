"""What people decide, as the report tells it: acceptance, sign-offs, waivers and their end, questions to the gate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.folder_program import PILOT_AND_REST, write_program
from vna_lifecycle.program import Program
from vna_lifecycle.reporting.facts import Facts
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

DECIDING = """
[acceptance]
sign_offs = ["radiologist"]
[people.ada]
role = "radiologist"
"""
START = dt.datetime(2026, 5, 4, 9, tzinfo=dt.UTC)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Program]:
    """A transferred program of two waves, whose clock can be set."""
    write_program(tmp_path, PILOT_AND_REST + DECIDING)
    for number, spec in enumerate(
        (ObjectSpec(study=1, issuer="H"), ObjectSpec(study=2, modality="MR", patient_id="P2", issuer="H"))
    ):
        (tmp_path / "old" / f"IM{number}").write_bytes(dicom_bytes(spec))
    now = [START]
    Program.init(tmp_path, clock=lambda: now[0])

    def reopen(days: int = 0) -> Program:
        now[0] = START + dt.timedelta(days=days)
        return Program.open(tmp_path, clock=lambda: now[0])

    with reopen() as program:
        program.take_inventory()
        program.plan()
        for wave in program.waves():
            program.transfer(wave)
    return reopen


def accepted_and_signed(program: Program, wave: str) -> None:
    """The wave accepted and signed."""
    program.accept(wave)
    program.sign(wave, by="ada")


def facts(program: Program) -> Facts:
    return program.report().facts


def test_one_wave_may_be_used_and_the_other_says_why_it_may_not(opened: Callable[..., Program]) -> None:
    with opened() as program:
        accepted_and_signed(program, "pilot")
        told = facts(program)
    pilot, rest = told.waves
    assert (pilot.ready, rest.ready) == (True, False)
    assert (pilot.usable, rest.usable) == (1, 0)
    assert pilot.attempts[-1].sentence.startswith("Passed. Every study of the wave was examined (1)")
    assert [line.standing for line in told.sign_offs] == ["in force"]
    assert told.burn_up[-1].ready == 1
    waiting = [obstacle for obstacle in told.gate.obstacles if obstacle.waves == ("rest",)]
    assert "not accepted: acceptance has not examined it" in {obstacle.sentence for obstacle in waiting}
    signing = next(obstacle for obstacle in waiting if "radiologist" in obstacle.sentence)
    assert signing.who == "ada, radiologist"
    assert not any("pilot" in obstacle.waves for obstacle in told.gate.obstacles)


def test_a_waiver_is_told_and_when_it_has_expired_the_wave_is_not_ready_any_more(
    opened: Callable[..., Program],
) -> None:
    with opened() as program:
        program.accept("pilot")
        [kind] = {line.kind for line in program.findings("") if line.severity == "blocker"} or {""}
        assert kind  # the source has no truth: that needs a waiver
        program.waive(kind, by="ada", reason="no database is left", expires=START.date() + dt.timedelta(days=30))
        [waiver] = facts(program).waivers
    assert (waiver.by, waiver.role, waiver.reason) == ("ada", "radiologist", "no database is left")
    assert (waiver.standing, waiver.expires, waiver.signed) == ("in force", "2026-06-03", False)
    with opened(days=31) as program:
        told = facts(program)
    assert told.waivers[0].standing == "it expired after 2026-06-03"
    assert any("it expired after 2026-06-03" in obstacle.sentence for obstacle in told.gate.obstacles)


def test_a_question_to_the_gate_is_told_with_its_answer(opened: Callable[..., Program]) -> None:
    with opened() as program:
        program.cutover(by="ada", reason="weekend of the switch")
        [decision] = facts(program).gate.decisions
    assert (decision.allowed, decision.by, decision.reason) == (False, "ada", "weekend of the switch")
    assert decision.reasons > 0
