"""Faults strike where and when they are planned, once, and everything that reached the archive is in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Archive, Fetched, Receipt, StudyQuery
from vna_lifecycle.testing.conformance.case import digests, fetched, manifest_of, read_back, site, study_of, written
from vna_lifecycle.testing.faults import Corrupt, Crash, Delay, Drop, Fail, Fault, Lose, Plan, SimulatedCrash, Warn
from vna_lifecycle.testing.injection import inject
from vna_lifecycle.testing.memory import MemorySettings, forget, memory_state, open_memory
from vna_lifecycle.testing.objects import ObjectSpec

_SPECS = [ObjectSpec(instance=number + 1) for number in range(4)]
_STUDY = study_of(_SPECS[0])
_NAME = "faults"


@pytest.fixture
def items(tmp_path: Path) -> Iterator[list[Fetched]]:
    yield written(tmp_path / "in", _SPECS)
    forget(_NAME)


def _open(tmp_path: Path, *faults: Fault) -> tuple[Archive, Plan]:
    plan = memory_state(_NAME).plan
    plan.faults[:] = faults
    return open_memory(MemorySettings(name=_NAME), site(tmp_path)), plan


def _store(archive: Archive, items: list[Fetched]) -> list[Receipt]:
    assert archive.stores is not None
    answers = list(archive.stores.store(_STUDY, items))
    return [answer for answer in answers if isinstance(answer, Receipt)]


def test_without_faults_an_archive_behaves_as_before(tmp_path: Path, items: list[Fetched]) -> None:
    archive, plan = _open(tmp_path)
    assert len(_store(archive, items)) == 4
    assert read_back(archive, _STUDY, tmp_path / "out") == digests(items)
    assert [effect.outcome for effect in plan.log] == ["stored"] * 4


def test_a_call_fails_once_and_before_anything_is_done(tmp_path: Path, items: list[Fetched]) -> None:
    archive, plan = _open(tmp_path, Fail(on="store", nth=1, retry_after=5.0))
    with pytest.raises(ArchiveError, match="injected") as caught:
        _store(archive, items)
    assert (caught.value.transient, caught.value.retry_after) == (True, 5.0)
    assert plan.log == []
    assert len(_store(archive, items)) == 4


@pytest.mark.parametrize(("when", "stored"), [("before", 1), ("after", 2)])
def test_a_crash_comes_before_or_after_the_effect(tmp_path: Path, items: list[Fetched], when: str, stored: int) -> None:
    archive, plan = _open(tmp_path, Crash(on="store", nth=2, when="before" if when == "before" else "after"))
    with pytest.raises(SimulatedCrash):
        _store(archive, items)
    assert len(plan.log) == len(memory_state(_NAME).files) == stored
    again, _ = _open(tmp_path, *plan.faults)  # the crash does not come again: items are counted across restarts
    assert len(_store(again, items)) == 4
    assert plan.done_twice() == []


def test_no_handler_of_errors_catches_a_crash() -> None:
    assert not issubclass(SimulatedCrash, Exception)


def test_a_lost_instance_is_acknowledged_and_not_there(tmp_path: Path, items: list[Fetched]) -> None:
    archive, _ = _open(tmp_path, Lose(nth=2))
    assert len(_store(archive, items)) == 4
    assert len(list(archive.reads.list_instances(_STUDY))) == 3


def test_a_dropped_answer_leaves_the_instance_stored(tmp_path: Path, items: list[Fetched]) -> None:
    archive, _ = _open(tmp_path, Drop(on="store", nth=2))
    assert len(_store(archive, items)) == 3
    assert len(list(archive.reads.list_instances(_STUDY))) == 4


def test_a_dropped_item_is_not_listed_once(tmp_path: Path, items: list[Fetched]) -> None:
    archive, _ = _open(tmp_path, Drop(on="list_instances", nth=1))
    _store(archive, items)
    assert [len(list(archive.reads.list_instances(_STUDY))) for _ in range(2)] == [3, 4]


@pytest.mark.parametrize("on", ["fetch", "store"])
def test_a_corrupted_object_differs_in_one_place(tmp_path: Path, items: list[Fetched], on: str) -> None:
    archive, _ = _open(tmp_path, Corrupt(on="fetch" if on == "fetch" else "store", nth=2))
    before = [item.path.read_bytes() for item in items]
    _store(archive, items)
    found = fetched(archive, _STUDY, list(archive.reads.list_instances(_STUDY)), tmp_path / "out")
    differing = [
        sum(one != other for one, other in zip(mine, item.path.read_bytes(), strict=True))
        for mine, item in zip(before, found, strict=True)
    ]
    assert differing == [0, 1, 0, 0]
    assert [item.path.read_bytes() for item in items] == before


def test_a_warning_is_in_one_receipt(tmp_path: Path, items: list[Fetched]) -> None:
    archive, _ = _open(tmp_path, Warn(nth=3, code="B007"))
    assert [receipt.warnings for receipt in _store(archive, items)] == [(), (), ("B007",), ()]


def test_a_delay_passes_by_the_plans_clock(tmp_path: Path, items: list[Fetched]) -> None:
    slept: list[float] = []
    archive, _ = _open(tmp_path)
    slow = inject(archive, Plan(faults=[Delay(on="find_studies", seconds=30.0)], sleep=slept.append))
    list(slow.reads.find_studies(StudyQuery()))
    list(slow.reads.parts())
    assert slept == [30.0]


def test_an_effect_that_happens_twice_is_found(tmp_path: Path, items: list[Fetched]) -> None:
    archive, plan = _open(tmp_path)
    _store(archive, items)
    memory_state(_NAME).files.clear()  # as an archive that forgets
    _store(archive, items[:1])
    assert plan.done_twice() == [items[0].record.sop_instance_uid]


def test_storing_again_after_a_withdrawal_is_not_twice(tmp_path: Path, items: list[Fetched]) -> None:
    archive, plan = _open(tmp_path)
    _store(archive, items)
    assert archive.withdraws is not None
    list(archive.withdraws.withdraw(_STUDY, manifest_of(items)))
    _store(archive, items)
    assert plan.done_twice() == []
