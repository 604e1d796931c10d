"""What every archive that can be read keeps to."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from attrs import evolve

from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, Rung, StudyRecord
from vna_lifecycle.model.wave import DateRange
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, StudyQuery
from vna_lifecycle.testing.conformance.case import (
    EXAMPLES,
    FolderSpool,
    digests,
    fetched,
    read_files,
    require_same,
    study_of,
    written,
)
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


class SourceSuite:
    """Subclass it in a test module, with `open_source`, under a name that pytest collects."""

    rung: ClassVar[Rung] = Rung.HASHED
    """How far what comes back is what was given: EQUIVALENT where the archive is known to re-encode."""

    holds_conflicts: ClassVar[bool] = True
    """Whether the archive can hold several contents under one SOP Instance UID."""

    holds_foreign_files: ClassVar[bool] = True
    """Whether the archive can hold files that are no DICOM objects."""

    examples: ClassVar[tuple[ObjectSpec, ...]] = EXAMPLES
    """What the archive holds: change what it does not take, such as a transfer syntax, and no UID."""

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        """An archive that holds exactly these objects. ``folder`` is empty, and the archive's own."""
        raise NotImplementedError

    def _studies(self) -> list[StudyUID]:
        return sorted({spec.study_uid for spec in self.examples})

    @contextmanager
    def _source(self, folder: Path, specs: Sequence[ObjectSpec] | None = None) -> Iterator[Archive]:
        place = folder / "archive"
        place.mkdir()
        archive = self.open_source(place, [dicom_bytes(spec) for spec in specs or self.examples])
        try:
            yield archive
        finally:
            archive.reads.close()

    def test_parts_hold_every_instance_once(self, tmp_path: Path) -> None:
        """Together, the parts of an inventory hold every instance, and each under a locator of its own."""
        with self._source(tmp_path) as archive:
            found = _instances(_inventory(archive))
            assert sorted(record.sop_instance_uid for record in found) == sorted(
                spec.sop_instance_uid for spec in self.examples
            )
            assert len({record.locator for record in found}) == len(self.examples)

    def test_parts_are_stable(self, tmp_path: Path) -> None:
        """While nothing changes, parts have the same keys in the same order, all different."""
        with self._source(tmp_path) as archive:
            keys = [part.key for part in archive.reads.parts()]
            assert keys == [part.key for part in archive.reads.parts()]
            assert len(set(keys)) == len(keys)

    def test_a_part_tells_the_same_again(self, tmp_path: Path) -> None:
        """A part that is inventoried again tells the same, so that an interrupted inventory can resume."""
        with self._source(tmp_path) as archive:
            for part in archive.reads.parts():
                assert list(archive.reads.inventory(part)) == list(archive.reads.inventory(part))

    def test_records_name_what_they_are_of(self, tmp_path: Path) -> None:
        """A record names study, series, SOP class and patient of its instance."""
        expected = {spec.sop_instance_uid: spec for spec in self.examples}
        with self._source(tmp_path) as archive:
            for record in _instances(_inventory(archive)):
                spec = expected[record.sop_instance_uid]
                assert (record.study_uid, record.series_uid) == (spec.study_uid, spec.series_uid)
                assert record.sop_class_uid
                assert record.series.patient_id == spec.patient_id

    def test_study_counts_are_true(self, tmp_path: Path) -> None:
        """Where the archive gives a study's counts, they are those of its instances."""
        with self._source(tmp_path) as archive:
            items = [*_inventory(archive), *archive.reads.find_studies(StudyQuery())]
            for study in items:
                if isinstance(study, StudyRecord):
                    members = [spec for spec in self.examples if spec.study_uid == study.study_uid]
                    assert study.instance_count in (None, len(members))
                    assert study.series_count in (None, len({spec.series_uid for spec in members}))

    def test_a_study_lists_its_instances_once(self, tmp_path: Path) -> None:
        """A study's list has each of its instances once, and nothing else."""
        with self._source(tmp_path) as archive:
            for study_uid in self._studies():
                listed = [record.sop_instance_uid for record in _list(archive, study_uid)]
                assert sorted(listed) == sorted(
                    spec.sop_instance_uid for spec in self.examples if spec.study_uid == study_uid
                )

    def test_an_unknown_study_has_no_instances(self, tmp_path: Path) -> None:
        """A study that is not there is listed as empty, and is not an error."""
        with self._source(tmp_path) as archive:
            assert _list(archive, StudyUID("1.2.3.4.5")) == []

    def test_fetched_bytes_are_the_archives(self, tmp_path: Path) -> None:
        """What is fetched has the data set bytes that the archive holds, whatever its transfer syntax."""
        with self._source(tmp_path) as archive:
            for study_uid in self._studies():
                members = [spec for spec in self.examples if spec.study_uid == study_uid]
                found = read_files(archive, study_of(members[0]), tmp_path / study_uid)
                require_same(found, written(tmp_path / f"{study_uid}-expected", members), self.rung)

    def test_each_wanted_instance_comes_once(self, tmp_path: Path) -> None:
        """Fetch yields each wanted instance once, with the record that was asked for, and nothing else."""
        with self._source(tmp_path) as archive:
            wanted = _list(archive, self.examples[0].study_uid)[1:3]
            items = fetched(archive, study_of(self.examples[0]), wanted, tmp_path / "spool")
            assert sorted(item.record.locator for item in items) == sorted(record.locator for record in wanted)
            assert all(item.record in wanted for item in items)
            assert [uid for uid, _ in digests(items)] == sorted(record.sop_instance_uid for record in wanted)

    def test_fetching_nothing_yields_nothing(self, tmp_path: Path) -> None:
        """Fetch of no instances is no error."""
        with self._source(tmp_path) as archive:
            assert list(archive.reads.fetch(study_of(self.examples[0]), [], FolderSpool(tmp_path / "spool"))) == []

    def test_what_is_gone_does_not_stop_the_rest(self, tmp_path: Path) -> None:
        """An instance that cannot be had is a failure of its own; the others still come."""
        with self._source(tmp_path) as archive:
            good = _list(archive, self.examples[0].study_uid)
            gone = evolve(good[0], locator=self.unknown_locator(good[0]))
            items = list(
                archive.reads.fetch(study_of(self.examples[0]), [gone, *good[1:]], FolderSpool(tmp_path / "s"))
            )
            failures = [item for item in items if isinstance(item, FetchFailure)]
            assert [failure.record for failure in failures] == [gone]
            assert failures[0].code
            assert len([item for item in items if isinstance(item, Fetched)]) == len(good) - 1

    def unknown_locator(self, record: InstanceRecord) -> str:
        """A locator that this archive could have issued, of nothing that is there. Override where it is not text."""
        return record.locator + "0"

    def test_sizes_are_those_of_the_objects(self, tmp_path: Path) -> None:
        """Where a record has a size, it is the size of the object that is fetched."""
        with self._source(tmp_path) as archive:
            records = _list(archive, self.examples[0].study_uid)
            for item in fetched(archive, study_of(self.examples[0]), records, tmp_path / "spool"):
                assert item.record.size in (None, item.path.stat().st_size)

    def test_every_study_is_found_once(self, tmp_path: Path) -> None:
        """A query without conditions finds every study once."""
        with self._source(tmp_path) as archive:
            assert _found(archive, StudyQuery()) == self._studies()

    @pytest.mark.parametrize(
        ("query", "studies"),
        [
            (StudyQuery(study_uid=EXAMPLES[0].study_uid), {1}),
            (StudyQuery(patient_id="P1"), {1, 2}),
            (StudyQuery(patient_id="P1", issuer_of_patient_id="HOSP-A"), {2}),
            (StudyQuery(patient_id="P"), set()),
            (StudyQuery(accession_number="A3"), {3}),
            (StudyQuery(modality="MR"), {2}),
            (StudyQuery(patient_name="Doe*"), {1, 3, 4}),
            (StudyQuery(patient_name="D?e^Jane"), {1, 3, 4}),
            (StudyQuery(patient_name="Doe"), set()),
            (StudyQuery(description="*Head"), {2}),
            (StudyQuery(studied=DateRange(first=dt.date(2024, 2, 29), last=dt.date(2024, 2, 29))), {1}),
            (StudyQuery(studied=DateRange(first=dt.date(2023, 12, 31))), {1, 2, 4}),
            (StudyQuery(studied=DateRange(last=dt.date(2024, 12, 31))), {1, 2}),
            (StudyQuery(patient_id="P4", modality="CT", studied=DateRange(first=dt.date(2025, 1, 1))), {4}),
        ],
        ids=str,
    )
    def test_conditions_hold(self, tmp_path: Path, query: StudyQuery, studies: set[int]) -> None:
        """A query finds exactly the studies that every stated condition holds for; undated ones are in no range."""
        with self._source(tmp_path) as archive:
            assert _found(archive, query) == sorted({spec.study_uid for spec in self.examples if spec.study in studies})

    def test_several_contents_of_one_uid_are_told_apart(self, tmp_path: Path) -> None:
        """Two contents under one SOP Instance UID are both listed and both fetched: locators decide, not UIDs."""
        if not self.holds_conflicts:
            pytest.skip("this archive holds one content for each UID")
        first = self.examples[0]
        both = [first, evolve(first, grey=99)]
        with self._source(tmp_path, both) as archive:
            require_same(
                read_files(archive, study_of(first), tmp_path / "spool"), written(tmp_path / "e", both), self.rung
            )

    def test_what_is_no_object_is_reported(self, tmp_path: Path) -> None:
        """A file that is no DICOM object, or is cut off, is refused with a reason, and hides nothing else."""
        if not self.holds_foreign_files:
            pytest.skip("this archive holds DICOM objects only")
        whole = dicom_bytes(self.examples[0])
        place = tmp_path / "archive"
        place.mkdir()
        archive = self.open_source(place, [b"not DICOM", whole[: len(whole) - 3], b"", dicom_bytes(self.examples[1])])
        try:
            items = list(_inventory(archive))
            refused = [item for item in items if isinstance(item, Refused)]
            assert len(refused) == 3
            assert all(item.code and item.reason for item in refused)
            assert [item.sop_instance_uid for item in _instances(items)] == [self.examples[1].sop_instance_uid]
        finally:
            archive.reads.close()


def _inventory(archive: Archive) -> list[StudyRecord | InstanceRecord | Refused]:
    return [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]


def _instances(items: Sequence[StudyRecord | InstanceRecord | Refused]) -> list[InstanceRecord]:
    return [item for item in items if isinstance(item, InstanceRecord)]


def _list(archive: Archive, study_uid: StudyUID) -> list[InstanceRecord]:
    return list(archive.reads.list_instances(StudyRef(study_uid=study_uid)))


def _found(archive: Archive, query: StudyQuery) -> list[StudyUID]:
    return sorted(study.study_uid for study in archive.reads.find_studies(query))
