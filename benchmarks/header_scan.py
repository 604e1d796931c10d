"""Header scan of 2,000 CT files (512x512, 0.53 MB each) against pydicom, in one process and with two."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import UID, ExplicitVRLittleEndian

from vna_lifecycle.dicom.scan import scan_file

FILES = 2_000
PAIRS = 7
PYDICOM_SAMPLE = 100  # files per pair: pydicom's rate does not depend on how many
TARGET = 12.0
TARGET_TWO = 1.8


def build(folder: Path, files: int = FILES) -> list[str]:
    """CT files of 512x512 made from a real header, in 20 series of one study."""
    original = str(get_testdata_file("CT_small.dcm", download=False))
    dataset = pydicom.dcmread(original)
    dataset.Rows = dataset.Columns = 512
    dataset.PixelData = bytes(512 * 512 * 2)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    uid = dataset.SOPInstanceUID
    paths = []
    for number in range(files):
        dataset.SeriesInstanceUID = f"{uid}.{number // 100}"
        dataset.InstanceNumber = number % 100 + 1
        position = 1.25 * (number % 100) - 62.5  # values of varying length, as in a real series
        dataset.ImagePositionPatient = [-158.135803, -179.035797, position]
        dataset.SliceLocation = position
        dataset.ContentTime = f"{number // 100 % 12 + 8:02d}{number % 60:02d}00.{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{uid}.{number}")
        path = folder / f"{number:05d}.dcm"
        dataset.save_as(path)
        paths.append(str(path))
    return paths


def scan_all(paths: Sequence[str]) -> int:
    for path in paths:
        scan_file(path)
    return len(paths)


def read_all(paths: Sequence[str]) -> int:
    for path in paths:
        pydicom.dcmread(path, stop_before_pixels=True)
    return len(paths)


def _rate(work: Callable[[], int]) -> float:
    begin = time.perf_counter()
    return work() / (time.perf_counter() - begin)


def run() -> list[dict[str, object]]:
    """Medians of interleaved pairs."""
    memory = Path("/dev/shm")  # noqa: S108 - the files stay in memory so that the disk is not measured
    folder = Path(tempfile.mkdtemp(prefix="header-scan-", dir=memory if memory.is_dir() else None))
    try:
        paths = build(folder)
        scan_all(paths)
        ours, theirs, two = [], [], []
        halves = [paths[::2], paths[1::2]]
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(scan_all, halves))
            for _ in range(PAIRS):
                ours.append(_rate(lambda: scan_all(paths)))
                theirs.append(_rate(lambda: read_all(paths[:PYDICOM_SAMPLE])))
                two.append(_rate(lambda: sum(pool.map(scan_all, halves))))
    finally:
        shutil.rmtree(folder)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    gains = [a / b for a, b in zip(two, ours, strict=True)]
    return [
        _row("header scan, one process", ours, theirs, ratios, TARGET, "peer: pydicom stop_before_pixels"),
        _row("header scan, two processes", two, ours, gains, TARGET_TWO, f"peer: one process; {os.cpu_count()} cores"),
    ]


def _row(
    name: str, ours: list[float], peer: list[float], ratios: list[float], target: float, note: str
) -> dict[str, object]:
    ratio = statistics.median(ratios)
    return {
        "name": name,
        "ours": round(statistics.median(ours)),
        "peer": round(statistics.median(peer)),
        "unit": "files/s",
        "ratio": round(ratio, 2),
        "target": target,
        "reached": ratio >= target,
        "note": f"{note}; ratios {min(ratios):.2f}-{max(ratios):.2f} in {len(ratios)} pairs",
    }


if __name__ == "__main__":
    for row in run():
        print(row)
