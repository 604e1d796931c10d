"""A target that is asked for storage commitment: asked on record, waited for, and never believed instead of reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vna_lifecycle.engine import tasks
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.event import CommitmentAnswered, CommitmentIntended, StudyFetched, StudyTransferred
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.ports import Pending
from vna_lifecycle.testing import memory
from vna_lifecycle.testing.objects import ObjectSpec

from .conftest import World

SPECS = [
    ObjectSpec(study=study, patient_id=f"P{study}", instance=number, grey=study * 10 + number)
    for study in (1, 2, 3)
    for number in (1, 2)
]
Make = Callable[..., World]


def prepared(make: Make, target: str = "commits = true") -> World:
    world = make(SPECS, target=target)
    with world.open() as program:
        program.take_inventory()
        program.plan()
    return world


def events(world: World, *kinds: type[Any]) -> list[Any]:
    with world.open() as program:
        return [item.event for item in program.ledger.read(0, program.ledger.size()) if isinstance(item.event, kinds)]


def findings(world: World) -> list[tuple[str, str, int]]:
    with world.open() as program:
        return sorted((item.kind, item.severity, item.subjects) for item in program.findings("all"))


def finish(world: World) -> None:
    with world.open() as program:
        result = program.transfer("all")
    assert (result.outcome, result.transferred) == ("complete", 3)


def test_every_study_is_asked_for_on_record_before_it_is_read_back(world: Make) -> None:
    here = prepared(world, "commits = true")
    here.target.commits_after = 3
    finish(here)
    told = events(here, CommitmentIntended, CommitmentAnswered, StudyTransferred)
    for label in {event.study for event in told}:
        mine = [event for event in told if event.study == label]
        assert [type(event) for event in mine] == [CommitmentIntended, CommitmentAnswered, StudyTransferred]
        assert (mine[1].committed, mine[1].refused, mine[1].unanswered) == (2, 0, 0)
        assert mine[0].transaction == mine[1].transaction
    assert {event.transaction for event in events(here, CommitmentIntended)} == set(here.target.commitments)
    assert findings(here) == []


def test_a_target_that_is_not_to_be_asked_is_not(world: Make) -> None:
    here = prepared(world, "")
    finish(here)
    assert events(here, CommitmentIntended) == []
    assert here.target.commitments == {}


def test_what_a_target_does_not_commit_to_is_a_blocker_by_instance(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = prepared(world)
    denied = SPECS[0].sop_instance_uid

    def looked(self: memory._Commits, uid: SOPInstanceUID, asked: Any) -> Any:
        return answer(self, uid, () if uid == denied else asked)

    answer = memory._Commits._answer
    monkeypatch.setattr(memory._Commits, "_answer", looked)
    finish(here)
    assert findings(here) == [("not-committed-not-mentioned", "blocker", 1)]


def test_a_target_that_never_answers_is_read_back_all_the_same_and_reported(world: Make) -> None:
    here = prepared(world, "commits = true\npatience = 0.0")
    here.target.commits_after = 10**9
    finish(here)
    assert findings(here) == [("not-committed-unanswered", "warning", 2)] * 3
    assert {event.unanswered for event in events(here, CommitmentAnswered)} == {2}


class Killed(BaseException):
    """The process is gone."""


def test_whoever_takes_the_work_up_asks_again_and_stores_nothing_twice(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = prepared(world)
    here.target.commits_after = 10**9
    polls = 0
    poll = memory._Commits.poll

    def dying(self: memory._Commits, transaction: str, manifest: Any) -> Any:
        nonlocal polls
        polls += 1
        if polls > 5:
            raise Killed
        return poll(self, transaction, manifest)

    monkeypatch.setattr(memory._Commits, "poll", dying)
    with pytest.raises(Killed), here.open() as program:
        program.transfer("all")
    monkeypatch.undo()
    stored = [effect for effect in here.target.plan.log if effect.method == "store"]
    before = {event.transaction for event in events(here, CommitmentIntended)}
    assert before
    here.target.polled.clear()
    here.target.commits_after = 1
    finish(here)
    asked = events(here, CommitmentIntended)
    again = [event for event in asked if event.turn == 2]
    assert again
    assert not {event.transaction for event in again} & before
    counted = [effect.sop_instance_uid for effect in here.target.plan.log if effect.method == "store"]
    assert len(counted) == len(set(counted)) == len(SPECS)
    assert len(stored) > 0
    assert findings(here) == []


def test_an_answer_that_came_meanwhile_is_taken_without_asking_again(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = prepared(world)

    def dying(self: memory._Commits, transaction: str, manifest: Any) -> Any:
        raise Killed

    taken, ask = set[str](), memory._Commits.ask

    def asking(self: memory._Commits, transaction: str, manifest: Any) -> None:
        ask(self, transaction, manifest)
        taken.add(transaction)

    monkeypatch.setattr(memory._Commits, "poll", dying)
    monkeypatch.setattr(memory._Commits, "ask", asking)
    with pytest.raises(Killed), here.open() as program:
        program.transfer("all")
    monkeypatch.undo()
    here.target.commits_after = 0
    # Another study's request may be on record by then and not have been made.
    asked = {event.study for event in events(here, CommitmentIntended) if event.transaction in taken}
    finish(here)
    assert asked
    assert all(event.turn == 1 for event in events(here, CommitmentIntended) if event.study in asked)


def test_what_was_answered_for_is_only_read_back_when_its_work_is_taken_up(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = prepared(world)

    def dying(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(tasks, "read_back", dying)
    with pytest.raises(Killed), here.open() as program:
        program.transfer("all")
    monkeypatch.undo()
    answered = {event.study for event in events(here, CommitmentAnswered)}
    assert answered
    finish(here)
    told = events(here, CommitmentIntended, CommitmentAnswered, StudyFetched)
    for label in answered:
        kinds = [type(event) for event in told if event.study == label]
        assert kinds == [StudyFetched, CommitmentIntended, CommitmentAnswered]
    assert findings(here) == []


def test_a_request_that_was_not_taken_is_made_again_under_another_name(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = prepared(world)
    refused: list[str] = []
    ask = memory._Commits.ask

    def busy(self: memory._Commits, transaction: str, manifest: Any) -> None:
        if len(refused) < 2:
            refused.append(transaction)
            raise ArchiveError("busy", archive="new", transient=True, retry_after=0.01)
        ask(self, transaction, manifest)

    monkeypatch.setattr(memory._Commits, "ask", busy)
    finish(here)
    assert len(refused) == 2
    assert not set(refused) & set(here.target.commitments)
    assert set(refused) < {event.transaction for event in events(here, CommitmentIntended)}
    assert findings(here) == []


def test_a_paused_wave_does_not_wait_for_answers(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here = prepared(world)
    monkeypatch.setattr(memory._Commits, "poll", lambda *_: Pending(poll_after=0.0))
    paused: list[bool] = []
    with here.open() as program:

        def pause(_: object) -> None:
            if not paused:
                program.pause(by="me", reason="night")
                paused.append(True)

        assert program.transfer("all", progress=pause).outcome == "paused"
        program.resume(by="me")
    monkeypatch.undo()
    finish(here)
