"""Programs whose source says that a study is nearline: it is retrieved, or listed until a person has had it staged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.hasty import hasten
from peers.misbehaving_program import PER_STUDY, SPECS, STUDIES, Case, Trial, command, lacking, source
from vna_lifecycle.testing.misbehaving_pacs import Faults

FAR = SPECS[PER_STUDY : 2 * PER_STUDY]  # the second study
FAR_UIDS = tuple(sorted(spec.sop_instance_uid for spec in FAR))


def nearline(how: str) -> Case:
    faults = Faults(records={FAR[0].study_uid: [{"InstanceAvailability": "NEARLINE"}]})
    return source("nearline", faults, all_along=True, options=f'nearline = "{how}"')


@pytest.fixture(autouse=True)
def haste() -> Iterator[None]:
    undo = hasten()
    yield
    undo()


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


@pytest.mark.parametrize("where", ["NEARLINE", "OFFLINE"])
def test_an_inventory_retrieves_nothing_that_somebody_has_to_bring_first(tmp_path: Path, where: str) -> None:
    """Not even to see how the archive behaves."""
    case = source("far", Faults(availability=where), all_along=True, options='nearline = "list"')
    with Trial(case, tmp_path / "program") as trial:
        trial.plan()
        assert retrieved(trial) == 0
