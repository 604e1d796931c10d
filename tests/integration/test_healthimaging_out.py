"""A program moves studies out of a HealthImaging data store into a folder: the exit path."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

import vna_lifecycle as vna
from peers.healthimaging import Place, make_place, place
from peers.healthimaging_program import came_out, make_program
from peers.s3 import Server
from vna_lifecycle.dicom.compare import compare_files
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.objects import dicom_bytes

__all__ = ["make_place", "place"]

pytestmark = pytest.mark.peer


def test_studies_come_out_whole_and_equivalent(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.fake.put(place.store, [dicom_bytes(spec) for spec in EXAMPLES])
    folder = make_program(place, seaweed, tmp_path, monkeypatch, into=False)
    with vna.Program.open(folder) as program:
        result = program.transfer("all")
        assert result.transferred == 4, str(result)
    stored = {scan_file(path).sop_instance_uid: path for path in came_out(folder)}
    assert sorted(stored) == sorted(spec.sop_instance_uid for spec in EXAMPLES)
    for spec in EXAMPLES:
        original = tmp_path / "original.dcm"
        original.write_bytes(dicom_bytes(spec))
        rung = compare_files(original, stored[spec.sop_instance_uid]).rung
        assert rung is not None
        assert rung >= Rung.EQUIVALENT


def test_two_contents_of_one_uid_are_both_seen_and_neither_is_moved(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in the non-primary image set would be overlooked by whoever reads primary ones only."""
    place.fake.put(place.store, [dicom_bytes(EXAMPLES[0]), dicom_bytes(evolve(EXAMPLES[0], grey=9))])
    with vna.Program.open(make_program(place, seaweed, tmp_path, monkeypatch, into=False)) as program:
        result = program.transfer("all")
        assert result.transferred == 0, str(result)
