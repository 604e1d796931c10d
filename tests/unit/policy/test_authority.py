"""A decision holds as long as program.toml says that the person may make it, and not a day longer."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.policy.authority import Decider, Given, void

TODAY = dt.date(2026, 6, 15)
MALLORY = Decider(name="mallory", role="radiologist", key="k1", public="p1")
GIVEN = Given(by="mallory", role="radiologist", expires="2026-06-15", key="k1")


def test_a_signed_decision_holds_through_its_last_day() -> None:
    assert void(GIVEN, [MALLORY], TODAY) == ""
    assert void(GIVEN, [MALLORY], TODAY + dt.timedelta(days=1)) == "it expired after 2026-06-15"
    assert void(evolve(GIVEN, expires=""), [MALLORY], dt.date.max) == ""


@pytest.mark.parametrize(
    ("change", "person", "why"),
    [
        ({"withdrawn": True}, {}, "it was withdrawn"),
        ({}, {"name": "alice"}, "program.toml does not list mallory any more"),
        ({}, {"role": "physicist"}, "mallory is physicist now, not radiologist"),
        ({}, {"revoked": TODAY}, "the key of mallory is revoked from 2026-06-15 on"),
        ({}, {"unreadable": "no such file"}, "the public key of mallory cannot be read: no such file"),
        ({"key": ""}, {}, "it is not signed, and mallory has a key in program.toml"),
        ({}, {"key": ""}, "it is signed, and program.toml has no key of mallory any more"),
        ({}, {"key": "k2"}, "it is signed with a key that is not mallory's in program.toml"),
        ({"genuine": False}, {}, "its signature does not fit what is on record"),
    ],
)
def test_whatever_is_amiss_is_named(change: dict[str, Any], person: dict[str, Any], why: str) -> None:
    assert void(evolve(GIVEN, **change), [evolve(MALLORY, **person)], TODAY) == why


def test_a_person_without_a_key_decides_without_a_signature() -> None:
    assert void(evolve(GIVEN, key=""), [evolve(MALLORY, key="")], TODAY) == ""


DAYS = st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31))


@given(today=DAYS, expires=DAYS, revoked=st.none() | DAYS)
def test_nothing_that_has_expired_or_whose_key_is_revoked_ever_holds(
    today: dt.date, expires: dt.date, revoked: dt.date | None
) -> None:
    holds = not void(evolve(GIVEN, expires=expires.isoformat()), [evolve(MALLORY, revoked=revoked)], today)
    assert holds == (today <= expires and (revoked is None or today < revoked))
