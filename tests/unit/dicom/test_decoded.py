"""One digest for every lossless encoding of an instance, and another one for anything else."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_encoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from vna_lifecycle.dicom.decoded import LOSSLESS, comparable_decoded, decoded_digest

Make = Callable[..., Path]
NATIVE = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ENCODED = tuple(uid for uid in (RLELossless, JPEG2000Lossless, JPEGLSLossless) if get_encoder(uid).is_available)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An object with these pixels (frames, rows, columns and perhaps samples) in this transfer syntax."""
    count = iter(range(1000))

    def write(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, stored: int = 0, **attributes: object) -> Path:
        ds = pydicom.Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "1.2.3"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.4", "1.2.5"
        frames, ds.Rows, ds.Columns, *samples = pixels.shape
        ds.NumberOfFrames = frames
        ds.SamplesPerPixel = samples[0] if samples else 1
        ds.PhotometricInterpretation = "RGB" if samples else "MONOCHROME2"
        if samples:
            ds.PlanarConfiguration = 0
        ds.BitsAllocated = pixels.dtype.itemsize * 8
        ds.BitsStored = stored or ds.BitsAllocated
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(pixels.dtype.kind == "i")
        big = syntax == ExplicitVRBigEndian
        ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
        ds["PixelData"].VR = "OW" if pixels.itemsize > 1 or not big else "OB"
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax if syntax in NATIVE else ExplicitVRLittleEndian
        if syntax in ENCODED:
            ds.compress(syntax, generate_instance_uid=False)
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        path = tmp_path / f"{next(count)}.dcm"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds.save_as(path, enforce_file_format=True)
        return path

    return write


SHAPE = (2, 40, 36)
COUNT = 2 * 40 * 36
PICTURES = {
    "8-bit": ((np.arange(COUNT) % 251).astype(np.uint8).reshape(SHAPE), 0),
    "12-bit": ((np.arange(COUNT) * 67 % 4096).astype(np.uint16).reshape(SHAPE), 12),
    "signed": ((np.arange(COUNT) * 19 - 30000).astype(np.int16).reshape(SHAPE), 16),
    "colour": ((np.arange(COUNT * 3) % 241).astype(np.uint8).reshape(*SHAPE, 3), 0),
}
# 8-bit pixels as big endian words are not what every writer means by them
PAIRS = [(uid, name) for name in PICTURES for uid in (*NATIVE, *ENCODED) if (uid, name) != (NATIVE[1], "8-bit")]


@pytest.mark.parametrize(("syntax", "picture"), PAIRS)
def test_every_lossless_encoding_has_the_same_digest(syntax: str, picture: str, make: Make) -> None:
    pixels, stored = PICTURES[picture]
    plain, other = decoded_digest(make(pixels, stored=stored)), decoded_digest(make(pixels, syntax, stored))
    assert (plain.reason, other.reason) == ("", "")
    assert plain.sha256 == other.sha256 != ""


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("syntax", ENCODED, ids=lambda uid: pydicom.uid.UID(uid).keyword)
def test_one_wrong_pixel_has_another_digest(syntax: str, picture: str, make: Make) -> None:
    pixels, stored = PICTURES[picture]
    wrong = pixels.copy()
    wrong.flat[37] ^= 1
    plain, other = decoded_digest(make(pixels, stored=stored)), decoded_digest(make(wrong, syntax, stored))
    assert plain.sha256 != other.sha256
    assert plain.frames_sha256 != other.frames_sha256


def test_frames_in_another_order_have_another_digest(make: Make) -> None:
    pixels, stored = PICTURES["12-bit"]
    one, other = (decoded_digest(make(frames, stored=stored)) for frames in (pixels, pixels[::-1]))
    assert one.frames_sha256 != other.frames_sha256


def test_another_attribute_has_another_digest(make: Make) -> None:
    pixels, stored = PICTURES["12-bit"]
    one, other = decoded_digest(make(pixels, stored=stored)), decoded_digest(make(pixels, stored=stored, PatientID="2"))
    assert one.frames_sha256 == other.frames_sha256
    assert one.sha256 != other.sha256


def test_a_picture_that_is_only_said_to_have_other_colours_has_another_digest(make: Make) -> None:
    pixels, _ = PICTURES["colour"]
    one, other = make(pixels), make(pixels, PhotometricInterpretation="YBR_FULL")
    assert decoded_digest(one).frames_sha256 == decoded_digest(other).frames_sha256
    assert decoded_digest(one).sha256 != decoded_digest(other).sha256


def test_bits_that_codecs_do_not_keep_do_not_count_unless_an_overlay_lies_in_them(make: Make, tmp_path: Path) -> None:
    pixels, stored = PICTURES["12-bit"]
    marked = pixels | 0x1000
    assert decoded_digest(make(pixels, stored=stored)) == decoded_digest(make(marked, stored=stored))

    def overlaid(frames: np.ndarray) -> Path:
        path = make(frames, stored=stored)
        ds = pydicom.dcmread(path)
        ds.add_new((0x6000, 0x0102), "US", 12)
        ds.save_as(path)
        return path

    assert decoded_digest(overlaid(pixels)) != decoded_digest(overlaid(marked))


def test_only_lossless_syntaxes_that_differ_may_be_held_against_each_other() -> None:
    assert comparable_decoded(ExplicitVRLittleEndian, JPEG2000Lossless)
    assert not comparable_decoded(JPEG2000Lossless, JPEG2000Lossless)
    assert not comparable_decoded(ExplicitVRLittleEndian, pydicom.uid.JPEG2000)
    assert {uid for uid in LOSSLESS if pydicom.uid.UID(uid).name == uid} == set()


def test_what_pydicom_warns_of_stays_within_whichever_thread_ends_first(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(np.zeros((2, 3, 5), np.uint8))
    first, second = threading.Event(), threading.Event()
    real = pydicom.dcmread
    overlapping = iter([(second, first), (None, None)])

    def dcmread(*arguments: object, **options: object) -> pydicom.FileDataset:
        lets_begin, ends_after = next(overlapping)
        if lets_begin is not None:
            lets_begin.set()
        if ends_after is not None:
            assert ends_after.wait(20)
        warnings.warn("such as pydicom gives", UserWarning, stacklevel=1)
        return real(*arguments, **options)

    def other() -> str:
        assert second.wait(20)  # the first is within
        found = decoded_digest(path).reason
        first.set()  # the second has ended, and the first goes on
        return found

    before = list(warnings.filters)
    monkeypatch.setattr(pydicom, "dcmread", dcmread)
    with ThreadPoolExecutor(2) as pool:
        ended = [pool.submit(lambda: decoded_digest(path).reason), pool.submit(other)]
        assert [each.result() for each in ended] == ["", ""]
    assert list(warnings.filters) == before
