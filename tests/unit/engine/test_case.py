"""What wave checks are shown: of the wave, of the program, and of the target as it is now."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve

from planted.archive import Image
from planted.defects import Plot
from planted.world import PlantedWorld, planted_world
from vna_lifecycle.ports import Depth, WaveCase

TWO_WAVES = """
[[waves]]
name = "CT"
modalities = ["CT"]
[[waves]]
name = "MR"
modalities = ["MR"]
[[exclusions]]
reason = "not needed"
modalities = ["OT"]
"""


def differences(case: WaveCase, depth: Depth) -> list[tuple[str, str]]:
    return [(item.what, item.sop_instance_uid) for item in case.target_differences(depth)]


def at(world: PlantedWorld, image: Image) -> str:
    found = world.new.find(image.spec.sop_instance_uid)
    assert found is not None
    return found[0]


def uid(image: Image) -> str:
    return image.spec.sop_instance_uid


@pytest.fixture(name="moved")
def moved_fixture(tmp_path: Path) -> Iterator[tuple[PlantedWorld, Plot]]:
    plot = Plot()
    for _ in range(3):
        plot.old += plot.study()
    with planted_world(tmp_path / "program", plot.prepare) as world:
        yield world, plot


def test_a_listing_shows_what_is_gone_new_or_of_another_size_and_bytes_show_every_edit(
    moved: tuple[PlantedWorld, Plot],
) -> None:
    world, plot = moved
    images = [image for image in plot.old if isinstance(image, Image)]
    gone, longer, edited = images[0], images[2], images[4]
    del world.new.files[at(world, gone)]
    world.new.files[at(world, longer)] = longer.having(PatientComments="later").to_bytes()
    world.new.files[at(world, edited)] = evolve(edited, spec=evolve(edited.spec, grey=200)).to_bytes()
    _, _, case = world.case("all")
    listed = {("vanished", uid(gone)), ("changed", uid(longer))}
    assert set(differences(case, Depth.LISTING)) == listed
    assert set(differences(case, Depth.BYTES)) == {*listed, ("changed", uid(edited))}


def test_workers_see_what_one_after_the_other_sees_in_the_same_order(moved: tuple[PlantedWorld, Plot]) -> None:
    world, plot = moved
    for image in plot.old[::2]:
        assert isinstance(image, Image)
        del world.new.files[at(world, image)]
    _, _, alone = world.case("all")
    _, _, together = world.case("all", lambda: ThreadPoolExecutor(2), workers=2)
    seen = differences(alone, Depth.BYTES)
    assert len(seen) == 3
    assert differences(together, Depth.BYTES) == seen


def test_what_was_at_the_target_before_is_no_addition(tmp_path: Path) -> None:
    plot = Plot()
    study = plot.study(images=3)
    plot.old += study[:2]
    plot.before.append(lambda world: world.new.add(study[2].to_bytes()))
    with planted_world(tmp_path / "program", plot.prepare) as world:
        _, _, case = world.case("all")
        assert differences(case, Depth.BYTES) == []


def test_a_content_that_a_person_chose_is_no_collision_any_more(tmp_path: Path) -> None:
    plot = Plot()
    study = plot.study()
    plot.old += [*study, study[1].having(PatientComments="allergic")]
    with planted_world(tmp_path / "program", plot.prepare) as world:
        _, _, case = world.case("all")
        assert [item.sop_instance_uid for item in case.collisions()] == [uid(study[1])]
        held = world.program.held("all")
        world.program.choose(uid(study[1]), held[0].content, by="somebody", reason="the later one")
        _, _, case = world.case("all")
        assert list(case.collisions()) == []
        world.program.transfer("all")
        _, _, case = world.case("all")
        assert list(case.collisions()) == []


def test_a_wave_is_told_of_its_own_studies_and_the_program_of_none(tmp_path: Path) -> None:
    plot = Plot()
    ours, other, nobodys = plot.study(), plot.study(modality="MR"), plot.study(modality="OT")
    shared = ours[0].spec.series_uid
    plot.old += [*ours, *(image.having(SeriesInstanceUID=shared) for image in (*other, *nobodys)), b"no DICOM"]
    with planted_world(tmp_path / "program", plot.prepare, waves=("CT",), more=TWO_WAVES) as world:
        _, _, case = world.case("CT")
        assert [facts.study.study_uid for facts in case.studies()] == [ours[0].spec.study_uid]
        [spread] = case.spread_series()
        assert [study.study_uid for study in spread.studies] == [ours[0].spec.study_uid]
        assert {study.study_uid for study in spread.elsewhere} == {other[0].spec.study_uid, nobodys[0].spec.study_uid}
        assert list(case.refused()) == []
        _, _, program = world.case("")
        assert [refused.code for _, refused in program.refused()] == ["not-dicom"]
        for question in (
            program.studies,
            program.histories,
            program.contradictions,
            program.patients,
            program.namesakes,
            program.spread_series,
            program.collisions,
            program.shared_contents,
            program.descriptions,
            program.oddities,
            program.truth_differences,
        ):
            assert list(question()) == []  # not even of those that were excluded


def test_a_patient_is_everybody_whom_the_sources_call_so_now_whatever_the_wave(tmp_path: Path) -> None:
    plot = Plot()
    ours = plot.study(images=1)
    [other] = plot.study(images=1, modality="OT", patient_id=ours[0].spec.patient_id)
    plot.old += [*ours, other]
    with planted_world(tmp_path / "program", plot.prepare, waves=("CT",), more=TWO_WAVES) as world:
        _, _, case = world.case("CT")
        [patient] = case.patients()
        assert {each.name for each in patient.named} == {ours[0].spec.patient_name, other.spec.patient_name}
        assert [study.study_uid for study in patient.studies] == [ours[0].spec.study_uid]
        [locator] = [locator for locator, data in world.old.files.items() if data == other.to_bytes()]
        world.old.files[locator] = other.having(PatientName=ours[0].spec.patient_name).to_bytes()
        world.program.take_inventory()
        _, _, case = world.case("CT")
        [patient] = case.patients()
        assert {each.name for each in patient.named} == {ours[0].spec.patient_name}


HOSTILE = ("A\0B", '"]}', "'; DROP TABLE study --", "\\u0000", "\x1b[2J", "\u202egpj.exe")


@pytest.mark.parametrize("keyword", ["BodyPartExamined", "StudyDescription", "PatientName", "SeriesInstanceUID"])
def test_hostile_values_are_findings_and_break_no_question(tmp_path: Path, keyword: str) -> None:
    plot = Plot()
    texts = [text for text in HOSTILE if text.isascii() or keyword in ("StudyDescription", "PatientName")]
    for text in texts:
        plot.old += [image.having(**{keyword: text}) for image in plot.study(images=1, character_set="ISO_IR 192")]
    with planted_world(tmp_path / "program", plot.prepare) as world:
        findings = world.run_checks()
        assert {finding.kind for finding in findings} & {"check-failed", "check-misbehaved"} == set()
        _, _, case = world.case("all")
        assert len(list(case.studies())) + len(list(world.case("")[2].refused())) == len(texts)
