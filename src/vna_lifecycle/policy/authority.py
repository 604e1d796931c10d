"""Whether what a person decided still holds: who program.toml lists today, whose key is revoked, what has expired."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from attrs import frozen


@frozen(kw_only=True)
class Decider:
    """Somebody in program.toml who may decide.

    ``public`` is this person's public key in base64 and ``key`` its fingerprint, ``""`` where there is none;
    ``unreadable`` says why a key that program.toml names cannot be used. From the day ``revoked`` on, nothing that was
    signed with it counts.
    """

    name: str
    role: str
    key: str = ""
    public: str = ""
    unreadable: str = ""
    revoked: dt.date | None = None


@frozen(kw_only=True)
class Given:
    """What is known of a decision that is on record, for judging whether it holds.

    ``expires`` is the last day on which it does (ISO 8601), or ``""``. ``key`` is the fingerprint of the key it was
    signed with, or ``""``; ``genuine`` is whether the signature fits both the key and what was decided.
    """

    by: str
    role: str
    expires: str = ""
    key: str = ""
    genuine: bool = True
    withdrawn: bool = False


def void(given: Given, people: Sequence[Decider], today: dt.date) -> str:
    """Why a decision does not hold today, in words that follow "it does not count:"; ``""`` if it holds."""
    person = next((each for each in people if each.name == given.by), None)
    if given.withdrawn:
        return "it was withdrawn"
    if given.expires and dt.date.fromisoformat(given.expires) < today:
        return f"it expired after {given.expires}"
    if person is None:
        return f"program.toml does not list {given.by} any more"
    if person.role != given.role:
        return f"{given.by} is {person.role} now, not {given.role}"
    if person.revoked is not None and person.revoked <= today:
        return f"the key of {given.by} is revoked from {person.revoked.isoformat()} on"
    if person.unreadable:
        return f"the public key of {given.by} cannot be read: {person.unreadable}"
    if given.key != person.key:
        return _other_key(given, person)
    return "" if given.genuine else "its signature does not fit what is on record"


def _other_key(given: Given, person: Decider) -> str:
    if not given.key:
        return f"it is not signed, and {given.by} has a key in program.toml"
    if not person.key:
        return f"it is signed, and program.toml has no key of {given.by} any more"
    return f"it is signed with a key that is not {given.by}'s in program.toml"
