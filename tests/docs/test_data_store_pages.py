"""The pages about HealthImaging are carried out as they are printed, on a fake of the service.

Only what a reader has to replace as well is replaced: IDs, buckets, paths, and where the service is. Quotas are wider:
AWS makes everybody wait for them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from pydicom import dcmread

from peers.documents import ROOT, run_document
from peers.healthimaging import Place, make_place, place
from peers.healthimaging_program import held
from peers.s3 import Server
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["make_place", "place"]

pytestmark = pytest.mark.peer

INTO = ROOT / "docs" / "how-to" / "into-aws-healthimaging.md"
OUT = ROOT / "docs" / "how-to" / "out-of-healthimaging.md"
NEEDS = re.compile(r'<!-- skip: next "needs (a data store|both folders)" -->\n')


QUICK = """\
job_starts_per_second = 50.0
changes_per_second = 50.0
poll_seconds = 0.1"""
FRAMES = 20  # of each object of the pilot


def for_this_machine(page: Path, place: Place, server: Server, folder: Path, more: str = "") -> str:
    """A page's text, with a reader's own names in it; ``more`` are further settings of the data store."""
    where = f"""\
region = "us-east-1"
endpoint_url = "{place.fake.endpoint_url}"
s3_endpoint_url = "{server.endpoint_url}"
{more}"""
    text = page.read_text(encoding="utf-8").replace("0123456789abcdef0123456789abcdef", place.store.id)
    text = text.replace("s3://hospital-migration/", f"s3://{place.bucket}/{place.root}")
    return NEEDS.sub("", text.replace('region = "eu-west-1"', where).replace("/mnt/", f"{folder}/mnt/"))


def lay_out(folder: Path, text: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page, and the program.toml that it shows; credentials are found as AWS's own tools find them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.fake.keys.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", place.fake.keys.secret_access_key)
    [program] = re.findall(r"```toml\n(\[program\].*?)```", text, re.DOTALL)
    (folder / "program.toml").write_text(program)
    (folder / "mnt").mkdir()
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_the_way_out_of_a_data_store_leads_out(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = [dicom_bytes(evolve(spec, patient_id=f"P{spec.study}", study_description="CT")) for spec in EXAMPLES]
    place.fake.put(place.store, objects)
    page = lay_out(tmp_path, for_this_machine(OUT, place, seaweed, tmp_path), place, monkeypatch)
    for name in ("originals", "out"):
        (tmp_path / "mnt" / name).mkdir()
    for number, data in enumerate(objects):
        (tmp_path / "mnt" / "originals" / f"{number}.dcm").write_bytes(data)
    assert run_document(page, tmp_path, monkeypatch) == 2


def of_many_frames(spec: ObjectSpec) -> bytes:
    dataset = dcmread(io.BytesIO(dicom_bytes(spec)))
    dataset.NumberOfFrames = FRAMES
    dataset.PixelData = b"".join(bytes([number]) * (len(dataset.PixelData)) for number in range(FRAMES))
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def test_the_way_into_a_data_store_is_as_it_is_printed_with_the_corrections_and_the_frames(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the pilot there is a study that names another patient than its prior in the data store."""
    place = make_place(wall=True)
    page = lay_out(tmp_path, for_this_machine(INTO, place, seaweed, tmp_path, QUICK), place, monkeypatch)
    (tmp_path / "mnt" / "export").mkdir()
    prior = ObjectSpec(study=99, patient_id="P1", study_description="CT", accession_number="A1")
    wrong = [evolve(prior, instance=number, patient_id="P7", accession_number="A9") for number in (2, 3)]
    pilot = [ObjectSpec(study=n, patient_id=f"M{n}", study_description="CT", study_date="20250101") for n in range(20)]
    place.fake.put(place.store, [dicom_bytes(prior)])
    objects = [*(dicom_bytes(spec) for spec in wrong), *(of_many_frames(spec) for spec in pilot)]
    for number, data in enumerate(objects):
        (tmp_path / "mnt" / "export" / f"{number}.dcm").write_bytes(data)
    assert run_document(page, tmp_path, monkeypatch) == 3
    assert held(place)[False] == []
    [corrected] = place.store.of_study(prior.study_uid)
    assert corrected.first().levels.patient["PatientID"] == "P1"
    assert len(corrected.latest.instances) == 3
