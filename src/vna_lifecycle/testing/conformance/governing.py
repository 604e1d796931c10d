"""What every archive that governs what it holds keeps to: tiers, recalls, holds and erasure."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Availability, Manifest, Rung
from vna_lifecycle.ports import (
    Archive,
    Fetched,
    FetchFailure,
    Hold,
    Placement,
    Receipt,
    StoreFailure,
    StudyQuery,
    Urgency,
)
from vna_lifecycle.testing.conformance.case import (
    EXAMPLES,
    FolderSpool,
    manifest_of,
    read_files,
    require_same,
    study_of,
    written,
)

_FIRST = EXAMPLES[0]
_STUDY = [spec for spec in EXAMPLES if spec.study_uid == _FIRST.study_uid]
_REF = study_of(_FIRST)


class _Governed:
    rung: ClassVar[Rung] = Rung.HASHED
    """How far what comes back is what was given: EQUIVALENT where the archive is known to re-encode."""

    def open_target(self, folder: Path) -> Archive:
        """The archive that belongs to ``folder``: empty at first, and the same one whenever it is opened again."""
        raise NotImplementedError

    def put(self, archive: Archive, items: Sequence[Fetched]) -> None:
        """Get the objects, all of one study, into the archive. Override it where the archive does not store at once."""
        assert archive.stores is not None
        list(archive.stores.store(_REF, items))

    def _filled(self, folder: Path) -> tuple[Archive, list[Fetched], Manifest]:
        archive = self.open_target(folder)
        items = written(folder / "in", _STUDY)
        self.put(archive, items)
        return archive, items, manifest_of(items)


class TiersSuite(_Governed):
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    tier: ClassVar[str]
    """A tier in which nothing is that was just stored, and from which objects are read at once."""

    def test_each_instance_is_somewhere(self, tmp_path: Path) -> None:
        """Every instance has one placement, and what was just stored can be read."""
        archive, items, manifest = self._filled(tmp_path)
        places = _places(archive, manifest)
        assert sorted(places) == sorted(_uids(items))
        assert {place.availability for place in places.values()} == {Availability.ONLINE}
        assert self.tier not in {place.tier for place in places.values()}

    def test_moved_instances_are_there_with_their_bytes(self, tmp_path: Path) -> None:
        """Instances that were moved lie in the tier, and are read back byte for byte."""
        archive, items, manifest = self._filled(tmp_path)
        assert _move(archive, manifest, self.tier) == dict.fromkeys(_uids(items), "stored")
        assert {place.tier for place in _places(archive, manifest).values()} == {self.tier}
        require_same(read_files(archive, _REF, tmp_path / "out"), items, self.rung)

    def test_moving_again_changes_nothing(self, tmp_path: Path) -> None:
        """What lies in the tier already is told as such."""
        archive, items, manifest = self._filled(tmp_path)
        _move(archive, manifest, self.tier)
        assert _move(archive, manifest, self.tier) == dict.fromkeys(_uids(items), "already-present")

    def test_only_what_is_named_moves(self, tmp_path: Path) -> None:
        """Instances that the manifest does not name stay where they are."""
        archive, items, manifest = self._filled(tmp_path)
        _move(archive, manifest_of(items[:1]), self.tier)
        places = _places(archive, manifest)
        assert [uid for uid, place in places.items() if place.tier == self.tier] == _uids(items[:1])

    def test_what_is_not_there_does_not_stop_the_rest(self, tmp_path: Path) -> None:
        """An instance that the archive does not hold is a failure of its own; the others move."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        self.put(archive, items[1:])
        outcomes = _move(archive, manifest_of(items), self.tier)
        assert outcomes.pop(items[0].record.sop_instance_uid) == "missing-file"
        assert set(outcomes.values()) == {"stored"}


class RecallsSuite(_Governed):
    """Subclass it in a test module, with `open_target` and `finish_recalls`, under a name that pytest collects."""

    archive_tier: ClassVar[str]
    """A tier from which nothing can be read before it was recalled."""

    def finish_recalls(self, archive: Archive) -> None:
        """Let everything that was asked for arrive."""
        raise NotImplementedError

    def _archived(self, folder: Path) -> tuple[Archive, list[Fetched], Manifest]:
        archive, items, manifest = self._filled(folder)
        _move(archive, manifest, self.archive_tier)
        return archive, items, manifest

    def test_what_is_archived_is_told_and_not_served(self, tmp_path: Path) -> None:
        """An archived instance is nearline, and fetching it fails with a reason instead of waiting or lying."""
        archive, items, manifest = self._archived(tmp_path)
        assert {place.availability for place in _places(archive, manifest).values()} == {Availability.NEARLINE}
        records = list(archive.reads.list_instances(_REF))
        assert {record.availability for record in records} == {Availability.NEARLINE}
        answers = list(archive.reads.fetch(_REF, records, FolderSpool(tmp_path / "spool")))
        assert [answer.code for answer in answers if isinstance(answer, FetchFailure)] == ["archived"] * len(items)

    def test_a_recall_is_asked_and_then_comes(self, tmp_path: Path) -> None:
        """A receipt says that it was asked. Only when it came can the instance be read, for as long as was asked."""
        archive, items, manifest = self._archived(tmp_path)
        assert _recall(archive, manifest) == dict.fromkeys(_uids(items), "stored")
        places = _places(archive, manifest).values()
        assert {(place.availability, place.recalling) for place in places} == {(Availability.NEARLINE, True)}
        self.finish_recalls(archive)
        places = _places(archive, manifest).values()
        assert {(place.availability, place.recalling) for place in places} == {(Availability.ONLINE, False)}
        assert all(place.available_until is not None for place in places)
        require_same(read_files(archive, _REF, tmp_path / "out"), items, self.rung)

    def test_asking_again_is_harmless(self, tmp_path: Path) -> None:
        """A recall that is under way may be asked for again."""
        archive, items, manifest = self._archived(tmp_path)
        _recall(archive, manifest)
        assert _recall(archive, manifest) == dict.fromkeys(_uids(items), "stored")

    def test_what_can_be_read_need_not_be_recalled(self, tmp_path: Path) -> None:
        """A recall of what is readable now is told as already present."""
        archive, items, manifest = self._filled(tmp_path)
        assert _recall(archive, manifest) == dict.fromkeys(_uids(items), "already-present")

    def test_what_is_archived_moves_only_after_a_recall(self, tmp_path: Path) -> None:
        """Moving out of an archive tier fails with a reason until the instance was recalled."""
        archive, items, manifest = self._filled(tmp_path)
        before = next(iter(_places(archive, manifest).values())).tier
        _move(archive, manifest, self.archive_tier)
        assert _move(archive, manifest, before) == dict.fromkeys(_uids(items), "archived")
        _recall(archive, manifest)
        self.finish_recalls(archive)
        assert _move(archive, manifest, before) == dict.fromkeys(_uids(items), "stored")
        assert {place.availability for place in _places(archive, manifest).values()} == {Availability.ONLINE}


class HoldsSuite(_Governed):
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    now: ClassVar[dt.datetime] = dt.datetime.now(dt.UTC).replace(microsecond=0)
    """The time in the archive."""

    def test_what_was_just_stored_is_free(self, tmp_path: Path) -> None:
        """Every instance is told once; nothing holds it that nobody placed."""
        archive, items, manifest = self._filled(tmp_path)
        assert _holds(archive, manifest) == dict.fromkeys(_uids(items), (False, None))

    def test_a_hold_is_there_until_it_is_released(self, tmp_path: Path) -> None:
        """A hold is placed and lifted instance by instance, and told as it is."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.holds is not None
        one = manifest_of(items[:1])
        assert _outcomes(archive.holds.place(_REF, one)) == dict.fromkeys(_uids(items[:1]), "stored")
        assert _outcomes(archive.holds.place(_REF, one)) == dict.fromkeys(_uids(items[:1]), "already-present")
        assert [uid for uid, (held, _) in _holds(archive, manifest).items() if held] == _uids(items[:1])
        assert _outcomes(archive.holds.release(_REF, one)) == dict.fromkeys(_uids(items[:1]), "stored")
        assert not any(held for held, _ in _holds(archive, manifest).values())

    def test_a_date_is_never_made_earlier(self, tmp_path: Path) -> None:
        """Retention is extended; an earlier date than the one that is there changes nothing."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.holds is not None
        near, far = self.now + dt.timedelta(days=2), self.now + dt.timedelta(days=30)
        for until, outcome, kept in ((near, "stored", near), (far, "stored", far), (near, "already-present", far)):
            assert _outcomes(archive.holds.retain(_REF, manifest, until)) == dict.fromkeys(_uids(items), outcome)
            assert {date for _, date in _holds(archive, manifest).values()} == {kept}

    def test_what_is_not_there_does_not_stop_the_rest(self, tmp_path: Path) -> None:
        """An instance that the archive does not hold cannot be held; the others are."""
        archive = self.open_target(tmp_path)
        items = written(tmp_path / "in", _STUDY)
        self.put(archive, items[1:])
        assert archive.holds is not None
        outcomes = _outcomes(archive.holds.place(_REF, manifest_of(items)))
        assert outcomes.pop(items[0].record.sop_instance_uid) == "missing-file"
        assert set(outcomes.values()) == {"stored"}

    @pytest.mark.parametrize("kind", ["hold", "retention"])
    def test_what_is_held_is_not_erased(self, tmp_path: Path, kind: str) -> None:
        """An instance under hold or retention outlives an erasure, byte for byte; the rest of the study goes."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.holds is not None
        if archive.erases is None:
            pytest.skip("this archive does not erase")
        one = manifest_of(items[:1])
        until = self.now + dt.timedelta(days=2)
        list(archive.holds.place(_REF, one) if kind == "hold" else archive.holds.retain(_REF, one, until))
        outcomes = _outcomes(archive.erases.erase(_REF, manifest))
        assert outcomes.pop(items[0].record.sop_instance_uid) == "held"
        assert set(outcomes.values()) == {"stored"}
        require_same(read_files(archive, _REF, tmp_path / "out"), items[:1], self.rung)
        assert {item.sop_instance_uid for item in archive.erases.probe(_REF, manifest)} == set(_uids(items[:1]))


class ErasesSuite(_Governed):
    """Subclass it in a test module, with `open_target`, under a name that pytest collects."""

    def test_a_probe_finds_what_is_there(self, tmp_path: Path) -> None:
        """Before an erasure every instance leaves traces: a probe that finds nothing would prove nothing."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.erases is not None
        assert {item.sop_instance_uid for item in archive.erases.probe(_REF, manifest)} == set(_uids(items))

    def test_what_is_erased_is_gone(self, tmp_path: Path) -> None:
        """Erased instances are neither listed, nor found, nor probed any more by whoever opens the archive again."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.erases is not None
        assert _outcomes(archive.erases.erase(_REF, manifest)) == dict.fromkeys(_uids(items), "stored")
        archive.reads.close()
        archive = self.open_target(tmp_path)
        assert archive.erases is not None
        assert list(archive.erases.probe(_REF, manifest)) == []
        assert list(archive.reads.list_instances(_REF)) == []
        assert list(archive.reads.find_studies(StudyQuery(study_uid=_FIRST.study_uid))) == []
        assert list(archive.reads.find_studies(StudyQuery(patient_id=_FIRST.patient_id))) == []

    def test_only_what_is_named_is_erased(self, tmp_path: Path) -> None:
        """Instances that the manifest does not name stay, and the study is still found with them."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.erases is not None
        list(archive.erases.erase(_REF, manifest_of(items[:2])))
        require_same(read_files(archive, _REF, tmp_path / "out"), items[2:], self.rung)
        assert {item.sop_instance_uid for item in archive.erases.probe(_REF, manifest)} == set(_uids(items[2:]))
        (study,) = archive.reads.find_studies(StudyQuery(study_uid=_FIRST.study_uid))
        assert study.instance_count in (None, len(items) - 2)

    def test_erasing_again_is_harmless(self, tmp_path: Path) -> None:
        """What is not there any more, or never was, is told as such."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.erases is not None
        list(archive.erases.erase(_REF, manifest))
        assert _outcomes(archive.erases.erase(_REF, manifest)) == dict.fromkeys(_uids(items), "already-present")

    def test_what_was_withdrawn_can_be_erased(self, tmp_path: Path) -> None:
        """A withdrawn instance may leave versions and markers behind; after an erasure nothing is left of it."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.erases is not None
        if archive.withdraws is None:
            pytest.skip("nothing can be withdrawn from this archive")
        list(archive.withdraws.withdraw(_REF, manifest_of(items[:1])))
        list(archive.erases.erase(_REF, manifest))
        assert list(archive.erases.probe(_REF, manifest)) == []

    def test_the_uid_is_free_again(self, tmp_path: Path) -> None:
        """After an erasure an instance can be stored again, as after a mistake."""
        archive, items, manifest = self._filled(tmp_path)
        assert archive.erases is not None
        list(archive.erases.erase(_REF, manifest))
        self.put(archive, items)
        require_same(read_files(archive, _REF, tmp_path / "out"), items, self.rung)


def _uids(items: Sequence[Fetched]) -> list[SOPInstanceUID]:
    return [item.record.sop_instance_uid for item in items]


def _outcomes(answers: Iterable[Receipt | StoreFailure]) -> dict[SOPInstanceUID, str]:
    told: dict[SOPInstanceUID, str] = {}
    for answer in answers:
        assert answer.sop_instance_uid not in told, "each instance is answered once"
        told[answer.sop_instance_uid] = answer.outcome.value if isinstance(answer, Receipt) else answer.code
    return told


def _move(archive: Archive, manifest: Manifest, tier: str) -> dict[SOPInstanceUID, str]:
    assert archive.tiers is not None, "the archive has no tiers"
    return _outcomes(archive.tiers.move(_REF, manifest, tier))


def _recall(archive: Archive, manifest: Manifest) -> dict[SOPInstanceUID, str]:
    assert archive.recalls is not None, "the archive cannot recall"
    return _outcomes(
        archive.recalls.recall(StudyRef(study_uid=_FIRST.study_uid), manifest, days=3, urgency=Urgency.BULK)
    )


def _places(archive: Archive, manifest: Manifest) -> dict[SOPInstanceUID, Placement]:
    assert archive.tiers is not None, "the archive has no tiers"
    found = list(archive.tiers.placements(_REF, manifest))
    places = {item.sop_instance_uid: item for item in found if isinstance(item, Placement)}
    assert len(places) == len(found) == len(manifest.entries), "each instance is somewhere, once"
    return places


def _holds(archive: Archive, manifest: Manifest) -> dict[SOPInstanceUID, tuple[bool, dt.datetime | None]]:
    assert archive.holds is not None, "the archive cannot hold"
    found = [item for item in archive.holds.holds(_REF, manifest) if isinstance(item, Hold)]
    return {item.sop_instance_uid: (item.legal_hold, item.retain_until) for item in found}
