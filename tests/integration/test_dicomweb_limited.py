"""An archive that others wrote, with a limit of answers that it does not tell: an inventory finds all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peers.dicom import folder_for_peer
from peers.dicomweb import WebArchive, run_web_archive
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.model.inventory import StudyRecord
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

LIMIT = 5
DATES = [f"202403{number + 1:02}" for number in range(12)] + ["20240401"] * 8 + [""] * 8
SPECS = [
    ObjectSpec(study=number, patient_id=f"P{number:02}", study_date=date) for number, date in enumerate(DATES, start=1)
]


@pytest.fixture
def limited() -> Iterator[WebArchive]:
    """Orthanc, which gives one answer more than its limit, and nothing behind it, whatever the offset."""
    with folder_for_peer() as folder, run_web_archive(folder, LimitFindResults=LIMIT) as archive:
        archive.fill(dicom_bytes(spec) for spec in SPECS)
        yield archive


@pytest.fixture
def archive(limited: WebArchive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    opened = open_dicomweb(limited.settings(), site(tmp_path_factory.mktemp("limited")))
    yield opened
    opened.reads.close()


def test_no_limit_of_orthanc_hides_a_study_from_an_inventory_and_its_profile_tells_of_it(archive: Archive) -> None:
    found = [
        item.study_uid
        for part in archive.reads.parts()
        for item in archive.reads.inventory(part)
        if isinstance(item, StudyRecord)
    ]
    assert sorted(found) == sorted(spec.study_uid for spec in SPECS)
    assert archive.probes is not None
    seen = {one.name: one.value for one in archive.probes.probe()}
    assert seen["answer-cap"] == str(LIMIT + 1)
    assert "cut short and not continued" in seen["answers-to-one-search"]
