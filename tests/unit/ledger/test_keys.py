"""Idempotency keys are found whether they are recent or indexed, and the index is checked."""

import sqlite3
from collections.abc import Callable, Iterator

import pytest

from vna_lifecycle.errors import IntegrityError
from vna_lifecycle.ledger import Draft, Ledger, keys

Drafts = Callable[..., Draft]


@pytest.fixture
def indexed(ledger: Ledger, draft: Drafts, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr(keys, "_RUN", 4)
    for start in range(0, 10, 2):
        ledger.append([draft(start), draft(start + 1)])
    assert ledger.head().indexed == 8
    return ledger


@pytest.fixture
def raw(indexed: Ledger) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(indexed.path, isolation_level=None)
    yield connection
    connection.close()


def test_recent_and_indexed_keys_are_found_by_old_and_new_objects(
    indexed: Ledger, draft: Drafts, clock: object, key: object
) -> None:
    indexed.close()
    with Ledger.open(indexed.path, clock=clock, signing_key=key) as opened:
        for ledger in (indexed, opened):
            assert [ledger.find(f"fetched:{number}").sequence for number in range(10)] == list(range(10))
            assert ledger.find("fetched:10") is None
            assert [event.sequence for event in ledger.append([draft(number) for number in range(10)])] == list(
                range(10)
            )
            with pytest.raises(IntegrityError):
                ledger.append([draft(1, size=1)])


def test_runs_that_another_object_moved_are_noticed(indexed: Ledger, draft: Drafts, clock: object, key: object) -> None:
    with Ledger.open(indexed.path, clock=clock, signing_key=key) as other:
        other.append([draft(number) for number in range(10, 16)])
        other.append([draft(16)])
    assert indexed.head().indexed == 16
    assert [event.sequence for event in indexed.append([draft(9), draft(16), draft(17)])] == [9, 16, 17]
    assert indexed.verify(deep=True).ok


def test_two_keys_with_one_digest_are_two_keys(ledger: Ledger, draft: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_RUN", 1)
    monkeypatch.setattr(keys, "key_digest", lambda key: 7)
    for number in range(4):
        ledger.append([draft(number)])
    assert [ledger.find(f"fetched:{number}").sequence for number in range(4)] == [0, 1, 2, 3]
    assert ledger.find("fetched:4") is None
    assert ledger.verify(deep=True).ok


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("DELETE FROM keys WHERE sequence = 3", 3),
        ("UPDATE keys SET digest = digest + 1 WHERE sequence = 5", 5),
        ("INSERT INTO keys VALUES (1, 2)", 2),
        ("INSERT INTO keys VALUES (1, 9)", 8),
        ("UPDATE head SET indexed = 9", 8),
        ("UPDATE head SET indexed = 7", 7),
    ],
)
def test_deep_verification_finds_a_damaged_index(
    indexed: Ledger, raw: sqlite3.Connection, statement: str, first_bad: int
) -> None:
    raw.execute(statement)
    assert indexed.verify().ok
    found = indexed.verify(deep=True)
    assert (found.ok, found.first_bad) == (False, first_bad)
    assert "index of keys" in found.reason


def test_deep_verification_finds_a_key_that_was_used_twice(
    indexed: Ledger, raw: sqlite3.Connection, draft: Drafts, clock: object, key: object
) -> None:
    raw.execute("DELETE FROM keys WHERE sequence = 3")
    with Ledger.open(indexed.path, clock=clock, signing_key=key) as other:
        assert other.append([draft(3)])[0].sequence == 10  # what a damaged index leads to
    found = indexed.verify(deep=True)
    assert (found.first_bad, found.reason) == (10, "its key was used before")
