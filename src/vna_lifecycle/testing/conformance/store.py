"""What every archive that stores at once keeps to."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve
from pydicom.uid import ImplicitVRLittleEndian

from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import Archive, ConflictClass, Fetched, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance.case import EXAMPLES, digests, read_back, study_of, written
from vna_lifecycle.testing.objects import ObjectSpec

_FIRST = EXAMPLES[0]
_STUDY = [spec for spec in EXAMPLES if spec.study_uid == _FIRST.study_uid]


class StoreSuite:
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    def open_target(self, folder: Path) -> Archive:
        """The archive that belongs to ``folder``: empty at first, and the same one whenever it is opened again."""
        raise NotImplementedError

    def test_what_is_stored_is_read_back(self, tmp_path: Path) -> None:
        """Every stored instance is listed, and comes back with the data set bytes that were given, in any syntax."""
        archive = self.open_target(tmp_path)
        for study_uid in sorted({spec.study_uid for spec in EXAMPLES}):
            items = written(tmp_path / "in" / study_uid, [spec for spec in EXAMPLES if spec.study_uid == study_uid])
            answers = _store(archive, items)
            assert {answer.sop_instance_uid for answer in answers} == {item.record.sop_instance_uid for item in items}
            assert [_outcome(answer) for answer in answers] == ["stored"] * len(items)
            study = StudyRef(study_uid=study_uid)
            assert read_back(archive, study, tmp_path / "out" / study_uid) == digests(items)

    def test_stored_studies_are_found(self, tmp_path: Path) -> None:
        """A reader who asks finds what was stored."""
        archive = self.open_target(tmp_path)
        _store(archive, written(tmp_path / "in", _STUDY))
        found = list(archive.reads.find_studies(StudyQuery(patient_id=_FIRST.patient_id)))
        assert [study.study_uid for study in found] == [_FIRST.study_uid]
        assert found[0].instance_count in (None, len(_STUDY))

    def test_the_inventory_has_what_was_stored(self, tmp_path: Path) -> None:
        """An inventory of the target has each stored instance once."""
        archive = self.open_target(tmp_path)
        _store(archive, written(tmp_path / "in", _STUDY))
        items = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
        found = sorted(item.sop_instance_uid for item in items if hasattr(item, "sop_instance_uid"))
        assert found == sorted(spec.sop_instance_uid for spec in _STUDY)

    def test_nothing_to_store_is_no_error(self, tmp_path: Path) -> None:
        """Storing no instances yields no answers."""
        assert _store(self.open_target(tmp_path), [], study_of(_FIRST)) == []

    def test_the_same_again_is_already_present(self, tmp_path: Path) -> None:
        """The same bytes again are acknowledged as already present, and are there once."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        _store(archive, items)
        assert [_outcome(answer) for answer in _store(archive, items)] == ["already-present"] * len(items)
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(items)

    def test_the_same_twice_in_one_call_is_stored_once(self, tmp_path: Path) -> None:
        """Two equal objects in one call: one is stored, the other was already present."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", [_FIRST, _FIRST])
        assert sorted(map(_outcome, _store(archive, items))) == ["already-present", "stored"]
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(items[:1])

    @pytest.mark.parametrize(
        ("other", "conflict"),
        [
            (evolve(_FIRST, transfer_syntax=ImplicitVRLittleEndian), ConflictClass.ENCODING),
            (evolve(_FIRST, patient_id="P2", patient_name="Roe^Richard"), ConflictClass.DEMOGRAPHICS),
            (evolve(_FIRST, grey=200), ConflictClass.CONTENT),
        ],
        ids=["encoding", "demographics", "content"],
    )
    def test_other_bytes_never_overwrite(self, tmp_path: Path, other: ObjectSpec, conflict: ConflictClass) -> None:
        """Other bytes under a UID that is there are a conflict of the right class; what was there stays as it was."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", [_FIRST])
        _store(archive, items)
        (answer,) = _store(archive, written(tmp_path / "other", [other]), study_of(_FIRST))
        assert isinstance(answer, StoreFailure)
        assert (answer.code, answer.conflict, answer.transient) == ("conflict", conflict, False)
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(items)

    def test_a_conflict_does_not_stop_the_rest(self, tmp_path: Path) -> None:
        """The other instances of a call are stored although one is in conflict."""
        archive = self.open_target(tmp_path)
        first = written(tmp_path / "first", _STUDY[1:2])
        _store(archive, first)
        items = written(tmp_path / "in", [_STUDY[0], evolve(_STUDY[1], grey=200), *_STUDY[2:]])
        outcomes = {answer.sop_instance_uid: _outcome(answer) for answer in _store(archive, items)}
        assert outcomes.pop(_STUDY[1].sop_instance_uid) == "conflict"
        assert set(outcomes.values()) == {"stored"}
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests([items[0], *first, *items[2:]])

    def test_what_is_no_object_is_not_stored(self, tmp_path: Path) -> None:
        """A file that was cut off is not taken, and does not stop the others."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        items[1].path.write_bytes(items[1].path.read_bytes()[:-5])
        outcomes = {answer.sop_instance_uid: answer for answer in _store(archive, items)}
        assert isinstance(outcomes.pop(items[1].record.sop_instance_uid), StoreFailure)
        assert {_outcome(answer) for answer in outcomes.values()} == {"stored"}
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests([items[0], *items[2:]])

    def test_what_was_given_may_go(self, tmp_path: Path) -> None:
        """Once stored, an object does not depend on the file that it came from, which is as it was."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", [_FIRST])
        expected, before = digests(items), items[0].path.read_bytes()
        _store(archive, items)
        assert items[0].path.read_bytes() == before
        with items[0].path.open("r+b") as spooled:  # in place: a link to the same file would change too
            spooled.write(b"\0" * len(before))
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == expected

    def test_what_is_acknowledged_is_there(self, tmp_path: Path) -> None:
        """At the moment of its receipt an instance can be read by another who opens the archive."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        assert archive.stores is not None
        acknowledged = []
        for number, answer in enumerate(archive.stores.store(study_of(_FIRST), items)):
            acknowledged.append(answer.sop_instance_uid)
            other = self.open_target(tmp_path)
            there = {uid for uid, _ in read_back(other, study_of(_FIRST), tmp_path / f"out{number}")}
            other.reads.close()
            assert set(acknowledged) <= there

    def test_an_abandoned_call_leaves_what_it_acknowledged(self, tmp_path: Path) -> None:
        """Whoever stops listening after a receipt finds that instance; the same call again completes the study."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        assert archive.stores is not None
        answers = archive.stores.store(study_of(_FIRST), items)
        first = next(answers)
        del answers
        archive.reads.close()
        archive = self.open_target(tmp_path)
        assert first.sop_instance_uid in dict(read_back(archive, study_of(_FIRST), tmp_path / "out"))
        assert {_outcome(answer) for answer in _store(archive, items)} <= {"stored", "already-present"}
        assert read_back(archive, study_of(_FIRST), tmp_path / "again") == digests(items)

    def test_it_is_there_when_opened_again(self, tmp_path: Path) -> None:
        """What was stored is listed and read after the archive was closed and opened again."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        _store(archive, items)
        archive.reads.close()
        again = self.open_target(tmp_path)
        assert read_back(again, study_of(_FIRST), tmp_path / "out") == digests(items)

    def test_studies_are_stored_at_the_same_time(self, tmp_path: Path) -> None:
        """Several threads may store several studies at once."""
        archive = self.open_target(tmp_path)
        specs = [evolve(_FIRST, study=study, instance=number) for study in range(10, 14) for number in range(6)]
        calls = [
            written(tmp_path / str(study), [spec for spec in specs if spec.study == study]) for study in range(10, 14)
        ]
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda items: _store(archive, items), calls))
        assert {_outcome(answer) for call in answers for answer in call} == {"stored"}
        for number, items in enumerate(calls):
            study = StudyRef(study_uid=items[0].record.study_uid)
            assert read_back(archive, study, tmp_path / f"out{number}") == digests(items)

    def test_one_content_wins_a_race_for_a_uid(self, tmp_path: Path) -> None:
        """Of several contents that race for one UID, one is stored, and each of the others is told of the conflict."""
        archive = self.open_target(tmp_path)
        calls = [written(tmp_path / f"in{grey}", [evolve(_FIRST, grey=grey)]) for grey in range(4)]
        with ThreadPoolExecutor(4) as threads:
            answers = [answer for call in threads.map(lambda items: _store(archive, items), calls) for answer in call]
        assert sorted(map(_outcome, answers)) == ["conflict", "conflict", "conflict", "stored"]
        winner = calls[[_outcome(answer) for answer in answers].index("stored")]
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(winner)


def _store(archive: Archive, items: Sequence[Fetched], study: StudyRef | None = None) -> list[Receipt | StoreFailure]:
    assert archive.stores is not None, "the archive cannot be written"
    study = study or StudyRef(study_uid=items[0].record.study_uid)
    answers = list(archive.stores.store(study, items))
    assert sorted(answer.sop_instance_uid for answer in answers) == sorted(
        item.record.sop_instance_uid for item in items
    ), "each instance is answered once"
    return answers


def _outcome(answer: Receipt | StoreFailure) -> str:
    return answer.outcome.value if isinstance(answer, Receipt) else answer.code
