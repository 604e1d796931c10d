"""What this program imported can be taken back: only what is still its own, and nobody else's with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from pydicom.uid import JPEGBaseline8Bit

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.ports import Archive, Receipt
from vna_lifecycle.testing.conformance.case import manifest_of, study_of, written
from vna_lifecycle.testing.healthimaging import AWS_RATES, Quotas
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

SPECS = [ObjectSpec(instance=number, grey=number, transfer_syntax=JPEGBaseline8Bit) for number in (1, 2, 3)]
UIDS = [spec.sop_instance_uid for spec in SPECS]


def opened(place: Place, server: Server, folder: Path) -> Archive:
    return open_archive(settings_of(place, server), site_of(folder, place), pause=place.clock.advance)


def withdrawn(archive: Archive, manifest: Manifest) -> dict[str, str]:
    assert archive.withdraws is not None
    answers = archive.withdraws.withdraw(study_of(SPECS[0]), manifest)
    return {one.sop_instance_uid: one.outcome.value if isinstance(one, Receipt) else one.code for one in answers}


def held(place: Place) -> list[str]:
    return sorted(uid for found in place.store.present() for uid in found.latest.instances)


def test_what_is_withdrawn_is_gone_at_the_pace_of_the_service_and_its_uid_is_free_again(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    place = make_place(deletion_seconds=40, quotas=Quotas(rates=AWS_RATES))
    place.fake.put(place.store, map(dicom_bytes, SPECS))
    archive, manifest = opened(place, seaweed, tmp_path), manifest_of(written(tmp_path / "in", SPECS))
    assert withdrawn(archive, manifest) == dict.fromkeys(UIDS, "stored")
    assert held(place) == []
    assert withdrawn(archive, manifest) == dict.fromkeys(UIDS, "already-present")
    place.fake.put(place.store, map(dicom_bytes, SPECS))
    assert [found.latest.primary for found in place.store.present()] == [True]
    assert place.fake.service.throttled == 0


def test_others_in_the_same_image_set_stay(place: Place, seaweed: Server, tmp_path: Path) -> None:
    place.fake.put(place.store, map(dicom_bytes, SPECS))
    archive = opened(place, seaweed, tmp_path)
    assert withdrawn(archive, manifest_of(written(tmp_path / "in", SPECS[:2]))) == dict.fromkeys(UIDS[:2], "stored")
    assert held(place) == UIDS[2:]


def test_other_content_under_the_uid_stays(place: Place, seaweed: Server, tmp_path: Path) -> None:
    place.fake.put(place.store, map(dicom_bytes, SPECS))
    ours = manifest_of(written(tmp_path / "in", [evolve(SPECS[0], grey=200), *SPECS[1:]]))
    found = withdrawn(opened(place, seaweed, tmp_path), ours)
    assert found == {UIDS[0]: "conflict", UIDS[1]: "stored", UIDS[2]: "stored"}
    assert held(place) == UIDS[:1]


def test_an_image_set_that_is_being_changed_is_left_for_later(place: Place, seaweed: Server, tmp_path: Path) -> None:
    """Its version is named: the service refuses to take instances out of another than was looked at."""
    place.fake.put(place.store, map(dicom_bytes, SPECS))
    archive = opened(place, seaweed, tmp_path)
    [image_set] = place.store.present()
    image_set.state = "LOCKED"
    manifest = manifest_of(written(tmp_path / "in", SPECS[:1]))
    assert withdrawn(archive, manifest) == {UIDS[0]: "changing"}
    assert held(place) == UIDS
    image_set.state = "ACTIVE"
    assert withdrawn(archive, manifest) == {UIDS[0]: "stored"}


def test_a_deletion_that_does_not_end_is_told_as_pending(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    place = make_place(deletion_seconds=10_000)
    place.fake.put(place.store, map(dicom_bytes, SPECS))
    manifest = manifest_of(written(tmp_path / "in", SPECS))
    assert set(withdrawn(opened(place, seaweed, tmp_path), manifest).values()) == {"deletion-pending"}
