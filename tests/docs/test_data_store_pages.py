"""The pages about HealthImaging are carried out as they are printed, on a fake of the service.

Only what a reader has to replace as well is replaced: IDs, buckets, paths, and where the service is.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import evolve

from peers.documents import ROOT, run_document
from peers.healthimaging import Place, make_place, place
from peers.s3 import Server
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.objects import dicom_bytes

__all__ = ["make_place", "place"]

pytestmark = pytest.mark.peer

OUT = ROOT / "docs" / "how-to" / "out-of-healthimaging.md"
NEEDS = re.compile(r'<!-- skip: next "needs (a data store|both folders)" -->\n')


def for_this_machine(page: Path, place: Place, server: Server, folder: Path) -> str:
    """A page's text, with a reader's own names in it."""
    where = (
        f'region = "us-east-1"\nendpoint_url = "{place.fake.endpoint_url}"\ns3_endpoint_url = "{server.endpoint_url}"'
    )
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
