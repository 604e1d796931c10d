"""A target that imports by jobs: one job for each batch, whatever happens in between, and only the read-back proves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vna_lifecycle.engine.batching import Batches, Job
from vna_lifecycle.engine.jobs import job_report, seconds_left
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.errors import StateError
from vna_lifecycle.model.event import BatchClosed, BatchEnded, JobSubmitted, StudyTransferred
from vna_lifecycle.policy.packing import BatchLimits
from vna_lifecycle.ports import Outcome, Receipt
from vna_lifecycle.testing.objects import ObjectSpec

from .conftest import World

SPECS = [
    ObjectSpec(study=study, patient_id=f"P{study}", instance=number, grey=study * 10 + number)
    for study in range(1, 6)
    for number in range(1, 4 + (study == 5) * 4)
]
INSTANCES = len(SPECS)

Make = Callable[..., World]


def events(world: World, kind: type[Any]) -> list[Any]:
    with world.open() as program:
        return [item.event for item in program.ledger.read(0, program.ledger.size()) if isinstance(item.event, kind)]


def imported_once(world: World) -> bool:
    """Whether jobs stored every object exactly once, and no two jobs were given the same one."""
    answers = [answer for job in world.target.jobs.values() for answer in job]
    stored = Counter(answer.sop_instance_uid for answer in answers if isinstance(answer, Receipt))
    return (
        len(answers) == INSTANCES
        and set(stored.values()) == {1}
        and all(isinstance(answer, Receipt) and answer.outcome is Outcome.STORED for answer in answers)
    )


def prepared(make: Make, limits: BatchLimits, *, polls: int = 1) -> World:
    world = make(SPECS, imports=True)
    world.target.limits, world.target.polls = limits, polls
    with world.open() as program:
        program.take_inventory()
        program.plan()
    return world


def finish(world: World) -> None:
    with world.open() as program:
        result = program.transfer("all")
    assert (result.outcome, result.transferred) == ("complete", 5)


@pytest.mark.parametrize(
    ("limits", "jobs"),
    [
        (BatchLimits(), 1),
        (BatchLimits(instances=6), None),
        (BatchLimits(instances=2), None),  # every study is split
        (BatchLimits(instances=6, at_once=1), None),
    ],
)
def test_a_wave_moves_by_jobs_and_every_object_by_one(world: Make, limits: BatchLimits, jobs: int | None) -> None:
    here = prepared(world, limits)
    finish(here)
    assert here.same_bytes()
    assert imported_once(here)
    assert jobs in (None, len(here.target.jobs))
    most = limits.instances or INSTANCES
    assert all(len(job) <= most for job in here.target.jobs.values())
    closed, ended = events(here, BatchClosed), events(here, BatchEnded)
    assert len(closed) == len(ended) == len(here.target.jobs) == len(events(here, JobSubmitted))
    assert sum(event.stored for event in ended) == INSTANCES
    assert len(events(here, StudyTransferred)) == 5


def test_what_no_job_accounts_for_is_a_blocker_and_not_believed(world: Make) -> None:
    here = prepared(world, BatchLimits())
    here.target.unaccounted = {SPECS[0].sop_instance_uid}
    with here.open() as program:
        result = program.transfer("all")
        kinds = {finding.kind for finding in program.findings("all")}
    assert "not-stored-unaccounted" in kinds
    assert result.transferred == 5  # it was imported all the same: the read-back, not the job, is what proves
    assert [event.unaccounted for event in events(here, BatchEnded)] == [1]


def test_a_paused_wave_keeps_what_is_staged_and_goes_on_with_it(world: Make) -> None:
    here = prepared(world, BatchLimits(instances=4), polls=10**9)
    with here.open() as program:
        told = count()

        def pause(_: object) -> None:
            if next(told) == 3:
                program.pause(by="me", reason="night")

        assert program.transfer("all", progress=pause).outcome == "paused"
        program.resume(by="me")
    before = set(here.target.polled)
    here.target.polls = 0
    finish(here)
    assert before <= set(here.target.jobs)
    assert imported_once(here)


class Killed(BaseException):
    """The process is gone."""


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    instances=st.sampled_from([None, 2, 5, 9]),
    polls=st.integers(0, 2),
    deaths=st.lists(st.tuples(st.integers(0, 14), st.booleans()), min_size=1, max_size=4),
)
def test_whoever_takes_the_work_up_imports_nothing_twice(
    world: Make, instances: int | None, polls: int, deaths: list[tuple[int, bool]]
) -> None:
    """The coordinator dies before or after any append, several times over; the outcome is the undisturbed one."""
    here = prepared(world, BatchLimits(instances=instances), polls=polls)
    for appends, late in deaths:
        dies(here, appends, late=late)
    finish(here)
    assert here.same_bytes()
    closed = {event.batch for event in events(here, BatchClosed)}
    assert {event.batch for event in events(here, JobSubmitted)} == closed == set(here.target.jobs)
    assert imported_once(here)


def test_a_study_of_an_earlier_run_stays_out_of_what_is_fetched_also_when_its_answer_has_come(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn in the list of what was left may come after it was moved: then it must not be begun anew."""
    here = prepared(world, BatchLimits())
    ended, after = Batches.ended, list[bool]()

    def watched(self: Batches, job: Job, results: Any) -> Any:
        answer = ended(self, job, results)
        after.extend(self.took_up(share.parcel.flight.attempt.study.label) for share in job.shares)
        return answer

    with here.open() as program:
        monkeypatch.setattr(Batches, "to_poll", lambda self, now: (self._under_way and program.cancel()) or [])
        assert program.transfer("all").outcome == "cancelled"
    monkeypatch.undo()
    monkeypatch.setattr(Batches, "ended", watched)
    finish(here)
    assert after == [True] * 5
    assert imported_once(here)


def dies(world: World, appends: int, *, late: bool) -> None:
    """Work on the wave until the coordinator has appended so often; then it dies, before or after another time."""
    record, left = Journal.record, iter(range(appends, -1, -1))

    def dying(self: Journal, told: Any, **options: Any) -> Any:
        if told and next(left, 0) == 0:
            if late:
                record(self, told, **options)
            raise Killed
        return record(self, told, **options)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed), world.open() as program:
        patch.setattr(Journal, "record", dying)
        program.transfer("all")


def test_jobs_are_listed_and_what_they_did_not_take_is_told(world: Make) -> None:
    here = prepared(world, BatchLimits())
    here.target.unaccounted = {SPECS[0].sop_instance_uid}
    with here.open() as program:
        assert seconds_left(list(program.catalog.batches()), program.clock()) is None
        program.transfer("all")
        (line,) = program.catalog.batches()
        assert seconds_left([line], program.clock()) == 0.0
        report = job_report(program.ledger, program.vault, [line], line.batch[:6])
        assert job_report(program.ledger, program.vault, [line], line.job) == report
        with pytest.raises(StateError, match="0 batches"):
            job_report(program.ledger, program.vault, [line], "nothing")
    assert (report.batch.state, report.batch.instances, report.batch.unaccounted) == ("ended", INSTANCES, 1)
    assert [(item.code, item.sop_instance_uids) for item in report.failures] == [
        ("unaccounted", (SPECS[0].sop_instance_uid,))
    ]
    assert report.warnings == ()
