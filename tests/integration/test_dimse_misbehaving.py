"""Archives that misbehave over DIMSE: nothing is believed that was not seen, and nothing waits for ever."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from attrs import evolve

from peers.dicom import free_port
from vna_lifecycle.adapters.dimse import storing
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.reading import Reader
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.errors import ArchiveError, ArchiveRefused
from vna_lifecycle.model.inventory import Availability, Basis, InstanceRecord, Refused, StudyRecord
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Outcome, Receipt, StoreFailure
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.conformance.case import FolderSpool, digests, expected_digests, study_of, written
from vna_lifecycle.testing.misbehaving_pacs import EVERYTHING, Disturbance, Faults, MisbehavingPacs
from vna_lifecycle.testing.misbehaving_pacs.holdings import Held, Holdings
from vna_lifecycle.testing.misbehaving_pacs.pdu import pdu
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

OURS = "US"
SPECS = [
    ObjectSpec(study=1, series=series, instance=instance, grey=10 * series + instance)
    for series in (1, 2)
    for instance in (1, 2, 3)
]
STUDY = study_of(SPECS[0])
UIDS = sorted(spec.sop_instance_uid for spec in SPECS)
QUICK = {"connect_timeout": 1.0, "answer_timeout": 1.0, "stall_timeout": 0.5, "settle_seconds": 0.25, "attempts": 1}
MEBIBYTE = 1 << 20
retrievals = pytest.mark.parametrize("retrieve", ["move", "get"])


@pytest.fixture(autouse=True)
def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not listed at once will not be."""
    monkeypatch.setattr(storing, "_LOOKS", (0.05,))


Opened = tuple[Archive, MisbehavingPacs]
Open = Callable[..., Opened]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens an archive on a PACS that holds ``specs``, and closes both."""
    running: list[Opened] = []
    numbers = itertools.count()

    def open_one(
        faults: Faults | None = None,
        specs: Sequence[ObjectSpec | bytes] = SPECS,
        *,
        knows_us: bool = True,
        **options: object,
    ) -> Opened:
        port = free_port()
        objects = [dicom_bytes(spec) if isinstance(spec, ObjectSpec) else spec for spec in specs]
        pacs = MisbehavingPacs(objects, destinations={OURS: port} if knows_us else {})
        pacs.__enter__()
        settings = DimseSettings(
            **{  # type: ignore[arg-type]
                "host": "127.0.0.1",
                "port": pacs.port,
                "ae_title": pacs.title,
                "calling_ae_title": OURS,
                "listen_host": "127.0.0.1",
                "listen_port": port,
                **QUICK,
                **options,
            }
        )
        folder = tmp_path / f"archive-{next(numbers)}"
        archive = open_archive(settings, site(folder))
        pacs.faults = faults or Faults()
        running.append((archive, pacs))
        return archive, pacs

    yield open_one
    for archive, pacs in running:
        archive.reads.close()
        pacs.close()


def listed(archive: Archive, pacs: MisbehavingPacs) -> list[InstanceRecord]:
    """What an honest listing says, whatever the PACS does now."""
    faults, pacs.faults = pacs.faults, Faults()
    records = list(archive.reads.list_instances(STUDY))
    pacs.faults = faults
    pacs.asked.clear()
    assert sorted(record.sop_instance_uid for record in records) == UIDS
    return records


def fetch(
    archive: Archive, records: Sequence[InstanceRecord], folder: Path
) -> tuple[list[Fetched], list[FetchFailure]]:
    answers = list(archive.reads.fetch(STUDY, records, FolderSpool(folder)))
    assert sorted(answer.record.locator for answer in answers) == sorted(record.locator for record in records)
    found = [answer for answer in answers if isinstance(answer, Fetched)]
    return found, [answer for answer in answers if isinstance(answer, FetchFailure)]


def all_parts(archive: Archive) -> list[StudyRecord | InstanceRecord | Refused]:
    return [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]


def studies_in(archive: Archive) -> list[str]:
    return sorted(item.study_uid for item in all_parts(archive) if isinstance(item, StudyRecord))


# ------------------------------------------------------------------------------------------------------- retrievals


@retrievals
@pytest.mark.parametrize("number", range(1, 24, 3))
def test_an_association_dropped_at_any_pdu_costs_no_object(
    opened: Open, tmp_path: Path, retrieve: str, number: int
) -> None:
    """It is asked again, for what is missing."""
    archive, pacs = opened(retrieve=retrieve, attempts=3)
    records = listed(archive, pacs)
    pacs.faults = Faults(disturbance=Disturbance(pdu=number))
    found, failures = fetch(archive, records, tmp_path / "spool")
    assert not failures
    assert digests(found) == expected_digests(tmp_path / "in", SPECS)


@pytest.mark.parametrize("number", (1, 2, 3, 6, 13))
def test_an_association_of_objects_dropped_at_any_pdu_costs_no_object(
    opened: Open, tmp_path: Path, number: int
) -> None:
    archive, pacs = opened()
    records = listed(archive, pacs)
    pacs.faults = Faults(disturbance=Disturbance(pdu=number, on="objects"))
    found, failures = fetch(archive, records, tmp_path / "spool")
    assert not failures
    assert digests(found) == expected_digests(tmp_path / "in", SPECS)


@retrievals
@pytest.mark.parametrize("levels", [("STUDY",), ("STUDY", "SERIES")])
def test_what_a_success_left_out_is_asked_for_again(
    opened: Open, tmp_path: Path, retrieve: str, levels: tuple[str, ...]
) -> None:
    archive, pacs = opened(Faults(withheld={UIDS[1], UIDS[4]}, withheld_at=levels), retrieve=retrieve)
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert not failures
    assert digests(found) == expected_digests(tmp_path / "in", SPECS)
    asked = [what for what in pacs.asked if what.startswith(f"C-{retrieve.upper()}")]
    assert [what.split()[1] for what in asked][: len(levels) + 1] == ["STUDY", "SERIES", "SERIES", "IMAGE"][
        : len(levels) + 1
    ]


@retrievals
def test_what_is_never_sent_is_a_failure_of_its_own(opened: Open, tmp_path: Path, retrieve: str) -> None:
    """The archive says success each time; the others come."""
    archive, pacs = opened(Faults(withheld={UIDS[2]}), retrieve=retrieve)
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert sorted(item.record.sop_instance_uid for item in found) == [*UIDS[:2], *UIDS[3:]]
    assert [(failure.code, failure.record.sop_instance_uid) for failure in failures] == [("not-sent", UIDS[2])]
    assert all(uid not in failures[0].message for uid in UIDS)
    assert "our port" not in failures[0].message  # the others did come there


@pytest.mark.parametrize(
    "faults",
    [
        Faults(final_early=True),
        Faults(final_early=True, no_counters=True),
        Faults(no_counters=True),
        Faults(no_originator=True),
        Faults(no_originator=True, no_counters=True, final_early=True),
        Faults(retrieve_status=0xB000),
        Faults(late=0.05),
    ],
    ids=["final-early", "final-early-no-counters", "no-counters", "no-originator", "all-three", "b000", "late"],
)
def test_claims_about_a_retrieval_change_nothing_of_what_arrives(opened: Open, tmp_path: Path, faults: Faults) -> None:
    archive, pacs = opened(faults)
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert not failures
    assert digests(found) == expected_digests(tmp_path / "in", SPECS)


@retrievals
def test_what_the_archive_does_not_list_any_more_is_gone_and_not_only_not_sent(
    opened: Open, tmp_path: Path, retrieve: str
) -> None:
    archive, pacs = opened(retrieve=retrieve)
    records = listed(archive, pacs)
    pacs.holdings = Holdings(dicom_bytes(spec) for spec in SPECS[1:])
    found, failures = fetch(archive, records, tmp_path / "spool")
    assert sorted(item.record.sop_instance_uid for item in found) == UIDS[1:]
    assert [(failure.code, failure.record.sop_instance_uid) for failure in failures] == [("gone", UIDS[0])]


@retrievals
def test_a_few_objects_of_a_large_study_do_not_cost_the_whole(opened: Open, tmp_path: Path, retrieve: str) -> None:
    archive, pacs = opened(retrieve=retrieve)
    records = listed(archive, pacs)
    for count, level in ((2, "IMAGE"), (4, "STUDY")):
        found, failures = fetch(archive, records[:count], tmp_path / level)
        assert (len(found), failures) == (count, [])
        assert {what.split()[1] for what in pacs.asked if what.startswith(f"C-{retrieve.upper()}")} == {level}
        pacs.asked.clear()


@retrievals
def test_new_uids_at_each_retrieve_are_never_taken_for_what_was_listed(
    opened: Open, tmp_path: Path, retrieve: str
) -> None:
    """What came is kept apart, and the next inventory tells of it."""
    archive, pacs = opened(Faults(new_uids=True), retrieve=retrieve)
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert not found
    assert {failure.code for failure in failures} == {"other-uids-served"}
    refused = [item for item in all_parts(archive) if isinstance(item, Refused)]
    assert {item.code for item in refused} == {"unexpected-object"}
    assert len(refused) >= len(UIDS)


def test_a_destination_that_is_unknown_ends_with_what_to_do(opened: Open, tmp_path: Path) -> None:
    archive, pacs = opened(knows_us=False)
    with pytest.raises(ArchiveError, match="A801") as raised:
        fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert not raised.value.transient
    assert "AE title" in raised.value.hint


@retrievals
def test_an_archive_that_is_short_of_something_is_asked_again_later(
    opened: Open, tmp_path: Path, retrieve: str
) -> None:
    archive, pacs = opened(Faults(withheld=EVERYTHING, retrieve_status=0xA702), retrieve=retrieve)
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert not found
    assert {(failure.code, failure.transient) for failure in failures} == {("not-sent", True)}
    assert {"nothing came to our port" in failure.message for failure in failures} == {retrieve == "move"}


@retrievals
@pytest.mark.parametrize("instead", ["nothing", "oversized", "value-beyond-its-pdu"])
def test_an_object_at_which_the_archive_ends_the_association_costs_no_other(
    opened: Open, tmp_path: Path, retrieve: str, instead: str
) -> None:
    """Those after it are asked for one by one. It may pass, so the study is tried again before that is a finding."""
    archive, pacs = opened(Faults(poison={UIDS[1]}, poison_pdu=LOG_OUT[instead][0]), retrieve=retrieve)
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert sorted(item.record.sop_instance_uid for item in found) == [UIDS[0], *UIDS[2:]]
    assert [(one.code, one.record.sop_instance_uid, one.transient) for one in failures] == [("not-sent", UIDS[1], True)]


@retrievals
def test_an_archive_that_drops_every_association_is_named(opened: Open, tmp_path: Path, retrieve: str) -> None:
    archive, pacs = opened(retrieve=retrieve)
    records = listed(archive, pacs)
    archive.reads.close()
    pacs.faults = Faults(disturbance=Disturbance(pdu=3, times=10**6))
    with pytest.raises(ArchiveError, match="connection to the archive was lost") as raised:
        fetch(archive, records, tmp_path / "spool")
    assert raised.value.transient
    assert raised.value.archive == "archive"


@retrievals
def test_a_pause_cancels_what_is_under_way(opened: Open, tmp_path: Path, retrieve: str) -> None:
    """A C-CANCEL goes out, and the rest is neither awaited nor asked for again."""
    archive, pacs = opened(Faults(late=0.15), retrieve=retrieve)
    records = listed(archive, pacs)
    cancelled = archive.reads._caller.site.cancelled
    answers = archive.reads.fetch(STUDY, records, FolderSpool(tmp_path / "spool"))
    assert isinstance(next(answers), Fetched)
    cancelled.set()
    assert len(list(answers)) < len(UIDS) - 1
    assert pacs.asked.count("C-CANCEL") == 1
    assert len([what for what in pacs.asked if what.startswith(f"C-{retrieve.upper()}")]) == 1


@pytest.mark.parametrize("where", [Availability.OFFLINE, Availability.UNAVAILABLE])
def test_what_is_offline_is_said_and_not_asked_for(opened: Open, tmp_path: Path, where: Availability) -> None:
    archive, pacs = opened(Faults(availability=where.value))
    records = list(archive.reads.list_instances(STUDY))
    assert {record.availability for record in records} == {where}
    pacs.asked.clear()
    found, failures = fetch(archive, records, tmp_path / "spool")
    assert not found
    assert {(failure.code, failure.transient) for failure in failures} == {("offline", False)}
    assert not [what for what in pacs.asked if "MOVE" in what]


@pytest.mark.parametrize("nearline", ["retrieve", "list"])
def test_what_is_nearline_is_retrieved_or_listed_as_it_was_set(opened: Open, tmp_path: Path, nearline: str) -> None:
    archive, pacs = opened(Faults(availability="NEARLINE"), nearline=nearline)
    records = list(archive.reads.list_instances(STUDY))
    pacs.asked.clear()
    found, failures = fetch(archive, records, tmp_path / "spool")
    if nearline == "retrieve":
        assert (len(found), failures) == (len(UIDS), [])
        return
    assert not found
    assert {(one.code, one.transient, one.withheld) for one in failures} == {("nearline", False, True)}
    assert not [what for what in pacs.asked if "MOVE" in what]


@pytest.mark.parametrize("where", [Availability.NEARLINE, Availability.OFFLINE])
def test_what_was_staged_since_the_inventory_is_retrieved(opened: Open, tmp_path: Path, where: Availability) -> None:
    archive, pacs = opened(Faults(availability=where.value), nearline="list")
    records = list(archive.reads.list_instances(STUDY))
    assert {record.availability for record in records} == {where}
    pacs.faults = Faults(availability="ONLINE")
    found, failures = fetch(archive, records, tmp_path / "spool")
    assert (len(found), failures) == (len(UIDS), [])


def test_more_classes_than_an_association_has_contexts_are_fetched_over_several(opened: Open, tmp_path: Path) -> None:
    """Private SOP classes among them, by C-GET, where we must propose them all."""
    specs = [ObjectSpec(study=1, instance=number, grey=number) for number in range(1, 21)]
    objects = [of_class(spec, f"1.2.826.0.1.3680043.10.1999.77.{spec.instance}") for spec in specs]
    archive, pacs = opened(specs=objects, retrieve="get")
    records = list(archive.reads.list_instances(STUDY))
    before = pacs.associations
    found, failures = fetch(archive, records, tmp_path / "spool")
    assert not failures
    assert len(found) == len(specs)
    assert pacs.associations - before > 1


def of_class(spec: ObjectSpec, sop_class: str) -> bytes:
    """The object as one of another SOP class, whose UID fills the space of CT's."""
    plain = "1.2.840.10008.5.1.4.1.1.2"
    data = dicom_bytes(spec)
    from io import BytesIO

    from pydicom import dcmread, dcmwrite

    dataset = dcmread(BytesIO(data))
    assert dataset.SOPClassUID == plain
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    out = BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


# -------------------------------------------------------------------------------------------------------- inventory

MANY = [
    ObjectSpec(
        study=number,
        patient_id=f"{chr(65 + number % 26)}{number}",
        study_date=f"2020{number % 12 + 1:02}{number % 28 + 1:02}",
    )
    for number in range(1, 41)
] + [ObjectSpec(study=number, patient_id=f"{chr(65 + number % 26)}{number}", study_date="") for number in range(41, 61)]


@pytest.mark.parametrize("cap", [7, 12, 25, 59])
def test_a_silent_cap_hides_no_study(opened: Open, cap: int) -> None:
    archive, _ = opened(Faults(cap=cap), MANY, trusted_answers=5)
    assert studies_in(archive) == sorted({spec.study_uid for spec in MANY})


@pytest.mark.parametrize("dated", [0, 3])
def test_a_cap_over_studies_without_a_date_hides_none_of_them(opened: Open, dated: int) -> None:
    """Also where fewer have a date than the cap lets through."""
    specs = [*MANY[:dated], *MANY[40:]]
    archive, _ = opened(Faults(cap=12), specs, trusted_answers=5)
    assert studies_in(archive) == sorted({spec.study_uid for spec in specs})


def test_a_cap_that_nothing_gets_behind_is_said(opened: Open) -> None:
    """One patient with more undated studies than the archive shows: nobody can find them all, and nobody claims it."""
    specs = [ObjectSpec(study=number, patient_id="P", study_date="") for number in range(1, 31)]
    archive, _ = opened(Faults(cap=12), specs, trusted_answers=5)
    items = all_parts(archive)
    assert len([item for item in items if isinstance(item, StudyRecord)]) == 12
    assert [item.code for item in items if isinstance(item, Refused)] == ["answers-may-be-cut-short"]


def test_a_query_that_is_refused_for_one_window_costs_no_other(opened: Open) -> None:
    """An archive that does not bear the year 2020 is asked by smaller windows; what stays refused is said."""

    def refuse(query: object) -> int:
        return 0xC001 if "2020" in str(getattr(query, "StudyDate", "")) else 0

    specs = [*MANY[:3], ObjectSpec(study=90, study_date="20210505"), ObjectSpec(study=91, study_date="")]
    archive, _ = opened(Faults(refuse=refuse), specs)
    items = all_parts(archive)
    found = {item.study_uid for item in items if isinstance(item, StudyRecord)}
    assert found == {specs[3].study_uid, specs[4].study_uid}
    refused = [item for item in items if isinstance(item, Refused)]
    assert {item.code for item in refused} == {"query-refused"}
    assert "C001" in refused[0].reason


def test_a_window_that_is_too_wide_for_the_archive_is_divided(opened: Open) -> None:
    """A700 to queries over more than a month: all studies are found by narrower ones."""

    def refuse(query: object) -> int:
        first, dash, last = str(getattr(query, "StudyDate", "") or "").partition("-")
        return 0xA700 if dash and first and last and "2020" in first and first[:6] != last[:6] else 0

    archive, _ = opened(Faults(refuse=refuse), MANY)
    items = all_parts(archive)
    assert sorted(item.study_uid for item in items if isinstance(item, StudyRecord)) == sorted(
        {s.study_uid for s in MANY}
    )
    assert not [item for item in items if isinstance(item, Refused)]


def test_queries_that_all_fail_are_an_error(opened: Open) -> None:
    archive, _ = opened(Faults(refuse=lambda query: 0xC001), MANY)
    with pytest.raises(ArchiveError, match="C001"):
        all_parts(archive)


@pytest.mark.parametrize("dates", [("20200101", "20230505"), ("20230505", ""), ("", "20230505")])
def test_a_study_with_two_records_of_different_dates_is_told_once(opened: Open, dates: tuple[str, str]) -> None:
    records = {str(STUDY.study_uid): [{"StudyDate": date} for date in dates]}
    archive, _ = opened(Faults(records=records), [*SPECS, ObjectSpec(study=2, study_date="20230505")])
    items = all_parts(archive)
    assert studies_in(archive) == [STUDY.study_uid, study_of(ObjectSpec(study=2)).study_uid]
    of_study = [item for item in items if isinstance(item, InstanceRecord) and item.study_uid == STUDY.study_uid]
    assert sorted(record.sop_instance_uid for record in of_study) == UIDS
    assert {record.flags for record in of_study} == {("several-study-records",)}


@pytest.mark.parametrize(
    ("faults", "basis"),
    [
        (Faults(), Basis.INSTANCES),
        (Faults(miscount=2), Basis.SERIES_COUNTS),
        (Faults(silent=("IMAGE",)), Basis.SERIES_COUNTS),
        (Faults(silent=("SERIES", "IMAGE")), Basis.STUDY_COUNT),
    ],
    ids=["true", "miscounted", "no-image-level", "study-level-only"],
)
def test_completeness_rests_on_what_was_answered(opened: Open, faults: Faults, basis: Basis) -> None:
    archive, _ = opened(faults)
    (study,) = (item for item in all_parts(archive) if isinstance(item, StudyRecord))
    assert study.basis is basis


def test_modalities_that_are_only_told_of_series_are_those_of_the_study(opened: Open) -> None:
    """As dcmtk's archive tells them: waves are planned by modality."""
    archive, _ = opened(Faults(records={str(STUDY.study_uid): [{"ModalitiesInStudy": ""}]}))
    assert [item.modalities for item in all_parts(archive) if isinstance(item, StudyRecord)] == [("CT",)]


@retrievals
def test_the_patient_root_model_works_as_well(opened: Open, tmp_path: Path, retrieve: str) -> None:
    archive, pacs = opened(query_model="patient-root", retrieve=retrieve)
    assert studies_in(archive) == [STUDY.study_uid]
    found, failures = fetch(archive, listed(archive, pacs), tmp_path / "spool")
    assert (len(found), failures) == (len(UIDS), [])


# ------------------------------------------------------------------------------------------------------------ stores


def store(archive: Archive, folder: Path, specs: Sequence[ObjectSpec]) -> list[Receipt | StoreFailure]:
    assert archive.stores is not None
    return list(archive.stores.store(study_of(specs[0]), written(folder, specs)))


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_kept_with_the_receipt(opened: Open, tmp_path: Path, status: int) -> None:
    archive, _ = opened(Faults(store_status=status), [])
    (answer,) = store(archive, tmp_path / "in", SPECS[:1])
    assert isinstance(answer, Receipt)
    assert (answer.outcome, answer.warnings) == (Outcome.STORED, (f"{status:04X}",))


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (0xA700, "out-of-resources", True),
        (0xA900, "does-not-match-class", False),
        (0xC123, "cannot-understand", False),
        (0x0122, "refused", False),
    ],
)
def test_a_refusal_is_a_failure_by_its_kind(
    opened: Open, tmp_path: Path, status: int, code: str, transient: bool
) -> None:
    archive, _ = opened(Faults(store_status=status, lost=EVERYTHING), [])
    (answer,) = store(archive, tmp_path / "in", SPECS[:1])
    assert isinstance(answer, StoreFailure)
    assert (answer.code, answer.transient) == (code, transient)


def test_what_is_acknowledged_and_lost_is_no_receipt(opened: Open, tmp_path: Path) -> None:
    archive, _ = opened(Faults(lost={UIDS[0]}), [])
    answers = {answer.sop_instance_uid: answer for answer in store(archive, tmp_path / "in", SPECS)}
    assert [uid for uid, answer in answers.items() if isinstance(answer, StoreFailure)] == [UIDS[0]]
    lost = answers[UIDS[0]]  # type: ignore[index]
    assert isinstance(lost, StoreFailure)
    assert (lost.code, lost.transient) == ("not-listed-after-store", True)


def test_a_file_that_is_not_the_object_of_its_record_is_not_sent(opened: Open, tmp_path: Path) -> None:
    archive, pacs = opened(specs=[])
    assert archive.stores is not None
    wrong, right = written(tmp_path / "in", SPECS[:2])
    wrong = evolve(wrong, record=evolve(wrong.record, sop_instance_uid=UIDS[5]))
    answers = {answer.sop_instance_uid: answer for answer in archive.stores.store(STUDY, [wrong, right])}
    assert isinstance(answers.pop(right.record.sop_instance_uid), Receipt)
    ((_, refused),) = answers.items()
    assert isinstance(refused, StoreFailure)
    assert (refused.code, refused.transient) == ("uid-mismatch", False)
    assert pacs.held() == (right.record.sop_instance_uid,)


@pytest.mark.parametrize(("status", "transient"), [(None, False), (0xA702, True)])
def test_what_is_there_and_cannot_be_read_is_not_taken_for_ours(
    opened: Open, tmp_path: Path, status: int | None, transient: bool
) -> None:
    archive, pacs = opened(Faults(withheld=EVERYTHING, retrieve_status=status))
    (answer,) = store(archive, tmp_path / "in", SPECS[:1])
    assert isinstance(answer, StoreFailure)
    assert (answer.code, answer.transient) == ("not-comparable", transient)
    assert "C-STORE" not in pacs.asked


def test_an_object_that_comes_twice_and_is_not_taken_fails_twice(opened: Open, tmp_path: Path) -> None:
    archive, pacs = opened(Faults(lost=EVERYTHING, store_status=0xC000), [])
    answers = store(archive, tmp_path / "in", [SPECS[0], SPECS[0]])
    failures = {answer.code: answer.transient for answer in answers if isinstance(answer, StoreFailure)}
    assert (len(answers), failures) == (2, {"cannot-understand": False, "not-stored": True})
    assert pacs.asked.count("C-STORE") == 1


def test_a_pause_sends_nothing_more(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way is answered and asked for; what was not begun is begun when the work goes on."""
    archive, pacs = opened(specs=[])
    cancelled = archive.reads._caller.site.cancelled
    keep = pacs.holdings.take

    def take(held: Held) -> None:
        keep(held)
        cancelled.set()

    monkeypatch.setattr(pacs.holdings, "take", take)
    answers = store(archive, tmp_path / "in", SPECS)
    assert 1 <= len(answers) < len(SPECS)
    assert {answer.sop_instance_uid for answer in answers} == set(pacs.held())


def test_a_duplicate_that_is_silently_ignored_is_a_conflict(opened: Open, tmp_path: Path) -> None:
    """The archive would say success, and keep what it had: it is asked before anything is sent."""
    archive, pacs = opened(Faults(lost=EVERYTHING))
    (answer,) = store(archive, tmp_path / "in", [evolve(SPECS[0], grey=99)])
    assert isinstance(answer, StoreFailure)
    assert answer.code == "conflict"
    assert "C-STORE" not in pacs.asked


def test_what_we_sent_is_known_again_whatever_the_archive_made_of_it(opened: Open, tmp_path: Path) -> None:
    """As after a crash before its answer; also where it comes twice. Other bytes under its UID stay a conflict."""
    archive, pacs = opened(Faults(coerced={"PatientName": "Other^Name"}), [])
    (first,) = store(archive, tmp_path / "in", SPECS[:1])
    (again,) = store(archive, tmp_path / "again", SPECS[:1])
    (other,) = store(archive, tmp_path / "other", [evolve(SPECS[0], grey=99)])
    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert (first.outcome, again.outcome) == (Outcome.STORED, Outcome.ALREADY_PRESENT)
    assert isinstance(other, StoreFailure)
    assert other.code == "conflict"
    assert pacs.asked.count("C-STORE") == 1
    twice = store(archive, tmp_path / "twice", [SPECS[1], SPECS[1]])
    assert [getattr(answer, "outcome", None) for answer in twice] == [Outcome.STORED, Outcome.ALREADY_PRESENT]


def test_a_warning_that_was_heard_before_the_association_was_lost_is_told_with_what_is_there(
    opened: Open, tmp_path: Path
) -> None:
    """The archive says it once; whoever asks again, in another process even, is told of it."""
    archive, pacs = opened(Faults(store_status=0xB006, disturbance=Disturbance(pdu=4)), [])
    with pytest.raises(ArchiveError):
        store(archive, tmp_path / "in", SPECS[:3])
    there = set(pacs.held())
    assert 1 < len(there) <= 3
    pacs.faults = Faults()
    assert isinstance(archive.reads, Reader)
    again = open_archive(archive.reads._caller.settings, archive.reads._caller.site)
    answers = [answer for answer in store(again, tmp_path / "again", SPECS[:3]) if isinstance(answer, Receipt)]
    again.reads.close()
    told = {answer.sop_instance_uid for answer in answers if answer.warnings == ("B006",)}
    assert len(told) == len(there) - 1  # the last one's answer never came
    assert told < {answer.sop_instance_uid for answer in answers if answer.outcome is Outcome.ALREADY_PRESENT} == there


def test_what_somebody_else_stored_in_other_bytes_is_not_taken_for_ours(opened: Open, tmp_path: Path) -> None:
    archive, pacs = opened()
    pacs.holdings.keep(pacs.holdings.all()[0].changed({"PatientName": "Other^Name"}))
    answers = store(archive, tmp_path / "in", SPECS)
    assert [getattr(answer, "code", "") for answer in answers].count("conflict") == 1
    assert "C-STORE" not in pacs.asked


def test_more_kinds_than_an_association_has_contexts_are_stored_over_several(opened: Open, tmp_path: Path) -> None:
    archive, pacs = opened(specs=[])
    assert archive.stores is not None
    items = []
    (tmp_path / "in").mkdir()
    for number in range(1, 151):
        spec = ObjectSpec(study=1, instance=number)
        path = tmp_path / "in" / f"{number}.dcm"
        path.write_bytes(of_class(spec, f"1.2.826.0.1.3680043.10.1999.77.{number}"))
        from vna_lifecycle.dicom.digest import examine_file

        items.append(Fetched(record=examine_file(path, locator="").record, path=path))
    before = pacs.associations
    answers = list(archive.stores.store(STUDY, items))
    assert all(isinstance(answer, Receipt) for answer in answers)
    assert len(pacs.held()) == 150
    assert pacs.associations - before >= 2


def test_a_class_that_the_archive_does_not_take_fails_alone(opened: Open, tmp_path: Path) -> None:
    private = "1.2.826.0.1.3680043.10.1999.77.1"
    archive, _ = opened(Faults(unwilling={private}), [])
    assert archive.stores is not None
    items = written(tmp_path / "in", SPECS[:2])
    items[1].path.write_bytes(of_class(SPECS[1], private))
    first, second = sorted(archive.stores.store(STUDY, items), key=lambda answer: answer.sop_instance_uid)
    assert isinstance(first, Receipt)
    assert isinstance(second, StoreFailure)
    assert (second.code, second.transient) == ("not-negotiated", False)


# ---------------------------------------------------------------------------------------------------- hostile answers

LOG_OUT = {
    "4 GiB": (pdu(4, b"", length=0xFFFFFFFF) + bytes(64), True),
    "4 GiB-streamed": (pdu(4, b"", length=0xFFFFFFF0) + bytes(8 * MEBIBYTE), True),
    "oversized": (pdu(4, bytes(3 * MEBIBYTE)), False),
    "value-beyond-its-pdu": (pdu(4, b"\x00\x00\xff\xff\x01\x03" + bytes(16)), False),
    "empty": (pdu(4, b""), True),
    "unknown-kind": (pdu(0x4B, bytes(16)), False),
    "no-command": (pdu(4, b"\x00\x00\x00\x0a\x01\x03" + bytes(8)), False),
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64), False),
    "half-a-header": (b"\x04\x00", True),
    "nothing": (b"", True),
}


@pytest.mark.parametrize("place", [1, 2], ids=["for-the-acceptance", "for-an-answer"])
@pytest.mark.parametrize("instead", LOG_OUT)
def test_hostile_answers_end_as_named_errors_within_the_timeout(opened: Open, place: int, instead: str) -> None:
    """A peer that sends garbage, or stops in the middle: an error of the archive, in time, for hardly any memory."""
    archive, pacs = opened()
    data, hold = LOG_OUT[instead]
    archive.reads.close()  # so that the next question is asked on a new association
    pacs.faults = Faults(disturbance=Disturbance(pdu=place, instead=data, hold=hold, times=10**6))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises(ArchiveError) as raised:
        list(archive.reads.list_instances(STUDY))
    assert time.monotonic() - begun < 2 * 2 * QUICK["answer_timeout"] + 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
    assert raised.value.archive == "archive"


def test_a_slow_loris_is_given_up_on(opened: Open) -> None:
    archive, pacs = opened()
    archive.reads.close()
    pacs.faults = Faults(drip=0.1)
    begun = time.monotonic()
    with pytest.raises(ArchiveError):
        list(archive.reads.list_instances(STUDY))
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize(
    ("reject", "transient", "words"),
    [
        ((1, 1, 3), False, "calling AE title"),
        ((1, 1, 7), False, "called AE title"),
        ((2, 3, 2), True, "local limit exceeded"),
    ],
)
def test_a_rejection_is_told_in_words(opened: Open, reject: tuple[int, int, int], transient: bool, words: str) -> None:
    archive, pacs = opened()
    archive.reads.close()
    pacs.faults = Faults(reject=reject)
    with pytest.raises(ArchiveRefused, match=words) as raised:
        list(archive.reads.list_instances(STUDY))
    assert raised.value.transient is transient
    assert raised.value.hint
