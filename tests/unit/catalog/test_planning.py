"""Planning in SQL against a plain planner in Python that looks at every record."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.catalog.updating import fold_anew

from vna_lifecycle.catalog import Catalog, canonical
from vna_lifecycle.errors import StateError
from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Availability, InstanceRecord, SeriesAttributes
from vna_lifecycle.model.wave import DateRange, Exclusion, Order, Patients, StudyFilter, WavePolicy
from vna_lifecycle.ports import Part

SOURCES = ("old", "export")
HEADER = ("issuer_of_patient_id", "patient_id", "study_date", "study_time", "study_description")
AVAILABILITY = [
    Availability.UNKNOWN,
    Availability.ONLINE,
    Availability.NEARLINE,
    Availability.OFFLINE,
    Availability.UNAVAILABLE,
]


def label(uid: str) -> str:
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:12]


# ---------------------------------------------------------------------------------------------------- the plain planner


@frozen(kw_only=True)
class Facts:
    """One study as the plain planner sees it."""

    uid: str
    label: str
    records: tuple[tuple[str, InstanceRecord], ...]
    day: dt.date | None
    clock: str
    instances: int
    size: int
    unsized: int
    unit: object


def day_of(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if len(text) == 8 and text.isdecimal() else None
    except ValueError:
        return None


def facts_of(records: Sequence[tuple[str, InstanceRecord]]) -> list[Facts]:
    found = []
    for uid in sorted({record.study_uid for _, record in records}):
        mine = [(archive, record) for archive, record in records if record.study_uid == uid]
        first = next(archive for archive in SOURCES if any(archive == a for a, _ in mine))
        counts = Counter(record.series for archive, record in mine if archive == first)
        headers: Counter[SeriesAttributes] = Counter()
        for series, count in counts.items():
            headers[header_of(series)] += count
        leading = min(headers, key=lambda header: (-headers[header], digest(header)))
        patients = {record.series.patient for _, record in mine}
        copies: dict[str, list[int]] = {}
        for _, record in mine:
            copies.setdefault(record.sop_instance_uid, []).extend([record.size] if record.size is not None else [])
        together = len(patients) == 1 and leading.patient_id
        found.append(
            Facts(
                uid=uid,
                label=label(uid),
                records=tuple(mine),
                day=day_of(leading.study_date),
                clock=leading.study_time,
                instances=len(copies),
                size=sum(max(sizes) for sizes in copies.values() if sizes),
                unsized=sum(not sizes for sizes in copies.values()),
                unit=leading.patient if together else uid,
            )
        )
    return found


def header_of(series: SeriesAttributes) -> SeriesAttributes:
    return SeriesAttributes(study_uid=series.study_uid, **{name: getattr(series, name) for name in HEADER})


def digest(header: SeriesAttributes) -> bytes:
    # ties between headers of equal weight are broken by the stored digest, the one thing taken over from the catalog
    texts = [header.study_uid, header.issuer_of_patient_id, header.patient_id, "", "", "", ""]
    return canonical.key(*texts, header.study_date, header.study_time, "", "", header.study_description, "")


def like(pattern: str, text: str) -> bool:
    parts = [{"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern.casefold()]
    return re.fullmatch("".join(parts), text.casefold(), re.DOTALL) is not None


def matches(facts: Facts, wanted: StudyFilter) -> bool:
    series = {record.series for _, record in facts.records}
    least = max((record.availability for _, record in facts.records), key=AVAILABILITY.index)
    tests = [
        not wanted.sources or any(archive in wanted.sources for archive, _ in facts.records),
        not wanted.modalities or any(each.modality in wanted.modalities for each in series),
        not wanted.body_parts or any(each.body_part in wanted.body_parts for each in series),
        not wanted.descriptions
        or any(like(pattern, each.study_description) for each in series for pattern in wanted.descriptions),
        not wanted.issuers or any(each.issuer_of_patient_id in wanted.issuers for each in series),
        not wanted.patient_ids or any(each.patient_id in wanted.patient_ids for each in series),
        not wanted.studies or facts.uid in wanted.studies,
        not wanted.availability or least in wanted.availability,
        wanted.undated is None or wanted.undated == (facts.day is None),
        wanted.min_instances is None or facts.instances >= wanted.min_instances,
        wanted.max_instances is None or facts.instances <= wanted.max_instances,
        wanted.min_bytes is None or facts.size >= wanted.min_bytes,
        wanted.max_bytes is None or (facts.unsized == 0 and facts.size <= wanted.max_bytes),
    ]
    if wanted.studied is not None:
        first, last = wanted.studied.first or dt.date.min, wanted.studied.last or dt.date.max
        tests.append(facts.day is not None and first <= facts.day <= last)
    return all(tests)


def in_order(studies: list[Facts], order: Order) -> list[Facts]:
    by_label = sorted(studies, key=lambda each: each.label)
    if order is Order.SMALLEST_FIRST:
        return sorted(by_label, key=lambda each: each.size)
    if order is Order.LARGEST_FIRST:
        return sorted(by_label, key=lambda each: -each.size)
    dated = [each for each in by_label if each.day]
    undated = [each for each in by_label if not each.day]
    newest = order is Order.NEWEST_FIRST
    dated.sort(key=lambda each: (each.day, each.clock), reverse=newest)
    undated.sort(key=lambda each: each.clock, reverse=newest)
    return [*dated, *undated]


def plain_plan(
    studies: list[Facts], waves: Sequence[WavePolicy], exclusions: Sequence[Exclusion]
) -> tuple[dict[str, str], dict[str, str]]:
    """Which wave and which reason each study gets."""
    excluded: dict[str, str] = {}
    for study in studies:
        for exclusion in exclusions:
            if matches(study, exclusion.select):
                excluded[study.label] = exclusion.reason
                break
    placed: dict[str, str] = {}
    for wave in waves:
        free = [each for each in studies if each.label not in excluded and each.label not in placed]
        studies_left, bytes_left = wave.max_studies, wave.max_total_bytes
        done: set[object] = set()
        for leader in in_order([each for each in free if matches(each, wave.select)], wave.order):
            unit = leader.unit if wave.patients is Patients.TOGETHER else leader.uid
            if unit in done:
                continue
            done.add(unit)
            group = [each for each in free if (each.unit if wave.patients is Patients.TOGETHER else each.uid) == unit]
            if studies_left is not None:
                studies_left -= len(group)
            if bytes_left is not None:
                bytes_left -= sum(each.size for each in group)
            if (studies_left is not None and studies_left < 0) or (bytes_left is not None and bytes_left < 0):
                break
            placed |= {each.label: wave.name for each in group}
    return placed, excluded


# ---------------------------------------------------------------------------------------------------- what is drawn

DATES = ("", "20240101", "20240229", "20230229", "20230601", "2023.06.01", "20240101 ", "19991231")
TIMES = ("000000.000000", "101112.000000", "235959.500000")
DESCRIPTIONS = ("", "CT Schädel", "SCHÄDEL ct", "knee_left", "knee left", "100% dose", "Fu\\ss")
PATTERNS = ("*schädel*", "ct *", "knee_*", "knee?left", "100%*", "*", "?", "*\\*", "*ß")

headers = st.builds(
    SeriesAttributes,
    patient_id=st.sampled_from(["", "1", "2", "3"]),
    issuer_of_patient_id=st.sampled_from(["", "A"]),
    study_date=st.sampled_from(DATES),
    study_time=st.sampled_from(TIMES),
    study_description=st.sampled_from(DESCRIPTIONS),
)


@st.composite
def archives(draw: st.DrawFn) -> list[tuple[str, InstanceRecord]]:
    """Records of some studies over two sources; some headers stale, some objects in both."""
    records = []
    for number in range(draw(st.integers(1, 8))):
        own = draw(headers)
        others = draw(st.lists(headers, max_size=1)) if draw(st.integers(0, 3)) == 0 else []
        for position in range(draw(st.integers(1, 3))):
            series = evolve(
                draw(st.sampled_from([own, *others])),
                study_uid=StudyUID(f"1.{number}"),
                series_uid=SeriesUID(f"1.{number}.{draw(st.integers(1, 2))}"),
                modality=draw(st.sampled_from(["CT", "MR", ""])),
                body_part=draw(st.sampled_from(["HEAD", "KNEE"])),
            )
            for archive in draw(st.sampled_from([("old",), ("export",), SOURCES])):
                record = InstanceRecord(
                    locator=f"{number}/{position}",
                    sop_instance_uid=SOPInstanceUID(f"1.{number}.9.{draw(st.sampled_from([position, 0]))}"),
                    size=draw(st.sampled_from([None, 0, 1, 10, 10, 25])),
                    availability=draw(st.sampled_from(list(Availability))),
                    series=series,
                )
                records.append((archive, record))
    return records


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)


def perhaps(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), strategy)


days = st.none() | st.sampled_from([dt.date(2023, 6, 1), dt.date(2024, 1, 1), dt.date(2024, 2, 29)])


@st.composite
def filters(draw: st.DrawFn) -> StudyFilter:
    choices: dict[str, st.SearchStrategy[object]] = {
        "sources": some(SOURCES),
        "modalities": some(["CT", "MR", "US"]),
        "body_parts": some(["HEAD", "KNEE"]),
        "descriptions": some(PATTERNS),
        "issuers": some(["", "A", "B"]),
        "patient_ids": some(["", "1", "2"]),
        "studies": some(["1.0", "1.1", "1.2"]),
        "availability": st.lists(st.sampled_from(list(Availability)), min_size=1, max_size=3).map(tuple),
        "studied": st.builds(DateRange, first=days, last=days),
        "undated": st.booleans(),
        "min_instances": st.integers(0, 3),
        "max_instances": st.integers(0, 3),
        "min_bytes": st.integers(0, 30),
        "max_bytes": st.integers(0, 30),
    }
    names = draw(st.just([]) | st.lists(st.sampled_from(sorted(choices)), max_size=2, unique=True))
    return StudyFilter(**{name: draw(choices[name]) for name in names})  # type: ignore[arg-type]  # drawn by field


def policies(names: Sequence[str]) -> st.SearchStrategy[list[WavePolicy]]:
    def policy(name: str) -> st.SearchStrategy[WavePolicy]:
        return st.builds(
            WavePolicy,
            name=st.just(name),
            select=filters(),
            order=st.sampled_from(Order),
            patients=st.sampled_from(Patients),
            max_studies=perhaps(st.integers(0, 6)),
            max_total_bytes=perhaps(st.integers(0, 60)),
        )

    return st.tuples(*map(policy, names)).map(list)


exclusions = st.lists(st.builds(Exclusion, reason=st.sampled_from(["r", "s"]), select=filters()), max_size=2)


def fill(catalog: Catalog, records: Sequence[tuple[str, InstanceRecord]]) -> None:
    """Two new passes with these records, and an empty ledger."""
    for archive in SOURCES:
        number = catalog.next_inventory()
        catalog.begin_inventory(number, archive)
        mine = [record for name, record in records if name == archive]
        for key in ("even", "odd"):  # so that a study's objects come from several parts
            catalog.record_part(number, Part(key=key), mine[key == "odd" :: 2])
        catalog.complete_inventory(number)
    catalog.refresh_studies(SOURCES)
    fold_anew(catalog)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """One catalog for all examples: what earlier ones left behind must make no difference."""
    opened = Catalog.open(tmp_path_factory.mktemp("planning") / "catalog.db", label=label)
    yield opened
    opened.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path / "catalog.db", label=label)
    opened.begin_inventory(1, "old")
    yield opened
    opened.close()


def record(number: int, patient: str = "", **values: object) -> InstanceRecord:
    attributes = {"patient_id": patient or f"p{number}", "study_date": "20240101", "modality": "CT"} | values
    series = SeriesAttributes(study_uid=StudyUID(f"1.{number}"), series_uid=SeriesUID(f"1.{number}.1"), **attributes)  # type: ignore[arg-type]  # by field
    return InstanceRecord(locator=str(number), sop_instance_uid=SOPInstanceUID(f"1.{number}.9"), size=10, series=series)


def ready(catalog: Catalog, records: Sequence[InstanceRecord]) -> None:
    catalog.record_part(1, Part(key="all"), records)
    catalog.complete_inventory(1)
    catalog.refresh_studies(["old"])


# ---------------------------------------------------------------------------------------------------- what holds


@settings(max_examples=80)
@given(records=archives(), waves=policies(["w1", "w2", "w3"]), excluded=exclusions, moved=st.sets(st.integers(0, 7)))
def test_sql_places_every_study_where_the_plain_planner_does(
    used: Catalog,
    records: list[tuple[str, InstanceRecord]],
    waves: list[WavePolicy],
    excluded: list[Exclusion],
    moved: set[int],
) -> None:
    fill(used, records)
    studies = facts_of(records)
    gone = [each for each in studies if int(each.uid.removeprefix("1.")) in moved]
    move(used, gone)
    drawn = used.plan(waves, excluded, plan=7)
    left = [each for each in studies if each not in gone]
    placed, reasons = plain_plan(left, waves, excluded)

    got = {name: wave.name for wave in waves for name, _ in used.plan_members(7, wave.name)}
    got_reasons = {name: each.reason for each in excluded for name, _ in used.excluded_members(7, each.reason)}
    assert got == placed
    assert got_reasons == reasons

    # conservation: every study that may be planned is in exactly one place, and the totals say the same
    rest = dict(used.left_members(7))
    sizes = {each.label: each for each in left}
    assert sorted([*got, *got_reasons, *rest]) == sorted(sizes)
    assert drawn.unplanned == len(rest)
    assert dict(drawn.excluded) == {each.reason: 0 for each in excluded} | Counter(reasons.values())
    for wave in drawn.waves:
        members = [sizes[name] for name, where in placed.items() if where == wave.name]
        assert (wave.studies, wave.instances, wave.size) == (
            len(members),
            sum(each.instances for each in members),
            sum(each.size for each in members),
        )
        policy = next(each for each in waves if each.name == wave.name)
        assert wave.came_along == sum(not matches(each, policy.select) for each in members)


def move(catalog: Catalog, studies: Sequence[Facts]) -> None:
    """These studies are planned by an earlier plan, and fetched."""
    members = [(each.label, each.uid) for each in studies]
    planned = on_record.WavePlanned(
        wave="earlier",
        plan=1,
        studies=len(members),
        instances=0,
        size=0,
        members_ref="",
        policy_sha256="",
        modification_time="",
    )
    fetched = [
        on_record.StudyFetched(
            study=name, wave="earlier", attempt=1, instances=1, size=1, held=0, failed=0, manifest_ref=""
        )
        for name, _ in members
    ]
    events = [
        on_record.RecordedEvent(sequence=sequence, time="", actor="", key="", event=event, leaf="")
        for sequence, event in enumerate([planned, *fetched])
    ]
    catalog.project(events, lambda _: members)


def test_a_study_of_two_patients_does_not_tie_them_together(catalog: Catalog) -> None:
    stray = evolve(record(3, "one"), locator="stray", sop_instance_uid=SOPInstanceUID("1.3.8"))
    ready(catalog, [record(1, "one"), record(2, "two", modality="MR"), record(3, "two", modality="US"), stray])
    drawn = catalog.plan([WavePolicy(name="mr", select=StudyFilter(modalities=("MR",)))], [], plan=1)
    assert [uid for _, uid in catalog.plan_members(1, "mr")] == ["1.2"]
    assert drawn.unplanned == 2


def test_studies_without_a_patient_id_do_not_come_along_with_one_another(catalog: Catalog) -> None:
    nameless = [evolve(record(n), series=evolve(record(n).series, patient_id="")) for n in (1, 2)]
    ready(catalog, nameless)
    catalog.plan([WavePolicy(name="one", select=StudyFilter(studies=("1.1",)))], [], plan=1)
    assert [uid for _, uid in catalog.plan_members(1, "one")] == ["1.1"]


def test_an_exclusion_finds_a_study_by_any_of_its_headers(catalog: Catalog) -> None:
    stray = evolve(record(1, "vip"), locator="stray", sop_instance_uid=SOPInstanceUID("1.1.8"))
    ready(catalog, [record(1, "plain"), evolve(record(1, "plain"), locator="more"), stray])
    drawn = catalog.plan(
        [WavePolicy(name="all")], [Exclusion(reason="vip", select=StudyFilter(patient_ids=("vip",)))], plan=1
    )
    assert drawn.excluded == (("vip", 1),)


def test_empty_waves_and_impossible_caps_are_told_apart(catalog: Catalog) -> None:
    ready(catalog, [record(1)])
    drawn = catalog.plan(
        [
            WavePolicy(name="none", select=StudyFilter(modalities=("US",))),
            WavePolicy(name="tight", max_total_bytes=9),
        ],
        [],
        plan=1,
    )
    assert drawn.notes == (
        "wave none is empty: no study that is still free matches",
        "wave tight is empty: its first patient alone exceeds the cap",
    )


def test_a_draft_that_was_replaced_is_refused(catalog: Catalog) -> None:
    ready(catalog, [record(1)])
    catalog.plan([WavePolicy(name="w")], [], plan=1)
    catalog.plan([WavePolicy(name="w")], [], plan=2)
    with pytest.raises(StateError):
        list(catalog.plan_members(1, "w"))


def test_a_list_of_studies_may_be_longer_than_any_limit_of_sql_parameters(catalog: Catalog) -> None:
    ready(catalog, [record(1), record(2)])
    wanted = tuple(f"1.{number}" for number in range(2, 300_000))
    catalog.plan([WavePolicy(name="w", select=StudyFilter(studies=wanted))], [], plan=1)
    assert [uid for _, uid in catalog.plan_members(1, "w")] == ["1.2"]


def members(catalog: Catalog, policy: WavePolicy) -> list[str]:
    catalog.plan([policy], [], plan=1)
    return sorted(uid for _, uid in catalog.plan_members(1, policy.name))


def test_a_patient_stands_where_its_first_study_in_the_order_does(catalog: Catalog) -> None:
    ready(
        catalog,
        [
            record(1, "a", study_date="20240101"),
            record(2, "a", study_date="20000101"),
            record(3, "b", study_date="20230101"),
        ],
    )
    assert members(catalog, WavePolicy(name="w", max_studies=2)) == ["1.1", "1.2"]
    assert members(catalog, WavePolicy(name="w", max_studies=2, order=Order.OLDEST_FIRST)) == ["1.1", "1.2"]
    assert members(catalog, WavePolicy(name="w", max_studies=2, patients=Patients.SPLIT)) == ["1.1", "1.3"]


def test_a_cap_may_be_met_but_not_exceeded(catalog: Catalog) -> None:
    ready(
        catalog, [record(1, study_date="20240101"), record(2, study_date="20230101"), record(3, study_date="20231201")]
    )
    assert members(catalog, WavePolicy(name="w", max_total_bytes=20)) == ["1.1", "1.3"]
    assert members(catalog, WavePolicy(name="w", max_total_bytes=19)) == ["1.1"]
    assert members(catalog, WavePolicy(name="w", max_studies=2)) == ["1.1", "1.3"]


def test_filling_stops_at_the_first_unit_that_exceeds_even_if_a_later_one_would_fit(catalog: Catalog) -> None:
    large = evolve(record(1, study_date="20240101"), size=100)
    ready(catalog, [large, record(2, study_date="20230101")])
    assert members(catalog, WavePolicy(name="w", max_total_bytes=50)) == []


def test_a_study_of_unknown_size_is_not_known_to_be_small_enough(catalog: Catalog) -> None:
    unknown = evolve(record(1), size=None)
    ready(catalog, [unknown, record(2)])
    assert members(catalog, WavePolicy(name="w", select=StudyFilter(max_bytes=50))) == ["1.2"]
    drawn = catalog.plan([WavePolicy(name="w", max_total_bytes=50)], [], plan=1)
    assert drawn.notes == ("wave w: of 1 study only the known bytes count",)


def test_descriptions_are_compared_by_unicode_s_case_rules(catalog: Catalog) -> None:
    ready(catalog, [record(1, study_description="FUSS"), record(2, study_description="Hand")])
    assert members(catalog, WavePolicy(name="w", select=StudyFilter(descriptions=("fuß",)))) == ["1.1"]
