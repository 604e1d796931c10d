"""A legacy archive as they grow over the years, made of the DICOM files that pydicom ships for its own tests."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from vna_lifecycle.demo.defects import plant
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused, StorageError

MERGED: Final = "vol03 (clinic, merged 2014)"
_PAPERS: Final = frozenset({".txt", ".json", ".dump", ".icc", ".gz"})


def build_legacy_archive(folder: Path) -> None:
    """Make the archive in ``folder``, which must not be there.

    Names and places are invented, contents are copied as they are: discs that were imported with their DICOMDIRs, two
    volumes by year and modality (the second has what an earlier migration copied once more), what a file system check
    left behind, and paperwork. A third volume came from a clinic, with the defects that real archives have.

    Raises:
        StorageError: pydicom's files are not installed.
    """
    # Half an archive must not be taken for a whole one by the next run.
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shipped = _shipped()
    for source, place in _places(shipped):
        goal = partial / place
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, goal)
    plant(partial / MERGED, shipped)
    partial.rename(folder)


def _shipped() -> Path:
    spec = importlib.util.find_spec("pydicom")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        shipped = Path(place, "data", "test_files")
        if shipped.is_dir():
            return shipped
    raise StorageError("pydicom's test files are not installed", hint="Reinstall pydicom with its data files")


def _places(shipped: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Each shipped file with the place it gets, in a stable order."""
    seen: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for path in sorted(path for path in shipped.rglob("*") if path.is_file()):
        relative = path.relative_to(shipped)
        if relative.parts[0] == "dicomdirtests":  # a DICOMDIR names its files by their paths: these stay together
            yield path, PurePosixPath("disc imports", "CD 0017", *relative.parts[1:])
        elif path.suffix in _PAPERS:
            yield path, PurePosixPath("admin", path.name)
        else:
            yield path, _volume_place(path, seen, numbers)


def _volume_place(path: Path, seen: Counter[str], numbers: Counter[str]) -> PurePosixPath:
    try:
        record = scan_file(path, locator=path.name)
    except DicomRefused:
        numbers["lost"] += 1
        return PurePosixPath("lost+found", f"#{numbers['lost']:06d}")
    seen[record.sop_instance_uid] += 1
    volume = "vol01" if seen[record.sop_instance_uid] == 1 else "vol02 (copied 2011)"
    year = record.series.study_date[:4] or "undated"
    study = hashlib.sha256(record.study_uid.encode()).hexdigest()[:8].upper()
    folder = PurePosixPath(volume, year, record.series.modality or "OT", study)
    numbers[str(folder)] += 1
    return folder / f"IM{numbers[str(folder)]:06d}"
