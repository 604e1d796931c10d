"""Generated objects are valid, and say what their specification says: pydicom reads them, and so does our scanner."""

from __future__ import annotations

import io
from collections import Counter

import pydicom
from hypothesis import given, settings

from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes
from vna_lifecycle.testing.strategies import SmallArchive, dicom_files, object_specs, small_archives


@settings(max_examples=50)
@given(object_specs())
def test_an_object_says_what_its_specification_says(spec: ObjectSpec) -> None:
    data = dicom_bytes(spec)
    assert data == dicom_bytes(spec)
    read = pydicom.dcmread(io.BytesIO(data))
    scanned = scan_bytes(data)
    assert scanned.flags == ()
    expected = (spec.sop_instance_uid, spec.study_uid, spec.series_uid, spec.transfer_syntax, spec.patient_id)
    assert expected == (
        read.SOPInstanceUID,
        read.StudyInstanceUID,
        read.SeriesInstanceUID,
        read.file_meta.TransferSyntaxUID,
        read.PatientID,
    )
    assert expected == (
        scanned.sop_instance_uid,
        scanned.study_uid,
        scanned.series_uid,
        scanned.transfer_syntax,
        scanned.series.patient_id,
    )
    assert str(read.PatientName) == scanned.series.patient_name == spec.patient_name


@settings(max_examples=20)
@given(dicom_files())
def test_files_are_scanned_without_a_flag(data: bytes) -> None:
    assert scan_bytes(data).flags == ()


@settings(max_examples=50)
@given(small_archives())
def test_duplicates_are_equal_and_conflicts_are_not(archive: SmallArchive) -> None:
    by_uid = {spec.sop_instance_uid: spec for spec in archive.objects}
    assert len(by_uid) == len(archive.objects)
    assert all(dicom_bytes(spec) == dicom_bytes(by_uid[spec.sop_instance_uid]) for spec in archive.duplicates)
    assert all(dicom_bytes(spec) != dicom_bytes(by_uid[spec.sop_instance_uid]) for spec in archive.conflicts)
    assert len(archive.everything) == len(archive.objects) + len(archive.duplicates) + len(archive.conflicts)


@settings(max_examples=20)
@given(small_archives(defects=False))
def test_an_archive_without_defects_has_each_uid_once(archive: SmallArchive) -> None:
    assert set(Counter(spec.sop_instance_uid for spec in archive.everything).values()) == {1}
