"""Withdrawing takes back this program's own copies, and only while the source still holds what they are copies of."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from vna_lifecycle.engine.withdraw import Withdrawal, WithdrawResult
from vna_lifecycle.errors import StateError
from vna_lifecycle.testing.faults import Crash, Drop, Lose, SimulatedCrash
from vna_lifecycle.testing.memory import _Reads, fill
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

TWO_STUDIES = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2) for i in (1, 2)]


def moved(world: Any, *foreign: ObjectSpec) -> Any:
    w = world(TWO_STUDIES)
    fill(w.new, [dicom_bytes(spec) for spec in foreign])
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
    return w


def test_after_a_withdrawal_nothing_of_the_wave_is_at_the_target(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert (result.withdrawn, result.kept, result.instances) == (2, 0, 4)
        assert w.target.files == {}
        assert dict(program.status().waves[0].states) == {"withdrawn": 2}
        assert program.verify_ledger(deep=True).ok


def test_a_dry_run_removes_and_records_nothing(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule", dry_run=True)
        assert (result.withdrawn, result.instances) == (2, 4)
        assert len(w.target.files) == 4
        assert dict(program.status().waves[0].states) == {"transferred": 2}


def test_copies_that_were_at_the_target_before_stay(world: Any) -> None:
    w = moved(world, TWO_STUDIES[0])
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
    assert (result.withdrawn, result.instances) == (2, 3)
    assert list(w.target.files.values()) == [dicom_bytes(TWO_STUDIES[0])]


def test_a_study_that_the_source_lost_is_kept_with_a_finding(world: Any) -> None:
    w = moved(world)
    lost = dicom_bytes(TWO_STUDIES[0])
    for locator in [key for key, data in w.source.files.items() if data == lost]:
        del w.source.files[locator]
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert (result.withdrawn, result.kept) == (1, 1)
        assert [finding.kind for finding in program.findings("all")] == ["source-copy-gone"]
    assert lost in w.target.files.values()


def test_a_target_that_says_removed_and_keeps_is_found_out(world: Any) -> None:
    w = moved(world)
    w.target.plan.faults.append(Lose(on="withdraw", nth=1))
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert result.kept == 1
        assert [finding.kind for finding in program.findings("all")] == ["still-at-target"]
        again = program.withdraw("all", by="mallory", reason="once more")
        assert (again.withdrawn, again.kept) == (1, 0)
    assert w.target.files == {}


def test_a_withdrawn_wave_can_be_planned_and_moved_again(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        program.withdraw("all", by="mallory", reason="wrong rule")
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert w.same_bytes()


def edited(w: Any, old: ObjectSpec, new: ObjectSpec) -> None:
    (locator,) = [key for key, data in w.source.files.items() if data == dicom_bytes(old)]
    w.source.files[locator] = dicom_bytes(new)


@pytest.fixture
def edited_after_its_transfer(world: Any) -> Any:
    w = moved(world)
    edited(w, TWO_STUDIES[0], evolve(TWO_STUDIES[0], grey=200))
    with w.open() as program:
        program.catch_up(sample=2)
        program.plan()
        assert program.transfer("all").outcome == "incomplete"  # a conflict: the target has the older content
    return w


def kinds(program: Any, *, settled: bool = False) -> set[str]:
    return {line.kind for line in program.findings("all", settled=settled) if line.check == "withdraw"}


def test_what_the_source_replaced_since_is_not_withdrawn_unasked(edited_after_its_transfer: Any) -> None:
    w = edited_after_its_transfer
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="edited")
        assert (result.withdrawn, result.kept) == (1, 1)
        assert kinds(program) == {"source-copy-replaced"}
        assert dict(program.status().waves[0].states) == {"incomplete": 1, "withdrawn": 1}
    assert dicom_bytes(TWO_STUDIES[0]) in w.target.files.values()


def test_what_the_source_replaced_since_is_withdrawn_knowingly_and_moved_again(edited_after_its_transfer: Any) -> None:
    w = edited_after_its_transfer
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="edited", superseded=True)
        assert (result.withdrawn, result.kept, result.instances, result.superseded) == (2, 0, 4, 1)
        assert w.target.files == {}
        assert kinds(program, settled=True) == {"older-content-withdrawn"}
        program.plan()
        assert program.transfer("all").outcome == "complete"
        assert program.verify_ledger(deep=True).ok
    assert w.same_bytes()


def test_older_content_of_which_the_source_holds_nothing_at_all_is_never_withdrawn(
    edited_after_its_transfer: Any,
) -> None:
    w = edited_after_its_transfer
    newer = dicom_bytes(evolve(TWO_STUDIES[0], grey=200))
    for locator in [key for key, data in w.source.files.items() if data == newer]:
        del w.source.files[locator]
    with w.open() as program:
        assert program.withdraw("all", by="mallory", reason="edited", superseded=True).kept == 1
        assert kinds(program) == {"source-copy-gone"}


def test_what_others_put_in_the_place_of_a_copy_stays_and_is_told(world: Any) -> None:
    w = moved(world)
    foreign = dicom_bytes(evolve(TWO_STUDIES[0], grey=99))
    (locator,) = [key for key, data in w.target.files.items() if data == dicom_bytes(TWO_STUDIES[0])]
    w.target.files[locator] = foreign
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert (result.withdrawn, result.kept, result.instances) == (2, 0, 3)
        assert kinds(program) == {"not-ours-at-target"}
    assert list(w.target.files.values()) == [foreign]


def serves_another(w: Any, patch: pytest.MonkeyPatch) -> None:
    """Let the target give another object where it lists the first one."""
    fetch = _Reads.fetch

    def swapping(reads: Any, study: Any, wanted: Any, spool: Any) -> Any:
        for item in fetch(reads, study, wanted, spool):
            if reads._state is w.target and item.record.sop_instance_uid == TWO_STUDIES[0].sop_instance_uid:
                item.path.write_bytes(dicom_bytes(ObjectSpec(study=1, instance=9, patient_id="P1")))
            yield item

    patch.setattr(_Reads, "fetch", swapping)


def test_what_a_target_serves_as_another_object_than_it_lists_is_not_called_gone(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = moved(world)
    with w.open() as program:
        serves_another(w, monkeypatch)
        w.target.plan.faults.append(Lose(on="withdraw", nth=2))
        assert program.withdraw("all", by="mallory", reason="wrong rule").kept == 1
        assert kinds(program) == {"still-at-target"}
    assert len(w.target.files) == 1


def test_what_a_target_serves_as_another_object_than_it_lists_is_not_called_missing(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(TWO_STUDIES)
    serves_another(w, monkeypatch)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").transferred == 1
        assert {line.kind for line in program.findings("all")} == {"differs-at-target"}


def test_a_source_that_does_not_answer_for_now_is_not_one_that_lost_its_copy(world: Any) -> None:
    w = moved(world)
    w.source.plan.faults.append(Drop(on="fetch", nth=len(TWO_STUDIES) + 1))
    with w.open() as program:
        assert program.withdraw("all", by="mallory", reason="wrong rule").kept == 1
        assert kinds(program) == {"source-not-answering"}
        assert program.withdraw("all", by="mallory", reason="wrong rule").kept == 0
    assert w.target.files == {}


def test_a_withdrawal_that_cannot_end_is_ended_by_moving_the_study_again(world: Any) -> None:
    w = moved(world)
    w.target.plan.faults.append(Lose(on="withdraw", nth=1))
    with w.open() as program:
        assert program.withdraw("all", by="mallory", reason="wrong rule").kept == 1
        assert dict(program.status().waves[0].states) == {"withdrawing": 1, "withdrawn": 1}
        program.transfer("all", retry=True)
        assert dict(program.status().waves[0].states) == {"transferred": 1, "withdrawn": 1}
        assert kinds(program) == {"still-at-target"}
        assert program.verify_ledger(deep=True).ok


def states(program: Any) -> dict[str, int]:
    return dict(program.status().waves[0].states)


def test_one_study_is_withdrawn_and_the_wave_s_others_stay(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        result = program.withdraw("all", study=TWO_STUDIES[0].study_uid, by="mallory", reason="wrong patient")
        assert (result.withdrawn, result.kept, result.instances) == (1, 0, 2)
        assert states(program) == {"transferred": 1, "withdrawn": 1}
        with pytest.raises(StateError, match="nothing of the study is at the target"):
            program.withdraw("all", study=TWO_STUDIES[0].study_uid, by="mallory", reason="once more")
        assert program.withdraw("all", by="mallory", reason="and the rest").withdrawn == 1
    assert w.target.files == {}


def test_a_study_of_another_wave_or_one_that_never_moved_is_not_withdrawn(world: Any) -> None:
    waves = '[[waves]]\nname = "first"\npatient_ids = ["P1"]\n[[waves]]\nname = "second"\n'
    w = world(TWO_STUDIES, waves)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("first").outcome == "complete"
        with pytest.raises(StateError, match="the study is not in wave second"):
            program.withdraw("second", study=TWO_STUDIES[0].study_uid, by="mallory", reason="why")
        with pytest.raises(StateError, match="the study is not in wave first"):
            program.withdraw("first", study="1.2.3.4", by="mallory", reason="why")
        with pytest.raises(StateError, match="nothing of the study is at the target"):
            program.withdraw("second", study=TWO_STUDIES[-1].study_uid, by="mallory", reason="why")
        result = program.withdraw("second", by="mallory", reason="why")
        assert (result.withdrawn, result.kept) == (0, 0)
    assert len(w.target.files) == 2


def test_a_study_in_flight_is_not_withdrawn(world: Any) -> None:
    w = world(TWO_STUDIES)
    w.target.plan.faults.append(Crash(on="store", nth=1))
    with w.open() as program:
        program.take_inventory()
        program.plan()
        with pytest.raises(SimulatedCrash):
            program.transfer("all")
    with w.open() as program:
        flying = [spec for spec in TWO_STUDIES if work(program, spec).state.value == "storing"]
        with pytest.raises(StateError, match="the study is storing") as caught:
            program.withdraw("all", study=flying[0].study_uid, by="mallory", reason="why")
        assert "transfer all" in caught.value.hint


def work(program: Any, spec: ObjectSpec) -> Any:
    return program.catalog.work_on(program.vault.label(spec.study_uid))


def test_a_study_that_failed_before_anything_was_stored_is_withdrawn_as_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*arguments: Any) -> None:
        raise RuntimeError("a plug-in's own")

    w = world(TWO_STUDIES)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        with monkeypatch.context() as patch:
            patch.setattr(type(program.archive("old").reads), "fetch", defect)
            program.transfer("all")
        failed = states(program)["failed"]
        size = program.ledger.size()
        dry = program.withdraw("all", by="mallory", reason="give up", dry_run=True)
        assert (dry.withdrawn, dry.instances) == (failed, 0)
        assert states(program)["failed"] == failed
        said = {event.event.kind for event in program.ledger.read(size)}
        assert said == {"lease-taken"}
        result = program.withdraw("all", by="mallory", reason="give up")
        assert (result.withdrawn, result.kept, result.instances) == (failed, 0, 0)
        assert states(program)["withdrawn"] == failed
        intents = [event for event in program.ledger.read(size) if event.event.kind == "withdraw-intended"]
        assert {(event.actor, event.event.by, event.event.reason) for event in intents} == {
            ("mallory", "mallory", "give up")
        }
        assert program.verify_ledger(deep=True).ok


def test_a_target_that_cannot_take_copies_back_says_so_and_keeps_all(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        program._archives._opened["new"] = evolve(program.archive("new"), withdraws=None)
        with pytest.raises(StateError, match="new has no way to withdraw"):
            program.withdraw("all", by="mallory", reason="wrong rule")
        assert states(program) == {"transferred": 2}
    assert len(w.target.files) == 4


def test_a_withdrawal_that_was_cut_off_after_its_last_removal_only_has_to_be_put_on_record(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = moved(world)

    def dies(*arguments: Any) -> None:
        raise SimulatedCrash("before it was on record")

    with w.open() as program, monkeypatch.context() as patch:
        patch.setattr(Withdrawal, "_done", dies)
        with pytest.raises(SimulatedCrash):
            program.withdraw("all", by="mallory", reason="wrong rule")
    assert len(w.target.files) == 2
    gone = set(w.source.files.values()) - set(w.target.files.values())
    for locator in [key for key, data in w.source.files.items() if data in gone]:
        del w.source.files[locator]  # nothing is left to be held against the source
    with w.open() as program:
        size = program.ledger.size()
        dry = program.withdraw("all", by="mallory", reason="look", dry_run=True)
        assert states(program) == {"withdrawing": 1, "transferred": 1}
        assert dry.withdrawn + dry.kept == 2
        result = program.withdraw("all", by="mallory", reason="wrong rule")
        assert (result.withdrawn, result.kept, result.instances) == (2, 0, 4)
        done = [event.event for event in program.ledger.read(size) if event.event.kind == "study-withdrawn"]
        assert [event.instances for event in done] == [2, 2]
        assert len({event.token for event in done}) == 2
        assert program.verify_ledger(deep=True).ok
    assert w.target.files == {}


def test_a_withdrawal_that_is_cancelled_stops_between_two_studies(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        told = []

        def tell(progress: Any) -> None:
            told.append((progress.done, progress.total))
            program.cancel()

        result = program.withdraw("all", by="mallory", reason="wrong rule", progress=tell)
        assert (result.withdrawn, result.kept) == (1, 0)
        assert told == [(1, 2)]
        assert states(program) == {"transferred": 1, "withdrawn": 1}
    assert len(w.target.files) == 2


@pytest.mark.parametrize("step", ["_look", "_allowed"])
def test_a_withdrawal_that_is_cancelled_while_it_looks_removes_and_claims_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    w = moved(world)
    with w.open() as program:
        real = getattr(Withdrawal, step)

        def cancelled(withdrawal: Withdrawal, seen: Any) -> Any:
            program.cancel()
            return real(withdrawal, seen)

        monkeypatch.setattr(Withdrawal, step, cancelled)
        assert program.withdraw("all", by="mallory", reason="wrong rule").withdrawn == 0
        assert (states(program), program.findings("all")) == ({"transferred": 2}, [])
    assert len(w.target.files) == 4


def test_a_dry_run_tells_what_would_stay_without_a_finding(world: Any) -> None:
    w = moved(world)
    w.source.files.clear()
    with w.open() as program:
        result = program.withdraw("all", by="mallory", reason="look", dry_run=True)
        assert (result.withdrawn, result.kept) == (0, 2)
        assert program.findings("all") == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "all: 2 studies withdrawn, 3 instances removed"),
        ({"kept": 1}, "all: 2 studies withdrawn, 3 instances removed, 1 kept (see the findings)"),
        (
            {"superseded": 1},
            "all: 2 studies withdrawn, 3 instances removed (1 of these superseded at the source)",
        ),
    ],
)
def test_the_words_of_a_result_say_what_went_and_what_stayed(changes: dict[str, int], words: str) -> None:
    result = WithdrawResult(wave="all", withdrawn=2, kept=0, instances=3)
    assert str(evolve(result, **changes)) == words


def test_a_withdrawal_that_is_cancelled_after_its_removals_is_ended_by_the_next(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = moved(world)
    look, looks = Withdrawal._look, []

    with w.open() as program:

        def cancelled(withdrawal: Withdrawal, own: Any) -> Any:
            looks.append(own)
            if len(looks) == 2:
                program.cancel()
            return look(withdrawal, own)

        monkeypatch.setattr(Withdrawal, "_look", cancelled)
        assert program.withdraw("all", by="mallory", reason="wrong rule").withdrawn == 0
        assert states(program) == {"withdrawing": 1, "transferred": 1}
    monkeypatch.undo()
    with w.open() as program:
        assert program.withdraw("all", by="mallory", reason="wrong rule").withdrawn == 2
    assert w.target.files == {}


def test_a_withdrawal_leaves_nothing_in_the_spool(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        program.withdraw("all", by="mallory", reason="wrong rule")
        assert [path for path in (w.folder / "spool").rglob("*") if path.is_file()] == []


def test_a_copy_that_is_listed_and_not_served_is_not_gone_for_the_next_withdrawal_either(world: Any) -> None:
    w = moved(world)
    w.target.plan.faults += [Lose(on="withdraw", nth=nth) for nth in (1, 2, 3, 4)]
    with w.open() as program:
        assert program.withdraw("all", by="mallory", reason="wrong rule").kept == 2
        w.target.plan.faults[:] = [Drop(on="fetch", nth=nth) for nth in range(1, 60)]
        assert program.withdraw("all", by="mallory", reason="wrong rule").withdrawn == 2
    assert w.target.files == {}


def test_a_copy_that_the_target_does_not_list_is_not_removed_while_the_source_holds_none(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = moved(world)
    lost = dicom_bytes(TWO_STUDIES[0])
    for locator in [key for key, data in w.source.files.items() if data == lost]:
        del w.source.files[locator]
    listed = _Reads.list_instances

    def hiding(reads: Any, study: Any) -> Any:
        hidden = TWO_STUDIES[0].sop_instance_uid if reads._state is w.target else ""
        return (record for record in listed(reads, study) if record.sop_instance_uid != hidden)

    monkeypatch.setattr(_Reads, "list_instances", hiding)
    with w.open() as program:
        program.withdraw("all", by="mallory", reason="wrong rule")
    assert list(w.target.files.values()) == [lost]
