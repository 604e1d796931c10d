"""What is read of a data store: frames against checksums, its behaviour, its jobs, and metadata that cannot be read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Script, Server, free_ports
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.frames import UNPROVEN, Means, check_checksums, codestream, means_for
from vna_lifecycle.adapters.healthimaging.library import Library
from vna_lifecycle.adapters.healthimaging.records import ImageSet, Stored, Unreadable, read_metadata
from vna_lifecycle.ports import Batch, Done, Part
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.healthimaging import Faults, Timing
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

CT = get_testdata_file("CT_small.dcm", download=False)
IMAGE_SET = ImageSet(id="a" * 32, version="1", created=0.0, primary=True, tags={})


def access_of(place: Place, server: Server, folder: Path) -> Access:
    return Access(settings_of(place, server), site_of(folder, place), place.clock.advance)


def stored_ct(place: Place, access: Access) -> Stored:
    place.fake.put(place.store, [Path(CT).read_bytes()])
    library = Library(access)
    [stored] = library.contents(library.search())
    return stored


def test_frames_are_compared_by_checksum_without_reading_them(place: Place, seaweed: Server, tmp_path: Path) -> None:
    stored = stored_ct(place, access_of(place, seaweed, tmp_path))
    [check] = check_checksums(Path(CT), stored)
    assert (check.number, check.equal, check.basis) == (1, True, UNPROVEN)
    changed = tmp_path / "changed.dcm"
    dataset = pydicom.dcmread(CT)
    dataset.PixelData = b"\1" + dataset.PixelData[1:]
    dataset.save_as(changed)
    [check] = check_checksums(changed, stored)
    assert check.equal is False
    assert "GetImageFrame" not in place.fake.service.seen


def test_a_missing_frame_and_a_missing_checksum_are_told(place: Place, seaweed: Server, tmp_path: Path) -> None:
    stored = stored_ct(place, access_of(place, seaweed, tmp_path))
    [check] = check_checksums(Path(CT), evolve(stored, frames=()))
    assert check.equal is False
    [check] = check_checksums(Path(CT), evolve(stored, frames=(evolve(stored.frames[0], checksums=((1, 1, 1),)),)))
    assert check.equal is None
    first, second = check_checksums(Path(CT), evolve(stored, frames=stored.frames * 2))
    assert (first.equal, second.equal) == (True, False)


def test_what_cannot_be_decoded_is_not_decided(place: Place, seaweed: Server, tmp_path: Path) -> None:
    stored = stored_ct(place, access_of(place, seaweed, tmp_path))
    [item] = written(tmp_path / "in", [ObjectSpec(transfer_syntax="1.2.840.10008.1.2.4.50")])
    [check] = check_checksums(item.path, stored)
    assert check.equal is None
    assert check.basis.startswith("cannot decode")


def test_a_frame_is_read_as_it_is_stored(place: Place, seaweed: Server, tmp_path: Path) -> None:
    access = access_of(place, seaweed, tmp_path)
    stored = stored_ct(place, access)
    assert codestream(access, stored.image_set, stored.frames[0].id).startswith(b"\xff\x4f\xff\x51")


@pytest.mark.parametrize(
    ("source", "stored", "means"),
    [
        ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.50", Means.CODESTREAM),
        ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.202", Means.DECODED),
        ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", Means.DECODED),
        ("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.202", Means.NONE),
        ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.203", Means.NONE),
    ],
)
def test_the_stored_syntax_says_how_pixels_are_compared(source: str, stored: str, means: Means) -> None:
    assert means_for(source, stored) is means


def observations(place: Place, server: Server, folder: Path) -> dict[str, str]:
    archive = open_archive(settings_of(place, server), site_of(folder, place), pause=place.clock.advance)
    assert archive.probes is not None
    return {one.name: one.value for one in archive.probes.probe()}


def test_a_probe_tells_how_the_data_store_behaves(place: Place, seaweed: Server, tmp_path: Path) -> None:
    stored_ct(place, access_of(place, seaweed, tmp_path))
    place.clock.advance(40 * 86_400)
    assert observations(place, seaweed, tmp_path) == {
        "datastore-status": "ACTIVE",
        "lossless-storage-format": "JPEG_2000_LOSSLESS",
        "keeps-original-bytes": "no",
        "reading-moves-to-frequent-tier": "yes",
        "image-sets-searched": "1",
        "image-sets-non-primary": "0",
        "image-sets-in-archive-tier": "1",
        "stored-transfer-syntax": "1.2.840.10008.1.2.4.90 x 1",
        "frame-checksum-layout": "interleaved-little-endian",
    }


def test_a_layout_that_nobody_knows_is_told_as_unknown(place: Place, seaweed: Server, tmp_path: Path) -> None:
    stored_ct(place, access_of(place, seaweed, tmp_path))
    [image_set] = place.store.present()
    [instance] = image_set.latest.instances.values()
    [frame] = instance.frames
    other = evolve(frame, checksums=({"Width": 128, "Height": 128, "Checksum": 7},))
    instances = {instance.sop_instance_uid: evolve(instance, frames=(other,))}
    image_set.versions[-1] = evolve(image_set.latest, instances=instances)
    assert observations(place, seaweed, tmp_path)["frame-checksum-layout"].startswith("unknown")


def test_an_empty_data_store_can_be_probed(place: Place, seaweed: Server, tmp_path: Path) -> None:
    assert observations(place, seaweed, tmp_path)["image-sets-searched"] == "0"


def obstacles(place: Place, server: Server, folder: Path, **more: Any) -> list[str]:
    archive = open_archive(settings_of(place, server, **more), site_of(folder, place), pause=place.clock.advance)
    assert archive.probes is not None
    return [one.value for one in archive.probes.probe() if one.name == "cannot-store"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [("CREATING", "wait until it is ACTIVE"), ("DELETING", "set datastore_id to one"), ("CREATE_FAILED", "set")],
)
def test_a_data_store_that_is_not_active_is_told_and_not_looked_into(
    place: Place, seaweed: Server, tmp_path: Path, status: str, advice: str
) -> None:
    place.store.status = status
    [told] = obstacles(place, seaweed, tmp_path)
    assert f"the data store is {status}, so nothing can be imported into it: {advice}" in told
    assert "SearchImageSets" not in place.fake.service.seen
    assert observations(place, seaweed, tmp_path)["datastore-status"] == status


@pytest.mark.parametrize("setting", ["staging", "results"])
def test_a_bucket_that_is_not_there_is_told_by_its_setting(
    place: Place, seaweed: Server, tmp_path: Path, setting: str
) -> None:
    assert obstacles(place, seaweed, tmp_path) == []
    [told] = obstacles(place, seaweed, tmp_path, **{setting: f"s3://{place.bucket}-missing/folder/"})
    assert told.startswith(f"{setting}: ")
    assert f"the bucket {place.bucket}-missing is not there" in told
    assert told.endswith("check its name, its region and s3_endpoint_url")


@pytest.mark.parametrize(
    ("status", "code", "region", "words"),
    [
        (403, "AccessDenied", "", ["s3:ListBucket is denied on the bucket", "allow s3:ListBucket in the policy"]),
        (403, "InvalidAccessKeyId", "", ["does not accept the credentials", "check the access key"]),
        (
            400,
            "AuthorizationHeaderMalformed",
            "eu-central-1",
            [
                "lies in the region eu-central-1",
                "name a bucket in the region of the data store, not in 'eu-central-1'",
            ],
        ),
    ],
    ids=["denied", "unknown key", "wrong region"],
)
def test_buckets_that_will_not_have_us_are_told_with_what_to_do(
    place: Place,
    seaweed: Server,
    scripted: Script,
    tmp_path: Path,
    status: int,
    code: str,
    region: str,
    words: list[str],
) -> None:
    scripted.say(status, code, {"x-amz-bucket-region": region} if region else {})
    told = obstacles(place, seaweed, tmp_path, s3_endpoint_url=scripted.endpoint_url)
    assert [one.partition(":")[0] for one in told] == ["staging", "results"]
    for word in words:
        assert all(word in one for one in told), told


def test_a_staging_bucket_of_another_account_than_is_set_is_told(
    place: Place, seaweed: Server, scripted: Script, tmp_path: Path
) -> None:
    scripted.say(403, "AccessDenied")
    scripted.say(200)
    account = "123456789012"
    [told] = obstacles(place, seaweed, tmp_path, s3_endpoint_url=scripted.endpoint_url, input_owner_account_id=account)
    assert told.startswith("staging: ")
    assert f"check that it belongs to the account {account}" in told
    expected = [headers.get("x-amz-expected-bucket-owner") for _, _, headers in scripted.seen]
    assert expected == [account, None], "nobody said whose the results are"


def test_buckets_behind_a_server_that_does_not_answer_are_told(place: Place, seaweed: Server, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    told = obstacles(place, seaweed, tmp_path, s3_endpoint_url=f"http://127.0.0.1:{port}")
    assert [one.partition(":")[0] for one in told] == ["staging", "results"]
    assert all("cannot be reached" in one and "check s3_endpoint_url" in one for one in told)


def test_jobs_are_shown_with_their_counts_reasons_and_expected_end(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    specs = [ObjectSpec(instance=number) for number in (1, 2, 3)]
    one, two, _ = (spec.sop_instance_uid for spec in specs)
    place = make_place(
        timing=Timing(running=100), faults=Faults(fail={one: "ValidationException"}, warn={two: "OTHER"})
    )
    archive = open_archive(settings_of(place, seaweed), site_of(tmp_path, place), pause=place.clock.advance)
    assert archive.imports is not None
    assert archive.jobs is not None
    batch = Batch(key="b", wave="w")
    list(archive.imports.stage(batch, study_of(specs[0]), written(tmp_path / "in", specs)))
    token = archive.imports.submit(batch)
    [report] = archive.jobs.jobs()
    assert (report.name, report.status, report.expected_end) == (token.job, "in-progress", None)
    while not isinstance(archive.imports.poll(token), Done):
        place.clock.advance(20)
    other = Batch(key="c", wave="w")
    spec = ObjectSpec(study=2)
    list(archive.imports.stage(other, study_of(spec), written(tmp_path / "in2", [spec])))
    archive.imports.submit(other)
    newest, oldest = archive.jobs.jobs()
    assert newest.submitted is not None
    assert newest.expected_end is not None
    assert (newest.expected_end - newest.submitted).total_seconds() == 100
    assert (oldest.status, oldest.problems) == ("completed", ())
    shown = archive.jobs.job(oldest.job)
    assert shown.counts == {"scanned": 3, "imported": 2, "customer": 1, "server": 0}
    assert [problem.code for problem in shown.problems] == ["ValidationException", "other"]
    assert archive.jobs.job(newest.job).counts == {}


def test_parts_are_cut_where_a_second_ends(place: Place, seaweed: Server, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("vna_lifecycle.adapters.healthimaging.reading.SETS_PER_PART", 3)
    for number in range(1, 11):
        place.fake.put(place.store, [dicom_bytes(ObjectSpec(study=number))])
        place.clock.advance(0.1 if number % 5 else 1.0)
    reads = open_archive(settings_of(place, seaweed), site_of(tmp_path, place), pause=place.clock.advance).reads
    parts = list(reads.parts())
    assert [part.title for part in parts] == ["image sets 1 to 5", "image sets 6 to 10"]
    found = [item for part in parts for item in reads.inventory(part)]
    assert len(found) == len({item.locator for item in found if hasattr(item, "locator")}) == 10
    with pytest.raises(Exception, match="not issued"):
        list(reads.inventory(Part(key="elsewhere")))


@given(st.binary(max_size=200))
def test_metadata_that_is_none_is_refused(data: bytes) -> None:
    for blob in (data, gzip.compress(data)):
        with pytest.raises(Unreadable):
            list(read_metadata(blob, IMAGE_SET))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.dictionaries(
                st.sampled_from(["Patient", "Study", "Series", "Instances", "DICOM", "ImageFrames", "1.2"]), inner
            )
            | st.lists(inner, max_size=2)
        ),
        max_leaves=12,
    )
)
def test_metadata_of_any_form_is_read_or_refused(document: Any) -> None:
    with suppress(Unreadable):
        list(read_metadata(gzip.compress(json.dumps(document).encode()), IMAGE_SET))
