"""What a data store set aside is corrected as change records, proved, and never passes for what was moved.

A prior of the study is in the data store already, and is shown to readers. What is moved names another patient, and
comes to lie in a non-primary image set. The prior is never changed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from peers.healthimaging import Place, make_place
from peers.healthimaging_program import command, held, make_program, on_record, said
from peers.s3 import Server
from vna_lifecycle.model.event import ChangeMade, RemedyFailed, RemedyIntended, StudyRemedied
from vna_lifecycle.program import Program
from vna_lifecycle.testing.healthimaging.metadata import apply
from vna_lifecycle.testing.healthimaging.stores import changed
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

__all__ = ["make_place"]

pytestmark = pytest.mark.peer

RIGHT = ObjectSpec(study=1, instance=1, patient_id="P1", issuer="H", study_description="CT", accession_number="A1")
WRONG = [evolve(RIGHT, instance=number, patient_id="SECRET-7", accession_number="A9") for number in (2, 3)]
OTHER = ObjectSpec(study=2, instance=1, patient_id="P2", issuer="H", study_description="CT")
UIDS = sorted(spec.sop_instance_uid for spec in (RIGHT, *WRONG, OTHER))
ASIDE = sorted(spec.sop_instance_uid for spec in WRONG)
BECAUSE = ("--by", "lee", "--reason", "the worklist named the wrong patient")


@pytest.fixture
def moved(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[Place, Path]:
    place = make_place(wall=True)
    place.fake.put(place.store, [dicom_bytes(RIGHT)])
    folder = make_program(place, seaweed, tmp_path, monkeypatch, [*WRONG, OTHER])
    code, _ = said(capsys, "transfer", "all", "--program", str(folder))
    assert (code, held(place)[False]) == (1, ASIDE)
    return place, folder


def told_by(check: str, capsys: pytest.CaptureFixture[str], folder: Path) -> list[Mapping[str, Any]]:
    _, listed = said(capsys, "findings", "--program", str(folder))
    return [line for line in listed["findings"] if line["check"] == check]


def findings(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, Mapping[str, Any]]:
    found = (line for check in ("remedy", "transfer") for line in told_by(check, capsys, folder))
    return {line["kind"]: line for line in found if line["severity"] != "note"}  # how it is encoded is no matter here


def test_what_was_set_aside_is_shown_first_then_corrected_proved_and_kept_in_sight(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    place, folder = moved
    remedy = ("jobs", "remedy", "all", *BECAUSE, "--program", str(folder))
    code, would = said(capsys, *remedy, "--dry-run")
    [study] = would["studies"]
    [aside] = study["places"]
    assert (code, study["outcome"], sorted(each["uid"] for each in aside["subjects"])) == (0, "possible", ASIDE)
    assert {each["keyword"]: (each["before"], each["after"]) for each in aside["corrections"]} == {
        "PatientID": (["SECRET-7"], ["P1"]),
        "AccessionNumber": (["A9"], ["A1"]),
    }
    assert (held(place)[False], on_record(folder, RemedyIntended)) == (ASIDE, [])
    code, done = said(capsys, *remedy)
    assert (code, done["studies"][0]["outcome"], held(place)) == (0, "remedied", {True: UIDS, False: []}), done
    [intended] = on_record(folder, RemedyIntended)
    assert (intended.by, intended.reason, intended.attributes) == (*BECAUSE[1::2], ("AccessionNumber", "PatientID"))
    changes = on_record(folder, ChangeMade)
    assert [each.step for each in changes] == ["corrected", "admitted", "discarded"]
    assert [(each.version_before, each.version_after) for each in changes[:2]] == [("1", "2"), ("2", "3")]
    assert all(each.request for each in changes)
    assert [each.first().levels.patient["PatientID"] for each in place.store.of_study(RIGHT.study_uid)] == ["P1"]
    [proved] = on_record(folder, StudyRemedied)
    assert (proved.instances, proved.explained, proved.rung) == (2, 2, "equivalent")
    found = findings(capsys, folder)
    assert [*found] == ["corrected-at-target", "extra-at-target"]  # the prior is not ours
    assert (sorted(found["corrected-at-target"]["objects"]), found["corrected-at-target"]["severity"]) == (
        ASIDE,
        "warning",
    )
    ledger = b"".join(path.read_bytes() for path in folder.glob("ledger*"))
    assert not [
        word for word in (b"SECRET-7", *(uid.encode() for uid in UIDS), aside["place"].encode()) if word in ledger
    ]
    with Program.open(folder) as program:  # whom the source's own records name is for a person to waive
        [reason, _] = program.accept("all").blockers
    assert reason == "1 finding of kind found-under-other-identity blocks the wave"
    assert "corrected-at-target" in findings(capsys, folder)


REMEDY = "vna_lifecycle.engine.remedying:_Remedy"
REMEDIES = "vna_lifecycle.adapters.healthimaging.remedy:Remedies"


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        pytest.param(f"{REMEDY}._intend", 1, marks=pytest.mark.soak),
        (f"{REMEDIES}.correct", 1),  # done, and not on record
        pytest.param(f"{REMEDY}._note", 1, marks=pytest.mark.soak),
        (f"{REMEDIES}.admit", 1),
        pytest.param(f"{REMEDY}._note", 2, marks=pytest.mark.soak),
        (f"{REMEDIES}.discard", 1),
        pytest.param(f"{REMEDY}._note", 3, marks=pytest.mark.soak),
    ],
)
def test_a_killed_remedy_goes_on_and_changes_nothing_twice(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str], point: str, nth: int
) -> None:
    place, folder = moved
    assert command(folder, "jobs", "remedy", "all", *BECAUSE, point=point, nth=nth) == -signal.SIGKILL
    code, _ = said(capsys, "jobs", "remedy", "all", "--by", "kim", "--reason", "going on", "--program", str(folder))
    assert (code, held(place)) == (0, {True: UIDS, False: []})
    assert [each.by for each in on_record(folder, RemedyIntended)] == ["lee"]
    assert [each.step for each in on_record(folder, ChangeMade)] == ["corrected", "admitted", "discarded"]
    [proved] = on_record(folder, StudyRemedied)
    assert proved.explained == 2
    assert [*findings(capsys, folder)] == ["corrected-at-target", "extra-at-target"]
    seen = place.fake.service.seen
    assert (seen["UpdateImageSetMetadata"], seen["CopyImageSet"], seen["DeleteImageSet"]) == (1, 1, 1)


def test_what_somebody_else_changed_after_it_was_looked_at_is_left_to_people(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    place, folder = moved
    point = "vna_lifecycle.engine.remedying:_Remedy._intend"
    assert command(folder, "jobs", "remedy", "all", *BECAUSE, point=point) == -signal.SIGKILL
    edit(place, "PatientComments", "by somebody else")
    code, told = said(capsys, "jobs", "remedy", "all", *BECAUSE, "--program", str(folder))
    assert (code, told["studies"][0]["outcome"], held(place)[False]) == (1, "failed", ASIDE)
    [failed] = on_record(folder, RemedyFailed)
    assert (failed.code, on_record(folder, ChangeMade)) == ("changed-meanwhile", [])
    assert "not-stored-non-primary" in findings(capsys, folder)


def test_more_than_the_change_records_say_is_not_explained(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody edits what was corrected, just before it is read back: it stays incomplete, and is told as different."""
    place, folder = moved
    point = "vna_lifecycle.adapters.healthimaging.remedy:Remedies.admit"
    assert command(folder, "jobs", "remedy", "all", *BECAUSE, point=point, when="before") == -signal.SIGKILL
    edit(place, "Manufacturer", "by somebody else", version=False)
    code, told = said(capsys, "jobs", "remedy", "all", *BECAUSE, "--program", str(folder))
    assert (code, told["studies"][0]["outcome"]) == (1, "failed"), told
    [failed] = on_record(folder, RemedyFailed)
    assert (failed.code, failed.differ, failed.explained) == ("not-as-expected", 2, 0)
    assert {"differs-at-target", "corrected-at-target", "not-stored-non-primary"} <= findings(capsys, folder).keys()
    with Program.open(folder) as program:
        assert not program.readiness("all").ready


def corrected(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, told = said(capsys, "jobs", "remedy", "all", *BECAUSE, "--program", str(folder))
    assert (code, told["studies"][0]["outcome"]) == (0, "remedied")


def test_what_was_corrected_is_our_own_copy_and_can_be_taken_back(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The source still holds what was moved: that the copy was corrected since does not make it another's, or older."""
    place, folder = moved
    corrected(capsys, folder)
    code, told = said(capsys, "withdraw", "all", *BECAUSE, "--program", str(folder))
    assert (code, told["withdrawn"], told["kept"], told["superseded"]) == (0, 2, 0, 0), told
    assert held(place) == {True: [RIGHT.sop_instance_uid], False: []}
    assert "corrected-at-target" not in findings(capsys, folder)


def changes_at_the_source(folder: Path, *, new: bool) -> None:
    """A new object comes, or one gets other content."""
    number = 9 if new else 0
    spec = evolve(WRONG[0], instance=number) if new else evolve(WRONG[0], study_description="CT with contrast")
    (folder / "folder" / f"{number}.dcm").write_bytes(dicom_bytes(spec))


@pytest.mark.parametrize("new", [False, True], ids=["other content", "a new object"])
def test_what_changes_at_the_source_after_a_correction_waits_for_a_decision(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str], new: bool
) -> None:
    place, folder = moved
    corrected(capsys, folder)
    before = held(place)
    changes_at_the_source(folder, new=new)
    code, told = said(capsys, "catch-up", "--program", str(folder))
    [source] = told["sources"]
    assert (code, source["differing"], source["undecided"]) == (1, 1, 1)
    [found] = told_by("catch-up", capsys, folder)
    assert (found["kind"], found["severity"]) == ("changed-at-source-after-correction", "blocker")
    more, other = (1, 0) if new else (0, 1)
    amount = f"the source has {more} {'instance' if more else 'instances'} more, 0 fewer and {other} with other content"
    assert amount in found["message"]
    assert ("--superseded" in found["remedy"]) is not new
    said(capsys, "plan", "--program", str(folder))
    code, _ = said(capsys, "transfer", "all", "--retry", "--program", str(folder))
    assert (code, held(place)) == (0, before)  # nothing moves, nothing is overwritten
    _, status = said(capsys, "status", "--program", str(folder))
    [wave] = status["waves"]
    assert (wave["ready"], wave["states"]) == (False, {"transferred": 2})
    assert "1 finding of kind changed-at-source-after-correction blocks the wave" in wave["blockers"]


def test_who_decides_for_the_source_takes_the_corrected_copies_back_and_moves_and_corrects_again(
    moved: tuple[Place, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    place, folder = moved
    corrected(capsys, folder)
    changes_at_the_source(folder, new=False)
    said(capsys, "catch-up", "--program", str(folder))
    back = ("withdraw", "all", "--study", RIGHT.study_uid, *BECAUSE, "--program", str(folder))
    code, told = said(capsys, *back)
    assert (code, told["withdrawn"], told["kept"]) == (1, 0, 1)
    code, told = said(capsys, *back, "--superseded")
    assert (code, told["withdrawn"], told["superseded"]) == (0, 1, 1), told
    said(capsys, "plan", "--program", str(folder))
    code, _ = said(capsys, "transfer", "all", "--program", str(folder))
    assert (code, held(place)[False]) == (1, ASIDE)
    corrected(capsys, folder)
    assert held(place) == {True: UIDS, False: []}
    assert told_by("catch-up", capsys, folder) == []
    assert len(on_record(folder, StudyRemedied)) == 2


def test_a_study_that_lacks_more_is_left_as_it_is(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make_place(wall=True)
    place.fake.put(place.store, [dicom_bytes(RIGHT)])
    place.fake.faults.fail[WRONG[1].sop_instance_uid] = "ValidationException"
    folder = make_program(place, seaweed, tmp_path, monkeypatch, WRONG)
    said(capsys, "transfer", "all", "--program", str(folder))
    code, told = said(capsys, "jobs", "remedy", RIGHT.study_uid, *BECAUSE, "--program", str(folder))
    assert (code, told["studies"][0]["outcome"], on_record(folder, RemedyIntended)) == (1, "hindered", [])
    assert "lacking besides" in told["studies"][0]["message"]


def edit(place: Place, keyword: str, value: str, *, version: bool = True) -> None:
    """Change what lies aside, as somebody with the console would; without ``version``, unseen by any guard."""
    [aside] = [one for one in place.store.present() if not one.latest.primary]
    instances = changed(aside.latest, lambda dataset, *_: apply(dataset, {keyword: value}), lambda _: True)
    if version:
        aside.add(place.fake.service.clock(), status="UPDATED", instances=instances)
    else:
        aside.versions[-1] = evolve(aside.latest, instances=instances)
