"""What happened at the source since the last pass is found, as far as can be, and what cannot be seen is said."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from vna_lifecycle.engine.catchup import CatchUpResult
from vna_lifecycle.errors import StateError
from vna_lifecycle.ports import FetchFailure
from vna_lifecycle.testing.faults import Drop
from vna_lifecycle.testing.memory import _Reads, fill
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2, 3) for i in (1, 2)]


def moved(world: Any) -> Any:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
    return w


def replace(w: Any, old: ObjectSpec, new: ObjectSpec | None) -> None:
    before = dicom_bytes(old)
    (locator,) = [key for key, data in w.source.files.items() if data == before]
    if new is None:
        del w.source.files[locator]
    else:
        w.source.files[locator] = dicom_bytes(new)


def test_two_equal_passes_are_told_as_equal(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        (result,) = program.catch_up(sample=1)
        assert result.equal
        assert (result.untouched, result.sampled) == (3, 1)
        assert "edits in place" in result.unseen.lower()


def test_a_new_study_is_counted_and_finds_its_place_in_the_next_plan(world: Any) -> None:
    w = moved(world)
    fill(w.old, [dicom_bytes(ObjectSpec(study=9, patient_id="P9"))])
    with w.open() as program:
        (result,) = program.catch_up()
        assert (result.added, result.changed, result.vanished) == (1, 0, 0)
        assert program.status().unplanned == 1
        program.plan()
        assert program.transfer("all").outcome == "complete"
        assert program.status().waves[0].imported == 4
    assert w.same_bytes()


def test_each_study_that_differs_between_the_passes_is_told(world: Any) -> None:
    w = moved(world)
    fill(w.old, [dicom_bytes(ObjectSpec(study=study, patient_id=f"P{study}")) for study in (8, 9)])
    fill(w.old, [dicom_bytes(ObjectSpec(study=1, instance=3, patient_id="P1"))])
    for instance in (1, 2):
        replace(w, ObjectSpec(study=2, instance=instance, patient_id="P2"), None)
    with w.open() as program:
        (result,) = program.catch_up(sample=3)
        assert (result.added, result.changed, result.vanished, result.untouched) == (2, 1, 1, 1)
        assert (result.refetched, result.differing, result.sampled) == (2, 2, 1)


def test_a_new_image_in_a_moved_study_makes_it_work_again(world: Any) -> None:
    w = moved(world)
    fill(w.old, [dicom_bytes(ObjectSpec(study=1, instance=3, patient_id="P1"))])
    with w.open() as program:
        (result,) = program.catch_up()
        assert (result.changed, result.refetched, result.differing) == (1, 1, 1)
        assert program.status().waves[0].imported == 2
        assert program.transfer("all").outcome == "complete"
    assert w.same_bytes()


def test_an_image_that_is_gone_is_a_finding_and_its_copy_stays(world: Any) -> None:
    w = moved(world)
    replace(w, SPECS[0], None)
    with w.open() as program:
        (result,) = program.catch_up()
        assert (result.changed, result.differing) == (1, 1)
        assert [finding.kind for finding in program.findings("all")] == ["changed-at-source"]
        assert program.status().waves[0].imported == 3
    assert dicom_bytes(SPECS[0]) in w.target.files.values()


def test_an_edit_in_place_is_found_in_a_sample_and_never_overwrites_the_target(world: Any) -> None:
    w = moved(world)
    replace(w, SPECS[0], evolve(SPECS[0], grey=200))
    with w.open() as program:
        (result,) = program.catch_up(sample=3)
        assert (result.changed, result.sampled, result.differing) == (0, 3, 1)
        assert program.transfer("all").outcome == "incomplete"
        assert {"changed-at-source", "not-stored-conflict"} <= {finding.kind for finding in program.findings("all")}
    assert dicom_bytes(SPECS[0]) in w.target.files.values()


def test_there_must_be_a_pass_before(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program, pytest.raises(StateError, match="two complete inventories"):
        program.catch_up()


def test_what_the_source_does_not_hand_out_for_now_is_not_gone(world: Any) -> None:
    w = moved(world)
    w.source.plan.faults.append(Drop(on="fetch", nth=len(SPECS) + 1))
    with w.open() as program:
        (result,) = program.catch_up(sample=3)
        assert (result.unknown, result.differing, result.equal) == (1, 0, False)
        assert [finding.kind for finding in program.findings("all")] == ["not-compared"]
        assert program.status().waves[0].imported == 3
        (again,) = program.catch_up(sample=3)
        assert again.equal
        assert again.previous == result.previous  # the first one was not complete


def test_a_catch_up_that_is_cancelled_says_nothing_of_what_it_did_not_see(world: Any) -> None:
    w = moved(world)
    with w.open() as program:
        program.take_inventory()
        program.cancel()
        with pytest.raises(KeyboardInterrupt):
            program.catch_up(sample=3)
        assert program.findings("all") == []
        assert program.status().waves[0].imported == 3


EQUAL = CatchUpResult(
    archive="old",
    previous=1,
    inventory=2,
    added=0,
    changed=0,
    vanished=0,
    untouched=3,
    refetched=0,
    sampled=1,
    differing=0,
)


@pytest.mark.parametrize("what", ["added", "changed", "vanished", "differing", "unknown"])
def test_whatever_differs_makes_two_passes_unequal(what: str) -> None:
    assert EQUAL.equal
    assert not evolve(EQUAL, **{what: 1}).equal


def test_the_words_of_a_result_say_what_differs_and_what_could_not_be_compared() -> None:
    assert str(EQUAL) == (
        "old: 0 studies added, 0 changed, 0 vanished, 3 untouched (1 of these fetched again); of the studies that were "
        f"moved, 0 differ from what was moved. {EQUAL.unseen}"
    )
    assert "moved, 1 differs from" in str(evolve(EQUAL, differing=1))
    assert "moved. 2 studies could not be compared for now: catch up again" in str(evolve(EQUAL, unknown=2))


def test_a_new_catalog_that_lost_earlier_passes_has_every_moved_study_fetched_again(world: Any) -> None:
    w = moved(world)
    replace(w, SPECS[0], evolve(SPECS[0], grey=200))
    for path in w.folder.glob("catalog.db*"):
        path.unlink()
    with w.open() as program:
        program.take_inventory()
        (result,) = program.catch_up(sample=0)
        assert (result.changed, result.sampled, result.differing) == (0, 3, 1)
        (again,) = program.catch_up(sample=0)
        assert again.sampled == 0


def test_others_decisions_are_seen_before_passes_are_compared(world: Any) -> None:
    w = moved(world)
    with w.open() as program, w.open() as other:
        other.withdraw("all", by="mallory", reason="wrong rule")
        (result,) = program.catch_up(sample=3)
        assert (result.sampled, result.equal) == (0, True)


def test_what_the_source_does_not_hand_out_by_itself_keeps_a_touched_study_open_and_says_what_to_do(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = moved(world)
    replace(w, SPECS[0], evolve(SPECS[0], study_description="touched"))
    fetch = _Reads.fetch

    def offline(reads: Any, study: Any, wanted: Any, spool: Any) -> Any:
        for item in fetch(reads, study, wanted, spool):
            if reads._state is w.source:
                yield FetchFailure(record=item.record, code="offline", message="it lies on a shelf", withheld=True)
            else:
                yield item

    monkeypatch.setattr(_Reads, "fetch", offline)
    with w.open() as program:
        (result,) = program.catch_up(sample=0)
        assert (result.changed, result.refetched, result.differing, result.unknown) == (1, 1, 0, 1)
        assert not result.equal
        (line,) = program.findings("all")
        assert (line.kind, line.subjects) == ("not-compared", 2)
        assert "online" in program.records.journal().read_finding(line.evidence_ref).remedy


def test_a_catch_up_tells_how_far_it_is_and_leaves_nothing_in_the_spool(world: Any) -> None:
    w = moved(world)
    replace(w, SPECS[0], evolve(SPECS[0], study_description="touched"))
    told: list[Any] = []
    with w.open() as program:
        program.catch_up(sample=2, progress=told.append)
        assert [path for path in (w.folder / "spool").rglob("*") if path.is_file()] == []
    assert [(each.subject, each.done) for each in told if each.activity == "catch-up"] == [("old", 1)]
