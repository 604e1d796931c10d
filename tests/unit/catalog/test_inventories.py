"""What was found stays as it was found, part by part, whatever interrupts it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.catalog import Catalog, InventoryTotals
from vna_lifecycle.errors import CatalogCorrupt, StateError, StorageError
from vna_lifecycle.model.identity import PatientKey, SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import (
    Availability,
    Basis,
    InstanceRecord,
    Refused,
    SeriesAttributes,
    StudyRecord,
)
from vna_lifecycle.ports import Part


def label(uid: str) -> str:
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path / "catalog.db", label=label)
    yield opened
    opened.close()


def record(locator: str, study: str = "1.1", uid: str = "", size: int | None = 10, **values: Any) -> InstanceRecord:
    series = SeriesAttributes(
        **{"patient_id": "p", "study_date": "20240101", "modality": "CT"} | values,
        study_uid=StudyUID(study),
        series_uid=SeriesUID(f"{study}.1"),
    )
    return InstanceRecord(
        locator=locator, sop_instance_uid=SOPInstanceUID(uid or f"{study}.{locator}"), size=size, series=series
    )


def take(catalog: Catalog, archive: str, *parts: Sequence[Any]) -> int:
    """A complete pass with these parts."""
    number = catalog.next_inventory()
    catalog.begin_inventory(number, archive)
    for key, items in enumerate(parts):
        catalog.record_part(number, Part(key=str(key)), items)
    catalog.complete_inventory(number)
    return number


texts = st.text(max_size=8)
whole = st.none() | st.integers(0, 2**31 - 1)
series = st.builds(
    SeriesAttributes, **dict.fromkeys(("patient_id", "study_description", "series_uid", "study_date"), texts)
)
instances = st.builds(
    InstanceRecord,
    locator=texts,
    sop_instance_uid=texts,
    sop_class_uid=texts,
    transfer_syntax=texts,
    size=st.none() | st.integers(0, 2**48 - 1),
    instance_number=st.none() | st.integers(-(2**31), 2**31 - 1),
    rows=whole,
    columns=whole,
    frames=whole,
    availability=st.sampled_from(Availability),
    flags=st.lists(texts, max_size=2).map(tuple),
    series=series.map(lambda found: evolve(found, study_uid=StudyUID("1.\udc80\0'\"%"))),
)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path_factory.mktemp("inventories") / "catalog.db", label=label)
    yield opened
    opened.close()


@settings(max_examples=60)
@given(found=st.lists(instances, max_size=6))
def test_any_record_comes_back_as_it_was_given(used: Catalog, found: list[InstanceRecord]) -> None:
    take(used, "old", found)
    used.refresh_studies(["old"])
    got = [record for _, record in used.candidates("1.\udc80\0'\"%")]
    assert sorted(got, key=repr) == sorted(found, key=repr)


@settings(
    max_examples=40,
)
@given(found=st.lists(instances, max_size=6), data=st.data())
def test_the_content_digest_depends_on_every_row_but_not_on_their_order(
    used: Catalog, found: list[InstanceRecord], data: st.DataObject
) -> None:
    used.begin_inventory(9_000_000, "digest")

    def digest(items: Sequence[InstanceRecord]) -> str:
        return used.record_part(9_000_000, Part(key="k"), items).content_sha256

    whole = digest(found)
    assert digest(data.draw(st.permutations(found))) == whole
    if found:
        position = data.draw(st.integers(0, len(found) - 1))
        one = found[position]
        fields: dict[str, Any] = {"locator": one.locator + "x", "size": (one.size or 0) + 1, "flags": (*one.flags, "x")}
        name = data.draw(st.sampled_from(sorted(fields)))
        changed = evolve(one, **{name: fields[name]})
        assert digest([*found[:position], changed, *found[position + 1 :]]) != whole
        assert digest([*found[:position], *found[position + 1 :]]) != whole
        assert digest([*found, one]) != whole


@pytest.mark.parametrize("value", [2**48, 2**63, 10**30, -1])
def test_a_size_that_no_object_can_have_is_unknown_and_stops_nothing(catalog: Catalog, value: int) -> None:
    take(
        catalog, "old", [record("a", size=value), record("b", size=5), claim("1.2", size=value, instance_count=10**30)]
    )
    catalog.refresh_studies(["old"])
    study, claimed = catalog.study("1.1"), catalog.study("1.2")
    assert study is not None and claimed is not None
    assert (study.size, study.unsized) == (5, 1)
    assert (claimed.size, claimed.instances) == (0, None)


def test_a_number_that_no_attribute_can_have_is_unknown(catalog: Catalog) -> None:
    take(catalog, "old", [evolve(record("a"), instance_number=10**30, rows=-(10**30))])
    catalog.refresh_studies(["old"])
    ((_, found),) = catalog.candidates("1.1")
    assert (found.instance_number, found.rows) == (None, None)


def test_an_interrupted_part_leaves_what_was_recorded_before(catalog: Catalog) -> None:
    catalog.begin_inventory(1, "old")
    before = catalog.record_part(1, Part(key="k"), [record("a"), record("b")])

    def breaking() -> Iterator[InstanceRecord]:
        for number in range(30_000):  # more than is read ahead: rows are written when it breaks
            yield record(f"{number}")
        raise OSError("the archive went away")

    with pytest.raises(OSError, match="went away"):
        catalog.record_part(1, Part(key="k"), breaking())
    assert catalog.part_totals(1, "k") == before
    catalog.complete_inventory(1)
    catalog.refresh_studies(["old"])
    assert [each.locator for _, each in catalog.candidates("1.1")] == ["a", "b"]


def test_a_part_that_broke_at_first_is_not_done(catalog: Catalog) -> None:
    catalog.begin_inventory(1, "old")

    def breaking() -> Iterator[InstanceRecord]:
        yield record("a")
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        catalog.record_part(1, Part(key="k"), breaking())
    assert catalog.parts_done(1) == frozenset()


def test_recording_a_part_twice_is_recording_it_once(catalog: Catalog) -> None:
    items = [record("a"), record("b", "1.2"), Refused(locator="c", code="truncated", reason="short", offset=7)]
    catalog.begin_inventory(1, "old")
    assert catalog.record_part(1, Part(key="k"), items) == catalog.record_part(1, Part(key="k"), items)
    assert catalog.complete_inventory(1) == InventoryTotals(parts=1, studies=2, instances=2, refused=1, size=20)
    assert list(catalog.refused(1)) == items[2:]
    catalog.refresh_studies(["old"])
    assert len(list(catalog.candidates("1.1"))) == 1


def test_a_part_recorded_again_is_replaced(catalog: Catalog) -> None:
    catalog.begin_inventory(1, "old")
    catalog.record_part(1, Part(key="k"), [record("a"), record("b", "1.2"), Refused(locator="c", code="x", reason="y")])
    catalog.record_part(1, Part(key="k"), [record("z", "1.3")])
    assert catalog.complete_inventory(1) == InventoryTotals(parts=1, studies=1, instances=1, refused=0, size=10)
    catalog.refresh_studies(["old"])
    assert [each.study_uid for each in catalog.studies()] == ["1.3"]


def test_a_pass_is_the_latest_only_once_it_is_complete(catalog: Catalog) -> None:
    first = take(catalog, "old", [record("a")])
    second = catalog.next_inventory()
    catalog.begin_inventory(second, "old")
    catalog.begin_inventory(second, "old")  # taken up again
    assert catalog.latest_inventory("old") == first
    assert catalog.latest_inventory("old", complete=False) == second
    assert catalog.interrupted_inventory("old") == second
    catalog.complete_inventory(second)
    assert (catalog.latest_inventory("old"), catalog.previous_inventory("old")) == (second, first)
    assert catalog.interrupted_inventory("old") is None
    assert catalog.previous_inventory("other") is None


def test_a_number_belongs_to_one_archive(catalog: Catalog) -> None:
    catalog.begin_inventory(1, "old")
    with pytest.raises(StateError):
        catalog.begin_inventory(1, "export")


def test_a_part_of_no_pass_is_refused(catalog: Catalog) -> None:
    with pytest.raises(StateError):
        catalog.record_part(3, Part(key="k"), [])
    with pytest.raises(StateError):
        catalog.complete_inventory(3)


def test_copies_in_two_sources_count_once_and_come_in_order_of_precedence(catalog: Catalog) -> None:
    take(catalog, "old", [record("b", uid="9.1"), record("a", uid="9.2", size=30)])
    take(catalog, "export", [record("c", uid="9.1", size=99), record("d", uid="9.3", size=None)])
    catalog.refresh_studies(["export", "old"])
    study = catalog.study("1.1")
    assert study is not None
    assert (study.instances, study.size, study.unsized, study.sources) == (3, 129, 1, ("export", "old"))
    assert [(name, each.locator) for name, each in catalog.candidates("1.1")] == [
        ("export", "c"),
        ("export", "d"),
        ("old", "a"),
        ("old", "b"),
    ]


def test_an_object_listed_twice_within_a_part_counts_once(catalog: Catalog) -> None:
    take(catalog, "old", [record("a", uid="9.1"), record("b", uid="9.1")])
    catalog.refresh_studies(["old"])
    study = catalog.study("1.1")
    assert study is not None
    assert (study.instances, study.size) == (1, 10)


def test_disagreeing_headers_stay_visible(catalog: Catalog) -> None:
    stale = record("c", patient_id="q", study_date="20230101")
    take(catalog, "old", [record("a"), record("b", series_description="x"), stale])
    catalog.refresh_studies(["old"])
    study = catalog.study("1.1")
    assert study is not None
    assert (study.headers, study.patients, study.patient, study.study_date) == (
        2,
        2,
        PatientKey(issuer="", id="p"),
        "20240101",
    )


def test_the_least_available_object_decides(catalog: Catalog) -> None:
    far = evolve(record("b"), availability=Availability.OFFLINE)
    take(catalog, "old", [record("a"), far])
    catalog.refresh_studies(["old"])
    study = catalog.study("1.1")
    assert study is not None
    assert study.availability is Availability.OFFLINE


def claim(study: str, **values: Any) -> StudyRecord:
    return StudyRecord(study_uid=StudyUID(study), patient=PatientKey(issuer="A", id="p"), **values)


def test_a_study_that_is_only_claimed_is_known_by_its_claim(catalog: Catalog) -> None:
    said = claim("1.9", modalities=("CT", "SR"), instance_count=5, series_count=2, size=50, basis=Basis.SERIES_COUNTS)
    take(catalog, "old", [said])
    catalog.refresh_studies(["old"])
    study = catalog.study("1.9")
    assert study is not None
    assert (study.instances, study.series, study.size, study.unsized) == (5, 2, 50, 0)
    assert (study.modalities, study.claimed, study.basis) == (("CT", "SR"), 5, Basis.SERIES_COUNTS)
    assert catalog.inventory_totals(1).studies == 1


def test_a_claim_stands_beside_what_is_listed_and_does_not_change_it(catalog: Catalog) -> None:
    said = claim("1.1", modalities=("US",), instance_count=5, size=500, availability=Availability.NEARLINE)
    take(catalog, "old", [said, record("a")])
    catalog.refresh_studies(["old"])
    study = catalog.study("1.1")
    assert study is not None
    assert (study.instances, study.size, study.claimed, study.modalities) == (1, 10, 5, ("CT",))
    assert (study.headers, study.availability) == (1, Availability.NEARLINE)


def test_totals_are_by_archive_modality_and_year(catalog: Catalog) -> None:
    take(catalog, "old", [record("a"), record("b", "1.2", study_date="bad"), record("c", "1.3", modality="MR")])
    catalog.refresh_studies(["old"])
    assert [(t.archive, t.modality, t.year, t.studies, t.instances, t.size) for t in catalog.totals()] == [
        ("old", "CT", "", 1, 1, 10),
        ("old", "CT", "2024", 1, 1, 10),
        ("old", "MR", "2024", 1, 1, 10),
    ]


def test_two_passes_are_compared_by_study(catalog: Catalog) -> None:
    same, gone, grown, renamed = record("a"), record("b", "1.2"), record("c", "1.3"), record("d", "1.4")
    old = take(catalog, "old", [same, gone], [grown, renamed], [record("s", "1.6", uid="9.1")])
    moved = evolve(same, locator="elsewhere")  # in another part and place: the study is still the same
    more, other = record("e", "1.3"), record("s", "1.6", uid="9.2")
    new = take(catalog, "old", [grown, more], [moved, record("d", "1.4", patient_name="X"), record("f", "1.5"), other])
    deltas = {each.study_uid: each for each in catalog.compare_inventories(old, new)}
    assert {uid: each.kind for uid, each in deltas.items()} == {
        "1.2": "vanished",
        "1.3": "changed",
        "1.4": "changed",
        "1.5": "added",
        "1.6": "changed",  # one object replaced by another of equal size
    }
    assert (deltas["1.3"].old_instances, deltas["1.3"].new_instances) == (1, 2)
    assert (deltas["1.3"].old_size, deltas["1.3"].new_size) == (10, 20)
    assert (deltas["1.3"].headers_changed, deltas["1.3"].content_changed) == (False, True)
    assert (deltas["1.4"].headers_changed, deltas["1.4"].content_changed) == (True, False)
    assert catalog.sample_untouched(old, new, 5, seed=1) == ["1.1"]
    assert list(catalog.compare_inventories(new, new)) == []


def test_a_changed_claim_is_a_change(catalog: Catalog) -> None:
    old = take(catalog, "old", [claim("1.1", instance_count=5), claim("1.2", instance_count=1)])
    new = take(catalog, "old", [claim("1.1", instance_count=6), claim("1.2", instance_count=1)])
    (delta,) = catalog.compare_inventories(old, new)
    assert (delta.study_uid, delta.kind, delta.old_instances, delta.new_instances) == ("1.1", "changed", 5, 6)


def test_a_sample_is_drawn_by_its_seed(catalog: Catalog) -> None:
    items = [record("a", f"1.{number}") for number in range(50)]
    old, new = take(catalog, "old", items), take(catalog, "old", items)
    first = catalog.sample_untouched(old, new, 5, seed=1)
    assert len(set(first)) == 5
    assert catalog.sample_untouched(old, new, 5, seed=1) == first
    assert catalog.sample_untouched(old, new, 5, seed=2) != first


def test_studies_with_the_same_label_are_refused(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog.db", label=lambda _: "same")
    catalog.begin_inventory(1, "old")
    with pytest.raises(StorageError, match="same short label"):
        catalog.record_part(1, Part(key="k"), [record("a"), record("b", "1.2")])
    assert catalog.parts_done(1) == frozenset()
    catalog.close()


@pytest.mark.parametrize("where", ["header", "pages"])
def test_a_damaged_file_is_named_as_such(tmp_path: Path, where: str) -> None:
    path = tmp_path / "catalog.db"
    catalog = Catalog.open(path, label=label)
    take(catalog, "old", [record(f"{number}", f"1.{number}") for number in range(2_000)])
    catalog.close()
    data = bytearray(path.read_bytes())
    start = 0 if where == "header" else 4096
    data[start : start + 4096 * 20] = b"\xa5" * (4096 * 20)
    path.write_bytes(data)
    with pytest.raises(CatalogCorrupt) as caught:
        damaged = Catalog.open(path, label=label)
        try:
            damaged.refresh_studies(["old"])
            list(damaged.studies())
        finally:
            damaged.close()
    assert caught.value.path == path
    assert "1." not in str(caught.value)
