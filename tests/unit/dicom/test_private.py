"""Private creators are found in every encoding, at the top level only, and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from vna_lifecycle.dicom.private import private_creators
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


def with_creators(data: bytes, path: Path, *creators: str) -> Path:
    import pydicom

    path.write_bytes(data)
    dataset = pydicom.dcmread(path)
    nested = Dataset()
    nested.private_block(0x0011, "NESTED 1", create=True).add_new(1, "LO", "x")
    dataset.RequestAttributesSequence = [nested]
    for number, creator in enumerate(creators):
        dataset.private_block(0x0009 + 2 * number, creator, create=True).add_new(1, "LO", "value")
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_the_creators_at_the_top_level_are_told(tmp_path: Path, syntax: str) -> None:
    path = with_creators(dicom_bytes(ObjectSpec(transfer_syntax=syntax)), tmp_path / "a", "ACME 1", "GEMS_IDEN_01")
    assert private_creators(path) == {"ACME 1", "GEMS_IDEN_01"}


def test_an_object_without_private_elements_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(dicom_bytes(ObjectSpec()))
    assert private_creators(path) == frozenset()


def test_what_does_not_print_cannot_steer_a_terminal(tmp_path: Path) -> None:
    path = with_creators(dicom_bytes(ObjectSpec()), tmp_path / "a", "\x1b[31mRED")
    assert private_creators(path) == {"?[31mRED"}


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"no DICOM")
    with pytest.raises(DicomRefused):
        private_creators(path)
