"""Every answer of the fake keeps to botocore's own service model: checked on the wire, by a reading of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from attrs import evolve
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from peers.healthimaging import ROLE, Place
from vna_lifecycle.testing.healthimaging import protocol
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

if TYPE_CHECKING:
    from types_boto3_medical_imaging import HealthImagingClient

pytestmark = pytest.mark.peer

SPEC = ObjectSpec()
DICOM_JSON = {"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientID": "P1"}}}


def differences(shape: Shape, value: Any, path: str) -> list[str]:
    """How an answer, as JSON, differs from its shape."""
    kinds: dict[str, tuple[type, ...]] = {
        "structure": (dict,),
        "list": (list,),
        "map": (dict,),
        "string": (str,),
        "integer": (int,),
        "timestamp": (int, float),
        "boolean": (bool,),
    }
    if type(value) not in kinds[shape.type_name]:
        return [f"{path}: {type(value).__name__} is no {shape.type_name}"]
    found: list[str] = []
    if isinstance(shape, StructureShape):
        found += [f"{path}.{name}: required" for name in shape.required_members if name not in value]
        found += [f"{path}.{name}: unknown" for name in value if name not in shape.members]
        for name in value.keys() & shape.members.keys():
            found += differences(shape.members[name], value[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value):
            found += differences(shape.member, item, f"{path}[{number}]")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            found += differences(shape.key, key, path) + differences(shape.value, item, path)
    elif shape.type_name == "string":
        if getattr(shape, "enum", None) and value not in shape.enum:
            found.append(f"{path}: not in the enumeration")
        pattern = shape.metadata.get("pattern", "")
        if pattern and r"\p" not in pattern and not re.fullmatch(pattern, value):
            found.append(f"{path}: does not match")
    return found


class Wire:
    """Looks at every answer before botocore reads it."""

    def __init__(self, client: HealthImagingClient) -> None:
        self.checked: set[str] = set()
        self.errors: set[str] = set()
        self.found: list[str] = []
        client.meta.events.register("before-parse.medical-imaging", self.look)

    def look(self, operation_model: OperationModel, response_dict: dict[str, Any], **_: object) -> None:
        status, headers = response_dict["status_code"], response_dict["headers"]
        name = operation_model.name
        if status >= 300:
            kind = headers["x-amzn-ErrorType"]
            [shape] = [error for error in operation_model.error_shapes if error.name == kind]
            if status != shape.metadata["error"]["httpStatusCode"]:
                self.found.append(f"{name}: {kind} has status {status}")
            self.found += differences(shape, json.loads(response_dict["body"]), kind)
            self.errors.add(kind)
            return
        output = operation_model.output_shape
        assert output is not None
        if status != operation_model.http["responseCode"]:
            self.found.append(f"{name}: status {status}")
        if "payload" in output.serialization:
            for member in output.members.values():
                if member.serialization.get("location") == "header" and member.serialization["name"] not in headers:
                    self.found.append(f"{name}: no header {member.serialization['name']}")
        else:
            self.found += differences(output, json.loads(response_dict["body"]), name)
        self.checked.add(name)


def exercise(place: Place) -> None:
    """Every operation, and what it refuses."""
    client, store = place.client, place.store.id
    other = client.create_datastore(datastoreName="other", tags={"site": "a"})["datastoreId"]
    client.list_datastores(maxResults=1)
    arn = client.get_datastore(datastoreId=store)["datastoreProperties"]["datastoreArn"]
    client.tag_resource(resourceArn=arn, tags={"site": "b"})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"site": "b"}
    client.untag_resource(resourceArn=arn, tagKeys=["site"])
    client.delete_datastore(datastoreId=other)
    place.stage({"1": dicom_bytes(SPEC), "2": dicom_bytes(evolve(SPEC, instance=2, patient_id="P2"))})
    job = place.start()
    client.get_dicom_import_job(datastoreId=store, jobId=job)
    client.list_dicom_import_jobs(datastoreId=store, jobStatus="COMPLETED", maxResults=1)
    primary, aside = sorted(
        client.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"], key=lambda one: not one["isPrimary"]
    )
    named: Any = {"datastoreId": store, "imageSetId": aside["imageSetId"]}
    client.get_image_set(**named)
    client.get_image_set_metadata(**named)["imageSetMetadataBlob"].read()
    frame = place.store.image_sets[primary["imageSetId"]].first().frames[0]
    client.get_image_frame(
        datastoreId=store, imageSetId=primary["imageSetId"], imageFrameInformation={"imageFrameId": frame.id}
    )["imageFrameBlob"].read()
    client.update_image_set_metadata(
        **named,
        latestVersionId="1",
        updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": json.dumps(DICOM_JSON).encode()}},
    )
    copied: Any = {"sourceImageSet": {"latestVersionId": "2"}}
    client.copy_image_set(
        datastoreId=store, sourceImageSetId=aside["imageSetId"], copyImageSetInformation=copied, promoteToPrimary=True
    )
    client.list_image_set_versions(**named, maxResults=1)
    client.delete_image_set(**named)
    client.get_image_set(**named)
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: client.get_image_set_metadata(**named), "ResourceNotFoundException"),
        (lambda: client.delete_datastore(datastoreId=store), "ConflictException"),
        (lambda: client.get_datastore(datastoreId="no"), "ValidationException"),
        (lambda: place.start("not a token"), "ValidationException"),
    ]
    for call, kind in refused:
        with pytest.raises(getattr(client.exceptions, kind)):
            call()
    place.fake.faults.throttle["GetDatastore"] = 1
    with pytest.raises(client.exceptions.ThrottlingException):
        client.get_datastore(datastoreId=store)
    place.fake.faults.deny.add("GetDatastore")
    with pytest.raises(client.exceptions.AccessDeniedException):
        client.get_datastore(datastoreId=store)


def test_every_operation_answers_as_the_model_says(place: Place) -> None:
    wire = Wire(place.client)
    exercise(place)
    assert wire.found == []
    assert wire.checked == set(place.client.meta.service_model.operation_names)
    assert len(wire.errors) == 5


def test_an_answer_that_drifts_is_noticed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(place.client)
    monkeypatch.setattr(protocol, "breaches", lambda *_: iter(()))  # the fake's own check, which would refuse it
    original = place.fake._operations["GetDatastore"]

    def drifted(asked: Any) -> dict[str, Any]:
        answer = original(asked)
        answer["datastoreProperties"]["datastoreStatus"] = "SLEEPY"
        answer["datastoreProperties"]["colour"] = "blue"
        return answer

    place.fake._operations["GetDatastore"] = drifted
    place.client.get_datastore(datastoreId=place.store.id)
    assert len(wire.found) == 2


def test_the_fake_itself_refuses_to_drift(place: Place) -> None:
    original = place.fake._operations["GetDatastore"]
    place.fake._operations["GetDatastore"] = lambda asked: {**original(asked), "colour": "blue"}
    with pytest.raises(place.client.exceptions.InternalServerException, match="drifted"):
        place.client.get_datastore(datastoreId=place.store.id)


def test_host_prefixes_are_left_out_where_told() -> None:
    """The runtime operations have a host prefix of their own, which a loopback address cannot have."""
    model = boto3.client("medical-imaging", region_name="us-east-1").meta.service_model
    prefixes = {
        name for name in model.operation_names if (model.operation_model(name).endpoint or {}).get("hostPrefix")
    }
    assert "SearchImageSets" in prefixes
    assert "StartDICOMImportJob" not in prefixes
    assert ROLE.startswith("arn:")
