"""What a program tells of itself, and what needs none."""

from __future__ import annotations

from pathlib import Path

from vna_lifecycle import Program, compare
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


def test_what_is_on_record_can_be_read_from_any_event_on(tmp_path: Path) -> None:
    Program.init(tmp_path / "program")
    with Program.open(tmp_path / "program") as program:
        program.pause(by="A. Archivist", reason="the disk is being changed")
        everything = list(program.events())
        assert [recorded.event.kind for recorded in everything] == ["program-created", "wave-paused"]
        assert list(program.events(1)) == everything[1:]


def test_archives_to_compare_are_named_by_paths_as_well(tmp_path: Path) -> None:
    for name in ("export", "copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.dcm").write_bytes(dicom_bytes(ObjectSpec()))
    assert compare(tmp_path / "export", f"files:{tmp_path / 'copy'}").same
