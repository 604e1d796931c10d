"""The fake of HealthImaging does what AWS documents, in the words of botocore's own model."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import urllib3
from attrs import evolve
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import iter_pixels

from peers.healthimaging import Place
from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.healthimaging import AWS_RATES, Faults, Quotas, Timing
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

SPECS = [ObjectSpec(instance=number, grey=number) for number in (1, 2, 3)]
FILES = {f"{spec.instance}.dcm": dicom_bytes(spec) for spec in SPECS}
CT = get_testdata_file("CT_small.dcm", download=False)


def imported(place: Place, files: dict[str, bytes], name: str = "job-1", prefix: str = "in/") -> str:
    place.stage(files, prefix)
    job = place.start(name, prefix)
    assert place.job(job)["jobStatus"] == "COMPLETED"
    return job


def lines(place: Place, job: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.result(job, name).splitlines()]


def test_a_job_imports_what_was_staged_and_says_so_in_its_result_files(place: Place) -> None:
    job = imported(place, {**FILES, "text.dcm": b"no DICOM"})
    summary = json.loads(place.result(job, "job-output-manifest.json"))["jobSummary"]
    assert summary["numberOfScannedFiles"] == 4
    assert summary["numberOfImportedFiles"] == 3
    assert summary["numberOfFilesWithCustomerError"] == 1
    [image_set] = summary["imageSetsSummary"]
    assert (image_set["isPrimary"], image_set["numberOfMatchedSOPInstances"]) == (True, 3)
    successes = lines(place, job, "SUCCESS/success.ndjson")
    assert {line["inputFile"] for line in successes} == {f"{place.root}in/{name}" for name in FILES}
    assert {line["importResponse"]["imageSetId"] for line in successes} == {image_set["imageSetId"]}
    [failure] = lines(place, job, "FAILURE/failure.ndjson")
    assert failure["inputFile"] == f"{place.root}in/text.dcm"
    assert failure["exception"]["exceptionType"] == "ValidationException"


def test_jobs_take_their_time(make_place: Callable[..., Place]) -> None:
    place = make_place(timing=Timing(waiting=5, running=10, per_file=1), faults=Faults(lag=30))
    place.stage(FILES)
    job = place.start()
    told = [place.job(job)["jobStatus"]]
    for seconds in (5, 12, 1):
        place.clock.advance(seconds)
        told.append(place.job(job)["jobStatus"])
    assert told == ["SUBMITTED", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED"]
    with pytest.raises(place.s3.exceptions.NoSuchKey):
        place.result(job, "job-output-manifest.json")
    place.clock.advance(30)
    place.job(job)
    assert place.result(job, "job-output-manifest.json")


def test_one_client_token_is_one_job(place: Place) -> None:
    place.stage(FILES)
    assert place.start("same") == place.start("same") != place.start("other")
    with pytest.raises(place.client.exceptions.ConflictException):
        place.start("same", prefix="elsewhere/")


def test_a_prefix_without_a_slash_takes_in_its_neighbours(place: Place) -> None:
    place.stage({"a.dcm": FILES["1.dcm"]}, "batch-1/")
    place.stage({"b.dcm": FILES["2.dcm"]}, "batch-10/")
    job = place.start(prefix="batch-1")
    assert place.job(job)["jobStatus"] == "COMPLETED"
    assert len(lines(place, job, "SUCCESS/success.ndjson")) == 2


def test_conflicting_metadata_makes_a_non_primary_image_set(place: Place) -> None:
    imported(place, FILES)
    other = dicom_bytes(evolve(SPECS[0], instance=9, patient_id="P9"))
    job = imported(place, {"other.dcm": other}, "job-2", "in2/")
    [line] = lines(place, job, "SUCCESS/success.ndjson")
    assert line["importResponse"]["isPrimary"] is False


def test_importing_again_duplicates_or_overwrites_as_told(place: Place) -> None:
    imported(place, FILES)
    again = lines(place, imported(place, FILES, "job-2"), "SUCCESS/success.ndjson")
    assert {line["importResponse"]["isPrimary"] for line in again} == {False}
    place.store.duplicates = False
    [line] = lines(place, imported(place, {"1.dcm": FILES["1.dcm"]}, "job-3", "in3/"), "SUCCESS/success.ndjson")
    assert line["importResponse"]["isPrimary"] is True
    versions = place.client.list_image_set_versions(
        datastoreId=place.store.id, imageSetId=line["importResponse"]["imageSetId"]
    )["imageSetPropertiesList"]
    assert [version["versionId"] for version in versions] == ["2", "1"]


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        (Quotas(files=2), "Number of files"),
        (Quotas(job_bytes=1000), "Total size"),
        (Quotas(folders=1), "Number of folders"),
    ],
)
def test_a_job_over_a_quota_fails_as_a_whole(make_place: Callable[..., Place], quotas: Quotas, message: str) -> None:
    place = make_place(quotas=quotas)
    place.stage({f"folder{name[0]}/{name}": data for name, data in FILES.items()})
    job = place.job(place.start())
    assert job["jobStatus"] == "FAILED"
    assert message in job["message"]


def test_a_file_over_the_quota_fails_by_itself(make_place: Callable[..., Place]) -> None:
    place = make_place(quotas=Quotas(file_bytes=2000))
    job = imported(place, {"1.dcm": FILES["1.dcm"], "big.dcm": FILES["2.dcm"] + bytes(4000)})
    [failure] = lines(place, job, "FAILURE/failure.ndjson")
    assert failure["inputFile"] == f"{place.root}in/big.dcm"


def test_concurrent_jobs_are_limited(make_place: Callable[..., Place]) -> None:
    place = make_place(quotas=Quotas(jobs=1), timing=Timing(running=10))
    place.stage(FILES)
    place.start("one")
    with pytest.raises(place.client.exceptions.ServiceQuotaExceededException):
        place.start("two")
    place.clock.advance(11)
    place.start("two")


def test_rates_throttle_and_recover_with_time(make_place: Callable[..., Place]) -> None:
    place = make_place(quotas=Quotas(rates=AWS_RATES))
    place.stage(FILES)
    place.start("one")
    with pytest.raises(place.client.exceptions.ThrottlingException):
        place.start("two")
    place.clock.advance(4)
    place.start("two")


def test_faults_strike_files_results_and_calls(place: Place) -> None:
    one, two, three = (spec.sop_instance_uid for spec in SPECS)
    faults = place.fake.faults
    faults.warn[one] = "A_NEW_ONE"
    faults.fail[two] = "InternalServerException"
    faults.lose[three] = True
    job = imported(place, FILES)
    assert len(lines(place, job, "SUCCESS/success.ndjson")) == 1
    [warning] = lines(place, job, "WARNING/warning.ndjson")
    assert "A_NEW_ONE" in [one["type"] for one in warning["importResponse"]["warnings"]]
    [failure] = lines(place, job, "FAILURE/failure.ndjson")
    assert failure["exception"]["exceptionType"] == "InternalServerException"
    found = place.client.search_image_sets(datastoreId=place.store.id)["imageSetsMetadataSummaries"]
    assert [one["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"] for one in found] == [2]
    faults.throttle["GetDatastore"] = 1
    for code, setting in (("ThrottlingException", None), ("ExpiredTokenException", "expired")):
        if setting:
            faults.expired = True
        with pytest.raises(ClientError) as caught:
            place.client.get_datastore(datastoreId=place.store.id)
        assert caught.value.response["Error"]["Code"] == code
    faults.expired = False
    assert place.client.get_datastore(datastoreId=place.store.id)


def test_a_failed_job_imports_nothing(place: Place) -> None:
    place.fake.faults.fail_jobs = 1
    place.stage(FILES)
    job = place.job(place.start())
    assert (job["jobStatus"], job["message"]) == ("FAILED", "Internal error")
    assert place.client.search_image_sets(datastoreId=place.store.id)["imageSetsMetadataSummaries"] == []


def test_truncated_results_end_in_the_middle_of_a_line(place: Place) -> None:
    place.fake.faults.truncate = 7
    job = imported(place, FILES)
    with pytest.raises(ValueError):
        lines(place, job, "SUCCESS/success.ndjson")


def fetched(place: Place, path: str, accept: str = "application/dicom; transfer-syntax=*") -> urllib3.BaseHTTPResponse:
    request = AWSRequest(method="GET", url=f"{place.fake.endpoint_url}{path}", headers={"Accept": accept})
    keys = Credentials(place.fake.keys.access_key_id, place.fake.keys.secret_access_key)
    SigV4Auth(keys, "medical-imaging", "us-east-1").add_auth(request)
    prepared = request.prepare()
    return urllib3.request("GET", prepared.url, headers=dict(prepared.headers), retries=False)


def test_frames_are_transcoded_without_loss_and_have_checksums(place: Place, tmp_path: Any) -> None:
    original = pydicom.dcmread(CT)
    data = Path(CT).read_bytes()
    imported(place, {"ct.dcm": data})
    [summary] = place.client.search_image_sets(datastoreId=place.store.id)["imageSetsMetadataSummaries"]
    blob = place.client.get_image_set_metadata(datastoreId=place.store.id, imageSetId=summary["imageSetId"])
    assert blob["contentEncoding"] == "gzip"
    metadata = json.loads(gzip.decompress(blob["imageSetMetadataBlob"].read()))
    [series] = metadata["Study"]["Series"].values()
    [instance] = series["Instances"].values()
    assert instance["StoredTransferSyntaxUID"] == "1.2.840.10008.1.2.4.90"
    [frame] = instance["ImageFrames"]
    [pixels] = iter_pixels(CT, raw=True)
    full = frame["PixelDataChecksumFromBaseToFullResolution"][-1]
    assert (full["Width"], full["Height"]) == (128, 128)
    assert full["Checksum"] == zlib.crc32(np.ascontiguousarray(pixels).tobytes())
    assert (frame["MinPixelValue"], frame["MaxPixelValue"]) == (pixels.min(), pixels.max())
    codestream = place.client.get_image_frame(
        datastoreId=place.store.id,
        imageSetId=summary["imageSetId"],
        imageFrameInformation={"imageFrameId": frame["ID"]},
    )["imageFrameBlob"].read()
    assert codestream.startswith(b"\xff\x4f\xff\x51")
    path = f"/datastore/{place.store.id}/studies/{original.StudyInstanceUID}/series/{original.SeriesInstanceUID}"
    answer = fetched(place, f"{path}/instances/{original.SOPInstanceUID}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/dicom")
    back = tmp_path / "back.dcm"
    back.write_bytes(answer.data)
    assert pydicom.dcmread(back).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
    assert compare_files(tmp_path.joinpath(CT), back).rung is Rung.EQUIVALENT
    plain = fetched(place, f"{path}/instances/{original.SOPInstanceUID}", "application/dicom")
    assert pydicom.dcmread(io.BytesIO(plain.data)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    refused = fetched(place, f"{path}/instances/{original.SOPInstanceUID}", "application/dicom; transfer-syntax=1.2.3")
    assert refused.status == 406


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: f"{spec.study}.{spec.series}.{spec.instance}")
def test_what_is_kept_is_equivalent_to_what_came(place: Place, tmp_path: Any, spec: ObjectSpec) -> None:
    path = tmp_path / "came.dcm"
    path.write_bytes(dicom_bytes(spec))
    place.fake.put(place.store, [path.read_bytes()])
    path_of = f"/studies/{spec.study_uid}/series/{spec.series_uid}/instances/{spec.sop_instance_uid}"
    back = tmp_path / "back.dcm"
    back.write_bytes(fetched(place, f"/datastore/{place.store.id}{path_of}").data)
    assert compare_files(path, back).rung in (Rung.EQUIVALENT, Rung.HASHED)


def test_requests_must_be_signed_with_its_keys(place: Place) -> None:
    url = f"{place.fake.endpoint_url}/datastore/{place.store.id}"
    assert urllib3.request("GET", url, retries=False).status == 403
    request = AWSRequest(method="GET", url=url)
    SigV4Auth(Credentials(place.fake.keys.access_key_id, "wrong"), "medical-imaging", "us-east-1").add_auth(request)
    assert urllib3.request("GET", url, headers=dict(request.prepare().headers), retries=False).status == 403


def only_image_set(place: Place) -> tuple[str, str]:
    [found] = place.client.search_image_sets(datastoreId=place.store.id)["imageSetsMetadataSummaries"]
    return found["imageSetId"], str(found["version"])


def updates(**elements: str) -> dict[str, Any]:
    document = {"SchemaVersion": 1.1, "Patient": {"DICOM": elements}}
    return {"DICOMUpdates": {"updatableAttributes": json.dumps(document).encode()}}


def test_updates_are_guarded_by_the_version_and_can_be_reverted(place: Place) -> None:
    imported(place, FILES)
    image_set, version = only_image_set(place)
    named = {"datastoreId": place.store.id, "imageSetId": image_set}
    changed = place.client.update_image_set_metadata(
        **named, latestVersionId=version, updateImageSetMetadataUpdates=updates(PatientID="P2")
    )
    assert changed["latestVersionId"] == "2"
    with pytest.raises(place.client.exceptions.ConflictException):
        place.client.update_image_set_metadata(
            **named, latestVersionId=version, updateImageSetMetadataUpdates=updates(PatientID="P3")
        )
    place.client.update_image_set_metadata(
        **named, latestVersionId="2", updateImageSetMetadataUpdates={"revertToVersionId": "1"}
    )
    patients = []
    for number in ("1", "2", "3"):
        blob = place.client.get_image_set_metadata(**named, versionId=number)["imageSetMetadataBlob"].read()
        patients.append(json.loads(gzip.decompress(blob))["Patient"]["DICOM"]["PatientID"])
    assert patients == ["P1", "P2", "P1"]


def test_an_instance_can_be_taken_out_of_an_image_set(place: Place) -> None:
    imported(place, FILES)
    image_set, version = only_image_set(place)
    document = {
        "SchemaVersion": "1.1",
        "Study": {"Series": {SPECS[0].series_uid: {"Instances": {SPECS[0].sop_instance_uid: {}}}}},
    }
    place.client.update_image_set_metadata(
        datastoreId=place.store.id,
        imageSetId=image_set,
        latestVersionId=version,
        updateImageSetMetadataUpdates={"DICOMUpdates": {"removableAttributes": json.dumps(document).encode()}},
    )
    assert place.store.image_sets[image_set].latest.instances.keys() == {spec.sop_instance_uid for spec in SPECS[1:]}


def test_a_non_primary_set_becomes_primary_once_it_agrees(place: Place) -> None:
    imported(place, {"1.dcm": FILES["1.dcm"]})
    imported(place, {"9.dcm": dicom_bytes(evolve(SPECS[0], instance=9, patient_id="P9"))}, "job-2", "in2/")
    found = place.client.search_image_sets(
        datastoreId=place.store.id,
        searchCriteria={"filters": [{"values": [{"isPrimary": False}], "operator": "EQUAL"}]},
    )["imageSetsMetadataSummaries"]
    [aside] = [one["imageSetId"] for one in found]

    def promote(version: str) -> dict[str, Any]:
        return dict(
            place.client.copy_image_set(
                datastoreId=place.store.id,
                sourceImageSetId=aside,
                copyImageSetInformation={"sourceImageSet": {"latestVersionId": version}},
                promoteToPrimary=True,
            )
        )

    with pytest.raises(place.client.exceptions.ConflictException):
        promote("1")
    place.client.update_image_set_metadata(
        datastoreId=place.store.id,
        imageSetId=aside,
        latestVersionId="1",
        updateImageSetMetadataUpdates=updates(PatientID="P1"),
    )
    target = promote("2")["destinationImageSetProperties"]["imageSetId"]
    assert target != aside
    told = place.client.get_image_set(datastoreId=place.store.id, imageSetId=target)
    assert told["isPrimary"] is True
    assert len(place.store.image_sets[target].latest.instances) == 2


def test_deleting_takes_time_and_is_final(make_place: Callable[..., Place]) -> None:
    place = make_place(deletion_seconds=60)
    imported(place, FILES)
    image_set, _ = only_image_set(place)
    named = {"datastoreId": place.store.id, "imageSetId": image_set}
    assert place.client.delete_image_set(**named)["imageSetWorkflowStatus"] == "DELETING"
    assert place.client.get_image_set(**named)["imageSetState"] == "LOCKED"
    with pytest.raises(place.client.exceptions.ConflictException):
        place.client.delete_image_set(**named)
    place.clock.advance(61)
    assert place.client.get_image_set(**named)["imageSetState"] == "DELETED"
    with pytest.raises(place.client.exceptions.ResourceNotFoundException):
        place.client.get_image_set_metadata(**named)
    assert place.client.search_image_sets(datastoreId=place.store.id)["imageSetsMetadataSummaries"] == []


def test_an_image_set_that_nobody_reads_is_archived_and_a_read_brings_it_back(place: Place) -> None:
    imported(place, FILES)
    image_set, _ = only_image_set(place)
    named = {"datastoreId": place.store.id, "imageSetId": image_set}
    place.clock.advance(31 * 86_400)
    assert place.client.get_image_set(**named)["storageTier"] == "ARCHIVE_INSTANT_ACCESS"
    place.client.get_image_set_metadata(**named)
    assert place.client.get_image_set(**named)["storageTier"] == "FREQUENT_ACCESS"


def test_answers_come_in_pages(place: Place) -> None:
    place.fake.put(place.store, [dicom_bytes(ObjectSpec(study=number)) for number in range(1, 6)])
    found: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = place.client.search_image_sets(datastoreId=place.store.id, maxResults=2, **more)
        assert len(page["imageSetsMetadataSummaries"]) <= 2
        found += [one["imageSetId"] for one in page["imageSetsMetadataSummaries"]]
        if "nextToken" not in page:
            break
        more = {"nextToken": page["nextToken"]}
    assert len(set(found)) == len(found) == 5


def test_base64_travels_once(place: Place) -> None:
    """Blobs of requests are bytes for the caller, and base64 only on the wire."""
    imported(place, FILES)
    image_set, version = only_image_set(place)
    encoded = base64.b64encode(b"{}")
    with pytest.raises(place.client.exceptions.ValidationException):
        place.client.update_image_set_metadata(
            datastoreId=place.store.id,
            imageSetId=image_set,
            latestVersionId=version,
            updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": encoded}},
        )
