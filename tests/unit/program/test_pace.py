"""How many studies are in flight at once, where program.toml does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attrs import evolve

from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.config import ArchiveConfig, Config, Engine, ExecutionConfig, MigrationConfig
from vna_lifecycle.model.wave import WavePolicy
from vna_lifecycle.program.pace import Pace, decide_pace

FOLDERS = Config(
    name="Old to new",
    archives=(
        ArchiveConfig(name="old", plugin="files", settings=FilesSettings(path=Path("old"))),
        ArchiveConfig(name="new", plugin="files", settings=FilesSettings(path=Path("new"))),
        ArchiveConfig(name="pacs", plugin="dimse", settings=DimseSettings(host="pacs.example", ae_title="PACS")),
        ArchiveConfig(name="far", plugin="dicomweb", settings=DicomwebSettings(url="http://pacs.example/dicom-web")),
    ),
    migration=MigrationConfig(sources=("old",), target="new"),
    waves=(WavePolicy(name="all"),),
)

PULLING = evolve(FOLDERS, migration=evolve(FOLDERS.migration, sources=("pacs",)))


@pytest.mark.parametrize(("processors", "workers"), [(1, 1), (2, 2), (3, 3), (4, 4), (64, 4)])
def test_between_folders_there_are_no_more_workers_than_processors(
    processors: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(processors)), raising=False)
    assert decide_pace(FOLDERS, {}, {}).workers == workers


@pytest.mark.parametrize("migration", [{"sources": ("old", "far")}, {"target": "far"}], ids=str)
def test_an_archive_that_answers_gets_the_usual_workers_on_any_machine(
    migration: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert decide_pace(evolve(FOLDERS, migration=evolve(FOLDERS.migration, **migration)), {}, {}).workers == 4


def test_what_the_program_says_counts() -> None:
    assert decide_pace(evolve(PULLING, execution=ExecutionConfig(workers=7)), {"pacs": 2}, {}).workers == 7


def pace(borne: int | None, *, allowed: int | None = None, engine: Engine = Engine.THREADS) -> Pace:
    settings = DimseSettings(host="pacs.example", ae_title="PACS", retrieve="get", associations=allowed)
    archives = [evolve(one, settings=settings) if one.name == "pacs" else one for one in PULLING.archives]
    config = evolve(PULLING, archives=archives, execution=ExecutionConfig(engine=engine))
    return decide_pace(config, {} if borne is None else {"pacs": borne}, {})


def test_an_archive_that_was_seen_to_bear_more_gets_more_studies_at_once() -> None:
    assert pace(8).workers == 8
    assert pace(8).measured
    assert str(pace(8)) == ("up to 8 studies in flight at once: pacs was seen to bear 8 associations side by side")


def test_one_that_bears_less_keeps_itself_to_it_while_others_are_stored() -> None:
    assert pace(1).workers == 4


def test_worker_processes_are_no_more_than_the_archive_bears() -> None:
    """Each of them asks by itself, and none knows of the others."""
    assert pace(1, engine=Engine.PROCESSES).workers == 1
    assert pace(None, engine=Engine.PROCESSES).workers == 4


def test_what_the_archive_may_be_asked_by_its_settings_counts_more_than_what_was_seen() -> None:
    assert pace(8, allowed=6).workers == 6
    assert not pace(8, allowed=6).measured
    assert pace(8, allowed=2, engine=Engine.PROCESSES).workers == 2


def test_a_cap_of_answers_is_told() -> None:
    assert decide_pace(PULLING, {}, {"pacs": 200}).remarks == ("pacs shows no more than 200 studies in one answer",)
