"""Each fault of a misbehaving PACS in a whole program: the right finding or error, and nothing false is *imported*."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from peers.hasty import haste
from peers.misbehaving_program import BAD, FAULTS, STUDIES, Case, Trial, command, source
from vna_lifecycle.errors import ArchiveUnreachable
from vna_lifecycle.program import Program
from vna_lifecycle.testing.misbehaving_pacs import Faults

__all__ = ["haste"]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=str(case), marks=() if case.quick else pytest.mark.soak) for case in FAULTS]
)
def test_a_fault_ends_as_what_it_is(tmp_path: Path, case: Case) -> None:
    """From the inventory to acceptance: each study is proved or has a finding, and no wave with one is ready."""
    with Trial(case, tmp_path / "program") as trial:
        trial.plan()
        code, told = command("transfer", folder=trial.folder)
        assert "error" not in told, told
        outcome = trial.outcome()
        assert outcome.states == case.states
        assert outcome.findings == case.findings
        assert outcome.refused == case.refused
        assert code == int(set(case.states) != {"transferred"})
        if not code and case.side == "target":
            assert sorted(trial.pacs.holdings.taken) == sorted(spec.sop_instance_uid for spec in case.specs)
        if code:
            not_ready, told = command("accept", folder=trial.folder)
            (wave,) = told["waves"]
            assert not_ready
            assert not wave["ready"]
            assert wave["blockers"]


def test_a_warning_is_told_once_however_often_its_study_is_tried(tmp_path: Path) -> None:
    """Also of what the target has already when the rest of the study comes."""
    (case,) = (case for case in FAULTS if str(case) == "target-warns-b000")
    with Trial(case, tmp_path / "program") as trial:
        trial.plan()
        trial.pacs.faults = Faults(store_status=0xB000, lost={BAD})
        assert command("transfer", folder=trial.folder)[0] == 1
        trial.pacs.faults = case.faults
        assert command("transfer", "--retry", folder=trial.folder)[0] == 0
        outcome = trial.outcome()
        assert outcome.states == case.states
        told = Counter(uid for kind, uids in outcome.subjects for uid in uids if kind == "stored-with-warning-b000")
        assert told == Counter(spec.sop_instance_uid for spec in case.specs)


def test_a_source_that_dies_is_given_rests_and_then_stops_the_wave(tmp_path: Path) -> None:
    """No study is lost over it: when the archive is back, the same command goes on."""
    with Trial(source("dying", Faults(late=0.02)), tmp_path / "program") as trial:
        trial.plan(("workers = 2", "workers = 1"), ("attempts = 2", "attempts = 1"))
        notes: list[str] = []

        def tell(progress: object) -> None:
            notes.append(str(getattr(progress, "note", "")))
            if getattr(progress, "activity", "") == "transfer" and getattr(progress, "done", 0) >= 1:
                trial.pacs.close()

        with Program.open(trial.folder) as program:
            (wave,) = program.status().waves
            with pytest.raises(ArchiveUnreachable) as raised:
                program.transfer(wave.name, progress=tell)
            assert raised.value.archive == "pacs"
            assert raised.value.transient
            assert any("pacs is given a rest" in note for note in notes)
            states = dict(program.status().waves[0].states)
            assert 1 <= states["transferred"] < STUDIES
        trial.begin()
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}
