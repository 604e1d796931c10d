"""Ledgers in a temporary directory, a clock that ticks, and drafts."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import StudyFetched

ORIGIN = "pacs.example/old-to-vna"


class _TickingClock:
    def __init__(self) -> None:
        self.moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        self.moment += dt.timedelta(microseconds=1)
        return self.moment


@pytest.fixture
def clock() -> _TickingClock:
    return _TickingClock()


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def draft() -> Callable[..., Draft]:
    def make(number: int, **changes: object) -> Draft:
        fields = {
            "study": f"study{number}",
            "wave": "pilot",
            "attempt": 1,
            "instances": number,
            "size": 512 * number,
            "held": 0,
            "failed": 0,
            "manifest_ref": "",
        }
        return Draft(event=StudyFetched(**{**fields, **changes}), key=f"fetched:{number}", actor="engine")

    return make


@pytest.fixture
def ledger(tmp_path: Path, clock: _TickingClock, key: Ed25519PrivateKey) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "ledger.db", origin=ORIGIN, clock=clock, signing_key=key) as made:
        yield made
