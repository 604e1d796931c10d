"""Non-primary image sets are resolved by changes that are guarded by versions and come back as records."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from pydicom.dataset import Dataset

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import NON_PRIMARY
from vna_lifecycle.adapters.healthimaging.remedy import Remedies
from vna_lifecycle.model.change import AttributeChange
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Changed, ChangeRefused, Fetched, StudyQuery
from vna_lifecycle.testing.conformance.case import FolderSpool, study_of
from vna_lifecycle.testing.healthimaging.stores import changed
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
    [found_aside] = remedies.set_aside(study_of(FIRST))
    assert (found_aside.place, found_aside.version, found_aside.hindrance) == (aside(place), "1", "")
    assert {(each.keyword, each.aside, each.shown) for each in found_aside.disagreements} == {
        ("AccessionNumber", ("A9",), ("A1",)),
        ("PatientID", ("WRONG",), ("P1",)),
    }
    corrected = remedies.correct(aside(place), "1", FIRST.series_uid, CHANGES)
    assert isinstance(corrected, Changed)
    admitted = remedies.admit(aside(place), corrected.version_after)
    assert isinstance(admitted, Changed)
    removed = remedies.discard(aside(place), admitted.version_after)
    assert isinstance(removed, Changed)
    steps = (corrected, admitted, removed)
    assert [(step.version_before, step.version_after) for step in steps] == [("1", "2"), ("2", "3"), ("3", "")]
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
    refused = remedies.admit(aside(place), "1")
    assert isinstance(refused, ChangeRefused)
    assert refused.code == "conflict"


def test_an_outdated_version_is_refused(place: Place, remedies: Remedies) -> None:
    source = aside(place)
    assert isinstance(remedies.correct(source, "1", FIRST.series_uid, CHANGES[:1]), Changed)
    refused = remedies.correct(source, "1", FIRST.series_uid, CHANGES[1:])
    assert isinstance(refused, ChangeRefused)
    assert refused.code == "conflict"


def test_what_the_service_changes_by_force_only_is_a_hindrance(
    place: Place, remedies: Remedies, seaweed: Server
) -> None:
    def other_study_id(dataset: Dataset, *_: str) -> None:
        dataset.StudyID = "X"

    [found] = [one for one in place.store.present() if not one.latest.primary]
    found.versions[-1] = evolve(found.latest, instances=changed(found.latest, other_study_id, lambda _: True))
    hindered = [each for each in remedies.set_aside(study_of(FIRST)) if each.hindrance]
    assert [each.hindrance for each in hindered] == ["StudyID differs, which the service changes by force only"]
    refused = remedies.correct(
        hindered[0].place, "1", FIRST.series_uid, [AttributeChange(keyword="StudyID", value=("Y",))]
    )
    assert isinstance(refused, ChangeRefused)
    assert refused.code == "not-changeable"


def test_an_instance_that_readers_are_shown_another_copy_of_is_a_hindrance(place: Place, remedies: Remedies) -> None:
    place.fake.put(place.store, [dicom_bytes(FIRST)])
    told = [each.hindrance for each in remedies.set_aside(study_of(FIRST)) if not each.disagreements]
    assert told == ["readers are shown other copies of the same instances"]


def test_discarding_again_is_harmless(place: Place, remedies: Remedies) -> None:
    source = aside(place)
    assert isinstance(remedies.discard(source, "1"), Changed)
    assert isinstance(remedies.discard(source, "1"), Changed)


def test_attributes_can_be_taken_out_and_changed_at_every_level(place: Place, remedies: Remedies) -> None:
    source = aside(place)
    remedies.correct(
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
