"""Codestreams are those that pydicom finds, whatever table or fragmentation leads to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from vna_lifecycle.dicom.frames import open_frames
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused

FRAMES = [b"\xff\xd8first", b"\xff\xd8second one", b"\xff\xd8third frame."]
JPEG, MPEG = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102"


def _read(path: Path) -> tuple[str, list[bytes]]:
    with open_frames(path) as (index, source):
        assert index is not None
        streams = []
        for stream in index:
            data = b"".join(source.read(begin, end - begin) for begin, end in stream.pieces)
            assert len(data) == stream.length
            streams.append(data)
        return index.basis, streams


@pytest.fixture
def write(wheel: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(pixels: bytes, *, frames: int, syntax: str = JPEG, extended: tuple[bytes, bytes] | None = None) -> Path:
        ds = pydicom.dcmread(wheel / "SC_rgb_jpeg_dcmtk.dcm")
        ds.NumberOfFrames = frames
        ds.PixelData = pixels
        ds.file_meta.TransferSyntaxUID = syntax
        if extended:
            ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = extended
        path = tmp_path / "frames.dcm"
        ds.save_as(path)
        return path

    return write


def test_frames_of_every_encapsulated_file_are_what_pydicom_generates(
    every_file: list[Path], read_with_pydicom: Callable[[Path], pydicom.FileDataset]
) -> None:
    compared = 0
    for path in every_file:
        try:
            record = scan_file(path)
        except DicomRefused:
            continue
        if not record.transfer_syntax.startswith(("1.2.840.10008.1.2.4", "1.2.840.10008.1.2.5")):
            continue
        ds = read_with_pydicom(path)
        expected = list(generate_frames(ds.PixelData, number_of_frames=record.frames or 1))
        assert _read(path)[1] == expected, path.name
        compared += 1
    assert compared > 25


def test_native_frames_are_equal_parts_of_the_value(wheel: Path) -> None:
    basis, streams = _read(wheel / "rtdose.dcm")
    assert basis == "native"
    assert len(streams) == 15
    assert b"".join(streams) == pydicom.dcmread(wheel / "rtdose.dcm").PixelData


def test_an_object_without_pixels_has_no_frames(wheel: Path) -> None:
    with open_frames(wheel / "rtplan.dcm") as (index, _):
        assert index is None


@pytest.mark.parametrize("fragments", [1, 2])
def test_the_basic_offset_table_leads_to_frames_of_several_fragments(
    fragments: int, write: Callable[..., Path]
) -> None:
    path = write(encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=True), frames=3)
    basis, streams = _read(path)
    assert basis == "basic-offset-table"
    assert [stream.rstrip(b"\0") for stream in streams] == FRAMES


def test_the_extended_offset_table_comes_first(write: Callable[..., Path]) -> None:
    pixels, offsets, lengths = encapsulate_extended(FRAMES)
    basis, streams = _read(write(pixels, frames=3, extended=(offsets, lengths)))
    assert basis == "extended-offset-table"
    assert [stream.rstrip(b"\0") for stream in streams] == FRAMES


def test_without_a_table_each_fragment_is_a_frame(write: Callable[..., Path]) -> None:
    basis, streams = _read(write(encapsulate(FRAMES, has_bot=False), frames=3))
    assert basis == "fragment-per-frame"
    assert [stream.rstrip(b"\0") for stream in streams] == FRAMES


def test_without_a_table_a_codestream_begins_where_a_fragment_begins_like_one(write: Callable[..., Path]) -> None:
    basis, streams = _read(write(encapsulate(FRAMES, fragments_per_frame=2, has_bot=False), frames=3))
    assert basis == "codestream-start"
    assert [stream.rstrip(b"\0") for stream in streams] == FRAMES


def test_a_table_that_points_between_fragments_is_not_believed(write: Callable[..., Path]) -> None:
    pixels = bytearray(encapsulate(FRAMES, has_bot=True))
    pixels[12] += 2  # the second entry
    assert _read(write(bytes(pixels), frames=3))[0] == "fragment-per-frame"


def test_video_is_one_codestream(write: Callable[..., Path]) -> None:
    whole = b"video of many frames"
    basis, streams = _read(write(encapsulate([whole], fragments_per_frame=3, has_bot=False), frames=50, syntax=MPEG))
    assert (basis, streams) == ("stream", [whole])
