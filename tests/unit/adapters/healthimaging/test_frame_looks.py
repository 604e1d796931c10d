"""Looking at single frames: the first, the middle and the last are retrieved, and unproven checksums decide nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from attrs import evolve

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.frames import UNPROVEN
from vna_lifecycle.ports import FrameLook
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

SPEC = ObjectSpec()


def of_frames(count: int) -> bytes:
    """An object of several frames, each of another grey."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(SPEC)))
    one = len(dataset.PixelData)
    dataset.NumberOfFrames = count
    dataset.PixelData = b"".join(bytes([number]) * one for number in range(1, count + 1))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def looked_at(place: Place, server: Server, folder: Path, data: bytes) -> list[FrameLook]:
    [item] = written(folder / "in", [SPEC])
    item.path.write_bytes(data)
    archive = open_archive(settings_of(place, server), site_of(folder, place), pause=place.clock.advance)
    assert archive.frames is not None
    return list(archive.frames.look_at_frames(study_of(SPEC), [item]))


@pytest.mark.parametrize(("count", "retrieved"), [(1, [1]), (2, [1, 2]), (5, [1, 3, 5]), (8, [1, 4, 8])])
def test_the_first_the_middle_and_the_last_frame_are_retrieved_and_all_checksums_compared(
    place: Place, seaweed: Server, tmp_path: Path, count: int, retrieved: list[int]
) -> None:
    place.fake.put(place.store, [of_frames(count)])
    looks = looked_at(place, seaweed, tmp_path, of_frames(count))
    assert [look.number for look in looks if look.basis == "decoded"] == retrieved
    assert [look.number for look in looks if look.basis == UNPROVEN] == [*range(1, count + 1)]
    assert {look.equal for look in looks} == {True}
    assert place.fake.service.seen["GetImageFrame"] == len(retrieved)


def test_frames_in_another_order_differ_and_their_checksums_alone_say_nothing(
    place: Place, seaweed: Server, tmp_path: Path
) -> None:
    """Of five frames, the second and the last changed places: the second is not among those that are retrieved."""
    place.fake.put(place.store, [of_frames(5)])
    [image_set] = place.store.present()
    instance = image_set.latest.instances[SPEC.sop_instance_uid]
    one, two, three, four, five = instance.frames
    moved = evolve(instance, frames=(one, five, three, four, two))
    image_set.versions[-1] = evolve(image_set.latest, instances={SPEC.sop_instance_uid: moved})
    looks = looked_at(place, seaweed, tmp_path, of_frames(5))
    assert {look.number: look.equal for look in looks if look.basis == "decoded"} == {1: True, 3: True, 5: False}
    unproven = {look.number: look.equal for look in looks if look.basis.startswith(UNPROVEN)}
    assert unproven == {1: True, 2: None, 3: True, 4: True, 5: None}


def test_what_only_a_non_primary_image_set_holds_is_not_what_viewers_are_shown(
    place: Place, seaweed: Server, tmp_path: Path
) -> None:
    place.fake.put(place.store, [dicom_bytes(SPEC)])
    [image_set] = place.store.present()
    image_set.versions[-1] = evolve(image_set.latest, primary=False)
    [look] = looked_at(place, seaweed, tmp_path, dicom_bytes(SPEC))
    assert (look.number, look.equal, look.basis) == (0, False, "no primary image set holds the instance")
