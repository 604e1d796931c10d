"""Whole programs into HealthImaging and out of it: they end ready, killed or not, and never when a job only ran.

The service is not in the process that is killed, and what is staged lies in SeaweedFS.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from peers.healthimaging import Place, make_place
from peers.healthimaging_program import SPECS, UIDS, came_out, command, held, make_program, on_record, said
from peers.s3 import Server
from vna_lifecycle.cli import main
from vna_lifecycle.dicom.scan import scan_file
from vna_lifecycle.model.event import BatchSwept, SweepIntended
from vna_lifecycle.program import Program
from vna_lifecycle.testing.healthimaging import Faults, Timing
from vna_lifecycle.testing.objects import dicom_bytes

__all__ = ["make_place"]

pytestmark = pytest.mark.peer

ADAPTER = "vna_lifecycle.adapters.healthimaging"
POINTS = [
    ("vna_lifecycle.engine.importing:stage_study", 2, "after"),  # staged, and not on record
    (f"{ADAPTER}.batch:BatchFolder.record", 1, "before"),  # uploaded, and not noted beside the files
    (f"{ADAPTER}.batch:BatchFolder.freeze", 1, "after"),  # submitted, and no job
    (f"{ADAPTER}.jobs:Jobs.start", 1, "after"),  # a job runs, and nobody knows of it
    (f"{ADAPTER}.batch:BatchFolder.note_job", 1, "after"),
    ("vna_lifecycle.engine.batching:Batches.submitted", 1, "after"),
    (f"{ADAPTER}.imports:read_report", 1, "after"),
    ("vna_lifecycle.engine.batching:Batches.ended", 1, "after"),  # the job has answered, and that is not on record
    ("vna_lifecycle.engine.tasks:read_back", 1, "before"),
]
ALWAYS = {POINTS[0][0], f"{ADAPTER}.jobs:Jobs.start", "vna_lifecycle.engine.batching:Batches.ended"}


@pytest.mark.parametrize(
    ("point", "nth", "when"),
    [
        pytest.param(*point, id=point[0].rpartition(":")[2], marks=() if point[0] in ALWAYS else pytest.mark.soak)
        for point in POINTS
    ],
)
def test_a_killed_import_goes_on_and_imports_nothing_twice(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    nth: int,
    when: str,
) -> None:
    place = make_place(wall=True, timing=Timing(waiting=0.1, running=0.3), faults=Faults(lag=0.2))
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS)
    assert command(folder, "transfer", "all", point=point, nth=nth, when=when) == -signal.SIGKILL
    with Program.open(folder) as program:
        assert program.transfer("all").outcome == "complete"
    assert held(place) == {True: UIDS, False: []}


def test_a_wave_into_the_data_store_ends_ready_and_what_looking_costs_is_told_first(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make_place(wall=True, timing=Timing(running=0.3), faults=Faults(lag=0.2))
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS)
    with Program.open(folder) as program:
        assert program.transfer("all").outcome == "complete"
        readiness = program.accept("all")
        assert readiness.ready, readiness
    assert is_ready(capsys, folder)
    assert main(["accept", "all", "--program", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("aws: Reading image sets moves them to the frequent tier")


def test_a_wave_out_of_the_data_store_ends_ready_also_when_it_was_killed(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make_place(wall=True)
    place.fake.put(place.store, [dicom_bytes(spec) for spec in SPECS])
    folder = make_program(place, seaweed, tmp_path, monkeypatch, into=False)
    killed = command(folder, "transfer", "all", point="vna_lifecycle.engine.tasks:store_study", nth=2)
    assert killed == -signal.SIGKILL
    with Program.open(folder) as program:
        assert program.transfer("all").outcome == "complete"
        readiness = program.accept("all")
        assert readiness.ready, readiness
    assert is_ready(capsys, folder)
    assert sorted(scan_file(path).sop_instance_uid for path in came_out(folder)) == UIDS


def test_a_completed_job_with_failures_gives_exactly_its_findings_and_no_readiness(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three failures, one warning, one non-primary set, and a manifest that is late."""
    names = [spec.sop_instance_uid for spec in SPECS]
    faults = Faults(
        lag=1.0,
        fail=dict.fromkeys(names[:3], "ValidationException"),
        warn={names[3]: "COERCION_OF_DATA_ELEMENTS"},
        conflict={names[6]},
    )
    place = make_place(wall=True, timing=Timing(running=0.3), faults=faults)
    folder = str(make_program(place, seaweed, tmp_path, monkeypatch, SPECS))
    code, moved = said(capsys, "transfer", "all", "--program", folder)
    assert (code, moved["waves"][0]["transferred"]) == (1, 1)
    _, listed = said(capsys, "findings", "--program", folder)
    found = sorted((line["kind"], line["severity"], sorted(line["objects"])) for line in listed["findings"])
    expected = [
        ("headers-only", "blocker", []),  # of the program: nobody gave an extract of the source's database
        # what the read-back finds by itself, of either study
        ("missing-at-target", "blocker", names[:3]),
        ("missing-at-target", "blocker", [names[6]]),
        # what the job's results say
        ("not-stored-import-validation", "blocker", names[:3]),
        ("not-stored-non-primary", "blocker", [names[6]]),
        # what the service keeps in another form: no original bytes, but what they say
        ("re-encoded-at-target", "note", names[3:6]),
        ("re-encoded-at-target", "note", names[7:]),
        ("stored-with-warning-coercion-of-data-elements", "warning", [names[3]]),
    ]
    assert found == expected
    _, jobs = said(capsys, "jobs", "list", "--program", folder)
    [batch] = jobs["batches"]
    assert [batch[key] for key in ("state", "stored", "refused", "unaccounted", "warnings")] == ["ended", 5, 4, 0, 1]
    _, status = said(capsys, "status", "--program", folder)
    assert (status["waves"][0]["ready"], status["waves"][0]["states"]) == (False, {"incomplete": 2, "transferred": 1})
    code, accepted = said(capsys, "accept", "all", "--program", folder)
    assert (code, accepted["waves"][0]["ready"]) == (1, False)
    assert [
        reason for reason in accepted["waves"][0]["blockers"] if "import-validation" in reason or "primary" in reason
    ]


def test_what_was_imported_is_withdrawn_and_can_be_moved_again(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also what a job put into a non-primary image set, which no reader is shown."""
    place = make_place(wall=True, faults=Faults(conflict={SPECS[6].sop_instance_uid}), deletion_seconds=0.5)
    folder = str(make_program(place, seaweed, tmp_path, monkeypatch, SPECS))
    said(capsys, "transfer", "all", "--program", folder)
    assert held(place)[False] == [SPECS[6].sop_instance_uid]
    because = ("--by", "lee", "--reason", "wrong data store", "--program", folder)
    code, _ = said(capsys, "withdraw", "all", "--dry-run", *because)
    assert (code, sum(map(len, held(place).values()))) == (0, len(SPECS))
    code, told = said(capsys, "withdraw", "all", *because)
    assert (code, told["withdrawn"], held(place)) == (0, 3, {True: [], False: []}), told
    place.fake.faults.conflict.clear()
    with Program.open(folder) as program:
        program.plan()
        assert program.transfer("all").outcome == "complete"
    assert held(place) == {True: UIDS, False: []}


def test_sampled_frames_are_held_against_their_originals_and_the_cost_is_told_first(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Checksums of decoded frames prove nothing yet: they are counted apart, and cannot fail a study."""
    place = make_place(wall=True)
    folder = str(make_program(place, seaweed, tmp_path, monkeypatch, SPECS))
    look = ("jobs", "frames", "all", "--sample", "0", "--program", folder)
    said(capsys, "transfer", "all", "--program", folder)
    assert main([*look, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("aws: Reading image sets moves them to the frequent tier")
    assert "GetImageFrame" not in place.fake.service.seen
    code, told = said(capsys, *look)
    assert (code, told["frames"]["studies"], told["frames"]["differing"]) == (0, 3, 0), told
    assert told["frames"]["equal"] == {"codestream": 3, "decoded": 6, "unproven layout": 6}
    assert sum(told["frames"]["undecided"].values()) == 3  # the JPEG ones hold no picture
    [image_set] = place.store.of_study(SPECS[3].study_uid)
    first, second = (image_set.latest.instances[spec.sop_instance_uid] for spec in SPECS[3:5])
    swapped = {**image_set.latest.instances, first.sop_instance_uid: evolve(first, frames=second.frames)}
    image_set.versions[-1] = evolve(image_set.latest, instances=swapped)
    code, told = said(capsys, *look)
    assert (code, told["frames"]["differing"]) == (1, 1)
    _, listed = said(capsys, "findings", "--program", folder)
    assert [line["objects"] for line in listed["findings"] if line["kind"] == "frame-differs"] == [
        [SPECS[3].sop_instance_uid]
    ]
    _, status = said(capsys, "status", "--program", folder)
    assert "1 finding of kind frame-differs blocks the wave" in status["waves"][0]["blockers"]


def is_ready(capsys: pytest.CaptureFixture[str], folder: Path) -> bool:
    _, status = said(capsys, "status", "--program", str(folder))
    return [wave["ready"] for wave in status["waves"]] == [True]


def staged(place: Place) -> int:
    listed = place.s3.list_objects_v2(Bucket=place.bucket, Prefix=f"{place.root}stage/in/")
    return len(listed.get("Contents", []))


def swept(folder: Path) -> list[tuple[str, int]]:
    return [(each.kind, getattr(each, "files", 0)) for each in on_record(folder, SweepIntended, BatchSwept)]


def test_staged_copies_go_once_their_studies_were_read_back_and_not_before(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make_place(wall=True, faults=Faults(fail={SPECS[0].sop_instance_uid: "ValidationException"}))
    never = 'remove_staged = "never"'
    folder = str(make_program(place, seaweed, tmp_path, monkeypatch, SPECS, settings=never))
    said(capsys, "transfer", "all", "--program", folder)
    assert staged(place) == len(SPECS)
    _, told = said(capsys, "jobs", "sweep", "--program", folder)
    assert (told["files"], told["kept"], staged(place)) == (0, 1, len(SPECS))  # a study of the batch is incomplete
    place.fake.faults.fail.clear()
    said(capsys, "transfer", "all", "--retry", "--program", folder)
    before = staged(place)
    _, would = said(capsys, "jobs", "sweep", "--dry-run", "--program", folder)
    assert (would["files"], would["kept"], staged(place)) == (before, 0, before)
    _, told = said(capsys, "jobs", "sweep", "--program", folder)
    assert (told["files"], told["size"], staged(place)) == (before, would["size"], 0)
    assert sum(files for _, files in swept(tmp_path)) == before
    assert held(place) == {True: UIDS, False: []}


def test_staged_copies_go_by_themselves_also_when_that_was_cut_off(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while files are removed: the next transfer removes the rest, and the record has all of them."""
    place = make_place(wall=True)
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS)
    point = f"{ADAPTER}.batch:BatchFolder.remove"
    assert command(folder, "transfer", "all", point=point, nth=4) == -signal.SIGKILL
    assert staged(place) == len(SPECS) - 4
    assert command(folder, "transfer", "all") == 0
    assert (staged(place), swept(folder)) == (0, [("sweep-intended", len(SPECS)), ("batch-swept", 0)])
    assert held(place) == {True: UIDS, False: []}
