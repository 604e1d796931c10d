"""A program as its users hold it: inventory, plan, several sources, decisions, errors."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from vna_lifecycle.errors import CatalogCorrupt, ConfigurationError, LeaseHeld, StateError
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.program import Program
from vna_lifecycle.testing.faults import Fail, SimulatedCrash
from vna_lifecycle.testing.memory import fill, forget, memory_state
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes
from vna_lifecycle.vault import Vault

SPECS = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2, 3, 4) for i in (1, 2)]


def test_an_interrupted_inventory_goes_on_with_the_next_part(world: Any) -> None:
    w = world(SPECS)
    fault = Fail(on="inventory", nth=2)
    w.source.plan.faults.append(fault)
    with w.open() as program, pytest.raises(Exception, match="injected"):
        program.take_inventory()
    w.source.plan.faults.remove(fault)
    with w.open() as program:
        (result,) = program.take_inventory()
        assert (result.inventory, result.completed, result.resumed) == (1, True, True)
        assert result.instances == len(SPECS)
        (again,) = program.take_inventory()
        assert (again.inventory, again.resumed) == (2, False)


def test_planning_needs_an_inventory(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program, pytest.raises(StateError, match="no complete inventory of old"):
        program.plan()


def test_every_study_is_in_a_wave_excluded_or_unplanned(world: Any) -> None:
    more = """
[[waves]]
name = "pilot"
max_studies = 2
[[exclusions]]
reason = "test patient"
patient_ids = ["P4"]
"""
    w = world(SPECS, more)
    with w.open() as program:
        program.take_inventory()
        dry = program.plan(dry_run=True)
        assert program.waves() == []
        plan = program.plan()
        assert [(wave.name, wave.studies) for wave in plan.waves] == [("pilot", 2)]
        assert (dict(plan.excluded), plan.unplanned) == ({"test patient": 1}, 1)
        assert [wave.studies for wave in dry.waves] == [wave.studies for wave in plan.waves]
        status = program.status()
        assert sum(wave.studies for wave in status.waves) + sum(n for _, n in status.excluded) + status.unplanned == 4


def test_planning_again_frees_what_has_not_moved(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.plan()
        assert program.status().waves[0].studies == 4
        assert program.transfer("all").outcome == "complete"
        program.plan()
        assert program.status().waves[0].imported == 4


@pytest.fixture
def second_source() -> Any:
    name = "second-source"
    forget(name)
    yield name
    forget(name)


def consolidated(world: Any, name: str, first: list[ObjectSpec], second: list[bytes]) -> Any:
    w = world(first, f'[archives.older]\nplugin = "memory"\nname = "{name}"\n')
    config = w.folder / "program.toml"
    config.write_text(config.read_text().replace('sources = ["old"]', 'sources = ["old", "older"]'))
    fill(name, second)
    return w


def test_several_sources_are_consolidated_and_equal_copies_are_stored_once(world: Any, second_source: str) -> None:
    w = consolidated(
        world, second_source, SPECS[:3], [dicom_bytes(SPECS[0]), dicom_bytes(SPECS[3]), dicom_bytes(SPECS[5])]
    )
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
        assert program.status().waves[0].instances == 5
    assert len(w.target.files) == 5


def test_where_sources_differ_only_in_encoding_the_first_one_has_precedence(world: Any, second_source: str) -> None:
    other = ObjectSpec(transfer_syntax="1.2.840.10008.1.2")
    w = consolidated(world, second_source, [ObjectSpec()], [dicom_bytes(other)])
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert list(w.target.files.values()) == [dicom_bytes(ObjectSpec())]


def test_where_sources_differ_in_content_nothing_is_stored_before_a_decision(world: Any, second_source: str) -> None:
    w = consolidated(world, second_source, [ObjectSpec()], [dicom_bytes(ObjectSpec(grey=7))])
    with w.open() as program:
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "incomplete"
        assert w.target.files == {}
        second = next(item for item in program.held() if item.archive == "older")
        program.choose(second.sop_instance_uid, second.content, by="mallory", reason="read at the workstation")
        assert program.transfer("all").outcome == "complete"
    assert list(w.target.files.values()) == [dicom_bytes(ObjectSpec(grey=7))]


def test_only_one_process_has_effects_while_others_read_and_decide(world: Any) -> None:
    w = world(SPECS)
    with w.open() as one, w.open() as other, one.records.effects("test"):
        with pytest.raises(LeaseHeld):
            other.take_inventory()
        assert other.status().ledger_size > 0


def test_a_decision_needs_a_person_and_one_whom_the_settings_know(world: Any) -> None:
    w = world(SPECS, '[people.mallory]\nrole = "records officer"\n')
    with w.open() as program:
        with pytest.raises(ConfigurationError, match="needs the name"):
            program.pause(by=" ")
        with pytest.raises(ConfigurationError, match="knows no person"):
            program.pause(by="eve")
        program.pause(by="mallory")


def test_damage_that_is_noticed_in_the_middle_of_a_command_is_set_aside_when_it_ends(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.transfer("all")
        with program.catalog._engine.connect() as connection:
            table = "SELECT rootpage FROM sqlite_master WHERE name = 'progress'"
            page = connection.exec_driver_sql(table).scalar_one()
    with (w.folder / "catalog.db").open("r+b") as file:  # what opening does not read
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(CatalogCorrupt) as caught, w.open() as program:
        program.status()
    assert "inventory" in caught.value.hint
    assert len(list(w.folder.glob("catalog-damaged-*.db"))) == 1
    with w.open() as program:
        assert program.status().waves[0].imported == 4


def test_a_damaged_catalog_is_set_aside_and_the_state_comes_back_from_the_ledger(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.transfer("all")
    catalog = w.folder / "catalog.db"
    catalog.write_bytes(b"\xff" * len(catalog.read_bytes()))
    with pytest.raises(CatalogCorrupt) as caught:
        w.open()
    assert "inventory" in caught.value.hint
    assert list(w.folder.glob("catalog-damaged-*.db"))
    with w.open() as program:
        assert program.status().waves[0].imported == 4
        program.take_inventory()
        program.plan()
        assert program.transfer("all").outcome == "complete"
        assert program.status().waves[0].studies == 4
        assert program.verify_ledger(deep=True).ok


def test_outside_its_window_nothing_new_begins(world: Any) -> None:
    more = 'windows = [{ days = "mon", from = "01:00", to = "02:00" }]\ntime_zone = "Europe/Berlin"\n'
    w = world(SPECS, more)
    noon = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
    told: list[str] = []
    with Program.open(w.folder, plugins=w.plugins, clock=lambda: noon) as program:
        program.take_inventory()
        program.plan()

        def tell(progress: Any) -> None:
            if progress.activity == "transfer":
                told.append(progress.note)
                program.cancel()

        assert program.transfer("all", progress=tell).outcome == "cancelled"
    assert w.target.files == {}
    assert "outside" in told[0]


def test_a_folder_without_a_program_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Program.open(tmp_path)
    assert "init" in caught.value.hint


def test_a_program_is_made_once(tmp_path: Path) -> None:
    config = Program.init(tmp_path / "new")
    assert config.exists()
    assert (tmp_path / "new" / "keys" / "program.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StateError):
        Program.init(tmp_path / "new")


@pytest.mark.parametrize("step", ["Vault.create", "Ledger.create", "Ledger.append"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_beginning_that_was_interrupted_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    owner = {"Vault": Vault, "Ledger": Ledger}[step.split(".")[0]]
    name = step.split(".")[1]
    original = getattr(owner, name)

    def dies(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            original(*arguments, **options)
        raise SimulatedCrash(step)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        with pytest.raises(SimulatedCrash):
            Program.init(tmp_path)
    if (step, when) == ("Ledger.append", "after"):
        with pytest.raises(StateError, match="already"):
            Program.init(tmp_path)
    else:
        Program.init(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with Program.open(tmp_path) as program:
        assert program.status().ledger_size == 1
        assert program.verify_ledger(deep=True).ok


def test_the_keys_of_a_vault_that_is_lost_are_never_thrown_away(tmp_path: Path) -> None:
    Program.init(tmp_path)
    before = (tmp_path / "keys" / "root.key").read_bytes()
    for path in [*tmp_path.glob("ledger*"), *tmp_path.glob("vault.db*")]:
        path.unlink()
    Program.init(tmp_path)
    assert before in [path.read_bytes() for path in (tmp_path / "keys").glob("root.key.before-*")]


def test_a_copy_that_cannot_be_read_is_told_although_another_one_was_taken(world: Any, second_source: str) -> None:
    w = consolidated(world, second_source, [ObjectSpec()], [dicom_bytes(ObjectSpec())])
    with w.open() as program:
        program.take_inventory()
        state = memory_state(second_source)
        state.files = {locator: data[:-3] for locator, data in state.files.items()}
        program.plan()
        assert program.transfer("all").outcome == "complete"
        assert [(line.kind, line.severity, line.subjects) for line in program.findings("all")] == [
            ("copy-not-fetched", "warning", 1)
        ]
    assert w.same_bytes()
