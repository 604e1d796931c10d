"""A PACS that has several contents under one SOP Instance UID: none is lost, and people say which is the true one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.hasty import hasten
from peers.misbehaving_program import PER_STUDY, STUDIES, Case, Trial, command
from vna_lifecycle.testing.misbehaving_pacs import Faults

TWINS = Faults(twins={"ImageComments": "somebody wrote on it"})
ALL = STUDIES * PER_STUDY


@pytest.fixture(autouse=True)
def haste() -> Iterator[None]:
    undo = hasten()
    yield
    undo()


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_contents_of_a_source_are_held_until_one_is_chosen(tmp_path: Path, retrieve: str) -> None:
    with Trial(Case(name="twins", faults=TWINS, side="source", retrieve=retrieve), tmp_path / "program") as trial:
        trial.plan()
        assert command("transfer", folder=trial.folder)[0] == 1
        assert trial.outcome().states == {"incomplete": STUDIES}
        assert trial.outcome().findings == {"several-contents-content": STUDIES}
        held = command("remediate", folder=trial.folder)[1]["held"]
        contents: dict[str, list[str]] = {}
        for item in held:
            contents.setdefault(item["sop_instance_uid"], []).append(item["content"])
        assert [len(set(found)) for found in contents.values()] == [2] * ALL
        chosen = [word for uid, found in contents.items() for word in ("--choose", f"{uid}={max(found)[:16]}")]
        decision = ("remediate", *chosen, "--by", "A. Archivist", "--reason", "as the viewer shows it")
        assert command(*decision, folder=trial.folder)[0] == 0
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_what_a_source_sends_and_does_not_list_is_kept_and_told(tmp_path: Path, retrieve: str) -> None:
    more = Faults(twins={"SOPInstanceUID": "2.25.31"})
    with Trial(Case(name="more", faults=more, side="source", retrieve=retrieve), tmp_path / "program") as trial:
        trial.plan()
        assert command("transfer", folder=trial.folder)[0] == 0
        assert trial.outcome().states == {"transferred": STUDIES}
        told = command("inventory", folder=trial.folder)[1]
        assert [one["refused"] for one in told["inventories"]] == [ALL]


def test_a_target_that_serves_another_content_as_well_proves_nothing(tmp_path: Path) -> None:
    with Trial(Case(name="twins", faults=TWINS, side="target"), tmp_path / "program") as trial:
        trial.plan()
        assert command("transfer", folder=trial.folder)[0] == 1
        assert trial.outcome().states == {"incomplete": STUDIES}
