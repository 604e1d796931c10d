"""Whole programs against archives that misbehave over DIMSE: nothing false is *transferred*, and the rest goes on."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from peers.dicom import free_port
from vna_lifecycle.adapters.dimse import storing
from vna_lifecycle.errors import ArchiveUnreachable
from vna_lifecycle.program import Program
from vna_lifecycle.testing.misbehaving_pacs import EVERYTHING, Disturbance, Faults, MisbehavingPacs
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

STUDIES, PER_STUDY = 4, 3
SPECS = [
    ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=instance, study_date=f"2024010{study}")
    for study in range(1, STUDIES + 1)
    for instance in range(1, PER_STUDY + 1)
]
BAD = SPECS[PER_STUDY].sop_instance_uid  # the first object of the second study
CONFIG = """
[program]
name = "misbehaving"
[archives.files]
plugin = "files"
path = "{files}"
[archives.pacs]
plugin = "dimse"
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
calling_ae_title = "US"
retrieve = "{retrieve}"
listen_host = "127.0.0.1"
listen_port = {ours}
settle_seconds = 0.3
connect_timeout = 1.0
answer_timeout = 1.0
stall_timeout = 1.0
attempts = 2
[migration]
sources = ["{source}"]
target = "{target}"
verify = "hashed"
[execution]
workers = 2
reserve_bytes = 0
"""


def fast_clock() -> Callable[[], dt.datetime]:
    """A clock in which rests of minutes pass in a moment."""
    begun, start = time.monotonic(), dt.datetime.now(dt.UTC)
    return lambda: start + dt.timedelta(seconds=(time.monotonic() - begun) * 600)


@pytest.fixture(autouse=True)
def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not listed at once will not be."""
    monkeypatch.setattr(storing, "_LOOKS", (0.05,))


@frozen
class Outcome:
    states: dict[str, int]
    findings: dict[str, int]
    pacs: MisbehavingPacs


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, files: Path) -> Iterator[Run]:
    """Runs a program from or into a PACS with faults, to its end."""
    running: list[MisbehavingPacs] = []

    def run_one(faults: Faults, *, source: bool, retrieve: str = "move") -> Outcome:
        ours = free_port()
        objects = [dicom_bytes(spec) for spec in SPECS]
        pacs = MisbehavingPacs(objects if source else [], destinations={"US": ours})
        pacs.__enter__()
        running.append(pacs)
        if not source:
            for number, data in enumerate(objects):
                (files / f"{number}.dcm").write_bytes(data)
        ends = ("pacs", "files") if source else ("files", "pacs")
        folder = tmp_path / "program"
        folder.mkdir()
        config = CONFIG.format(
            files=files, port=pacs.port, ours=ours, retrieve=retrieve, source=ends[0], target=ends[1]
        )
        (folder / "program.toml").write_text(config)
        Program.init(folder)
        with Program.open(folder, clock=fast_clock()) as program:
            if faults.disturbance is None:
                pacs.faults = faults
            program.take_inventory()
            program.plan()
            pacs.faults = faults
            for wave in program.status().waves:
                program.transfer(wave.name)
            states: dict[str, int] = {}
            for line in program.status().waves:
                for state, count in dict(line.states).items():
                    states[state] = states.get(state, 0) + count
            findings: dict[str, int] = {}
            for found in program.findings():
                if found.kind == "headers-only":  # of any source without an extract of its database
                    continue
                findings[found.kind] = findings.get(found.kind, 0) + 1
            return Outcome(states, findings, pacs)

    yield run_one
    for pacs in running:
        pacs.close()


# ---------------------------------------------------------------------------------------------------------- sources


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(final_early=True, no_counters=True, no_originator=True),
        pytest.param(Faults(withheld=EVERYTHING, withheld_at=("STUDY",)), marks=pytest.mark.soak),
        pytest.param(Faults(miscount=1), marks=pytest.mark.soak),
        Faults(disturbance=Disturbance(pdu=40, times=3)),
        Faults(disturbance=Disturbance(pdu=3, on="objects", times=2)),
        Faults(availability="NEARLINE"),
    ],
    ids=["none", "early-silent", "study-level-sends-nothing", "miscounted", "dropped", "objects-dropped", "nearline"],
)
def test_what_only_delays_a_source_changes_no_outcome(run: Run, faults: Faults) -> None:
    outcome = run(faults, source=True)
    assert outcome.states == {"transferred": STUDIES}


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (Faults(withheld={BAD}), "not-fetched-not-sent"),
        (Faults(poison={BAD}), "not-fetched-not-sent"),
        (Faults(new_uids=True), "not-fetched-other-uids-served"),
        (Faults(availability="OFFLINE"), "not-fetched-offline"),
    ],
    ids=["withheld", "poison", "new-uids", "offline"],
)
def test_what_a_source_does_not_serve_is_a_finding(run: Run, faults: Faults, kind: str) -> None:
    """And its study incomplete; the rest of the wave goes on."""
    outcome = run(faults, source=True)
    bad = 1 if faults.withheld or faults.poison else STUDIES
    assert outcome.states == {"incomplete": bad, **({"transferred": STUDIES - bad} if bad < STUDIES else {})}
    assert outcome.findings[kind] == bad
    assert bool([what for what in outcome.pacs.asked if "MOVE" in what]) is not bool(faults.availability)


# ---------------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize("status", ["b000", *(pytest.param(code, marks=pytest.mark.soak) for code in ("b006", "b007"))])
def test_a_warning_at_the_store_is_a_finding(run: Run, status: str) -> None:
    """What was read back unchanged is transferred all the same."""
    outcome = run(Faults(store_status=int(status, 16)), source=False)
    assert outcome.states == {"transferred": STUDIES}
    assert outcome.findings == {f"stored-with-warning-{status}": STUDIES}


@pytest.mark.parametrize("status", [0, 0xB000], ids=["silently", "with-a-warning"])
def test_what_a_target_coerces_is_never_transferred(run: Run, status: int) -> None:
    outcome = run(Faults(coerced={"PatientName": "Other^Name"}, store_status=status), source=False)
    assert outcome.states == {"incomplete": STUDIES}
    assert outcome.findings["differs-at-target"] == STUDIES


def test_what_a_target_loses_is_never_transferred(run: Run) -> None:
    outcome = run(Faults(lost={BAD}), source=False)
    assert outcome.states == {"incomplete": 1, "transferred": STUDIES - 1}
    assert outcome.findings["missing-at-target"] == 1


def test_what_a_target_refuses_is_never_transferred(run: Run) -> None:
    outcome = run(Faults(lost=EVERYTHING, store_status=0xC000), source=False)
    assert outcome.states == {"incomplete": STUDIES}
    assert outcome.findings["not-stored-cannot-understand"] == STUDIES


@pytest.mark.parametrize("number", [3, *(pytest.param(number, marks=pytest.mark.soak) for number in (1, 4, 8, 13))])
def test_a_target_that_drops_associations_gets_everything_once(run: Run, number: int) -> None:
    outcome = run(Faults(disturbance=Disturbance(pdu=number, times=2)), source=False)
    assert outcome.states == {"transferred": STUDIES}
    assert outcome.findings == {}
    assert outcome.pacs.held() == tuple(sorted(spec.sop_instance_uid for spec in SPECS))


# -------------------------------------------------------------------------------------------------------- dead archives


def test_a_source_that_dies_is_given_rests_and_then_stops_the_wave(tmp_path: Path, files: Path) -> None:
    """No study is lost over it: when the archive is back, the same command goes on."""
    ours = free_port()
    objects = [dicom_bytes(spec) for spec in SPECS]
    with MisbehavingPacs(objects, Faults(late=0.02), destinations={"US": ours}) as pacs:
        folder = tmp_path / "program"
        folder.mkdir()
        config = (
            CONFIG.format(files=files, port=pacs.port, ours=ours, retrieve="move", source="pacs", target="files")
            .replace("workers = 2", "workers = 1")
            .replace("attempts = 2", "attempts = 1")
        )
        (folder / "program.toml").write_text(config)
        Program.init(folder)
        notes: list[str] = []

        def tell(progress: object) -> None:
            notes.append(str(getattr(progress, "note", "")))
            if getattr(progress, "activity", "") == "transfer" and getattr(progress, "done", 0) >= 1:
                pacs.close()

        with Program.open(folder, clock=fast_clock()) as program:
            program.take_inventory()
            program.plan()
            (wave,) = program.status().waves
            with pytest.raises(ArchiveUnreachable) as raised:
                program.transfer(wave.name, progress=tell)
            assert raised.value.archive == "pacs"
            assert raised.value.transient
            assert any("pacs is given a rest" in note for note in notes)
            states = dict(program.status().waves[0].states)
            assert 1 <= states["transferred"] < STUDIES
            port = pacs.port
        again = MisbehavingPacs(objects, destinations={"US": ours})
        again.port = port
        with again, Program.open(folder, clock=fast_clock()) as program:
            program.transfer(wave.name)
            assert dict(program.status().waves[0].states) == {"transferred": STUDIES}
