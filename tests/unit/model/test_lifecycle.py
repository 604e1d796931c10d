"""The migration's state machine is one table that holds together."""

from __future__ import annotations

import pytest

from vna_lifecycle.model.event import EVENTS
from vna_lifecycle.model.lifecycle import TRANSITIONS, MigrationState, fold


def test_every_state_can_be_reached_from_the_first() -> None:
    reached, frontier = {MigrationState.DISCOVERED}, {MigrationState.DISCOVERED}
    while frontier:
        frontier = {after for (before, _), after in TRANSITIONS.items() if before in frontier} - reached
        reached |= frontier
    assert reached == set(MigrationState)


def test_every_state_can_be_left_again() -> None:
    assert {before for before, _ in TRANSITIONS} == set(MigrationState)


def test_every_kind_in_the_table_is_an_event_of_the_ledger() -> None:
    assert {kind for _, kind in TRANSITIONS} <= {event.kind for event in EVENTS}


def test_a_study_is_transferred_only_by_being_read_back_after_it_was_stored() -> None:
    ways = {(before, kind) for (before, kind), after in TRANSITIONS.items() if after is MigrationState.TRANSFERRED}
    assert ways == {(MigrationState.STORED, "study-transferred"), (MigrationState.REMEDYING, "study-remedied")}


def test_an_event_that_cannot_happen_in_a_state_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot happen"):
        fold(MigrationState.DISCOVERED, "study-transferred")


def test_event_kinds_are_unique() -> None:
    kinds = [event.kind for event in EVENTS]
    assert len(kinds) == len(set(kinds))
