"""A file that was cut at any offset is refused, but where no reader of the file alone could know."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.limits import LIMITS
from vna_lifecycle.dicom.scan import scan_bytes, scan_file
from vna_lifecycle.dicom.source import bytes_source
from vna_lifecycle.errors import DicomRefused

# cuts that leave a complete object: before the padding element (8 files), the optional end of a report, a plan without
# its approval, a waveform without its private group, and a deflated data set without the gzip trailer behind it
RESIDUE = {
    "CT_small.dcm": 1,
    "MR_small.dcm": 1,
    "MR_small_RLE.dcm": 1,
    "MR_small_expb.dcm": 1,
    "MR_small_jp2klossless.dcm": 1,
    "MR_small_jpeg_ls_lossless.dcm": 1,
    "MR_small_padded.dcm": 1,
    "examples_rgb_color.dcm": 1,
    "reportsi_with_empty_number_tags.dcm": 1,
    "image_dfl.dcm": 1,
    "rtplan.dcm": 1,
    "waveform_ecg.dcm": 3,
}
SAMPLED = 60  # offsets per file in the normal run, beside every boundary between top-level elements


def _boundaries(data: bytes) -> list[int]:
    """Where a top-level element ends."""
    with open_dataset(bytes_source(data), LIMITS) as dataset:
        if dataset.source.size != len(data):
            return [len(data) - 8]  # deflated, and followed by a gzip trailer
        return [
            offset + length if depth == 0 else offset
            for tag, vr, offset, length, depth, _ in dataset.walk(LIMITS)
            if (depth == 0 and vr not in (b"SQ", b"[]")) or (depth == 1 and tag == 0xFFFEE0DD)
        ]


def _unnoticed(data: bytes, offsets: range | list[int]) -> list[int]:
    """The cuts that give a record without a flag that tells of them."""
    found = []
    for offset in offsets:
        try:
            record = scan_bytes(data[:offset])
        except DicomRefused:
            continue
        if "group-length-mismatch" not in record.flags:
            found.append(offset)
    return found


def _accepted(every_file: list[Path]) -> list[Path]:
    found = []
    for path in every_file:
        try:
            scan_file(path)
        except DicomRefused:
            continue
        found.append(path)
    return found


def _check(data: bytes, offsets: range | list[int]) -> list[int]:
    boundaries = set(_boundaries(data))
    unnoticed = _unnoticed(data, offsets)
    assert set(unnoticed) <= boundaries, "a cut inside an element went unnoticed"
    return unnoticed


def test_cuts_inside_elements_are_always_refused_and_the_rest_is_exactly_known(every_file: list[Path]) -> None:
    residue = {}
    for path in _accepted(every_file):
        data = path.read_bytes()
        step = max(len(data) // SAMPLED, 1)
        offsets = sorted({*range(0, len(data), step), *_boundaries(data), *(b - 1 for b in _boundaries(data))})
        unnoticed = _check(data, [offset for offset in offsets if 0 <= offset < len(data)])
        if unnoticed:
            residue[path.name] = len(unnoticed)
    assert residue == RESIDUE


@pytest.mark.soak
def test_every_cut_of_every_real_file_is_refused_but_for_the_known_ones(every_file: list[Path]) -> None:
    residue = {}
    cuts = 0
    for path in _accepted(every_file):
        data = path.read_bytes()
        cuts += len(data)
        # inside a long value every cut is the same cut: try its first and last kibibyte
        inside = {
            offset
            for begin, end in zip([0, *_boundaries(data)], [*_boundaries(data), len(data)], strict=True)
            for offset in (*range(begin, min(begin + 1024, end)), *range(max(end - 1024, begin), end))
        }
        unnoticed = _check(data, sorted(inside) if inside else range(len(data)))
        if unnoticed:
            residue[path.name] = len(unnoticed)
    assert cuts > 2_000_000
    assert residue == RESIDUE


def test_every_cut_of_a_deflated_data_set_is_refused(wheel: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(wheel / "CT_small.dcm")
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        stream = io.BytesIO()
        ds.save_as(stream)
    data = stream.getvalue()
    assert scan_bytes(data).rows == 128
    end = len(data.rstrip(b"\0"))
    for offset in [*range(0, end, 97), *range(end - 64, end)]:
        with pytest.raises(DicomRefused):
            scan_bytes(data[:offset])
