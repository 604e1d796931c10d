"""The source's own database beside the headers: differences, what it lacks or hides, and what is left out of a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.catalog.truth import TruthTotals
from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.model.identity import PatientKey, SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes
from vna_lifecycle.model.wave import WavePolicy
from vna_lifecycle.ports import Part, TruthFlaw, TruthRecord

HEADER = SeriesAttributes(
    study_uid=StudyUID("1.1"),
    series_uid=SeriesUID("1.1.1"),
    modality="CT",
    patient_id="7",
    issuer_of_patient_id="H",
    patient_name="DOE^JANE",
    study_date="20200101",
    accession_number="A",
)


def label(uid: str) -> str:
    return "L" + hashlib.sha256(uid.encode()).hexdigest()[:8]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path / "catalog.db", label=label)
    yield opened
    opened.close()


def record(series: SeriesAttributes, number: int = 1) -> InstanceRecord:
    uid = f"{series.series_uid}.{number}"
    return InstanceRecord(locator=uid, sop_instance_uid=SOPInstanceUID(uid), size=10, series=series)


def found(catalog: Catalog, **archives: Iterable[InstanceRecord]) -> None:
    """Inventories of these archives, all studies planned into the wave ``all`` (but for what is left out)."""
    for archive, records in archives.items():
        number = catalog.next_inventory()
        catalog.begin_inventory(number, archive)
        catalog.record_part(number, Part(key="1"), records)
        catalog.complete_inventory(number)
    catalog.refresh_studies(list(archives))


def planned(catalog: Catalog) -> dict[str, int]:
    """Plans everything into the wave ``all`` and puts that on record; what was left out, by reason."""
    plan = catalog.plan([WavePolicy(name="all")], [], plan=1)
    members = list(catalog.plan_members(1, "all"))
    event = on_record.WavePlanned(
        wave="all",
        plan=1,
        studies=len(members),
        instances=0,
        size=0,
        members_ref="all",
        policy_sha256="",
        modification_time="",
    )
    recorded = RecordedEvent(
        sequence=catalog.projected_size(), time="2026-01-01T00:00:00Z", actor="", key="", event=event, leaf=""
    )
    catalog.project([recorded], lambda _: members)
    return dict(plan.excluded)


def latest(catalog: Catalog) -> int:
    number = catalog.latest_inventory("old")
    assert number is not None
    return number


def study(uid: str, **changes: str) -> SeriesAttributes:
    return evolve(HEADER, study_uid=StudyUID(uid), series_uid=SeriesUID(f"{uid}.1"), **changes)


def said(uid: str, **changes: object) -> TruthRecord:
    """What a database says that agrees with `study`."""
    values: dict[str, object] = {
        "patient": PatientKey(issuer="H", id="7"),
        "accession_number": "A",
        "patient_name": "DOE^JANE",
        "study_date": "20200101",
        "series_count": 1,
        "instance_count": 1,
        "place": f"line of {uid}",
    }
    return TruthRecord(study_uid=StudyUID(uid), **{**values, **changes})  # type: ignore[arg-type]  # test data


def differences(catalog: Catalog) -> list[tuple[str, str, str, str]]:
    return sorted(
        (item.study.study_uid, item.attribute, item.header, item.truth) for item in catalog.truth.differences("all")
    )


def test_a_database_that_agrees_says_nothing(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1")), record(study("1.2"))])
    planned(catalog)
    assert differences(catalog) == []
    catalog.truth.replace("old", [said("1.1"), said("1.2")])
    assert differences(catalog) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"patient": PatientKey(issuer="H", id="8")}, ("PatientID", "7", "8")),
        ({"patient": PatientKey(issuer="G", id="7")}, ("IssuerOfPatientID", "H", "G")),
        ({"accession_number": "B"}, ("AccessionNumber", "A", "B")),
        ({"patient_name": "ROE^JANE"}, ("PatientName", "DOE^JANE", "ROE^JANE")),
        ({"study_date": "20200102"}, ("StudyDate", "20200101", "20200102")),
        ({"series_count": 2}, ("NumberOfStudyRelatedSeries", "1", "2")),
        ({"instance_count": 0}, ("NumberOfStudyRelatedInstances", "1", "0")),
        ({"deleted": True}, ("deleted", "", "")),
        ({"hidden": True, "patient_name": "ROE^JANE"}, ("hidden", "", "")),
        ({"hidden": True, "deleted": True}, ("deleted", "", "")),
    ],
)
def test_each_thing_that_the_database_says_differently_is_told(
    catalog: Catalog, change: dict[str, object], difference: tuple[str, str, str]
) -> None:
    found(catalog, old=[record(study("1.1")), record(study("1.2"))])
    planned(catalog)
    catalog.truth.replace("old", [said("1.1"), said("1.2", **change)])
    assert differences(catalog) == [("1.2", *difference)]


def test_what_the_database_does_not_say_is_not_compared_and_neither_is_an_issuer_that_headers_do_not_state(
    catalog: Catalog,
) -> None:
    found(catalog, old=[record(study("1.1")), record(study("1.2", issuer_of_patient_id="", accession_number=""))])
    planned(catalog)
    catalog.truth.replace(
        "old", [TruthRecord(study_uid=StudyUID("1.1"), patient=PatientKey(issuer="", id="")), said("1.2")]
    )
    assert differences(catalog) == [("1.2", "AccessionNumber", "", "A")]


def test_every_header_of_a_study_is_compared(catalog: Catalog) -> None:
    other = evolve(study("1.1", patient_id="8"), series_uid=SeriesUID("1.1.2"))
    found(catalog, old=[record(study("1.1")), record(study("1.1"), 2), record(other)])
    planned(catalog)
    catalog.truth.replace("old", [said("1.1", series_count=2, instance_count=3)])
    assert differences(catalog) == [("1.1", "PatientID", "8", "7")]


def test_each_archive_is_compared_with_its_own_database(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1"))], export=[record(study("1.1", patient_name="ROE^JANE"))])
    planned(catalog)
    catalog.truth.replace("export", [said("1.1")])
    assert differences(catalog) == [("1.1", "PatientName", "ROE^JANE", "DOE^JANE")]
    catalog.truth.replace("old", [said("1.1", patient_name="POE^JANE")])
    assert differences(catalog) == [
        ("1.1", "PatientName", "DOE^JANE", "POE^JANE"),
        ("1.1", "PatientName", "ROE^JANE", "DOE^JANE"),
    ]


def test_an_object_that_is_listed_twice_is_counted_once(catalog: Catalog) -> None:
    number = catalog.next_inventory()
    catalog.begin_inventory(number, "old")
    for part in ("1", "2"):
        catalog.record_part(number, Part(key=part), [record(study("1.1"))])
    catalog.complete_inventory(number)
    catalog.refresh_studies(["old"])
    planned(catalog)
    catalog.truth.replace("old", [said("1.1")])
    assert differences(catalog) == []


def test_studies_on_one_side_only_are_told(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1")), record(study("1.2"))])
    planned(catalog)
    catalog.truth.replace("old", [said("1.1"), said("1.3"), said("1.4", deleted=True), said("1.5", hidden=True)])
    assert list(catalog.truth.missing("old", latest(catalog))) == [("1.3", "line of 1.3")]
    assert [ref.study_uid for ref in catalog.truth.unknown("old", latest(catalog))] == ["1.2"]
    assert differences(catalog) == [("1.2", "unknown", "", "")]


def test_what_a_source_deleted_or_hides_is_left_out_of_the_plan_with_the_reason(catalog: Catalog) -> None:
    found(catalog, old=[record(study(f"1.{number}")) for number in range(1, 5)])
    catalog.truth.replace("old", [said("1.1", deleted=True), said("1.2", hidden=True), said("1.3")])
    assert planned(catalog) == {"deleted at the source": 1, "hidden at the source": 1}
    assert [uid for _, uid in catalog.plan_members(1, "all")] == sorted(["1.3", "1.4"], key=label)


def test_it_is_planned_when_told_otherwise(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1")), record(study("1.2"))])
    catalog.truth.replace("old", [said("1.1", deleted=True), said("1.2", hidden=True)], move=("hidden",))
    assert planned(catalog) == {"deleted at the source": 1}
    assert differences(catalog) == []


def test_it_is_planned_when_another_source_shows_it(catalog: Catalog) -> None:
    studies = [record(study("1.1")), record(study("1.2"))]
    found(catalog, old=studies, export=studies)
    catalog.truth.replace("old", [said("1.1", deleted=True), said("1.2", hidden=True)])
    catalog.truth.replace("export", [said("1.2")])
    assert planned(catalog) == {"deleted at the source": 1}
    catalog.truth.replace("export", [said("1.1"), said("1.2")])
    assert planned(catalog) == {}
    assert differences(catalog) == []


def test_a_source_that_is_no_part_of_the_migration_has_no_say(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1"))])
    catalog.truth.replace("gone", [said("1.1", deleted=True)])
    assert planned(catalog) == {}


def test_what_is_said_twice_counts_as_deleted_only_if_it_is_said_both_times(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1")), record(study("1.2"))])
    totals = catalog.truth.replace(
        "old",
        [
            said("1.1", deleted=True),
            said("1.2", deleted=True, place="line 3"),
            said("1.1", deleted=True),
            said("1.2", place="line 5"),
        ],
    )
    assert (totals.studies, totals.deleted, totals.repeated, totals.contradicted) == (2, 1, 2, 1)
    assert list(catalog.truth.repeated("old")) == [
        ("1.1", ("line of 1.1", "line of 1.1"), False),
        ("1.2", ("line 3", "line 5"), True),
    ]
    assert planned(catalog) == {"deleted at the source": 1}


def test_a_new_extract_takes_the_place_of_the_old_one_as_a_whole_or_not_at_all(catalog: Catalog) -> None:
    found(catalog, old=[record(study("1.1"))])
    flaw = TruthFlaw(place="line 9", code="bad-number", message="series is no count", study_uid="1.1", used=True)
    first = catalog.truth.replace("old", [said("1.1"), said("1.9"), flaw])
    assert (first.studies, first.flaws) == (2, 1)
    assert list(catalog.truth.flaws("old")) == [flaw]

    def broken() -> Iterator[TruthRecord]:
        yield said("1.1", deleted=True)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        catalog.truth.replace("old", broken())
    assert [uid for uid, _ in catalog.truth.missing("old", latest(catalog))] == ["1.9"]
    assert list(catalog.truth.flaws("old")) == [flaw]
    second = catalog.truth.replace("old", [said("1.1")])
    assert list(catalog.truth.missing("old", latest(catalog))) == list(catalog.truth.flaws("old")) == []
    assert second.content_sha256 != first.content_sha256
    catalog.truth.forget("old")
    planned(catalog)
    assert differences(catalog) == []


def test_the_digest_covers_every_word(catalog: Catalog) -> None:
    def digest(item: TruthRecord | TruthFlaw) -> str:
        totals: TruthTotals = catalog.truth.replace("old", [item])
        return totals.content_sha256

    flaw = TruthFlaw(place="line 9", code="bad-number", message="no count")
    changed = [
        said("1.1"),
        said("1.1", hidden=True),
        said("1.1", series_count=None),
        said("1.1", place=""),
        said("1.1", patient_name="D"),
        flaw,
        evolve(flaw, used=True),
    ]
    assert len({digest(item) for item in changed}) == len(changed)
    assert digest(said("1.1")) == digest(said("1.1"))


VALUES = st.sampled_from(["", "7", "8"])


@settings(max_examples=40)
@given(
    headers=st.dictionaries(st.sampled_from(["1.1", "1.2", "1.3"]), st.tuples(VALUES, VALUES), min_size=1),
    database=st.dictionaries(st.sampled_from(["1.1", "1.2", "1.3"]), st.tuples(VALUES, VALUES, st.booleans())),
)
def test_differences_are_those_that_a_plain_look_at_both_sides_shows(
    tmp_path_factory: pytest.TempPathFactory,
    headers: dict[str, tuple[str, str]],
    database: dict[str, tuple[str, str, bool]],
) -> None:
    catalog = Catalog.open(tmp_path_factory.mktemp("catalog") / "catalog.db", label=label)
    found(catalog, old=[record(study(uid, patient_id=a, accession_number=b)) for uid, (a, b) in headers.items()])
    planned(catalog)
    catalog.truth.replace(
        "old",
        [
            said(uid, patient=PatientKey(issuer="", id=a), accession_number=b, deleted=deleted)
            for uid, (a, b, deleted) in database.items()
        ],
    )
    expected = []
    for uid, (a, b) in headers.items():
        if uid not in database:
            expected += [(uid, "unknown", "", "")] if database else []
        elif database[uid][2]:
            expected.append((uid, "deleted", "", ""))
        else:
            pairs = (("PatientID", a, database[uid][0]), ("AccessionNumber", b, database[uid][1]))
            expected += [(uid, *pair) for pair in pairs if pair[2] and pair[1] != pair[2]]
    assert differences(catalog) == sorted(expected)
    catalog.close()
