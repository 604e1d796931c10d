"""What every archive from which copies can be withdrawn keeps to."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Archive, Fetched, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance.case import EXAMPLES, digests, manifest_of, read_back, study_of, written

_FIRST = EXAMPLES[0]
_STUDY = [spec for spec in EXAMPLES if spec.study_uid == _FIRST.study_uid]


class WithdrawSuite:
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    def open_target(self, folder: Path) -> Archive:
        """The archive that belongs to ``folder``: empty at first, and the same one whenever it is opened again."""
        raise NotImplementedError

    def put(self, archive: Archive, items: Sequence[Fetched]) -> None:
        """Get the objects, all of one study, into the archive. Override it where the archive does not store at once."""
        assert archive.stores is not None
        list(archive.stores.store(study_of(_FIRST), items))

    def test_what_is_withdrawn_is_gone(self, tmp_path: Path) -> None:
        """Withdrawn instances are neither listed nor found any more, nor after the archive is opened again."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        self.put(archive, items)
        assert _withdraw(archive, manifest_of(items)) == dict.fromkeys(_uids(items), "stored")
        assert _there(archive) == []
        archive.reads.close()
        assert _there(self.open_target(tmp_path)) == []

    def test_only_what_is_named_goes(self, tmp_path: Path) -> None:
        """Instances that the manifest does not name stay."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        self.put(archive, items)
        _withdraw(archive, manifest_of(items[:2]))
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(items[2:])

    def test_withdrawing_again_is_harmless(self, tmp_path: Path) -> None:
        """What is not there any more, or never was, is told as such."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        self.put(archive, items[:2])
        _withdraw(archive, manifest_of(items[:1]))
        expected = dict.fromkeys(_uids(items), "already-present") | {items[1].record.sop_instance_uid: "stored"}
        assert _withdraw(archive, manifest_of(items)) == expected

    def test_other_bytes_stay(self, tmp_path: Path) -> None:
        """An object that is not the manifest's is a conflict and stays; the rest goes."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        self.put(archive, items)
        ours = manifest_of(written(tmp_path / "ours", [evolve(_FIRST, grey=200), *_STUDY[1:]]))
        outcomes = _withdraw(archive, ours)
        assert outcomes.pop(_FIRST.sop_instance_uid) == "conflict"
        assert set(outcomes.values()) == {"stored"}
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(items[:1])

    def test_the_uid_is_free_again(self, tmp_path: Path) -> None:
        """After a withdrawal other content may be stored under the UID: that is what withdrawing is for."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY[:1])
        self.put(archive, items)
        _withdraw(archive, manifest_of(items))
        corrected = written(tmp_path / "corrected", [evolve(_FIRST, patient_name="Roe^Jane")])
        self.put(archive, corrected)
        assert read_back(archive, study_of(_FIRST), tmp_path / "out") == digests(corrected)


def _withdraw(archive: Archive, manifest: Manifest) -> dict[str, str]:
    assert archive.withdraws is not None, "the archive cannot withdraw"
    answers = list(archive.withdraws.withdraw(study_of(_FIRST), manifest))
    assert len(answers) == len(manifest.entries), "each instance is answered once"
    return {answer.sop_instance_uid: _outcome(answer) for answer in answers}


def _outcome(answer: Receipt | StoreFailure) -> str:
    return answer.outcome.value if isinstance(answer, Receipt) else answer.code


def _uids(items: Sequence[Fetched]) -> list[str]:
    return [item.record.sop_instance_uid for item in items]


def _there(archive: Archive) -> list[object]:
    return [
        *archive.reads.list_instances(study_of(_FIRST)),
        *archive.reads.find_studies(StudyQuery(study_uid=_FIRST.study_uid)),
    ]
