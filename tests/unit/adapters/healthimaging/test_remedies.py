"""Non-primary image sets are resolved by changes that are guarded by versions and come back as records."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import NON_PRIMARY
from vna_lifecycle.adapters.healthimaging.remedy import Remedies
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.change import AttributeChange
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, StudyQuery
from vna_lifecycle.testing.conformance.case import FolderSpool, study_of
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

FIRST = ObjectSpec(accession_number="A1")
OTHER = evolve(FIRST, instance=2, patient_id="WRONG", accession_number="A9")
CHANGES = (
    AttributeChange(keyword="PatientID", value=("P1",)),
    AttributeChange(keyword="AccessionNumber", value=("A1",)),
)


@pytest.fixture
def remedies(place: Place, seaweed: Server, tmp_path: Path) -> Remedies:
    place.fake.put(place.store, [dicom_bytes(FIRST), dicom_bytes(OTHER)])
    access = Access(settings_of(place, seaweed), site_of(tmp_path, place), place.clock.advance)
    return Remedies(access, Library(access))


def aside(place: Place) -> str:
    [found] = [one.id for one in place.store.present() if not one.latest.primary]
    return found


def test_a_non_primary_image_set_is_corrected_and_becomes_primary(
    place: Place, remedies: Remedies, seaweed: Server, tmp_path: Path
) -> None:
    archive = open_archive(settings_of(place, seaweed), site_of(tmp_path, place), pause=place.clock.advance)
    found = [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]
    flagged = [item for item in found if isinstance(item, InstanceRecord) and NON_PRIMARY in item.flags]
    assert [record.sop_instance_uid for record in flagged] == [OTHER.sop_instance_uid]
    assert [record.sop_instance_uid for record in archive.reads.list_instances(study_of(FIRST))] == [
        FIRST.sop_instance_uid
    ]
    [fetched] = archive.reads.fetch(study_of(FIRST), flagged, FolderSpool(tmp_path / "spool"))
    assert isinstance(fetched, Fetched)
    source = aside(place)
    steps = remedies.resolve(source, "1", FIRST.series_uid, CHANGES)
    assert [(step.what, step.version_before, step.version_after) for step in steps] == [
        ("updated", "1", "2"),
        ("promoted", "2", "3"),
        ("removed", "3", ""),
    ]
    assert steps[0].changes == CHANGES
    assert all(step.request for step in steps)
    listed = list(archive.reads.list_instances(study_of(FIRST)))
    assert sorted(record.sop_instance_uid for record in listed) == [FIRST.sop_instance_uid, OTHER.sop_instance_uid]
    assert {(record.flags, record.series.patient_id, record.series.accession_number) for record in listed} == {
        ((), "P1", "A1")
    }
    [study] = archive.reads.find_studies(StudyQuery(study_uid=FIRST.study_uid))
    assert study.patient.id == "P1"
    # the service works at its pace: three changes, four seconds apart
    assert (place.clock() - place.store.created).total_seconds() >= 8


def test_what_still_conflicts_is_not_promoted(place: Place, remedies: Remedies) -> None:
    with pytest.raises(ArchiveError, match="conflicts with others"):
        remedies.promote(aside(place), "1")


def test_an_outdated_version_is_refused(place: Place, remedies: Remedies) -> None:
    source = aside(place)
    remedies.update(source, "1", FIRST.series_uid, CHANGES[:1])
    with pytest.raises(ArchiveError, match="changed since it was looked at"):
        remedies.update(source, "1", FIRST.series_uid, CHANGES[1:])


def test_attributes_can_be_taken_out_and_changed_at_every_level(place: Place, remedies: Remedies) -> None:
    source = aside(place)
    remedies.update(
        source,
        "1",
        FIRST.series_uid,
        (
            AttributeChange(keyword="PatientSex", value=None),
            AttributeChange(keyword="StudyDescription", value=("Chest",)),
            AttributeChange(keyword="SeriesDescription", value=("Axial",)),
        ),
    )
    levels = place.store.image_sets[source].first().levels
    assert "PatientSex" not in levels.patient
    assert (levels.study["StudyDescription"], levels.series["SeriesDescription"]) == ("Chest", "Axial")
