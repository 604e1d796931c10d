"""What is seen of a ledger's end, and of its beginning, without reading all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vna_lifecycle.errors import LedgerCorrupt, LedgerReplaced
from vna_lifecycle.ledger import Draft, Ledger, sign_checkpoint
from vna_lifecycle.ledger.codec import encode
from vna_lifecycle.model.event import (
    Event,
    PlanDropped,
    StoreIntended,
    StudyStored,
    StudyTransferred,
    StudyWithdrawn,
    WithdrawIntended,
)

EVENTS = 5


@pytest.fixture
def unsigned(tmp_path: Path, clock: object, draft: Callable[..., Draft]) -> Iterator[Ledger]:
    """A ledger whose head nobody signed: only the events and the head themselves can contradict each other."""
    with Ledger.create(tmp_path / "unsigned.db", origin="o", clock=clock) as made:  # type: ignore[arg-type]  # it ticks
        made.append([draft(number) for number in range(EVENTS)])
        yield made


@contextmanager
def unguarded(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """The database as somebody sees it who may drop triggers."""
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        yield raw


def change_head(ledger: Ledger, **values: object) -> None:
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as raw:
        for name, value in values.items():
            raw.execute(f"UPDATE head SET {name} = ?", (value,))  # noqa: S608 - a name of the test


def test_a_head_whose_root_is_not_that_of_the_events_is_refused(unsigned: Ledger, draft: Callable[..., Draft]) -> None:
    unsigned.check_end()
    change_head(unsigned, root=unsigned.root_at(EVENTS - 1))
    with pytest.raises(LedgerCorrupt, match="does not follow from its events"):
        unsigned.check_end()
    with pytest.raises(LedgerCorrupt, match="does not follow from its events"):
        unsigned.append([draft(EVENTS)])


@pytest.mark.parametrize("size", [0, 1, EVENTS - 1])
def test_events_after_the_head_are_refused_from_the_first_on(unsigned: Ledger, size: int) -> None:
    change_head(unsigned, root=unsigned.root_at(size), size=size)
    with pytest.raises(LedgerCorrupt, match="events after the ledger's head") as caught:
        unsigned.check_end()
    assert caught.value.sequence == size
    found = unsigned.verify()
    assert (found.size, found.first_bad) == (size, size)
    assert found.reason == "there are events after the end that the head tells"


def test_an_empty_ledger_has_a_good_end(tmp_path: Path, clock: object) -> None:
    with Ledger.create(tmp_path / "empty.db", origin="o", clock=clock) as made:  # type: ignore[arg-type]  # it ticks
        made.check_end()


def test_a_head_with_what_is_no_signature_is_corrupt(ledger: Ledger, draft: Callable[..., Draft]) -> None:
    ledger.append([draft(0)])
    change_head(ledger, note="junk")
    with pytest.raises(LedgerCorrupt, match="the ledger's head cannot be trusted: this is not a checkpoint"):
        ledger.check_end()


def test_a_head_whose_signature_is_over_another_ledger_is_corrupt(
    ledger: Ledger, draft: Callable[..., Draft], key: Ed25519PrivateKey
) -> None:
    ledger.append([draft(0)])
    change_head(ledger, note=sign_checkpoint("another.example/ledger", 1, ledger.root(), key))
    with pytest.raises(LedgerCorrupt, match="not the one that was signed"):
        ledger.check_end()


def test_a_head_file_that_nobody_signed_is_corrupt(ledger: Ledger, draft: Callable[..., Draft]) -> None:
    ledger.append([draft(0)])
    ledger.head_file.write_text("junk")
    with pytest.raises(LedgerCorrupt, match="the head file cannot be trusted: this is not a checkpoint"):
        ledger.check_end()


def test_the_head_file_of_a_longer_ledger_says_how_many_events_are_known_and_how_many_are_here(
    ledger: Ledger, draft: Callable[..., Draft], key: Ed25519PrivateKey
) -> None:
    ledger.append([draft(0), draft(1)])
    ledger.head_file.write_text(sign_checkpoint(ledger.origin, 3, ledger.root(), key), newline="\n")
    with pytest.raises(LedgerReplaced, match="an older one: it has 2 events, and the head file knows 3") as caught:
        ledger.check_end()
    assert (caught.value.known, caught.value.size) == (3, 2)


@pytest.mark.parametrize("size", [1, 2])
def test_the_head_file_over_other_events_says_that_this_is_another_ledger(
    ledger: Ledger, draft: Callable[..., Draft], key: Ed25519PrivateKey, size: int
) -> None:
    ledger.append([draft(0), draft(1)])
    ledger.head_file.write_text(sign_checkpoint(ledger.origin, size, ledger.root_at(0), key), newline="\n")
    with pytest.raises(LedgerReplaced, match=f"another one: its first {size} events are not those") as caught:
        ledger.check_end()
    assert (caught.value.known, caught.value.size) == (size, 2)
    ledger.head_file.write_text(sign_checkpoint(ledger.origin, size, ledger.root_at(size), key), newline="\n")
    ledger.check_end()


def test_a_file_beside_a_ledger_that_nobody_signs_says_nothing(unsigned: Ledger) -> None:
    unsigned.head_file.write_text("junk")
    assert unsigned.verify().ok
    unsigned.check_end()


def test_of_several_notes_that_cannot_be_trusted_the_first_is_told(
    ledger: Ledger, draft: Callable[..., Draft], key: Ed25519PrivateKey
) -> None:
    ledger.append([draft(0)])
    other = sign_checkpoint("another.example/ledger", 1, ledger.root(), key)
    ledger.head_file.write_text(other, newline="\n")
    assert ledger.verify(checkpoint=other).reason == "the head file is of another ledger"
    assert ledger.verify(checkpoint="junk").reason == "the head file is of another ledger"
    ledger.head_file.write_text("junk")
    assert ledger.verify(checkpoint=other).reason.startswith("the head file cannot be trusted")
    assert ledger.verify(checkpoint="junk").reason.startswith("the head file cannot be trusted")


@pytest.mark.parametrize("deep", [False, True])
def test_verifying_tells_a_removed_event_from_one_that_was_changed(unsigned: Ledger, deep: bool) -> None:
    with unguarded(unsigned) as raw:
        raw.execute("UPDATE events SET body = CAST(replace(body, 'study3', 'study4') AS BLOB) WHERE sequence = 3")
        found = unsigned.verify(deep=deep)
        assert (found.first_bad, found.reason) == (3, "event 3: the stored bytes and their hash differ")
        raw.execute("DELETE FROM events WHERE sequence = 2")
        found = unsigned.verify(deep=deep)
        assert (found.size, found.first_bad, found.reason) == (2, 2, "event 2: missing")


def test_a_ledger_whose_head_is_gone_does_not_verify_and_says_so(unsigned: Ledger) -> None:
    with unguarded(unsigned) as raw:
        raw.execute("DELETE FROM head")
    found = unsigned.verify()
    assert (found.size, found.first_bad, found.reason) == (0, None, "the ledger's head is damaged")


WRONG = {
    b"junk": (b"", "the stored bytes are not an envelope"),
    b'"plam":': (b'"plan":', "the envelope does not fit its kind"),
}


@pytest.mark.parametrize("new", WRONG)
def test_what_is_no_event_of_its_kind_is_found_where_hashes_and_tree_are_right(
    unsigned: Ledger, monkeypatch: pytest.MonkeyPatch, new: bytes
) -> None:
    old, reason = WRONG[new]
    monkeypatch.setattr(
        "vna_lifecycle.ledger.store.encode", lambda *a, **k: encode(*a, **k).replace(old, new) if old else new
    )
    unsigned.append([Draft(event=PlanDropped(plan=1, reason=""), key="k", actor="a")])
    found = unsigned.verify(deep=True)
    assert (found.first_bad, found.reason) == (EVENTS, f"event {EVENTS}: {reason}")


def moved(study: str) -> list[Event]:
    where: dict[str, Any] = {"study": study, "wave": "pilot", "attempt": 1}
    return [
        StoreIntended(**where, token="", expected_ref=""),
        StudyStored(**where, stored=1, already_present=0, refused=0, warnings=0),
        StudyTransferred(**where, instances=1, size=1, rung="hashed", read_back_ref=""),
    ]


def withdrawn(study: str) -> list[Event]:
    where: dict[str, Any] = {"study": study, "wave": "pilot", "token": "", "instances": 1}
    return [WithdrawIntended(**where, manifest_ref="", by="", reason=""), StudyWithdrawn(**where)]


@pytest.mark.parametrize("dropped", [False, True])
def test_deep_verification_sees_that_a_plan_does_not_set_free_what_is_transferred(
    ledger: Ledger, draft: Callable[..., Draft], dropped: bool
) -> None:
    plans: list[Event] = [PlanDropped(plan=1, reason="")] if dropped else []
    events = [draft(0).event, *moved("study0"), *plans, draft(0).event]
    ledger.append([Draft(event=event, key=f"k{number}", actor="a") for number, event in enumerate(events)])
    found = ledger.verify(deep=True)
    assert found.first_bad == len(events) - 1
    assert found.reason.endswith("study-fetched cannot happen to a study that is transferred")


def test_deep_verification_sees_that_a_withdrawn_study_is_fetched_without_a_plan(
    ledger: Ledger, draft: Callable[..., Draft]
) -> None:
    events = [draft(0).event, *moved("study0"), *withdrawn("study0"), draft(0).event]
    ledger.append([Draft(event=event, key=f"k{number}", actor="a") for number, event in enumerate(events)])
    found = ledger.verify(deep=True)
    assert found.first_bad == len(events) - 1
    assert found.reason.endswith("study-fetched cannot happen to a study that is withdrawn")
