"""Archives that tell of studies only under their patient (PS3.4 C.4.1.3.1.1): they are asked from the top down."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from peers.dicom import OURS, fill, folder_for_peer, free_port, run_dcmqrscp
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.patients import Patients
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Archive, Fetched, Receipt, StudyQuery
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.conformance.case import FolderSpool, study_of, written
from vna_lifecycle.testing.misbehaving_pacs import Faults, MisbehavingPacs
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [
    ObjectSpec(
        study=number,
        instance=instance,
        patient_id=f"P{number // 2}",
        study_date="" if number == 5 else f"2024020{number}",
        grey=instance,
    )
    for number in range(1, 8)
    for instance in (1, 2)
]
UIDS = sorted(spec.sop_instance_uid for spec in SPECS)
retrievals = pytest.mark.parametrize("retrieve", ["move", "get"])


def settings(port: int, title: str, **changes: object) -> DimseSettings:
    known: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "ae_title": title,
        "calling_ae_title": OURS,
        "query_model": "patient-root",
        "retrieve": "get",
        "listen_host": "127.0.0.1",
        "settle_seconds": 0.5,
        "attempts": 1,
        **changes,
    }
    return DimseSettings(**known)  # type: ignore[arg-type]


def everything(archive: Archive) -> list[StudyRecord | InstanceRecord | Refused]:
    return [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]


def instances(items: list[StudyRecord | InstanceRecord | Refused]) -> list[InstanceRecord]:
    return [item for item in items if isinstance(item, InstanceRecord)]


@pytest.fixture
def closing() -> Iterator[list[Archive]]:
    archives: list[Archive] = []
    yield archives
    for archive in archives:
        archive.reads.close()


@retrievals
def test_a_strict_archive_is_inventoried_and_read_patient_by_patient(
    tmp_path: Path, retrieve: Literal["move", "get"], closing: list[Archive]
) -> None:
    ours = free_port()
    faults = Faults(hierarchical=True)
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], faults, destinations={OURS: ours}) as pacs:
        archive = open_archive(settings(pacs.port, pacs.title, retrieve=retrieve, listen_port=ours), site(tmp_path))
        closing.append(archive)
        items = everything(archive)
        listed = instances(items)
        assert sorted(item.sop_instance_uid for item in listed) == UIDS
        assert not [item for item in items if isinstance(item, Refused)]
        by_study = itertools.groupby(sorted(listed, key=lambda item: item.study_uid), key=lambda item: item.study_uid)
        for number, (uid, members) in enumerate(by_study):
            folder = tmp_path / str(number)
            folder.mkdir()
            wanted = list(members)
            got = list(archive.reads.fetch(StudyRef(study_uid=uid), wanted, FolderSpool(folder)))
            assert [type(item) for item in got] == [Fetched] * len(wanted)


def test_what_a_study_is_asked_for_by_is_remembered_and_found_again_where_it_was_not(
    tmp_path: Path, closing: list[Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(SPECS[0])
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], Faults(hierarchical=True)) as pacs:
        looks: list[str] = []
        every = Patients.all
        monkeypatch.setattr(Patients, "all", lambda patients: looks.append("all") or every(patients))
        for folder, expected in (("with an inventory", ["all"]), ("without", ["all"]), ("without", [])):
            here = tmp_path / folder
            here.mkdir(exist_ok=True)
            looks.clear()
            archive = open_archive(settings(pacs.port, pacs.title), site(here))
            closing.append(archive)
            if folder == "with an inventory":
                everything(archive)
            listed = list(archive.reads.list_instances(study))
            assert len(listed) == 2
            assert looks == expected
        assert list(archive.reads.list_instances(StudyRef(study_uid=StudyUID("1.2.3")))) == []


def test_queries_of_readers_are_answered(tmp_path: Path, closing: list[Archive]) -> None:
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], Faults(hierarchical=True)) as pacs:
        archive = open_archive(settings(pacs.port, pacs.title), site(tmp_path))
        closing.append(archive)
        for query, studies in (
            (StudyQuery(patient_id="P1"), 2),
            (StudyQuery(study_uid=str(study_of(SPECS[0]).study_uid)), 1),
            (StudyQuery(modality="CT"), 7),
            (StudyQuery(study_uid=str(study_of(SPECS[0]).study_uid), patient_id="P3"), 0),
        ):
            assert len(list(archive.reads.find_studies(query))) == studies


def test_a_strict_target_is_written_and_asked_under_the_patient_that_was_stored(
    tmp_path: Path, closing: list[Archive]
) -> None:
    with MisbehavingPacs([], Faults(hierarchical=True)) as pacs:
        archive = open_archive(settings(pacs.port, pacs.title), site(tmp_path))
        closing.append(archive)
        assert archive.stores is not None
        answers = list(archive.stores.store(study_of(SPECS[0]), written(tmp_path / "in", SPECS[:2])))
        assert [type(answer) for answer in answers] == [Receipt, Receipt]
        assert len(list(archive.reads.list_instances(study_of(SPECS[0])))) == 2


def test_caps_on_patients_and_on_the_studies_of_one_hide_nothing(tmp_path: Path, closing: list[Archive]) -> None:
    specs = [ObjectSpec(study=number, patient_id=f"{number:02}", study_date="20240101") for number in range(1, 31)]
    specs += [
        ObjectSpec(study=number, patient_id="99", study_date=f"20{number - 20:02}0101") for number in range(31, 61)
    ]
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs], Faults(hierarchical=True, cap=12)) as pacs:
        archive = open_archive(settings(pacs.port, pacs.title, trusted_answers=5), site(tmp_path))
        closing.append(archive)
        found = {item.sop_instance_uid for item in instances(everything(archive))}
    assert found == {spec.sop_instance_uid for spec in specs}


def test_patients_that_cannot_be_asked_for_are_told(tmp_path: Path, closing: list[Archive]) -> None:
    specs = [*SPECS, ObjectSpec(study=20, patient_id="")]
    with MisbehavingPacs([dicom_bytes(spec) for spec in specs], Faults(hierarchical=True)) as pacs:
        archive = open_archive(settings(pacs.port, pacs.title), site(tmp_path))
        closing.append(archive)
        items = everything(archive)
    assert sorted(item.sop_instance_uid for item in instances(items)) == UIDS
    assert [item.code for item in items if isinstance(item, Refused)] == ["patients-not-askable"]


def test_a_look_at_a_strict_archive_says_so(tmp_path: Path, closing: list[Archive]) -> None:
    with MisbehavingPacs([dicom_bytes(spec) for spec in SPECS], Faults(hierarchical=True)) as pacs:
        archive = open_archive(settings(pacs.port, pacs.title), site(tmp_path))
        closing.append(archive)
        assert archive.probes is not None
        seen = {item.name: item.value for item in archive.probes.probe()}
    assert seen["studies-without-patient"] == "not told of: inventories ask patient by patient"
    assert seen["counts"] == "as listed"
    assert seen["two-retrievals"] == "the same bytes"
    assert int(seen["side-by-side"]) >= 1


@pytest.mark.peer
def test_dcmtks_archive_with_the_patient_root_alone_is_inventoried_and_read(
    tmp_path: Path, closing: list[Archive]
) -> None:
    """It is not strict: it tells of studies without a Patient ID too, and so is asked by dates."""
    with folder_for_peer() as of_peer, run_dcmqrscp(of_peer, ours=free_port(), options=("-QS",)) as peer:
        fill(peer, SPECS)
        archive = open_archive(settings(peer.port, str(peer.title), associations=1), site(tmp_path))
        closing.append(archive)
        listed = instances(everything(archive))
        assert sorted(item.sop_instance_uid for item in listed) == UIDS
        assert not any(part.key.startswith("patients") for part in archive.reads.parts())
        wanted = [item for item in listed if item.study_uid == study_of(SPECS[0]).study_uid]
        (tmp_path / "spool").mkdir()
        got = list(archive.reads.fetch(study_of(SPECS[0]), wanted, FolderSpool(tmp_path / "spool")))
        assert [type(item) for item in got] == [Fetched, Fetched]
