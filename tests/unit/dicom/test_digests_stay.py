"""Digests of whole objects, written down: they are on record for years, so no version may give others."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_lifecycle.dicom.compare import entry_of
from vna_lifecycle.dicom.digest import examine_file


@pytest.mark.parametrize(
    ("name", "header", "pixels", "decoded"),
    [
        # the first 20 digits of header_sha256, pixel_sha256 and decoded_sha256 of files that pydicom ships
        ("CT_small", "c3b77803289819adc22b", "7a481f6ffff833aef4d8", "e4af6fadf1f6112fdb84"),
        ("MR_small_bigendian", "ced31338ee37c05161c6", "88617aaa46138fb1b6e2", "054f0d61adfba5cd89d7"),
        ("MR_small_implicit", "ced31338ee37c05161c6", "88617aaa46138fb1b6e2", "054f0d61adfba5cd89d7"),
        ("MR_small_RLE", "ced31338ee37c05161c6", "bc0da430a1816a54023c", "054f0d61adfba5cd89d7"),
        ("reportsi", "e2851c8b614dcaf4f038", "", ""),
        ("image_dfl", "421851f743a502062a1e", "1f5f1b1c1a57606a55d7", "3c9f9108a186c486b29b"),
        ("JPEG2000", "c99f4a5a5756e5143774", "881ac6769b7ce70090a9", ""),
        ("rtplan", "7a22d36fbd5030b73e2d", "", ""),
        ("JPEG-lossy", "dc735ffb63d81217958e", "4589201a374c20bdf61f", ""),
        ("SC_rgb_rle_16bit_2frame", "003bc6adb210cd46ffec", "fbd25603e44ee1f512d4", "136fbc501bb5deabdfee"),
        (
            "MR_small_jpeg_ls_lossless",
            "ced31338ee37c05161c6",
            "cf77b7f0a30db2471c23",
            "054f0d61adfba5cd89d7",
        ),
        ("liver_1frame", "11047b7c7ca89edc9f70", "bbad786aee10e1ee82a6", "d49f9bda1c450c50d9e4"),
    ],
)
def test_an_object_has_the_digests_that_it_always_had(
    wheel: Path, name: str, header: str, pixels: str, decoded: str
) -> None:
    path = wheel / f"{name}.dcm"
    digest = entry_of(path, examine_file(path), decoded=True).digest
    given = digest.header_sha256, digest.pixel_sha256, digest.decoded_sha256
    assert tuple(each[:20] for each in given) == (header, pixels, decoded)
