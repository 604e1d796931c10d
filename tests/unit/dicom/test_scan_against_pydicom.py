"""Every index attribute is what pydicom reads, on real files and on generated ones."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.index import collect
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.record import frame_count, series_of
from vna_lifecycle.dicom.scan import scan_bytes, scan_file
from vna_lifecycle.dicom.source import file_source
from vna_lifecycle.errors import DicomRefused

SERIES = {
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "study_uid": "StudyInstanceUID",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "accession_number": "AccessionNumber",
    "study_description": "StudyDescription",
    "series_uid": "SeriesInstanceUID",
    "series_number": "SeriesNumber",
    "modality": "Modality",
    "series_description": "SeriesDescription",
    "body_part": "BodyPartExamined",
    "laterality": "Laterality",
    "character_set": "SpecificCharacterSet",
}
CUT_FILES = {"MR_truncated.dcm", "rtplan_truncated.dcm"}  # pydicom reads these without a word
WRONG_LENGTH = {"DICOMDIR-nooffset"}  # its record sequence claims more bytes than the file has


def _text(value: Any) -> str:
    if value is None:
        return ""
    parts = value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]
    return "\\".join(str(getattr(part, "original_string", None) or part).strip(" \0") for part in parts)


def _name(value: Any) -> str:
    parts = value if isinstance(value, pydicom.multival.MultiValue) else [value]
    return "\\".join("" if part is None else str(part).strip(" \0") for part in parts).rstrip("=")


def _expected(ds: Dataset) -> dict[str, str]:
    found = {}
    for field, keyword in SERIES.items():
        value = ds.get(keyword)
        found[field] = _name(value) if field == "patient_name" else _text(value)
    issuer = ds.get("IssuerOfAccessionNumberSequence") or [Dataset()]
    found["issuer_of_accession_number"] = _text(issuer[0].get("LocalNamespaceEntityID")) or _text(
        issuer[0].get("UniversalEntityID")
    )
    code = (ds.get("ProcedureCodeSequence") or [Dataset()])[0]
    value = _text(code.get("CodeValue")) or _text(code.get("LongCodeValue")) or _text(code.get("URNCodeValue"))
    found["procedure_code"] = f"{value}^{_text(code.get('CodingSchemeDesignator'))}" if value else ""
    return found


def _number(ds: Dataset, keyword: str) -> int | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = ds.get(keyword)
        except (ValueError, TypeError):
            return None
    return int(value) if isinstance(value, int) else None


def _seen(path: Path, limits: Limits = LIMITS) -> dict[str, str]:
    with file_source(path) as source, open_dataset(source, limits, directory=True) as dataset:
        found = collect(dataset.source, dataset.start, dataset.beginning, limits)
    series = series_of(found.values, found.nested)
    return {field: getattr(series, field) for field in [*SERIES, "issuer_of_accession_number", "procedure_code"]}


def test_every_series_attribute_of_every_readable_file_is_what_pydicom_reads(
    readable: list[Path], read_with_pydicom: Callable[[Path], Dataset]
) -> None:
    assert len(readable) == 163
    compared = 0
    for path in readable:
        if path.name in CUT_FILES | WRONG_LENGTH:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = _expected(read_with_pydicom(path))
        assert _seen(path) == expected, path.name
        compared += 1
    assert compared == 160


def test_every_instance_attribute_of_every_accepted_file_is_what_pydicom_reads(
    readable: list[Path], read_with_pydicom: Callable[[Path], Dataset]
) -> None:
    accepted = 0
    for path in readable:
        try:
            record = scan_file(path)
        except DicomRefused:
            continue
        accepted += 1
        ds = read_with_pydicom(path)
        assert record.locator == str(path)
        assert record.size == path.stat().st_size
        assert record.sop_instance_uid == ds.SOPInstanceUID
        assert record.sop_class_uid == ds.SOPClassUID
        assert record.transfer_syntax == ds.file_meta.TransferSyntaxUID
        for field, keyword in (
            ("instance_number", "InstanceNumber"),
            ("rows", "Rows"),
            ("columns", "Columns"),
            ("frames", "NumberOfFrames"),
        ):
            assert getattr(record, field) == _number(ds, keyword), (path.name, keyword)
    assert accepted == 93


def test_what_is_refused_of_the_readable_files_is_refused_for_a_stated_reason(readable: list[Path]) -> None:
    codes: dict[str, list[str]] = {}
    for path in readable:
        try:
            scan_file(path)
        except DicomRefused as exc:
            codes.setdefault(exc.code, []).append(path.name)
            assert exc.offset <= path.stat().st_size
    assert sorted(codes["truncated"]) == sorted(CUT_FILES)
    assert len(codes["media-directory"]) == 8
    assert len([name for name in codes["incomplete-object"] if name.startswith("IM0")]) == 50
    assert set(codes) == {"truncated", "media-directory", "incomplete-object"}


def test_leaping_over_known_runs_finds_what_walking_finds(every_file: list[Path]) -> None:
    slow = Limits()  # equal to the usual limits, but not them: runs are not used
    for _ in range(3):  # runs are learnt in the second round and used in the third
        for path in every_file:
            outcomes = []
            for limits in (slow, LIMITS):
                try:
                    outcomes.append(scan_file(path, limits=limits))
                except DicomRefused as exc:
                    outcomes.append((exc.code, exc.offset))
            assert outcomes[0] == outcomes[1], path.name


CHARACTER_SETS = {
    "": "latin_1",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "\\ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 6\\ISO 2022 IR 149": "euc_kr",
    "ISO 2022 IR 100\\ISO 2022 IR 144": "latin_1",
}
SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
RAW = st.binary(max_size=24).map(lambda raw: raw.replace(b"\\", b"/"))


@st.composite
def _files(draw: st.DrawFn) -> tuple[bytes, str]:
    """A small instance with raw text values, as bytes, and its transfer syntax."""
    syntax = draw(st.sampled_from(SYNTAXES))
    character_set = draw(st.sampled_from(list(CHARACTER_SETS)))
    big = syntax == ExplicitVRBigEndian
    explicit = syntax != ImplicitVRLittleEndian
    order = "big" if big else "little"
    values: dict[int, tuple[bytes, bytes]] = {
        0x00080005: (b"CS", character_set.encode()),
        0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.66"),
        0x00080018: (b"UI", b"1.2.3.4"),
        0x0020000D: (b"UI", b"1.2.3"),
        0x0020000E: (b"UI", b"1.2.3.3"),
        0x00200013: (b"IS", draw(st.sampled_from([b"", b"1", b"-12", b" 7 ", b"1.0", b"x", b"1\\2"]))),
        0x00280008: (b"IS", draw(st.sampled_from([b"", b"3", b"1A"]))),
    }
    for tag, vr in (
        (0x00080020, b"DA"), (0x00080030, b"TM"), (0x00080050, b"SH"), (0x00080060, b"CS"), (0x00081030, b"LO"),
        (0x0008103E, b"LO"), (0x00100010, b"PN"), (0x00100020, b"LO"), (0x00100021, b"LO"), (0x00100030, b"DA"),
        (0x00100040, b"CS"), (0x00180015, b"CS"), (0x00200010, b"SH"), (0x00200011, b"IS"), (0x00200060, b"CS"),
    ):  # fmt: skip
        if draw(st.booleans()):
            if vr in (b"SH", b"LO", b"PN") and draw(st.booleans()):
                text = draw(st.text(max_size=8)).replace("\\", "")
                values[tag] = (vr, text.encode(CHARACTER_SETS[character_set], "ignore"))
            elif vr == b"IS":
                values[tag] = (vr, draw(st.sampled_from([b"1", b"12", b"-3 "])))
            else:
                values[tag] = (vr, draw(RAW))
    body = b""
    for tag, (vr, value) in sorted(values.items()):
        value += b"\0 "[vr != b"UI" :][:1] * (len(value) % 2)
        body += (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
        body += (vr + len(value).to_bytes(2, order)) if explicit else len(value).to_bytes(4, order)
        body += value
    if syntax == DeflatedExplicitVRLittleEndian:
        import zlib

        deflater = zlib.compressobj(wbits=-15)
        body = deflater.compress(body) + deflater.flush()
        body += b"\0" * (len(body) % 2)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    head = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(head, meta, enforce_standard=True)
    return bytes(128) + b"DICM" + head.getvalue() + body, syntax


def _agrees(file: tuple[bytes, str]) -> None:
    data, syntax = file
    record = scan_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(data))
        expected = _expected(ds)
        numbers = {"instance_number": _number(ds, "InstanceNumber"), "frames": _number(ds, "NumberOfFrames")}
    assert {field: getattr(record.series, field) for field in expected} == expected
    assert {field: getattr(record, field) for field in numbers} == numbers
    assert record.transfer_syntax == syntax


@given(_files())
@settings(max_examples=200)
def test_generated_objects_in_any_syntax_and_character_set_are_read_as_pydicom_reads_them(
    file: tuple[bytes, str],
) -> None:
    _agrees(file)


@pytest.mark.soak
@given(_files())
@settings(max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])
def test_ten_thousand_generated_objects_are_read_as_pydicom_reads_them(file: tuple[bytes, str]) -> None:
    _agrees(file)


def test_a_frame_count_is_never_below_one() -> None:
    assert frame_count({0x00280008: b"0 "}) == 1
    assert frame_count({0x00280008: b"-4"}) == 1
