"""How archives behave: recorded with every inventory, read back, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from vna_lifecycle.engine.profile import WORDS, Profile, differences, measured, record_profile
from vna_lifecycle.model.event import ProfileRecorded
from vna_lifecycle.ports import Observation
from vna_lifecycle.testing.objects import ObjectSpec

SPECS = [ObjectSpec(study=s, instance=i) for s in (1, 2) for i in (1, 2, 3)] + [
    ObjectSpec(study=3, accession_number="A")
]


def profile(archive: str, *seen: tuple[str, str]) -> Profile:
    return Profile(
        archive=archive, time="", observations=tuple(Observation(name=name, value=value) for name, value in seen)
    )


def recorded(program: Any) -> list[ProfileRecorded]:
    return [item.event for item in program.ledger.read() if isinstance(item.event, ProfileRecorded)]


def test_an_inventory_puts_the_behaviour_on_record_once_for_each_that_is_new(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        assert program.profile("old") is None
        program.take_inventory()
        program.take_inventory()
        seen = program.profile("old")
        assert seen is not None
        values = seen.values()
        assert (values["studies"], values["objects"], values["largest-study"]) == ("3", "7", "3")
        assert values["modalities"] == "CT (all)"
        assert values["absent-values"] == "3 IssuerOfPatientID (all), 2 AccessionNumber (67 %)"
        assert values["refused"] == values["oddities"] == "none"
        assert len(recorded(program)) == 1
        w.source.add(b"no DICOM")
        program.take_inventory()
        again = program.profile("old")
        assert again is not None
        assert again.values()["refused"] == "1 not-dicom (12 %)"
        assert [event.observations for event in recorded(program)] == [len(seen.observations)] * 2
        assert again.time > seen.time


def test_what_an_archive_says_of_itself_is_kept_beside_what_the_inventory_shows(world: Any) -> None:
    class Probing:
        answers = ("on",)

        def probe(self) -> Iterator[Observation]:
            for answer in self.answers:
                yield Observation(name="versioning", value=answer)
            yield Observation(name="delay", value="3", unit="ms")

    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        probing = Probing()
        with program.records.effects("profile") as journal:
            first = record_profile(journal, "old", probing)
            assert first.values()["versioning"] == "on"
            assert first.values()["delay"] == "3 ms"
            assert first.values()["studies"] == "3"
            probing.answers = ("off", "soon")
            assert record_profile(journal, "old", probing).values()["versioning"] == "off; soon"
            probing.answers = ("on",)
            assert record_profile(journal, "old", probing).observations == first.observations
        assert len(recorded(program)) == 4
        read = program.profile("old")
        assert read is not None
        assert read.observations == first.observations


def test_profiles_differ_in_what_at_least_two_tell_and_not_alike() -> None:
    old = profile("old", ("layout", "folders"), ("studies", "3"), ("only-here", "x"), ("files-sampled", "3"))
    new = profile("new", ("studies", "4"), ("layout", "folders"), ("files-sampled", "4"))
    third = profile("third", ("layout", "store"))
    assert [(row.name, row.seen) for row in differences([old, new])] == [("studies", ("3", "4"))]
    assert [(row.name, row.seen) for row in differences([old, new, third])] == [
        ("layout", ("folders", "folders", "store")),
        ("studies", ("3", "4", "")),
    ]
    assert differences([old]) == []


def test_every_measure_has_words(world: Any) -> None:
    w = world(SPECS)
    with w.open() as program:
        program.take_inventory()
        names = {item.name for item in measured(program.catalog.measure(1))}
    assert names <= WORDS.keys()


@pytest.mark.parametrize("renew", [True, False])
def test_an_archive_without_an_inventory_can_be_looked_at(world: Any, renew: bool) -> None:
    w = world(SPECS)
    with w.open() as program:
        seen = program.profile("new", renew=renew)
        assert (seen is None) == (not renew)
