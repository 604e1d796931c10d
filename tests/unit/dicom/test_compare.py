"""Two files are compared by bytes, by header and pixels, and by decoded frames where that is sound."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.pixels import set_pixel_data  # noqa: F401 - loads numpy support once, outside what is measured
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from vna_lifecycle.dicom.compare import compare_entries, compare_files, conflict_class, entry_against, entry_of
from vna_lifecycle.dicom.decoded import decoded_digest
from vna_lifecycle.dicom.digest import dataset_sha256, examine_file
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.ports import ConflictClass
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

Change = Callable[[pydicom.FileDataset], None]


@pytest.fixture
def changed(wheel: Path, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """A file of the wheel as pydicom writes it, and a changed one."""

    def change(name: str, how: Change) -> tuple[Path, Path]:
        ds = pydicom.dcmread(wheel / name)
        before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
        ds.save_as(before)
        how(ds)
        ds.save_as(after)
        return before, after

    return change


def test_the_same_bytes_are_hashed_equal(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.dcm"
    data = (wheel / "MR_small.dcm").read_bytes()
    path.write_bytes(b"\1" * 128 + data[128:])  # the preamble is not the object's
    comparison = compare_files(wheel / "MR_small.dcm", path)
    assert (comparison.rung, comparison.pixels_equal, comparison.attributes) == (Rung.HASHED, True, ())
    assert conflict_class(wheel / "MR_small.dcm", path) is ConflictClass.ENCODING


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("MR_small.dcm", "MR_small_implicit.dcm"),
        ("rtdose.dcm", "rtdose_expb.dcm"),
        ("liver_1frame.dcm", "liver_expb_1frame.dcm"),
    ],
)
def test_other_encodings_of_an_object_differ_in_no_pixel(first: str, second: str, wheel: Path) -> None:
    comparison = compare_files(wheel / first, wheel / second)
    assert comparison.pixels_equal is True
    assert "PixelData" not in comparison.attributes


def test_demographics_alone_are_told_from_content(changed: Callable[..., tuple[Path, Path]]) -> None:
    def rename(ds: pydicom.FileDataset) -> None:
        ds.PatientName = "Another^Name"
        ds.PatientSex = "O"

    a, b = changed("MR_small.dcm", rename)
    comparison = compare_files(a, b)
    assert (comparison.rung, comparison.pixels_equal) == (None, True)
    assert comparison.attributes == ("PatientName", "PatientSex")
    assert conflict_class(a, b) is ConflictClass.DEMOGRAPHICS

    def describe(ds: pydicom.FileDataset) -> None:
        ds.PatientName = "Another^Name"
        ds.SeriesDescription = "another"

    a, b = changed("MR_small.dcm", describe)
    assert conflict_class(a, b) is ConflictClass.CONTENT


def test_a_changed_pixel_is_content_and_no_attribute(changed: Callable[..., tuple[Path, Path]]) -> None:
    def paint(ds: pydicom.FileDataset) -> None:
        ds.PixelData = b"\1\2" + ds.PixelData[2:]

    a, b = changed("MR_small.dcm", paint)
    comparison = compare_files(a, b)
    assert (comparison.rung, comparison.pixels_equal, comparison.attributes) == (None, False, ())
    assert conflict_class(a, b) is ConflictClass.CONTENT


def test_private_elements_are_named_by_tag_and_nested_changes_by_their_top_level_element(
    changed: Callable[..., tuple[Path, Path]],
) -> None:
    def change(ds: pydicom.FileDataset) -> None:
        ds[0x00091001].value = "another"
        ds.OtherPatientIDsSequence[0].PatientID = "another"

    a, b = changed("CT_small.dcm", change)
    assert compare_files(a, b).attributes == ("(0009,1001)", "OtherPatientIDsSequence")


def test_an_element_of_unknown_vr_with_the_same_bytes_is_equal(wheel: Path, tmp_path: Path) -> None:
    data = (wheel / "CT_small.dcm").read_bytes()
    known = b"\x08\x00\x30\x10LO\x04\x00e+1 "
    assert known in data
    path = tmp_path / "unknown.dcm"
    path.write_bytes(data.replace(known, b"\x08\x00\x30\x10UN\0\0\x04\0\0\0e+1\0"))
    comparison = compare_files(wheel / "CT_small.dcm", path)
    assert (comparison.rung, comparison.attributes) == (Rung.EQUIVALENT, ())


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_lossless_compression_is_equivalent_by_decoded_frames(
    syntax: pydicom.uid.UID, changed: Callable[..., tuple[Path, Path]], wheel: Path
) -> None:
    if syntax == JPEG2000Lossless:
        a, b = wheel / "MR_small.dcm", wheel / "MR_small_jp2klossless.dcm"
        assert compare_files(a, b).pixels_equal is True
        return
    a, b = changed("MR_small.dcm", lambda ds: ds.compress(syntax, generate_instance_uid=False))
    comparison = compare_files(a, b)
    assert (comparison.rung, comparison.pixels_equal) == (Rung.EQUIVALENT, True)


def test_planar_configuration_follows_the_syntax_where_the_frames_are_equal(
    changed: Callable[..., tuple[Path, Path]],
) -> None:
    def compress(ds: pydicom.FileDataset) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.PlanarConfiguration = 1

    a, b = changed("SC_rgb_small_odd.dcm", compress)
    comparison = compare_files(a, b)
    assert comparison.attributes == ("PlanarConfiguration",)
    assert comparison.rung is Rung.EQUIVALENT


def test_other_attributes_do_not_follow_the_syntax(changed: Callable[..., tuple[Path, Path]]) -> None:
    def compress(ds: pydicom.FileDataset) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.SeriesDescription = "another"

    comparison = compare_files(*changed("MR_small.dcm", compress))
    assert (comparison.rung, comparison.pixels_equal) == (None, True)
    assert comparison.attributes == ("SeriesDescription",)


def test_one_wrong_pixel_behind_lossless_compression_is_seen(changed: Callable[..., tuple[Path, Path]]) -> None:
    def compress(ds: pydicom.FileDataset) -> None:
        pixels = ds.pixel_array.copy()
        pixels[3, 4] ^= 1
        ds.compress(RLELossless, pixels, generate_instance_uid=False)

    comparison = compare_files(*changed("MR_small.dcm", compress))
    assert (comparison.rung, comparison.pixels_equal) == (None, False)


def test_lossy_pixels_are_never_equal_to_what_they_decode_to(changed: Callable[..., tuple[Path, Path]]) -> None:
    a, b = changed("SC_rgb_jpeg_dcmtk.dcm", lambda ds: ds.decompress(as_rgb=False, generate_instance_uid=False))
    assert decoded_digest(a).frames_sha256 == decoded_digest(b).frames_sha256 != ""
    assert compare_files(a, b).pixels_equal is False


def test_without_the_decoders_the_answer_is_that_it_could_not_be_decided(
    changed: Callable[..., tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = changed("MR_small.dcm", lambda ds: ds.compress(RLELossless, generate_instance_uid=False))
    real = builtins.__import__

    def without_numpy(name: str, *rest: Any, **named: Any) -> Any:
        if name == "numpy":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.setattr(builtins, "__import__", without_numpy)
    comparison = compare_files(a, b)
    assert (comparison.rung, comparison.pixels_equal) == (None, None)
    assert "pixels" in comparison.reason


def test_what_cannot_be_decoded_is_said_so(changed: Callable[..., tuple[Path, Path]]) -> None:
    def spoil(ds: pydicom.FileDataset) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.PixelData = pydicom.encaps.encapsulate([b"\1\0\0\0 no RLE"])

    comparison = compare_files(*changed("MR_small.dcm", spoil))
    assert comparison.pixels_equal is None
    assert comparison.reason.startswith("cannot decode")
    assert conflict_class(*changed("MR_small.dcm", spoil)) is ConflictClass.CONTENT


def test_a_deflated_object_that_was_transcoded_without_loss_is_equivalent(tmp_path: Path) -> None:
    deflated = ObjectSpec(transfer_syntax=DeflatedExplicitVRLittleEndian, grey=7)
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    before.write_bytes(dicom_bytes(deflated))
    ds = pydicom.dcmread(before)
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(after)
    comparison = compare_files(before, after)
    assert (comparison.rung, comparison.pixels_equal) == (Rung.EQUIVALENT, True)


@pytest.mark.parametrize(
    ("name", "label", "rung"),
    [
        ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.80", None),  # JPEG 2000 for a decoder of JPEG-LS
        ("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.51", None),  # lossy: what it decodes to proves nothing
        (
            "SC_rgb_jpeg_gdcm.dcm",
            "1.2.840.10008.1.2.4.57",
            Rung.EQUIVALENT,
        ),  # the process of which .70 is a special case
    ],
)
def test_the_same_bytes_under_another_transfer_syntax_are_not_the_same_object(
    name: str, label: str, rung: Rung | None, wheel: Path, tmp_path: Path
) -> None:
    original = tmp_path / "original.dcm"
    original.write_bytes((wheel / name).read_bytes())
    labelled = pydicom.dcmread(original, stop_before_pixels=True).file_meta.TransferSyntaxUID
    assert len(labelled) == len(label)
    relabelled = tmp_path / "relabelled.dcm"
    relabelled.write_bytes(original.read_bytes().replace(labelled.encode(), label.encode(), 1))
    assert dataset_sha256(original) == dataset_sha256(relabelled)

    comparison = compare_files(original, relabelled)
    assert comparison.rung is rung
    assert comparison.pixels_equal is (True if rung else None)
    assert bool(comparison.reason) is (rung is None)
    moved = entry_of(original, examine_file(original), decoded=True)
    assert entry_against(original, moved) is moved
    assert compare_entries(moved, entry_against(relabelled, moved)) == (rung or Rung.SIZED)
    strict = entry_of(original, examine_file(original))
    assert compare_entries(strict, entry_against(relabelled, strict)) is Rung.SIZED
