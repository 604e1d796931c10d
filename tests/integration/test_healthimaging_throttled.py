"""A service that refuses everything for an hour, and credentials that expire: nothing is lost, used up or done twice.

The hour passes on a clock that the program's own waiting moves.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.healthimaging import Place, make_place
from peers.healthimaging_program import held, make_program
from peers.s3 import Server
from vna_lifecycle.engine.progress import Progress
from vna_lifecycle.errors import ArchiveRefused
from vna_lifecycle.model.event import StudyFailed, StudyTransferred
from vna_lifecycle.program import Program
from vna_lifecycle.testing.healthimaging import HandClock
from vna_lifecycle.testing.healthimaging.faults import AWS_RATES
from vna_lifecycle.testing.objects import ObjectSpec

__all__ = ["make_place"]

pytestmark = pytest.mark.peer

SPECS = [ObjectSpec(study=study, instance=number, patient_id=f"P{study}") for study in (1, 2, 3) for number in (1, 2)]
UIDS = sorted(spec.sop_instance_uid for spec in SPECS)
HOUR = dt.timedelta(hours=1)
ALL = dict.fromkeys(AWS_RATES, -1)


class Passing(threading.Event):
    """What a program is cancelled by; whoever waits for it lets twenty times that time pass at once."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(20 * (timeout or 0))
        return super().wait(0.01)


@pytest.mark.parametrize("begins", ["before anything is staged", "while the job runs"])
def test_an_hour_of_throttling_is_waited_out_and_costs_no_study_an_attempt(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    place = make_place()
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS, settings="max_attempts = 1")
    told: list[Progress] = []
    service, began = place.fake.service, None if begins == "while the job runs" else place.clock()
    service.faults.throttle = {} if began is None else dict(ALL)

    def watch(progress: Progress) -> None:
        nonlocal began
        told.append(progress)
        if began is None and service.seen.get("StartDICOMImportJob"):
            began, service.faults.throttle = place.clock(), dict(ALL)
        elif began is not None and place.clock() - began >= HOUR:
            service.faults.throttle = {}

    with Program.open(folder, clock=place.clock) as program:
        program.cancelled = Passing(place.clock)
        result = program.transfer("all", progress=watch)
        assert result.outcome == "complete", result
        assert began is not None
        assert place.clock() - began >= HOUR
        events = [each.event for each in program.ledger.read(0, program.ledger.size())]
    assert [each for each in events if isinstance(each, StudyFailed)] == []
    assert {each.attempt for each in events if isinstance(each, StudyTransferred)} == {1}
    assert (held(place), len(place.store.jobs)) == ({True: UIDS, False: []}, 1)
    assert any("asks us to slow down" in each.note for each in told), {each.note for each in told}


def test_credentials_that_expire_in_a_wave_are_named_and_renewed_ones_go_on(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place(wall=True)
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS, settings="max_attempts = 1")
    faults = place.fake.service.faults

    def expire(_: Progress) -> None:
        faults.expired = bool(place.fake.service.seen.get("StartDICOMImportJob"))

    with (
        Program.open(folder) as program,
        pytest.raises(ArchiveRefused, match="credentials for the data store have expired"),
    ):
        program.transfer("all", progress=expire)
    faults.expired = False
    with Program.open(folder) as program:
        assert program.transfer("all").outcome == "complete"
        events = [each.event for each in program.ledger.read(0, program.ledger.size())]
    assert {each.attempt for each in events if isinstance(each, StudyTransferred)} == {1}
    assert (held(place), len(place.store.jobs)) == ({True: UIDS, False: []}, 1)
