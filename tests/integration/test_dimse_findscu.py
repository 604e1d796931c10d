"""Our queries and dcmtk's ``findscu``, an independent reader, get the same answers from the same archive."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.config import IGNORE, settings

from peers.dicom import OURS, program
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.model.inventory import StudyRecord
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.misbehaving_pacs import Faults, MisbehavingPacs
from vna_lifecycle.testing.objects import NAMES, ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

KEYS = ("StudyInstanceUID", "StudyDate", "PatientID", "PatientName", "AccessionNumber", "NumberOfStudyRelatedInstances")


def specs(count: int) -> list[ObjectSpec]:
    """Studies of all dates and of none, of any character set, of few and of many patients."""
    chance = random.Random(count)  # the same studies each time
    made = []
    for study in range(1, count + 1):
        character_set, name = chance.choice(NAMES)
        year, month, day = chance.choice((1965, 1999, 2020, 2024)), chance.randint(1, 12), chance.randint(1, 28)
        made.append(
            ObjectSpec(
                study=study,
                patient_id=f"{chance.choice('ABC0123')}{chance.randint(0, count // 4)}",
                patient_name=name,
                character_set=character_set,
                study_date=chance.choice([f"{year}{month:02}{day:02}"] * 9 + [""]),
                accession_number=f"A{study}" if study % 3 else "",
            )
        )
    return made


def findscu(port: int, folder: Path) -> list[tuple[str, ...]]:
    """What ``findscu`` is told about all studies, in its own files, read by pydicom."""
    folder.mkdir()
    keys = [part for key in ("QueryRetrieveLevel=STUDY", *KEYS) for part in ("-k", key)]
    where = ["-S", "-X", "-od", str(folder), "-aec", "PACS", "-aet", OURS, "127.0.0.1", str(port)]
    subprocess.run([program("findscu"), *where, *keys], check=True, capture_output=True, timeout=120)
    told = []
    for path in folder.iterdir():
        answer = dcmread(path, force=True)
        told.append(tuple(str(answer[key].value or "") for key in KEYS))
    return sorted(told)


@pytest.mark.timeout(3600)  # ten thousand studies take minutes of processor time, and the soak has few to spare
@pytest.mark.parametrize(
    ("count", "cap"),
    [
        (300, 60),
        pytest.param(10_000, None, marks=pytest.mark.soak),
        pytest.param(10_000, 200, marks=pytest.mark.soak),
    ],
)
def test_an_inventory_has_what_findscu_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, cap: int | None
) -> None:
    """By our windows, also behind a cap; findscu asks for everything at once, without one."""
    monkeypatch.setattr(settings, "reading_validation_mode", IGNORE)
    with MisbehavingPacs(map(dicom_bytes, specs(count))) as pacs:
        theirs = findscu(pacs.port, tmp_path / "theirs")
        assert len(theirs) == count
        pacs.faults = Faults(cap=cap, silent=("SERIES", "IMAGE"))
        archive = open_archive(
            DimseSettings(host="127.0.0.1", port=pacs.port, ae_title="PACS", calling_ae_title=OURS, retrieve="get"),
            site(tmp_path),
        )
        ours = [
            (
                item.study_uid,
                item.study_date,
                item.patient.id,
                item.patient_name,
                item.accession_number,
                str(item.instance_count),
            )
            for part in archive.reads.parts()
            for item in archive.reads.inventory(part)
            if isinstance(item, StudyRecord)
        ]
        archive.reads.close()
    assert sorted(ours) == theirs
