"""What the suites work with: a site, a spool, and objects with their digests."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.digest import dataset_sha256, examine_file
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, ManifestEntry, Rung
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Site
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

_FIRST: Final = ObjectSpec(study=1, accession_number="A1", study_description="CT Chest")
_SECOND: Final = ObjectSpec(
    study=2,
    patient_id="P1",
    issuer="HOSP-A",
    patient_name="M\u00fcller^J\u00f6rg",
    character_set="ISO_IR 100",
    study_date="20231231",
    accession_number="A2",
    modality="MR",
    study_description="MR Head",
    transfer_syntax=ImplicitVRLittleEndian,
)
_THIRD: Final = ObjectSpec(
    study=3, patient_id="P3", study_date="", modality="US", transfer_syntax=ExplicitVRBigEndian, accession_number="A3"
)
_FOURTH: Final = ObjectSpec(study=4, patient_id="P4", study_date="20250101", accession_number="A4", grey=7)

EXAMPLES: Final[tuple[ObjectSpec, ...]] = (
    _FIRST,
    evolve(_FIRST, instance=2, grey=1),
    evolve(_FIRST, series=2, grey=2),
    evolve(_FIRST, series=2, instance=2, grey=3),
    _SECOND,
    evolve(_SECOND, instance=2, grey=5),
    _THIRD,
    evolve(_FOURTH, transfer_syntax=DeflatedExplicitVRLittleEndian),
    evolve(_FOURTH, instance=2, transfer_syntax=JPEGBaseline8Bit),
)
"""Four studies: one with two series, two of one patient ID under different issuers, one undated; five syntaxes."""


def site(folder: Path, name: str = "archive") -> Site:
    """What an archive is given to work with in a test."""
    workspace = folder / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    return Site(
        name=name,
        workspace=workspace,
        clock=lambda: dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        cancelled=threading.Event(),
        secret=lambda reference: reference,
    )


@frozen
class FolderSpool:
    """A spool without a limit."""

    folder: Path
    _numbers: Iterator[int] = field(factory=itertools.count)

    def new_file(self, size: int | None = None) -> Path:
        """A path that does not exist yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{next(self._numbers)}.dcm"


def written(folder: Path, specs: Iterable[ObjectSpec]) -> list[Fetched]:
    """Objects as files, as if they had been fetched."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for spec in specs:
        path = folder / f"{len(list(folder.iterdir()))}.dcm"
        path.write_bytes(dicom_bytes(spec))
        files.append(Fetched(record=examine_file(path, locator="").record, path=path))
    return files


def study_of(spec: ObjectSpec) -> StudyRef:
    """The object's study."""
    return StudyRef(study_uid=spec.study_uid)


def manifest_of(items: Sequence[Fetched]) -> Manifest:
    """The manifest of objects of one study."""
    entries = []
    for item in items:
        examined = examine_file(item.path, locator="")
        entries.append(
            ManifestEntry(
                sop_instance_uid=examined.record.sop_instance_uid,
                series_uid=examined.record.series_uid,
                sop_class_uid=examined.record.sop_class_uid,
                transfer_syntax=examined.record.transfer_syntax,
                size=item.path.stat().st_size,
                digest=examined.digest,
            )
        )
    return Manifest(study_uid=items[0].record.study_uid, entries=tuple(entries))


def digests(items: Iterable[Fetched]) -> list[tuple[SOPInstanceUID, str]]:
    """Each object's UID, from its bytes, and its data set SHA-256; sorted."""
    return sorted(
        (examine_file(item.path, locator="").record.sop_instance_uid, dataset_sha256(item.path)[0]) for item in items
    )


def expected_digests(folder: Path, specs: Iterable[ObjectSpec]) -> list[tuple[SOPInstanceUID, str]]:
    """What `digests` must be for these objects."""
    return digests(written(folder, specs))


def fetched(archive: Archive, study: StudyRef, wanted: Sequence[InstanceRecord], folder: Path) -> list[Fetched]:
    """Fetch what must be there.

    Raises:
        AssertionError: something of it could not be fetched.
    """
    items: list[Fetched] = []
    for item in archive.reads.fetch(study, wanted, FolderSpool(folder)):
        if isinstance(item, FetchFailure):
            raise AssertionError(f"a listed object could not be fetched: {item.code}: {item.message}")
        items.append(item)
    return items


def read_files(archive: Archive, study: StudyRef, folder: Path) -> list[Fetched]:
    """What the archive lists and serves of a study now, as files."""
    return fetched(archive, study, list(archive.reads.list_instances(study)), folder)


def read_back(archive: Archive, study: StudyRef, folder: Path) -> list[tuple[SOPInstanceUID, str]]:
    """What the archive lists and serves of a study now."""
    return digests(read_files(archive, study, folder))


def require_same(found: Sequence[Fetched], expected: Sequence[Fetched], rung: Rung) -> None:
    """See that ``found`` are the ``expected`` objects, and no others: by their bytes, or at a lower rung.

    Raises:
        AssertionError: they are not.
    """
    if rung is Rung.HASHED:
        if digests(found) != digests(expected):
            raise AssertionError("other bytes came back than those that were given")
        return
    left = list(found)
    for item in expected:
        twin = next((other for other in left if _are_one(item.path, other.path, rung)), None)
        if twin is None:
            raise AssertionError(f"an object did not come back as it was, to the rung {rung.name}")
        left.remove(twin)
    if left:
        raise AssertionError("more came back than was given")


def _are_one(first: Path, second: Path, rung: Rung) -> bool:
    if scan_file(first).sop_instance_uid != scan_file(second).sop_instance_uid:
        return False
    reached = compare_files(first, second).rung
    return reached is not None and reached >= rung
