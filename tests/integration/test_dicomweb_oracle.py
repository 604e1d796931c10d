"""What another client of DICOMweb sees and does is what ours sees and does: dicomweb-client, on the same Orthanc."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from attrs import field, frozen

from peers.dicomweb import WebArchive
from peers.scripted_web import Gate, Reply
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Outcome, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance import EXAMPLES, FolderSpool, site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from dicomweb_client.api import DICOMwebClient
    from pydicom import Dataset, dcmread

pytestmark = pytest.mark.peer

STUDY = {
    "study_uid": "0020000D",
    "patient.id": "00100020",
    "patient.issuer": "00100021",
    "patient_birth_date": "00100030",
    "patient_sex": "00100040",
    "study_id": "00200010",
    "study_date": "00080020",
    "study_time": "00080030",
    "accession_number": "00080050",
    "description": "00081030",
    "instance_count": "00201208",
    "series_count": "00201206",
}
INSTANCE = {
    "sop_instance_uid": "00080018",
    "sop_class_uid": "00080016",
    "instance_number": "00200013",
    "rows": "00280010",
    "columns": "00280011",
}
SERIES = {
    "series_uid": "0020000E",
    "modality": "00080060",
    "patient_id": "00100020",
    "issuer_of_patient_id": "00100021",
    "study_date": "00080020",
    "accession_number": "00080050",
    "study_description": "00081030",
}


@frozen
class Both:
    """One archive, seen by the other client and by ours. ``bodies`` are the answers that the other one got."""

    archive: WebArchive
    ours: Archive
    bodies: list[bytes] = field(factory=list)

    @property
    def other(self) -> DICOMwebClient:
        session = requests.Session()
        session.hooks["response"] = [lambda answer, **_: self.bodies.append(answer.content)]
        return DICOMwebClient(self.archive.url, session=session)


@pytest.fixture
def both(web_archive: WebArchive, tmp_path: Path) -> Iterator[Both]:
    web_archive.empty()
    opened = open_dicomweb(web_archive.settings(), site(tmp_path))
    yield Both(web_archive, opened)
    opened.reads.close()


@pytest.fixture
def full(both: Both) -> Both:
    both.archive.fill(dicom_bytes(spec) for spec in EXAMPLES)
    return both


def told(answer: dict[str, Any], tag: str) -> str:
    """A value of the DICOM JSON model; absent is empty."""
    values = answer.get(tag, {}).get("Value") or [""]
    return str(values[0])


def ours(record: object, name: str) -> str:
    for each in name.split("."):
        record = getattr(record, each)
    return "" if record is None else str(record)


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        (StudyQuery(), {}),
        (StudyQuery(patient_id="P1"), {"PatientID": "P1"}),
        (StudyQuery(accession_number="A4"), {"AccessionNumber": "A4"}),
        (StudyQuery(modality="MR"), {"ModalitiesInStudy": "MR"}),
        (StudyQuery(study_uid=EXAMPLES[6].study_uid), {"StudyInstanceUID": EXAMPLES[6].study_uid}),
    ],
)
def test_a_search_finds_the_same_studies_with_the_same_attributes(
    full: Both, query: StudyQuery, filters: dict[str, str]
) -> None:
    answers = full.other.search_for_studies(fields=[*STUDY.values()], search_filters=filters)
    theirs = sorted(tuple(told(answer, tag) for tag in STUDY.values()) for answer in answers)
    assert sorted(tuple(ours(one, name) for name in STUDY) for one in full.ours.reads.find_studies(query)) == theirs
    assert len(theirs) == (len({spec.study for spec in EXAMPLES}) if not filters else len(theirs)) > 0


def listed(archive: Archive) -> list[InstanceRecord]:
    studies = sorted({spec.study_uid for spec in EXAMPLES})
    return [one for uid in studies for one in archive.reads.list_instances(StudyRef(study_uid=uid))]


def test_a_listing_says_of_instances_what_the_metadata_says(full: Both) -> None:
    theirs = []
    for uid in sorted({spec.study_uid for spec in EXAMPLES}):
        found = full.other.search_for_instances(study_instance_uid=uid)
        metadata = full.other.retrieve_study_metadata(uid)
        assert {told(one, "00080018") for one in found} == {told(one, "00080018") for one in metadata}
        theirs += [tuple(told(one, tag) for tag in [*INSTANCE.values(), *SERIES.values()]) for one in metadata]
    mine = [
        (*(ours(one, name) for name in INSTANCE), *(ours(one, f"series.{name}") for name in SERIES))
        for one in listed(full.ours)
    ]
    assert sorted(mine) == sorted(theirs)
    assert len(mine) == len(EXAMPLES)


class Sparing(Gate):
    """Leaves nothing but UIDs in answers to searches for instances."""

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        status, told, data = super().reply(method, path, headers, body)
        if path.partition("?")[0].endswith("/instances") and isinstance(data, bytes) and status == 200:
            found = [{tag: one[tag] for tag in ("0020000E", "00080018") if tag in one} for one in json.loads(data)]
            data = json.dumps(found).encode()
        return status, told, data


def of_two_frames(spec: ObjectSpec) -> bytes:
    """Another object of the same series, whose frames are counted."""
    dataset = dcmread(BytesIO(dicom_bytes(spec)))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = spec.sop_instance_uid + ".9"
    dataset.NumberOfFrames = 2
    dataset.PixelData *= 2
    written_to = BytesIO()
    dataset.save_as(written_to)
    return written_to.getvalue()


def test_what_metadata_complete_is_what_the_objects_say_that_are_retrieved(full: Both, tmp_path: Path) -> None:
    full.archive.fill([of_two_frames(EXAMPLES[0])])
    gate = Sparing(full.archive.url)
    sparing = open_dicomweb(DicomwebSettings(url=gate.url), site(tmp_path))
    try:
        records = listed(sparing)
    finally:
        sparing.reads.close()
        gate.close()
    assert any(path.endswith("/metadata") for _, path, _ in gate.seen)
    objects = {}
    for item in full.ours.reads.fetch(study_of(EXAMPLES[0]), records, FolderSpool(tmp_path / "spool")):
        assert isinstance(item, Fetched)
        objects[item.record.locator] = scan_file(item.path, locator="")
    assert len(records) == len(objects) == len(EXAMPLES) + 1
    names = [*INSTANCE, "frames", "series.modality", "series.series_number", "series.series_description"]
    for record in records:
        assert [ours(record, name) for name in names] == [ours(objects[record.locator], name) for name in names]
        assert record.sop_class_uid and record.series.modality
        assert not record.flags


def test_retrievals_bring_the_bytes_that_the_other_client_gets(full: Both, tmp_path: Path) -> None:
    """Also in the four transfer syntaxes that are not the default."""
    for spec in EXAMPLES:
        full.other.retrieve_instance(spec.study_uid, spec.series_uid, spec.sop_instance_uid)
    records = listed(full.ours)
    items = list(full.ours.reads.fetch(study_of(EXAMPLES[0]), records, FolderSpool(tmp_path / "spool")))
    assert [item for item in items if isinstance(item, FetchFailure)] == []
    assert len(items) == len(full.bodies) == len(EXAMPLES)
    for item in items:
        assert isinstance(item, Fetched)
        data = item.path.read_bytes()
        assert sum(b"\r\n\r\n" + data + b"\r\n--" in body for body in full.bodies) == 1


def outcome(answer: Dataset) -> tuple[set[str], set[str]]:
    """UIDs that were stored, and that were not."""
    stored = {str(one.ReferencedSOPInstanceUID) for one in answer.get("ReferencedSOPSequence", ())}
    return stored, {str(one.ReferencedSOPInstanceUID) for one in answer.get("FailedSOPSequence", ())}


def our_outcome(archive: Archive, folder: Path, specs: list[ObjectSpec]) -> tuple[set[str], set[str]]:
    assert archive.stores is not None
    answers = list(archive.stores.store(study_of(specs[0]), written(folder, specs)))
    stored = {one.sop_instance_uid for one in answers if isinstance(one, Receipt) and one.outcome is Outcome.STORED}
    return set(stored), {one.sop_instance_uid for one in answers if isinstance(one, StoreFailure)}


def read(spec: ObjectSpec) -> Dataset:
    return dcmread(BytesIO(dicom_bytes(spec)))


def test_a_store_comes_to_the_same_in_the_archive(both: Both, tmp_path: Path) -> None:
    """All are stored; what the archive has then is compared as data sets: the other client encodes them anew."""
    theirs = outcome(both.other.store_instances([read(spec) for spec in EXAMPLES]))
    expected = {str(one.SOPInstanceUID): one for one in held(both.archive)}
    both.archive.empty()
    assert our_outcome(both.ours, tmp_path / "in", list(EXAMPLES)) == theirs
    assert {str(one.SOPInstanceUID): one for one in held(both.archive)} == expected
    assert theirs == ({spec.sop_instance_uid for spec in EXAMPLES}, set())


def held(archive: WebArchive) -> list[Dataset]:
    return [dcmread(BytesIO(data)) for data in archive.objects()]


def test_both_are_told_that_an_object_is_stored_which_is_not(both: Both, tmp_path: Path) -> None:
    """So an acknowledgement is no proof, whichever client gets it: the archive drops one patient's objects."""
    specs = [ObjectSpec(study=number, patient_id=patient) for number, patient in enumerate(("P1", "DROPPED", "P3"))]
    theirs = outcome(both.other.store_instances([read(spec) for spec in specs]))
    both.archive.empty()
    assert our_outcome(both.ours, tmp_path / "in", specs) == theirs == ({s.sop_instance_uid for s in specs}, set())
    assert {str(one.PatientID) for one in held(both.archive)} == {"P1", "P3"}
