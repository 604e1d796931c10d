"""Troubles of a PACS that pass: asked again ever later and not for ever; and what of them costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from peers.misbehaving_program import Trial, command, source
from vna_lifecycle.testing.misbehaving_pacs import Disturbance, Faults
from vna_lifecycle.testing.misbehaving_pacs.pdu import ASSOCIATE_RJ, pdu

FOR_EVER = 10**6
ATTEMPTS = 4


@pytest.fixture(autouse=True)
def no_waits() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """A program whose source does what it should."""
    with Trial(source("passing", Faults(), retrieve="get"), tmp_path / "program") as trial:
        trial.plan(("attempts = 2", f"attempts = {ATTEMPTS}"))
        yield trial


def busy(times: int) -> Faults:
    """So many associations are rejected for now: temporary congestion (PS3.8 9.3.4)."""
    return Faults(disturbance=Disturbance(pdu=1, instead=pdu(ASSOCIATE_RJ, bytes((0, 2, 3, 1))), times=times))


def test_an_archive_that_is_busy_when_it_is_opened_is_asked_again(trial: Trial) -> None:
    trial.pacs.faults = busy(ATTEMPTS - 1)
    assert command("inventory", folder=trial.folder)[0] == 0


def test_an_archive_that_stays_busy_is_given_up_and_says_how_often_it_was_asked(trial: Trial) -> None:
    trial.pacs.faults, before = busy(FOR_EVER), trial.pacs.associations
    code, answer = command("inventory", folder=trial.folder)
    assert code == 3
    error = answer["error"]
    assert (error["type"], error["archive"], error["transient"]) == ("ArchiveRefused", "pacs", True)
    assert "congested" in error["message"]
    assert f"up to {ATTEMPTS} requests" in error["message"]
    assert error["hint"]
    assert trial.pacs.associations - before == ATTEMPTS


@pytest.mark.parametrize(("origin", "reason"), [(1, 1), (1, 3), (1, 7), (2, 2)])
def test_an_archive_that_will_never_have_us_is_asked_once(trial: Trial, origin: int, reason: int) -> None:
    trial.pacs.faults, before = Faults(reject=(1, origin, reason)), trial.pacs.associations
    code, answer = command("inventory", folder=trial.folder)
    assert (code, answer["error"]["transient"]) == (3, False)
    assert "up to" not in answer["error"]["message"]
    assert trial.pacs.associations - before == 1
