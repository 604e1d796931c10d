"""Oddities that do not prevent reading are flags; objects that lack what they describe are refused."""

from __future__ import annotations

import struct

import pytest

from vna_lifecycle.dicom.limits import Limits
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.errors import DicomRefused

PRIVATE_CLASS = b"1.2.840.99999.1\0"


def _short(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def _object(
    sop_class: bytes = PRIVATE_CLASS, rest: bytes = b"", *, number: bytes = b"", study: bytes = b"1.2.3\0"
) -> bytes:
    body = _short(0x00080016, b"UI", sop_class) + _short(0x00080018, b"UI", b"1.2.3.4\0")
    body += _short(0x0020000D, b"UI", study) + _short(0x0020000E, b"UI", b"1.2.3.3\0") + number + rest
    meta = _short(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
    return bytes(128) + b"DICM" + meta + body


IDENTITY = (
    (0x00080016, PRIVATE_CLASS),
    (0x00080018, b"1.2.3.4\0"),
    (0x0020000D, b"1.2.3\0"),
    (0x0020000E, b"1.2.3.3\0"),
)
IMAGE = (
    _short(0x00280002, b"US", b"\1\0") + _short(0x00280010, b"US", b"\2\0") + _short(0x00280011, b"US", b"\2\0")
    + _short(0x00280100, b"US", b"\x10\0")
)  # fmt: skip
PIXELS = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 8) + bytes(8)
BOTH = pytest.mark.parametrize("limits", [Limits(), None], ids=["walked", "leapt"])


def _flags(data: bytes, limits: Limits | None) -> tuple[str, ...]:
    return (scan_bytes(data, limits=limits) if limits else [scan_bytes(data) for _ in range(3)][-1]).flags


def _code(data: bytes, limits: Limits | None) -> str:
    with pytest.raises(DicomRefused) as caught:
        _flags(data, limits)
    return caught.value.code


@BOTH
def test_an_object_of_any_class_that_describes_pixels_must_have_them(limits: Limits | None) -> None:
    assert _flags(_object(rest=IMAGE + PIXELS), limits) == ()
    assert _code(_object(rest=IMAGE), limits) == "truncated"
    assert _flags(_object(), limits) == ()


@BOTH
def test_an_image_class_without_pixels_is_incomplete(limits: Limits | None) -> None:
    assert _code(_object(b"1.2.840.10008.5.1.4.1.1.2\0"), limits) == "incomplete-object"


@BOTH
def test_an_object_without_a_study_is_incomplete_and_one_that_has_no_patient_is_named_so(limits: Limits | None) -> None:
    assert _code(_object(study=b""), limits) == "incomplete-object"
    assert _code(_object(b"1.2.840.10008.5.1.4.38.1", study=b""), limits) == "non-patient-object"


@BOTH
def test_pixels_shorter_than_described_are_flagged(limits: Limits | None) -> None:
    shorter = PIXELS[:8] + struct.pack("<L", 6) + bytes(6)
    assert _flags(_object(rest=IMAGE + shorter), limits) == ("short-pixel-data",)


@BOTH
def test_elements_out_of_order_are_flagged_and_the_last_of_a_pair_counts(limits: Limits | None) -> None:
    pair = _short(0x00200013, b"IS", b"1 ") + _short(0x00200013, b"IS", b"2 ")
    data = _object(number=pair)
    assert _flags(data, limits) == ("elements-out-of-order",)
    assert scan_bytes(data).instance_number == 2


@BOTH
def test_a_last_group_that_is_shorter_than_its_length_says_is_flagged(limits: Limits | None) -> None:
    group = _short(0x00290000, b"UL", struct.pack("<L", 40)) + _short(0x00290010, b"LO", b"ACME")
    assert _flags(_object(rest=group), limits) == ("group-length-mismatch",)
    exact = _short(0x00290000, b"UL", struct.pack("<L", 12)) + _short(0x00290010, b"LO", b"ACME")
    assert _flags(_object(rest=exact), limits) == ()


@BOTH
def test_meta_information_about_another_object_is_flagged(limits: Limits | None) -> None:
    data = _object()
    other = _short(0x00020003, b"UI", b"9.9.9.9\0")
    assert _flags(data[:132] + other + data[132:], limits) == ("meta-mismatch",)


@BOTH
def test_implicit_vr_behind_an_explicit_transfer_syntax_is_flagged_and_read(limits: Limits | None) -> None:
    data = _object()
    meta = data[:160]
    implicit = b"".join(struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in IDENTITY)
    assert _flags(meta + implicit, limits) == ("vr-mismatch",)
    assert scan_bytes(meta + implicit).series.study_uid == "1.2.3"


@BOTH
def test_a_file_that_begins_with_its_data_set_is_flagged_and_its_syntax_recognised(limits: Limits | None) -> None:
    data = _object()[160:]
    assert _flags(data, limits) == ("no-preamble", "no-meta")
    assert scan_bytes(data).transfer_syntax == "1.2.840.10008.1.2.1"


def test_a_name_has_no_delimiters_of_empty_groups_at_its_end() -> None:
    assert scan_bytes(_object(rest=_short(0x00100010, b"PN", b"A^B== "))).series.patient_name == "A^B"
