"""Erasing deletes image sets, earlier versions and staged copies, and tells what it cannot reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.ports import Archive, Batch, Done, Erases, Receipt, StoreFailure
from vna_lifecycle.testing.conformance.case import manifest_of, study_of, written
from vna_lifecycle.testing.healthimaging import AWS_RATES, Quotas
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

SPECS = [ObjectSpec(series=series, instance=number) for series in (1, 2) for number in (1, 2)]
STUDY = study_of(SPECS[0])


def opened(place: Place, server: Server, folder: Path) -> Archive:
    return open_archive(settings_of(place, server), site_of(folder, place), pause=place.clock.advance)


def erases_of(archive: Archive) -> Erases:
    assert archive.erases is not None
    return archive.erases


def test_what_is_erased_is_gone_with_its_staged_copy_and_the_evidence_names_the_requests(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    """At the pace that the service allows, and waiting for what it does in its own time."""
    place = make_place(deletion_seconds=40, quotas=Quotas(rates=AWS_RATES))
    archive = opened(place, seaweed, tmp_path)
    items = written(tmp_path / "in", SPECS)
    assert archive.imports is not None
    batch = Batch(key="b", wave="w")
    list(archive.imports.stage(batch, STUDY, items))
    token = archive.imports.submit(batch)
    while not isinstance(archive.imports.poll(token), Done):
        place.clock.advance(10)
    manifest = manifest_of(items)
    left = sorted(remnant.what for remnant in erases_of(archive).probe(STUDY, manifest))
    assert left == ["image set"] * 4 + ["staged copy"] * 4
    begun = place.clock()
    answers = list(erases_of(archive).erase(STUDY, manifest))
    assert [answer.sop_instance_uid for answer in answers] == [entry.sop_instance_uid for entry in manifest.entries]
    assert all(isinstance(answer, Receipt) and len(answer.warnings) == 1 for answer in answers)
    assert (place.clock() - begun).total_seconds() >= 80
    assert list(erases_of(archive).probe(STUDY, manifest)) == []
    assert list(archive.reads.list_instances(STUDY)) == []
    again = list(erases_of(archive).erase(STUDY, manifest))
    assert [answer.outcome.value for answer in again if isinstance(answer, Receipt)] == ["already-present"] * 4


def test_instances_that_share_their_image_set_stay(place: Place, seaweed: Server, tmp_path: Path) -> None:
    place.fake.put(place.store, [dicom_bytes(spec) for spec in SPECS])
    manifest = manifest_of(written(tmp_path / "in", [SPECS[0], SPECS[2], SPECS[3]]))
    erases = erases_of(opened(place, seaweed, tmp_path))
    answers = {answer.sop_instance_uid: answer for answer in erases.erase(STUDY, manifest)}
    shared = answers[SPECS[0].sop_instance_uid]
    assert isinstance(shared, StoreFailure)
    assert shared.code == "shared-image-set"
    assert all(isinstance(answers[spec.sop_instance_uid], Receipt) for spec in SPECS[2:])
    [remnant] = erases.probe(STUDY, manifest)
    assert remnant.sop_instance_uid == SPECS[0].sop_instance_uid


def test_an_instance_in_an_earlier_version_is_not_gone(place: Place, seaweed: Server, tmp_path: Path) -> None:
    """The image set's newest version does not have it any more; the one before still does."""
    place.fake.put(place.store, [dicom_bytes(spec) for spec in SPECS[:2]])
    [image_set] = place.store.present()
    removed = {"Instances": {SPECS[0].sop_instance_uid: {}}}
    document = {"SchemaVersion": "1.1", "Study": {"Series": {SPECS[0].series_uid: removed}}}
    place.client.update_image_set_metadata(
        datastoreId=place.store.id,
        imageSetId=image_set.id,
        latestVersionId=str(image_set.latest.number),
        updateImageSetMetadataUpdates={"DICOMUpdates": {"removableAttributes": json.dumps(document).encode()}},
    )
    erases = erases_of(opened(place, seaweed, tmp_path))
    manifest = manifest_of(written(tmp_path / "in", SPECS[:1]))
    [remnant] = erases.probe(STUDY, manifest)
    assert remnant.what == "earlier version"
    for number in (0, 1):  # the one that was taken out, and the one that is left alone with it
        [answer] = erases.erase(STUDY, manifest_of(written(tmp_path / f"in{number}", [SPECS[number]])))
        assert isinstance(answer, StoreFailure)
        assert answer.code == "shared-image-set"


def test_a_deletion_that_does_not_end_is_told_as_pending(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    place = make_place(deletion_seconds=10_000)
    place.fake.put(place.store, [dicom_bytes(SPECS[0])])
    erases = erases_of(opened(place, seaweed, tmp_path))
    manifest = manifest_of(written(tmp_path / "in", SPECS[:1]))
    [answer] = erases.erase(STUDY, manifest)
    assert isinstance(answer, StoreFailure)
    assert (answer.code, answer.transient) == ("deletion-pending", True)
    place.clock.advance(10_000)
    [again] = erases.erase(STUDY, manifest)
    assert isinstance(again, Receipt)
