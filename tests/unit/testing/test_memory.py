"""The archive in memory as a plug-in, and what stays of it from one opening to the next."""

from __future__ import annotations

from pathlib import Path

from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.ports import StudyQuery
from vna_lifecycle.testing import memory
from vna_lifecycle.testing.conformance.case import site
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


def test_it_is_registered_by_handing_over_the_module(tmp_path: Path) -> None:
    registry = load_plugins(extra=[memory]).registry
    plugin = registry.archives["memory"]
    archive = plugin.open(memory.MemorySettings(name="registered"), site(tmp_path))
    assert archive.stores is not None
    assert archive.imports is None


def test_what_it_holds_outlives_who_opened_it(tmp_path: Path) -> None:
    memory.fill("kept", [dicom_bytes(ObjectSpec())])
    for _ in range(2):
        archive = memory.open_memory(memory.MemorySettings(name="kept"), site(tmp_path))
        assert len(list(archive.reads.find_studies(StudyQuery()))) == 1
        archive.reads.close()
    memory.forget("kept")
    assert memory.memory_state("kept").files == {}


def test_archives_of_different_names_have_nothing_in_common() -> None:
    memory.fill("one", [dicom_bytes(ObjectSpec())])
    assert memory.memory_state("other").files == {}
    memory.forget("one")
