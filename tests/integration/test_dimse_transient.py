"""Troubles of a PACS that pass: asked again ever later and not for ever; and what of them costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from peers.misbehaving_program import BAD, MALFORMED, PER_STUDY, SPECS, STUDIES, Trial, command, source
from vna_lifecycle.testing.misbehaving_pacs import EVERYTHING, Disturbance, Faults
from vna_lifecycle.testing.misbehaving_pacs.pdu import ASSOCIATE_RJ, pdu

FOR_EVER = 10**6
ATTEMPTS = 4


@pytest.fixture(autouse=True)
def no_waits() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """A program whose source does what it should."""
    with Trial(source("passing", Faults(), retrieve="get"), tmp_path / "program") as trial:
        trial.plan(("attempts = 2", f"attempts = {ATTEMPTS}"))
        yield trial


def busy(times: int) -> Faults:
    """So many associations are rejected for now: temporary congestion (PS3.8 9.3.4)."""
    return Faults(disturbance=Disturbance(pdu=1, instead=pdu(ASSOCIATE_RJ, bytes((0, 2, 3, 1))), times=times))


def test_an_archive_that_is_busy_when_it_is_opened_is_asked_again(trial: Trial) -> None:
    trial.pacs.faults = busy(ATTEMPTS - 1)
    assert command("inventory", folder=trial.folder)[0] == 0


def test_an_archive_that_stays_busy_is_given_up_and_says_how_often_it_was_asked(trial: Trial) -> None:
    trial.pacs.faults, before = busy(FOR_EVER), trial.pacs.associations
    code, answer = command("inventory", folder=trial.folder)
    assert code == 3
    error = answer["error"]
    assert (error["type"], error["archive"], error["transient"]) == ("ArchiveRefused", "pacs", True)
    assert "congested" in error["message"]
    assert f"up to {ATTEMPTS} requests" in error["message"]
    assert error["hint"]
    assert trial.pacs.associations - before == ATTEMPTS


@pytest.mark.parametrize(("origin", "reason"), [(1, 1), (1, 3), (1, 7), (2, 2)])
def test_an_archive_that_will_never_have_us_is_asked_once(trial: Trial, origin: int, reason: int) -> None:
    trial.pacs.faults, before = Faults(reject=(1, origin, reason)), trial.pacs.associations
    code, answer = command("inventory", folder=trial.folder)
    assert (code, answer["error"]["transient"]) == (3, False)
    assert "up to" not in answer["error"]["message"]
    assert trial.pacs.associations - before == 1


# ---------------------------------------------------------------------------------------------------------- inventories

(SECOND,) = {str(spec.study_uid) for spec in SPECS if spec.sop_instance_uid == BAD}
BREAKS = pytest.mark.parametrize("data", [MALFORMED, b""], ids=["malformed", "dropped"])


def inventory(trial: Trial) -> tuple[int, int]:
    """Take one to its end: how many studies and instances it has."""
    code, answer = command("inventory", folder=trial.folder)
    assert code == 0, answer
    (result,) = answer["inventories"]
    assert result["completed"]
    return result["studies"], result["instances"]


def refused(trial: Trial) -> list[tuple[str, str]]:
    """What the inventory could not have: codes, and what they are about."""
    told = command("findings", folder=trial.folder)[1]
    return sorted((item["code"], item["locator"]) for item in told["refused"])


@BREAKS
@pytest.mark.parametrize("place", [2, 3, 5])
def test_an_answer_that_breaks_off_within_an_inventory_is_asked_for_again(
    trial: Trial, data: bytes, place: int
) -> None:
    """Some times on end: nothing is lacking, nothing is told twice, and nobody need know."""
    trial.pacs.faults = Faults(disturbance=Disturbance(pdu=place, instead=data, times=ATTEMPTS - 1))
    assert inventory(trial) == (STUDIES, len(SPECS))
    assert refused(trial) == []


@BREAKS
@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_a_study_whose_answers_always_break_off_costs_itself_alone(trial: Trial, data: bytes, level: str) -> None:
    """It is named, keeps its wave from being done, and the next inventory has it."""
    trial.pacs.faults = Faults(garbled={SECOND}, garbled_at={level}, garbled_pdu=data)
    assert inventory(trial) == (STUDIES, len(SPECS) - PER_STUDY)
    assert refused(trial) == [("not-answered", SECOND)]
    assert command("plan", folder=trial.folder)[0] == 0
    assert command("transfer", folder=trial.folder)[0] == 1
    outcome = trial.outcome()
    assert outcome.states == {"transferred": STUDIES - 1, "incomplete": 1}
    assert outcome.findings == {"not-listed": 1}
    trial.pacs.faults = Faults()
    assert inventory(trial) == (STUDIES, len(SPECS))
    assert refused(trial) == []
    assert command("plan", folder=trial.folder)[0] == 0
    assert command("transfer", "--retry", folder=trial.folder)[0] == 0
    assert trial.outcome().states == {"transferred": STUDIES}


@BREAKS
def test_a_day_whose_answers_always_break_off_costs_itself_alone(trial: Trial, data: bytes) -> None:
    """Ranges of dates are halved until it is alone; the studies of all other days are there."""
    trial.pacs.faults = Faults(garbled={SECOND}, garbled_at={"STUDY"}, garbled_pdu=data)
    assert inventory(trial) == (STUDIES - 1, len(SPECS) - PER_STUDY)
    ((code, locator),) = refused(trial)
    assert code == "query-refused"
    assert "2024-01-02..2024-01-02" in locator
    trial.pacs.faults = Faults()
    assert inventory(trial) == (STUDIES, len(SPECS))


@pytest.mark.parametrize(
    ("away", "kind"),
    [
        (Faults(garbled=EVERYTHING, disturbance=Disturbance(pdu=2, times=FOR_EVER)), "ArchiveError"),
        (Faults(garbled=EVERYTHING, reject=(2, 3, 1)), "ArchiveRefused"),
    ],
    ids=["drops-whatever-is-asked", "rejects"],
)
def test_an_archive_that_goes_away_within_an_inventory_is_not_taken_for_one_that_lacks_an_answer(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, away: Faults, kind: str
) -> None:
    """Nothing is told as missing that was only not asked for; the same command goes on."""
    honest = trial.pacs.note

    def note(what: str) -> None:
        honest(what)
        if trial.pacs.asked.count("C-FIND IMAGE") == 2:
            trial.pacs.faults = away

    trial.pacs.asked.clear()
    monkeypatch.setattr(trial.pacs, "note", note)
    code, answer = command("inventory", folder=trial.folder)
    assert (code, answer["error"]["type"]) == (3, kind), answer
    monkeypatch.undo()
    trial.pacs.faults = Faults()
    assert refused(trial) == []
    code, answer = command("inventory", folder=trial.folder)
    (result,) = answer["inventories"]
    assert (result["resumed"], result["instances"]) == (True, len(SPECS))
    assert refused(trial) == []


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_an_archive_that_answers_no_query_of_a_kind_ends_the_inventory_by_name(trial: Trial, level: str) -> None:
    """Nothing is taken for all there is; once it answers, the same command goes on."""
    trial.pacs.faults = Faults(garbled=EVERYTHING, garbled_at={level}, garbled_pdu=MALFORMED)
    code, answer = command("inventory", folder=trial.folder)
    assert (code, answer["error"]["archive"]) == (3, "pacs")
    assert "DICOM protocol" in answer["error"]["message"]
    trial.pacs.faults = Faults()
    assert inventory(trial) == (STUDIES, len(SPECS))
    assert refused(trial) == []
