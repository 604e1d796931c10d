"""The extract of the old archive's database: it knows better than the headers, where headers are stale."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from vna_lifecycle.demo.defects import COUNTED, DELETED, HIDDEN, STALE
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.errors import DicomRefused

COLUMNS: Final = (
    "StudyInstanceUID", "PatientID", "Issuer", "PatientName", "StudyDate", "Instances", "Deleted", "Hidden"
)  # fmt: skip


def write_extract(path: Path, archive: Path) -> None:
    """Write what the database says of every study in ``archive`` that has a Patient ID.

    It agrees with the headers but for four studies: one belongs to another patient by now, of one it counts an image
    more, one was deleted and one is hidden.
    """
    studies: dict[str, tuple[str, str, str, str]] = {}
    instances: dict[str, set[str]] = {}
    for file in sorted(file for file in archive.rglob("*") if file.is_file()):
        try:
            record = scan_file(file, locator=file.name)
        except DicomRefused:
            continue
        header = record.series
        if header.patient_id:
            row = (header.patient_id, header.issuer_of_patient_id, header.patient_name, header.study_date)
            studies.setdefault(record.study_uid, row)
            instances.setdefault(record.study_uid, set()).add(record.sop_instance_uid)
    studies[STALE.study_uid] = ("C-2117", STALE.issuer, "Lindqvist^Maria", STALE.date)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="") as file_:
        table = csv.writer(file_)
        table.writerow(COLUMNS)
        for study, row in sorted(studies.items()):
            count = len(instances[study]) + (study == COUNTED.study_uid)
            table.writerow((study, *row, count, int(study == DELETED.study_uid), int(study == HIDDEN.study_uid)))
    partial.rename(path)
