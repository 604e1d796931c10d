"""What each event of one study changes in its row: these fields, to these values, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import asdict
from tests.unit.catalog.test_projection import drawn, examined, members, of_study, planned, recorded
from tests.unit.catalog.updating import fold_anew

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.model import event as on_record
from vna_lifecycle.model.event import Event
from vna_lifecycle.model.lifecycle import MigrationState

STUDY: Final = "study-0"
NO_FAILURE: Final = {"phase": "", "code": "", "transient": False, "retry_at": ""}
NOTHING_LACKING: Final = {"missing": 0, "differ": 0, "extra": 0, "held": 0, "refused": 0}
LACKING: Final = {"missing": 1, "differ": 2, "extra": 3, "held": 4, "refused": 5}
OUTDATING: Final = {"study-transferred", "study-remedied", "study-withdrawn"}

Step = tuple[str, dict[str, Any]]


def failed(number: int) -> Step:
    how = {"phase": "fetch", "code": f"c{number}", "transient": True, "retry_at": f"at {number}"}
    return "study-failed", {"state": "failed", "attempt": number, **how}


def fetched(number: int) -> Step:
    have = {"attempt": number, "instances": number, "size": number * 10, "manifest_ref": f"m{number}"}
    return "study-fetched", {"state": "fetched", **have, **NO_FAILURE}


def intended(number: int) -> Step:
    expected = {"attempt": number, "token": f"t{number}", "expected_ref": f"e{number}"}
    return "store-intended", {"state": "storing", **expected}


def stored(number: int) -> Step:
    return "study-stored", {"state": "stored", "attempt": number}


def incomplete(number: int) -> Step:
    return "study-incomplete", {"state": "incomplete", "attempt": number, "matched": number, **LACKING}


def transferred(number: int) -> Step:
    proved = {"attempt": number, "instances": number, "size": number * 10, "rung": "hashed"}
    seen = {"read_back_ref": f"r{number}", "matched": number, **NOTHING_LACKING}
    return "study-transferred", {"state": "transferred", **proved, **seen, **NO_FAILURE}


def changed(number: int) -> Step:
    return "study-changed", {"state": "planned", **NO_FAILURE, "code": f"changed {number}"}


def held(number: int) -> Step:
    return "study-held", {"state": "held", **NO_FAILURE, "code": f"h{number}"}


def released(number: int) -> Step:
    return "study-released", {"state": "planned", **NO_FAILURE}


def chosen(number: int) -> Step:
    return "content-chosen", {"state": "planned"}


def take_back(number: int) -> Step:
    return "withdraw-intended", {"state": "withdrawing", "token": f"t{number}"}


def withdrawn(number: int) -> Step:
    return "study-withdrawn", {"state": "withdrawn", "expected_ref": "", **NO_FAILURE}


def remedy(number: int) -> Step:
    return "remedy-intended", {"state": "remedying"}


def remedy_failed(number: int) -> Step:
    seen = {"matched": number, "missing": 6, "differ": 7, "extra": 8}
    return "remedy-failed", {"state": "incomplete", **seen, "expected_ref": f"e{number}", "code": f"c{number}"}


def remedied(number: int) -> Step:
    proved = {"instances": number, "size": number * 10, "rung": "equivalent"}
    refs = {"expected_ref": f"e{number}", "read_back_ref": f"r{number}"}
    return "study-remedied", {
        "state": "transferred",
        **proved,
        **refs,
        "matched": number,
        **NOTHING_LACKING,
        **NO_FAILURE,
    }


CHAINS: Final = {
    "moved at last": [
        failed,
        fetched,
        intended,
        stored,
        incomplete,
        fetched,
        intended,
        stored,
        transferred,
    ],
    "fetched after a failure": [fetched, failed, fetched],
    "held after a failure": [failed, held, released, fetched],
    "changed after a failure": [failed, changed, fetched],
    "a decision after it was incomplete": [fetched, incomplete, chosen, fetched],
    "moved, changed and taken back": [fetched, intended, stored, transferred, changed, failed, take_back, withdrawn],
    "taken back after a failure": [fetched, intended, failed, take_back, withdrawn],
    "remedied at the second turn": [fetched, intended, stored, incomplete, remedy, remedy_failed, remedy, remedied],
}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path / "catalog.db", label=str)
    yield opened
    opened.close()


def add(catalog: Catalog, *events: Event) -> None:
    catalog.project(recorded(events, first=catalog.projected_size()), members)


def row(catalog: Catalog) -> dict[str, Any]:
    work = catalog.work_on(STUDY)
    assert work is not None
    return asdict(work, recurse=False)


def current(catalog: Catalog) -> bool:
    """Whether what the wave was last accepted for is still what it holds."""
    return catalog.decisions.attempts("w1")[-1].current


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_an_event_sets_its_fields_and_leaves_the_others(catalog: Catalog, chain: list[Any]) -> None:
    add(catalog, planned("w1", "all"))
    for number, step in enumerate(chain, 1):
        kind, fields = step(number)
        expected = row(catalog) | fields | {"state": MigrationState(fields["state"])}
        add(catalog, drawn("w1", number), examined("w1", number))
        assert current(catalog)
        add(catalog, of_study(kind, STUDY, "w1", number))
        assert row(catalog) == expected, f"after {kind}, the event {number} of the study"
        assert current(catalog) == (kind not in OUTDATING), f"acceptance after {kind}"


def test_what_others_had_stored_at_the_target_is_noted_and_the_study_stays_where_it_is(catalog: Catalog) -> None:
    add(catalog, planned("w1", "all"))
    expected = row(catalog) | {"present_ref": "p1"}
    add(catalog, on_record.TargetSurveyed(study=STUDY, wave="w1", present=1, present_ref="p1"))
    assert row(catalog) == expected


def test_a_wave_is_as_large_as_its_last_plan_says(catalog: Catalog) -> None:
    add(catalog, planned("w1", "even"))
    status = catalog.wave_status("w1")
    assert (status.name, status.studies, status.instances, status.size, status.outcome) == ("w1", 3, 10, 1000, "")
    assert row(catalog)["plan"] == 1
    add(catalog, planned("w1", "even", plan=2))
    status = catalog.wave_status("w1")
    assert (status.studies, status.instances, status.size) == (3, 10, 1000)
    assert (row(catalog)["plan"], row(catalog)["wave"]) == (2, "w1")
    assert catalog.next_plan() == 3


def test_the_same_plan_may_fill_a_wave_once_more(catalog: Catalog) -> None:
    add(catalog, planned("w1", "even"), planned("w1", "odd"))
    status = catalog.wave_status("w1")
    assert (catalog.wave_names(), status.studies, status.instances) == (["w1"], 6, 10)


def test_a_plan_of_an_earlier_number_does_not_take_the_numbers_back(catalog: Catalog) -> None:
    add(catalog, planned("w1", "even", plan=2), on_record.PlanDropped(plan=1, reason=""))
    assert catalog.next_plan() == 3


def test_each_archive_is_compared_with_the_pass_up_to_which_its_own_catch_up_came(catalog: Catalog) -> None:
    for number in range(1, 9):
        archive = "old" if number % 2 else "other"
        catalog.begin_inventory(number, archive)
        catalog.complete_inventory(number)
    assert (catalog.previous_inventory("old"), catalog.previous_inventory("other")) == (1, 2)
    counts = dict.fromkeys(("added", "changed", "vanished", "refetched", "sampled", "differing"), 0)
    for archive, inventory in (("old", 3), ("other", 6)):
        add(catalog, on_record.CatchUpCompleted(archive=archive, inventory=inventory, previous=1, **counts))
    assert (catalog.previous_inventory("old"), catalog.previous_inventory("other")) == (3, 6)


def test_an_older_fold_is_forgotten_once_and_a_present_one_is_kept(catalog: Catalog) -> None:
    catalog.forget_outdated()  # as whoever opens it does first
    add(catalog, planned("w1", "all"))
    catalog.forget_outdated()
    assert catalog.projected_size() == 1
    fold_anew(catalog)
    assert (catalog.projected_size(), catalog.next_plan(), catalog.wave_names()) == (0, 1, [])
    add(catalog, planned("w1", "all"))
    catalog.forget_outdated()
    assert catalog.projected_size() == 1
