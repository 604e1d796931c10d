"""A wave is moved, read back, and recorded; trouble with one study is that study's trouble."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

import pydicom
import pytest
from attrs import evolve
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from vna_lifecycle.engine.progress import Progress
from vna_lifecycle.errors import ArchiveError, ArchiveUnreachable, StateError
from vna_lifecycle.model.event import StoreIntended
from vna_lifecycle.program import effects
from vna_lifecycle.testing.faults import Corrupt, Crash, Drop, Fail, Lose, SimulatedCrash, Warn
from vna_lifecycle.testing.memory import MemoryState
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

THREE_STUDIES = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2, 3) for i in (1, 2)]


def run(world: Any, **options: Any) -> Any:
    with world.open() as program:
        program.take_inventory()
        program.plan()
        return program.transfer("all", **options)


def test_every_instance_arrives_with_the_same_bytes_and_every_study_is_transferred(world: Any) -> None:
    w = world(THREE_STUDIES)
    result = run(w)
    assert (result.outcome, result.transferred, result.studies) == ("complete", 3, 3)
    assert w.same_bytes()
    with w.open() as program:
        status = program.status()
        assert status.waves[0].imported == 3
        assert not status.waves[0].ready
        assert program.verify_ledger(deep=True).ok
        assert program.findings("all") == []


def test_a_wave_that_is_whole_is_complete_although_it_is_paused(world: Any) -> None:
    w = world(THREE_STUDIES)
    run(w)
    with w.open() as program:
        program.pause("all", by="mallory")
        assert program.transfer("all").outcome == "complete"
        assert "the wave is paused" in program.readiness("all").blockers


def test_planning_again_says_of_a_wave_that_has_moved_that_it_gets_nothing_new(world: Any) -> None:
    w = world(THREE_STUDIES)
    run(w)
    with w.open() as program:
        assert program.plan().notes == ("wave all gets nothing new: no study that is still free matches",)
        status = program.status().waves[0]
        assert (status.studies, status.imported, status.instances) == (3, 3, 6)


def test_a_second_transfer_moves_nothing_again(world: Any) -> None:
    w = world(THREE_STUDIES)
    run(w)
    effects = len(w.target.plan.log)
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"
    assert len(w.target.plan.log) == effects


def test_several_contents_under_one_uid_are_held_while_the_rest_of_the_study_moves(world: Any) -> None:
    w = world([*THREE_STUDIES, ObjectSpec(study=1, instance=1, patient_id="P1", grey=9)])
    result = run(w)
    assert (result.outcome, result.transferred, result.incomplete) == ("incomplete", 2, 1)
    assert len(w.target.files) == 5
    with w.open() as program:
        assert [finding.kind for finding in program.findings("all")] == ["several-contents-content"]
        held = program.held()
        assert {item.sop_instance_uid for item in held} == {ObjectSpec().sop_instance_uid}
        assert len(held) == 2
        program.choose(held[1].sop_instance_uid, held[1].content[:10], by="mallory", reason="as reported")
        assert program.transfer("all").outcome == "complete"
        assert program.held() == []
    assert len(w.target.files) == 6


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Lose(on="store", nth=2), "missing-at-target"),
        (Corrupt(on="store", nth=2), "differs-at-target"),
    ],
)
def test_an_acknowledgement_is_not_proof(world: Any, fault: Any, kind: str) -> None:
    w = world(THREE_STUDIES)
    w.target.plan.faults.append(fault)
    result = run(w)
    assert (result.transferred, result.incomplete) == (2, 1)
    with w.open() as program:
        assert kind in {finding.kind for finding in program.findings("all")}


def transcoding(data: bytes, spoil: bool = False) -> bytes:
    """What an archive makes of an object that it keeps in another lossless syntax."""
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.compress(RLELossless, generate_instance_uid=False)
    if spoil:
        ds.PixelData = encapsulate([b"no RLE at all"])
    with io.BytesIO() as file:
        ds.save_as(file)
        return file.getvalue()


@pytest.mark.parametrize("imports", [False, True])
def test_a_target_that_re_encodes_without_loss_is_held_to_what_its_objects_decode_to(
    world: Any, monkeypatch: pytest.MonkeyPatch, imports: bool
) -> None:
    put = MemoryState.put
    monkeypatch.setattr(MemoryState, "put", lambda self, uid, data: put(self, uid, transcoding(data)))
    held = world(THREE_STUDIES, imports=imports)
    assert run(held).transferred == 0
    w = world(THREE_STUDIES, imports=imports, verify="equivalent")
    assert run(w).outcome == "complete"
    with w.open() as program:
        assert [(line.kind, line.severity, line.subjects) for line in program.findings("all")] == [
            ("re-encoded-at-target", "note", 2)
        ] * 3
        assert {event.event.rung for event in program.ledger.read() if hasattr(event.event, "rung")} == {"equivalent"}


def implicit(data: bytes) -> bytes:
    """What an archive makes of an object that it keeps in implicit VR little endian, its private elements gone UN."""
    ds = pydicom.dcmread(io.BytesIO(data))
    with io.BytesIO() as file:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        ds.save_as(file, implicit_vr=True, little_endian=True)
        return file.getvalue()


def unheard_of(data: bytes) -> bytes:
    """Another value in the bytes that are reserved after a long VR (PS3.5 7.1.2)."""
    at = data.index(b"\xe0\x7f\x10\0O") + 6
    return data[:at] + b"\1\0" + data[at + 2 :]


@pytest.mark.parametrize(
    ("re_encode", "verify", "imports", "told"),
    [
        (implicit, "equivalent", False, ("re-encoded-at-target", "note", "transfer-syntax")),
        (implicit, "equivalent", True, ("re-encoded-at-target", "note", "transfer-syntax")),
        (implicit, "hashed", False, ("re-encoded-at-target", "blocker", "transfer-syntax")),
        (implicit, "hashed", True, ("re-encoded-at-target", "blocker", "transfer-syntax")),
        (lambda data: data + bytes(2), "equivalent", False, ("re-encoded-at-target", "note", "trailing-padding")),
        (lambda data: data + bytes(2), "equivalent", True, ("re-encoded-at-target", "note", "trailing-padding")),
        (lambda data: data + bytes(2), "hashed", False, ("re-encoded-at-target", "blocker", "trailing-padding")),
        (lambda data: data + bytes(2), "hashed", True, ("re-encoded-at-target", "blocker", "not known")),
        (unheard_of, "equivalent", False, ("re-encoded-unexplained", "warning", "unexplained")),
        (unheard_of, "hashed", False, ("re-encoded-unexplained", "blocker", "unexplained")),
    ],
)
def test_what_a_target_re_encoded_is_explained_by_classes_of_difference(
    world: Any,
    monkeypatch: pytest.MonkeyPatch,
    re_encode: Callable[[bytes], bytes],
    verify: str,
    imports: bool,
    told: tuple[str, str, str],
) -> None:
    """Where jobs import, the files that were stored are gone by then: only a manifest can tell how they were."""
    put = MemoryState.put
    monkeypatch.setattr(MemoryState, "put", lambda self, uid, data: put(self, uid, re_encode(data)))
    w = world(THREE_STUDIES[:2], verify=verify, imports=imports)
    assert run(w).transferred == (verify == "equivalent")
    kind, severity, classes = told
    with w.open() as program:
        [line] = program.findings("all")
        assert (line.kind, line.severity, line.subjects) == (kind, severity, 2)
        found = program.evidence(line)
        uids = tuple(sorted(spec.sop_instance_uid for spec in THREE_STUDIES[:2]))
        assert found.subjects == uids
        assert found.details == tuple((uid, classes) for uid in uids)
        counted = classes if classes == "not known" else f"{classes} (2)"
        assert found.message.endswith(
            f"re-encoded by the target, with the same header and pixels; what differs: {counted}"
        )


def test_a_file_that_is_not_any_more_what_was_stored_explains_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = MemoryState.put

    def change(self: MemoryState, uid: str, data: bytes) -> Any:
        for path in (w.folder / "spool").rglob("*.dcm"):
            path.write_bytes(path.read_bytes() + bytes(2))
        return put(self, uid, implicit(data))

    monkeypatch.setattr(MemoryState, "put", change)
    w = world(THREE_STUDIES[:1])
    run(w)
    with w.open() as program:
        [line] = program.findings("all")
        assert program.evidence(line).details == ((THREE_STUDIES[0].sop_instance_uid, "transfer-syntax"),)


def test_manifests_of_a_program_that_requires_the_same_bytes_hold_no_encodings(world: Any) -> None:
    def encodings(w: Any) -> set[bool]:
        run(w)
        with w.open() as program:
            stored = [e.event for e in program.ledger.read() if isinstance(e.event, StoreIntended)]
            manifests = [program.vault.get(event.expected_ref) for event in stored]
        return {b"encoding" in manifest for manifest in manifests}

    assert encodings(world(THREE_STUDIES)) == {False}
    assert encodings(world(THREE_STUDIES, verify="equivalent")) == {True}


def test_another_pixel_behind_a_lossless_re_encoding_differs(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dicom_bytes(evolve(THREE_STUDIES[1], grey=77))
    put = MemoryState.put

    def change(self: MemoryState, uid: str, data: bytes) -> Any:
        return put(self, uid, transcoding(wrong if uid == THREE_STUDIES[1].sop_instance_uid else data))

    monkeypatch.setattr(MemoryState, "put", change)
    w = world(THREE_STUDIES, verify="equivalent")
    assert run(w).transferred == 2
    with w.open() as program:
        found = {(f.kind, f.subjects) for f in program.findings("all")}
        assert found == {("differs-at-target", 1), ("re-encoded-at-target", 1), ("re-encoded-at-target", 2)}


def test_what_a_target_re_encoded_and_nobody_can_decode_is_not_called_different(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = MemoryState.put
    monkeypatch.setattr(MemoryState, "put", lambda self, uid, data: put(self, uid, transcoding(data, spoil=True)))
    w = world(THREE_STUDIES[:2], verify="equivalent")
    assert run(w).transferred == 0
    with w.open() as program:
        [finding] = program.findings("all")
        assert finding.kind == "not-comparable-at-target"


def test_an_answer_that_never_came_is_asked_for_again(world: Any) -> None:
    w = world(THREE_STUDIES)
    w.target.plan.faults.append(Drop(on="store", nth=2))
    assert run(w).outcome == "complete"
    assert w.same_bytes()


def test_a_warning_is_a_finding_even_when_the_read_back_agrees(world: Any) -> None:
    w = world(THREE_STUDIES)
    w.target.plan.faults.append(Warn(nth=1, code="B000"))
    assert run(w).outcome == "complete"
    with w.open() as program:
        assert [(f.kind, f.severity) for f in program.findings("all")] == [("stored-with-warning-b000", "warning")]


def test_an_object_that_changes_on_its_way_from_the_source_is_not_what_was_listed_or_is_stored_as_served(
    world: Any,
) -> None:
    w = world(THREE_STUDIES)
    w.source.plan.faults.append(Drop(on="fetch", nth=1))
    result = run(w)
    assert result.outcome in ("complete", "incomplete")
    assert result.transferred + result.incomplete == 3


def test_a_transient_failure_of_an_archive_is_tried_again(world: Any) -> None:
    w = world(THREE_STUDIES)
    w.target.plan.faults.append(Fail(on="store", nth=1, retry_after=0.01))
    assert run(w).outcome == "complete"
    assert w.same_bytes()


def test_an_archive_that_is_gone_stops_the_wave_and_the_same_call_goes_on_later(world: Any) -> None:
    w = world(THREE_STUDIES)
    fault = Fail(on="store", nth=None, transient=False)
    w.target.plan.faults.append(fault)
    with pytest.raises(ArchiveError):
        run(w)
    w.target.plan.faults.remove(fault)
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"
        assert program.verify_ledger(deep=True).ok
    assert w.same_bytes()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["fetch", "store"])
@pytest.mark.parametrize("nth", [1, 4])
def test_after_a_crash_the_wave_ends_as_if_there_had_been_none(world: Any, method: Any, nth: int, when: Any) -> None:
    w = world(THREE_STUDIES)
    state = w.source if method == "fetch" else w.target
    state.plan.faults.append(Crash(on=method, nth=nth, when=when))
    with pytest.raises(SimulatedCrash):
        run(w)
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"
        assert program.verify_ledger(deep=True).ok
    assert w.same_bytes()
    assert w.target.plan.done_twice() == []


def test_a_pause_stops_work_and_a_resume_lets_it_go_on(world: Any) -> None:
    w = world(THREE_STUDIES)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.pause("all", by="mallory", reason="night shift")
        assert program.transfer("all").outcome == "paused"
        assert w.target.files == {}
        program.resume("all", by="mallory")
        assert program.transfer("all").outcome == "complete"


def test_an_archive_that_was_never_there_stops_the_wave_at_once_and_says_so(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(THREE_STUDIES)

    def gone(*_: object) -> Any:
        raise ArchiveUnreachable("the folder is not there", archive="new", transient=True)

    with w.open() as program:
        program.take_inventory()
        program.plan()
        monkeypatch.setattr("vna_lifecycle.testing.memory._Stores.store", gone)
        with pytest.raises(ArchiveUnreachable):
            program.transfer("all")
        assert program.status().waves[0].imported == 0


def test_trouble_of_the_archive_does_not_use_up_the_studies_attempts(world: Any) -> None:
    w = world(THREE_STUDIES[:2])
    # Three attempts are allowed; the guard rests the archive only after five failures in a row.
    w.target.plan.faults.extend(Fail(on="store", nth=n, retry_after=0.01) for n in range(1, 5))
    assert run(w).outcome == "complete"
    assert w.same_bytes()


class DeadWorkers(Executor):
    """Worker processes that die as soon as they are given something."""

    def submit(self, *_: object, **__: object) -> Any:
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("dead"))
        return future


def test_workers_that_never_finish_anything_stop_the_wave_with_advice(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(THREE_STUDIES)
    with monkeypatch.context() as patch:
        patch.setattr("vna_lifecycle.program.running.make_executor", lambda *_: DeadWorkers())
        with pytest.raises(StateError, match="worker processes die") as caught:
            run(w)
    assert "__main__" in caught.value.hint
    with w.open() as program:
        assert program.transfer("all").outcome == "complete"


def test_cancelling_stops_the_wave_also_where_workers_cannot_hear_of_it(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers in other processes finish what they are at; the coordinator begins nothing new."""
    w = world([ObjectSpec(study=s, patient_id=f"P{s}") for s in range(1, 30)])
    make = effects.make_bench

    def deaf(*arguments: Any) -> Any:
        bench, executor = make(*arguments)
        bench.cancelled = threading.Event()
        return bench, executor

    monkeypatch.setattr(effects, "make_bench", deaf)
    with w.open() as program:
        program.take_inventory()
        program.plan()

        def stop(told: Progress) -> None:
            if told.activity == "transfer" and told.done:
                program.cancel()

        result = program.transfer("all", progress=stop)
    assert result.outcome == "cancelled"
    assert 0 < result.transferred < 29
