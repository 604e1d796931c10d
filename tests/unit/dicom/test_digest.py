"""Digests: recomputable by a stranger, and the same however an object is encoded."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.digest import dataset_sha256, examine_file
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.inventory import Rung

META = b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.1\0"


def _accepted(every_file: list[Path]) -> list[Path]:
    found = []
    for path in every_file:
        try:
            scan_file(path)
        except DicomRefused:
            continue
        found.append(path)
    return found


def test_the_digests_of_a_small_object_are_those_of_the_bytes_that_the_documentation_states(tmp_path: Path) -> None:
    plain = (
        b"\x08\x00\x16\x00UI\x1a\x00" + b"1.2.840.10008.5.1.4.1.1.66"
        b"\x08\x00\x18\x00UI\x08\x00" + b"1.2.3.4\0"
        b"\x10\x00\x00\x00UL\x04\x00" + b"\x2a\0\0\0"  # a group length, and a wrong one
        b"\x10\x00\x20\x00LO\x04\x00" + b"AB  "
        b"\x20\x00\x0d\x00UI\x06\x00" + b"1.2.3\0"
        b"\x20\x00\x0e\x00UI\x08\x00" + b"1.2.3.3\0"
        b"\x29\x00\x10\x00LO\x04\x00" + b"ACME"
        b"\x29\x00\x01\x10LO\x04\x00" + b"AB  "  # private: kept as it is
        b"\x40\x00\x30\xa7SQ\0\0" + b"\x1a\0\0\0"
        b"\xfe\xff\x00\xe0\x12\0\0\0" + b"\x40\x00\x60\xa1UT\0\0\x06\0\0\0" + b"text  "
        b"\x40\x00\x35\xa7SQ\0\0\0\0\0\0"  # a sequence without items
        b"\xe0\x7f\x10\x00OB\0\0\x04\0\0\0" + b"\x01\x02\x03\x04"
        b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0" + b"\0\0"
    )
    canonical = (
        b"\x08\x00\x16\x00\x1a\0\0\0" + b"1.2.840.10008.5.1.4.1.1.66"
        b"\x08\x00\x18\x00\x07\0\0\0" + b"1.2.3.4"
        b"\x10\x00\x20\x00\x02\0\0\0" + b"AB"
        b"\x20\x00\x0d\x00\x05\0\0\0" + b"1.2.3"
        b"\x20\x00\x0e\x00\x07\0\0\0" + b"1.2.3.3"
        b"\x29\x00\x10\x00\x04\0\0\0" + b"ACME"
        b"\x29\x00\x01\x10\x04\0\0\0" + b"AB  "
        b"\x40\x00\x30\xa7\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        b"\x40\x00\x60\xa1\x04\0\0\0" + b"text"
        b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        b"\x40\x00\x35\xa7\0\0\0\0"
    )
    path = tmp_path / "small.dcm"
    path.write_bytes(bytes(128) + b"DICM" + META + plain)
    examined = examine_file(path, locator="here")
    assert examined.record.locator == "here"
    assert examined.digest.header_sha256 == hashlib.sha256(canonical).hexdigest()
    assert examined.digest.pixel_sha256 == hashlib.sha256(b"\x01\x02\x03\x04").hexdigest()
    assert examined.digest.dataset_sha256 == hashlib.sha256(plain).hexdigest()
    assert examined.digest.dataset_size == len(plain)
    assert dataset_sha256(path) == (examined.digest.dataset_sha256, len(plain))


def test_examining_and_scanning_and_reading_back_agree_on_every_file(every_file: list[Path]) -> None:
    for path in every_file:
        try:
            record = scan_file(path)
        except DicomRefused as scanned:
            with pytest.raises(DicomRefused) as examined:
                examine_file(path)
            assert examined.value.code == scanned.code, path.name
            continue
        both = examine_file(path)
        assert both.record == record
        assert dataset_sha256(path) == (both.digest.dataset_sha256, both.digest.dataset_size)


def test_the_pixel_digest_is_that_of_the_pixels_as_pydicom_finds_them(
    every_file: list[Path], read_with_pydicom: Callable[[Path], pydicom.FileDataset]
) -> None:
    compared = 0
    for path in _accepted(every_file):
        if "NoMeta" in path.name or path.name == "rtstruct.dcm":
            continue
        ds = read_with_pydicom(path)
        digest = examine_file(path).digest.pixel_sha256
        if "PixelData" not in ds:
            assert digest == ""
            continue
        raw = ds.PixelData
        if ds.file_meta.TransferSyntaxUID.is_encapsulated:
            raw = b"".join(list(generate_fragments(raw))[1:])
        else:
            if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and ds["PixelData"].VR == "OW":
                raw = b"".join(raw[at : at + 2][::-1] for at in range(0, len(raw), 2))
            if "odd" in path.name:
                assert len(raw) % 2 == 0
                raw = raw[:-1]
        assert digest == hashlib.sha256(raw).hexdigest(), path.name
        compared += 1
    assert compared > 80


def test_other_fragments_and_offset_tables_leave_the_pixel_digest_alone(wheel: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(wheel / "JPEG2000.dcm")
    whole = b"".join(list(generate_fragments(ds.PixelData))[1:])
    digests = set()
    for fragments, table in ((1, True), (1, False), (4, True), (3, False)):
        ds.PixelData = encapsulate([whole], fragments_per_frame=fragments, has_bot=table)
        path = tmp_path / f"{fragments}{table}.dcm"
        ds.save_as(path)
        digests.add((examine_file(path).digest.pixel_sha256, examine_file(path).digest.header_sha256))
    assert digests == {(hashlib.sha256(whole).hexdigest(), examine_file(wheel / "JPEG2000.dcm").digest.header_sha256)}


def test_one_changed_byte_changes_the_digest_of_its_part_only(wheel: Path, tmp_path: Path) -> None:
    original = (wheel / "MR_small.dcm").read_bytes()
    before = examine_file(wheel / "MR_small.dcm").digest
    path = tmp_path / "changed.dcm"
    name = original.index(b"CompressedSamples")
    path.write_bytes(original[:name] + b"X" + original[name + 1 :])
    after = examine_file(path).digest
    assert (after.header_sha256 != before.header_sha256, after.pixel_sha256 != before.pixel_sha256) == (True, False)
    path.write_bytes(original[:-1000] + bytes([original[-1000] ^ 1]) + original[-999:])
    after = examine_file(path).digest
    assert (after.header_sha256 != before.header_sha256, after.pixel_sha256 != before.pixel_sha256) == (False, True)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", ["OB", "OW"])
def test_an_odd_number_of_pixel_bytes_is_digested_without_its_pad(
    syntax: pydicom.uid.UID, kind: str, wheel: Path, tmp_path: Path
) -> None:
    read = pydicom.dcmread(wheel / "SC_rgb_small_odd.dcm")
    ds = pydicom.Dataset()  # a new one, because pydicom does not change the byte order of what it has read
    ds.update({element.tag: element for element in read})
    ds.file_meta = read.file_meta
    pixels = ds.PixelData[: 3 * 3 * 3]
    digest = examine_file(wheel / "SC_rgb_small_odd.dcm").digest
    ds["PixelData"].VR = kind
    padded = pixels + b"\0"
    swap = syntax == ExplicitVRBigEndian and kind == "OW"
    ds["PixelData"].value = b"".join(padded[at : at + 2][:: -1 if swap else 1] for at in range(0, len(padded), 2))
    path = tmp_path / "odd.dcm"
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)
    assert examine_file(path).digest.pixel_sha256 == digest.pixel_sha256 == hashlib.sha256(pixels).hexdigest()
    assert examine_file(path).digest.header_sha256 == digest.header_sha256


WAYS = {
    "implicit": ["+ti"],
    "implicit, undefined lengths, group lengths": ["+ti", "-e", "+g"],
    "explicit": ["+te"],
    "big endian, undefined lengths": ["+tb", "-e"],
    "deflated": ["+td"],
    "undefined lengths, group lengths, padded": ["-e", "+g", "+p", "512", "64"],
    "defined lengths": ["+e"],
}


@pytest.mark.peer
@pytest.mark.parametrize("way", list(WAYS))
def test_dcmtk_re_encodes_every_file_and_the_digests_stay(
    way: str, every_file: list[Path], dcmtk: Callable[[str], str], tmp_path: Path
) -> None:
    dcmconv = dcmtk("dcmconv")
    path = tmp_path / "converted.dcm"
    compared = 0
    for original in _accepted(every_file):
        if "dicomdirtests" in original.parts:
            continue  # many, and alike
        if subprocess.run([dcmconv, *WAYS[way], original, path], capture_output=True, check=False).returncode:
            continue  # dcmtk does not decompress here, and refuses one file
        before, after = examine_file(original).digest, examine_file(path).digest
        assert after.header_sha256 == before.header_sha256, original.name
        assert after.pixel_sha256 == before.pixel_sha256, original.name
        assert compare_files(original, path).rung in (Rung.EQUIVALENT, Rung.HASHED)
        compared += 1
    assert compared >= 28


@pytest.mark.parametrize("gibibytes", [0.25, pytest.param(2.0, marks=pytest.mark.soak)])
def test_a_large_object_is_digested_in_flat_memory(gibibytes: float, wheel: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(wheel / "CT_small.dcm")
    ds.Rows = ds.Columns = 512
    ds.NumberOfFrames = int(2048 * gibibytes)
    del ds[0xFFFCFFFC]
    ds.PixelData = b"1234"
    stream = io.BytesIO()
    ds.save_as(stream)
    header = stream.getvalue()[:-8]
    size = int(gibibytes * 2**30)
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(header + size.to_bytes(4, "little"))
        file.truncate(len(header) + 4 + size)  # sparse: takes no space
    program = (
        "import sys\nfrom vna_lifecycle.dicom.digest import examine_file\n"
        "print(examine_file(sys.argv[1]).digest.dataset_size)\n"
        # ru_maxrss would also count what the parent had before the exec
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, timeout=200
    )
    dataset_size, kibibytes = map(int, done.stdout.split())
    assert dataset_size > size
    assert kibibytes < 100 << 10
