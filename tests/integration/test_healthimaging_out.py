"""A program moves studies out of a HealthImaging data store into a folder: the exit path."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

import vna_lifecycle as vna
from peers.healthimaging import Place, make_place, place
from peers.s3 import Server
from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.objects import dicom_bytes

__all__ = ["make_place", "place"]

pytestmark = pytest.mark.peer

PROGRAM = """
[program]
name = "Out"
[archives.aws]
plugin = "healthimaging"
datastore_id = "{store}"
data_access_role_arn = "arn:aws:iam::123456789012:role/import"
staging = "s3://{bucket}/{root}stage/"
results = "s3://{bucket}/{root}results/"
region = "us-east-1"
endpoint_url = "{endpoint}"
s3_endpoint_url = "{s3}"
access_key_id = "env:HI_KEY"
secret_access_key = "env:HI_SECRET"
[archives.folder]
plugin = "files"
path = "folder"
[migration]
sources = ["aws"]
target = "folder"
[[waves]]
name = "all"
[execution]
reserve_bytes = 0
workers = 2
"""


@pytest.fixture
def program_folder(place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HI_KEY", place.fake.keys.access_key_id)
    monkeypatch.setenv("HI_SECRET", place.fake.keys.secret_access_key)
    (tmp_path / "folder").mkdir()
    text = PROGRAM.format(
        store=place.store.id,
        bucket=place.bucket,
        root=place.root,
        endpoint=place.fake.endpoint_url,
        s3=seaweed.endpoint_url,
    )
    (tmp_path / "program.toml").write_text(text)
    vna.Program.init(tmp_path)
    return tmp_path


def test_studies_come_out_whole_and_equivalent(place: Place, program_folder: Path, tmp_path: Path) -> None:
    place.fake.put(place.store, [dicom_bytes(spec) for spec in EXAMPLES])
    with vna.Program.open(program_folder) as program:
        program.take_inventory()
        [wave] = program.plan().waves
        result = program.transfer(wave)
        assert result.transferred == 4, str(result)
    objects = [path for path in (program_folder / "folder").rglob("*") if _is_object(path)]
    stored = {scan_file(path).sop_instance_uid: path for path in objects}
    assert sorted(stored) == sorted(spec.sop_instance_uid for spec in EXAMPLES)
    for spec in EXAMPLES:
        original = tmp_path / "original.dcm"
        original.write_bytes(dicom_bytes(spec))
        rung = compare_files(original, stored[spec.sop_instance_uid]).rung
        assert rung is not None
        assert rung >= Rung.EQUIVALENT


def test_two_contents_of_one_uid_are_both_seen_and_neither_is_moved(place: Place, program_folder: Path) -> None:
    """The one in the non-primary image set would be overlooked by whoever reads primary ones only."""
    place.fake.put(place.store, [dicom_bytes(EXAMPLES[0]), dicom_bytes(evolve(EXAMPLES[0], grey=9))])
    with vna.Program.open(program_folder) as program:
        program.take_inventory()
        [wave] = program.plan().waves
        result = program.transfer(wave)
        assert result.transferred == 0, str(result)


def _is_object(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[128:132] == b"DICM"
