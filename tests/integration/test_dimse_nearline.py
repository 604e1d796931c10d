"""Programs whose source says that a study is nearline: it is retrieved, or listed until a person has had it staged."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from pathlib import Path

import pytest

from peers.hasty import haste
from peers.misbehaving_program import PER_STUDY, SPECS, STUDIES, Case, Trial, command, lacking, source
from vna_lifecycle.testing.misbehaving_pacs import Faults

__all__ = ["haste"]

FAR = SPECS[PER_STUDY : 2 * PER_STUDY]  # the second study
FAR_UIDS = tuple(sorted(spec.sop_instance_uid for spec in FAR))


def nearline(how: str, *, patience: int = 3_600, **more: Collection[str]) -> Case:
    faults = Faults(records={FAR[0].study_uid: [{"InstanceAvailability": "NEARLINE"}]}, **more)  # type: ignore[arg-type]
    return source("nearline", faults, all_along=True, options=f'nearline = "{how}"\nnearline_patience = {patience}')


def retrieved(trial: Trial) -> int:
    return sum(what.startswith("C-MOVE") for what in trial.pacs.asked)


def test_nearline_studies_are_listed_until_they_were_staged_and_then_taken_up_again(tmp_path: Path) -> None:
    """The rest of the wave goes on meanwhile, and nothing asks the archive for what somebody has to bring first."""
    with Trial(nearline("list"), tmp_path / "program") as trial:
        trial.plan()
        trial.pacs.asked.clear()
        assert command("transfer", folder=trial.folder)[0] == 1
        listed = trial.outcome()
        assert listed.states == lacking(1)
        assert listed.subjects == {("not-fetched-nearline", FAR_UIDS)}
        assert retrieved(trial) == STUDIES - 1
        for verb in (("transfer",), ("transfer", "--retry")):  # nothing was staged: all stays as it is
            assert command(*verb, folder=trial.folder)[0] == 1
            assert trial.outcome() == listed
            assert retrieved(trial) == STUDIES - 1
        trial.pacs.faults = Faults()  # it is online now
        assert command("transfer", folder=trial.folder)[0] == 1  # incomplete until a person says to try again
        assert command("transfer", "--retry", folder=trial.folder)[0] == 0
        staged = trial.outcome()
        assert (staged.states, staged.findings) == ({"transferred": STUDIES}, {})
        assert len(staged.objects) == len(SPECS)
        assert retrieved(trial) == STUDIES


def test_nearline_studies_are_retrieved_where_the_archive_recalls_them_by_itself(tmp_path: Path) -> None:
    with Trial(nearline("retrieve"), tmp_path / "program") as trial:
        trial.plan()
        trial.pacs.asked.clear()
        assert command("transfer", folder=trial.folder)[0] == 0
        outcome = trial.outcome()
        assert (outcome.states, outcome.findings) == ({"transferred": STUDIES}, {})
        assert retrieved(trial) == STUDIES


def test_what_is_recalled_by_and_by_is_waited_for_while_others_go_on(tmp_path: Path) -> None:
    """More often than anything else is tried, and for the study as a whole alone: less comes no sooner."""
    with Trial(nearline("retrieve", patience=86_400, withheld=FAR_UIDS), tmp_path / "program") as trial:
        trial.plan()
        trial.pacs.asked.clear()
        staged = threading.Event()

        def recall() -> None:
            while retrieved(trial) < STUDIES + 3 and not staged.wait(0.01):
                pass
            trial.pacs.faults = Faults()

        robot = threading.Thread(target=recall)
        robot.start()
        try:
            assert command("transfer", folder=trial.folder)[0] == 0
        finally:
            staged.set()
            robot.join()
        outcome = trial.outcome()
        assert (outcome.states, outcome.findings) == ({"transferred": STUDIES}, {})
        moves = [what for what in trial.pacs.asked if what.startswith("C-MOVE")]
        assert moves[: STUDIES + 3] == ["C-MOVE STUDY"] * (STUDIES + 3)


def test_what_is_not_recalled_in_time_is_set_aside_and_asked_for_anew_by_whoever_tries_again(tmp_path: Path) -> None:
    with Trial(nearline("retrieve", patience=300, withheld=FAR_UIDS), tmp_path / "program") as trial:
        trial.plan()
        assert command("transfer", folder=trial.folder)[0] == 1
        aside = trial.outcome()
        assert aside.states == lacking(1)
        assert aside.subjects == {("not-fetched-nearline", FAR_UIDS)}
        trial.pacs.asked.clear()
        assert command("transfer", folder=trial.folder)[0] == 1
        assert retrieved(trial) == 0
        assert command("transfer", "--retry", folder=trial.folder)[0] == 1
        assert retrieved(trial) > 1
        assert trial.outcome() == aside


def test_the_plan_tells_what_has_to_be_staged(tmp_path: Path) -> None:
    with Trial(nearline("list"), tmp_path / "program") as trial:
        trial.plan()
        code, told = command("plan", folder=trial.folder)
        assert code == 0
        assert "wave all: 1 study on nearline media, to be staged before" in json.dumps(told)
        assert [wave["nearline"] for wave in told["waves"]] == [1]


@pytest.mark.parametrize("where", ["NEARLINE", "OFFLINE"])
def test_an_inventory_retrieves_nothing_that_somebody_has_to_bring_first(tmp_path: Path, where: str) -> None:
    """Not even to see how the archive behaves."""
    case = source("far", Faults(availability=where), all_along=True, options='nearline = "list"')
    with Trial(case, tmp_path / "program") as trial:
        trial.plan()
        assert retrieved(trial) == 0
