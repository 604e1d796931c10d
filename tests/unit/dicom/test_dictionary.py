"""The table of VRs is PS3.6's, and nothing but a decision changes it."""

import hashlib
import subprocess
import sys
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR

from vna_lifecycle.dicom.dictionary import is_sequence, vr_of

DIGEST = "59a57dae1f4cde2d3c8ea3fb0cc8261acff4a1d8f8593ca2e27681a1a23f3976"


DIFFERENCES: dict[int, bytes] = {}
"""Tags whose VR here is another than the installed pydicom's, on purpose: digests on record were made with it."""


def expected(tag: int) -> bytes:
    if tag in DIFFERENCES:
        return DIFFERENCES[tag]
    if tag >> 16 & 1:
        return b""
    try:
        found = dictionary_VR(tag)
    except KeyError:
        return b""
    return b"" if found == "NONE" else found[:2].encode()


@pytest.mark.parametrize("tag", [0x60003000, 0x60FE0022, 0x002031AB, 0x00280404, 0x0028E412, 0x00091001, 0x00080005])
def test_a_tag_has_the_vr_that_pydicom_knows(tag: int) -> None:
    assert vr_of(tag) == expected(tag)


def test_every_known_tag_has_the_vr_that_pydicom_knows() -> None:
    assert [f"{tag:08X}" for tag in DicomDictionary if vr_of(tag) != expected(tag)] == []


@given(st.integers(0, 0xFFFFFFFF))
def test_any_tag_has_the_vr_that_pydicom_knows(tag: int) -> None:
    assert vr_of(tag) == expected(tag)


def test_the_table_is_the_one_that_digests_were_made_with() -> None:
    """A line that changes makes other digests of objects that are on record: add lines, and only then this digest."""
    assert hashlib.sha256(files("vna_lifecycle.dicom").joinpath("vr.txt").read_bytes()).hexdigest() == DIGEST


def test_unknown_tags_are_left_to_their_structure() -> None:
    assert [is_sequence(tag) for tag in (0x00081140, 0x00080018, 0x00091001, 0x00080007)] == [True, False, None, None]


def test_looking_up_a_vr_does_not_load_pydicom() -> None:
    looked_up = "from vna_lifecycle.dicom.dictionary import vr_of\nvr_of(0x00100010)"
    script = f"import sys\n{looked_up}\nprint('pydicom' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
