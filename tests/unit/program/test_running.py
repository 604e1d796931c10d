"""How many studies are in flight at once, where program.toml does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attrs import evolve

from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.config import ArchiveConfig, Config, ExecutionConfig, MigrationConfig
from vna_lifecycle.model.wave import WavePolicy
from vna_lifecycle.program.running import workers_of

FOLDERS = Config(
    name="Old to new",
    archives=(
        ArchiveConfig(name="old", plugin="files", settings=FilesSettings(path=Path("old"))),
        ArchiveConfig(name="new", plugin="files", settings=FilesSettings(path=Path("new"))),
        ArchiveConfig(name="far", plugin="dicomweb", settings=DicomwebSettings(url="http://pacs.example/dicom-web")),
    ),
    migration=MigrationConfig(sources=("old",), target="new"),
    waves=(WavePolicy(name="all"),),
)


@pytest.mark.parametrize(("processors", "workers"), [(1, 1), (2, 2), (3, 3), (4, 4), (64, 4)])
def test_between_folders_there_are_no_more_workers_than_processors(
    processors: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(processors)), raising=False)
    assert workers_of(FOLDERS) == workers


@pytest.mark.parametrize("migration", [{"sources": ("old", "far")}, {"target": "far"}], ids=str)
def test_an_archive_that_answers_gets_the_usual_workers_on_any_machine(
    migration: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert workers_of(evolve(FOLDERS, migration=evolve(FOLDERS.migration, **migration))) == 4


def test_what_the_program_says_counts() -> None:
    assert workers_of(evolve(FOLDERS, execution=ExecutionConfig(workers=7))) == 7
