"""Whatever is changed in a ledger's file, verifying it fails, and tells where."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vna_lifecycle.errors import LedgerCorrupt, LedgerReplaced, VnaLifecycleError
from vna_lifecycle.ledger import Draft, Ledger, merkle, public_key_text, sign_checkpoint
from vna_lifecycle.ledger.codec import encode
from vna_lifecycle.model.event import (
    ContentChosen,
    PlanDropped,
    ProgramCreated,
    StoreIntended,
    StudyChanged,
    StudyStored,
    StudyTransferred,
    StudyWithdrawn,
    TransferEnded,
    WavePlanned,
)

KEYS = ("alpha", "bravo", "charlie", "delta", "echo")
EVENTS = len(KEYS)
SELECT = {
    "body": "SELECT body FROM events WHERE sequence = ?",
    "tree": "SELECT tree FROM events WHERE sequence = ?",
    "key": "SELECT CAST(key AS BLOB) FROM events WHERE sequence = ?",
}
UPDATE = {
    "body": "UPDATE events SET body = ? WHERE sequence = ?",
    "tree": "UPDATE events SET tree = ? WHERE sequence = ?",
    "key": "UPDATE events SET key = CAST(? AS TEXT) WHERE sequence = ?",
}


@pytest.fixture
def small(ledger: Ledger) -> Ledger:
    drafts = [Draft(event=PlanDropped(plan=len(key), reason=""), key=key, actor="a") for key in KEYS]
    ledger.append(drafts[:2])
    ledger.append(drafts[2:])
    ledger.checkpoint()
    return ledger


@contextmanager
def _raw(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """The database as somebody sees it who may drop triggers."""
    connection = sqlite3.connect(ledger.path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("column", ["body", "tree", "key"])
def test_every_byte_of_every_event_row_counts(small: Ledger, column: str) -> None:
    with _raw(small) as raw:
        for sequence in range(EVENTS):
            (stored,) = raw.execute(SELECT[column], (sequence,)).fetchone()
            for place in range(len(stored)):
                changed = bytearray(stored)
                changed[place] ^= 1 << (place + sequence) % 8  # over a row, every bit has its turn
                raw.execute(UPDATE[column], (bytes(changed), sequence))
                found = small.verify()
                assert (found.ok, found.first_bad) == (False, sequence), (place, found)
                assert column != "body" or "the stored bytes and their hash differ" in found.reason
            raw.execute(UPDATE[column], (stored, sequence))
    assert small.verify(deep=True).ok


@pytest.mark.parametrize("value", ["text", 7, b"", b"\x00"])
@pytest.mark.parametrize("column", ["body", "tree", "key"])
def test_a_value_of_another_type_is_found(small: Ledger, column: str, value: object) -> None:
    with _raw(small) as raw:
        raw.execute(UPDATE[column].replace("CAST(? AS TEXT)", "?"), (value, 2))
    found = small.verify()
    assert (found.ok, found.first_bad, found.size) == (False, 2, 2)


@pytest.mark.parametrize("count", range(1, EVENTS + 1))
def test_removed_last_events_are_missed(small: Ledger, count: int) -> None:
    with _raw(small) as raw:
        raw.execute("DELETE FROM events WHERE sequence >= ?", (EVENTS - count,))
    found = small.verify()
    assert (found.ok, found.first_bad, found.size) == (False, EVENTS - count, EVENTS - count)


@pytest.mark.parametrize("sequence", range(EVENTS))
def test_a_removed_or_renumbered_event_is_missed(small: Ledger, sequence: int) -> None:
    with _raw(small) as raw:
        raw.execute("UPDATE events SET sequence = 99 WHERE sequence = ?", (sequence,))
    assert small.verify().first_bad == sequence
    with _raw(small) as raw:
        raw.execute("DELETE FROM events WHERE sequence = 99")
    assert small.verify().first_bad == sequence


def test_two_events_that_changed_places_are_found(small: Ledger) -> None:
    with _raw(small) as raw:
        for old, new in ((1, 99), (3, 1), (99, 3)):
            raw.execute("UPDATE events SET sequence = ? WHERE sequence = ?", (new, old))
    assert small.verify().first_bad == 1


def _forge(ledger: Ledger, keep: int, key: Ed25519PrivateKey | None, *, total: int) -> None:
    """Replace all events from ``keep`` on by others, consistently, as somebody can who knows the format."""
    edge: list[bytes] = []
    with _raw(ledger) as raw:
        raw.execute("DELETE FROM events WHERE sequence >= ?", (keep,))
        for sequence, body in raw.execute("SELECT sequence, body FROM events ORDER BY sequence"):
            merkle.append(edge, sequence, merkle.leaf_hash(body))
        for sequence in range(keep, total):
            event = PlanDropped(plan=sequence, reason="forged")
            body = encode(event, origin=ledger.origin, sequence=sequence, time="", actor="a", key=f"f{sequence}")
            tree = b"".join(merkle.append(edge, sequence, merkle.leaf_hash(body)))
            raw.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (sequence, f"f{sequence}", body, tree))
        root = merkle.root_of(edge).hex()
        raw.execute("UPDATE head SET size = ?, root = ?", (total, root))
        if key is not None:
            note = sign_checkpoint(ledger.origin, total, root, key)
            raw.execute("UPDATE head SET note = ?, public_key = ?", (note, public_key_text(key)))


def test_a_consistent_truncation_is_found_because_nobody_signed_it(small: Ledger) -> None:
    _forge(small, EVENTS - 1, None, total=EVENTS - 1)
    found = small.verify()
    assert (found.ok, found.first_bad) == (False, EVENTS - 1)
    small.head_file.unlink()
    assert not small.verify().ok


def test_nothing_is_appended_to_a_head_that_nobody_signed(
    small: Ledger, draft: Callable[..., Draft], clock: object, key: Ed25519PrivateKey
) -> None:
    small.close()
    _forge(small, EVENTS - 1, None, total=EVENTS - 1)
    opened = Ledger.open(small.path, clock=clock, signing_key=key)
    with pytest.raises(LedgerCorrupt, match="not the one that was signed"):
        opened.append([draft(0)])


def test_a_consistent_forgery_is_found_because_nobody_signed_it(small: Ledger) -> None:
    _forge(small, 3, None, total=EVENTS)
    assert not small.verify().ok


def test_a_forgery_that_is_signed_by_another_key_is_found_by_whoever_knows_the_right_one(small: Ledger) -> None:
    _forge(small, 3, Ed25519PrivateKey.generate(), total=EVENTS)
    small.head_file.unlink()
    assert not small.verify(public_key=small.public_key).ok


def test_a_key_other_than_the_one_that_the_first_event_names_is_found(
    tmp_path: Path, clock: object, draft: Callable[..., Draft], key: Ed25519PrivateKey
) -> None:
    with Ledger.create(tmp_path / "ledger.db", origin="o", clock=clock, signing_key=key) as made:
        created = ProgramCreated(name="Old to new", public_key=made.public_key)
        made.append([Draft(event=created, key="program", actor="a"), draft(0)])
        assert made.verify().ok
    _forge(made, 1, Ed25519PrivateKey.generate(), total=2)
    made.head_file.unlink()
    with Ledger.open(made.path, clock=clock) as forged:
        assert "another key" in forged.verify().reason


def test_a_forgery_with_the_right_key_is_found_by_whoever_kept_a_checkpoint(
    small: Ledger, key: Ed25519PrivateKey, draft: Callable[..., Draft]
) -> None:
    kept = small.checkpoint()
    _forge(small, 3, key, total=EVENTS + 2)
    small.head_file.unlink()
    assert small.verify().ok  # this is what an outside witness is for
    found = small.verify(checkpoint=kept)
    assert not found.ok
    assert found.first_bad == 0  # the kept checkpoint is the only one: it does not tell which of its events
    assert "the checkpoint" in found.reason


def test_an_old_backup_is_found_by_whoever_kept_a_newer_checkpoint(
    small: Ledger, key: Ed25519PrivateKey, draft: Callable[..., Draft], tmp_path: Path, clock: object
) -> None:
    small.close()
    shutil.copy(small.path, tmp_path / "backup.db")
    with Ledger.open(small.path, clock=clock, signing_key=key) as later:
        later.append([draft(0)])
        newer = later.checkpoint()
    with Ledger.open(tmp_path / "backup.db", clock=clock) as restored:
        assert restored.verify().ok
        assert restored.verify(checkpoint=newer).first_bad == EVENTS
    assert not (tmp_path / "backup-head").exists()


def test_the_head_file_beside_the_ledger_gives_an_old_database_away(
    small: Ledger, key: Ed25519PrivateKey, draft: Callable[..., Draft], tmp_path: Path, clock: object
) -> None:
    small.close()
    shutil.copy(small.path, tmp_path / "backup.db")
    with Ledger.open(small.path, clock=clock, signing_key=key) as later:
        later.append([draft(0)])
    shutil.copy(tmp_path / "backup.db", small.path)
    with Ledger.open(small.path, clock=clock) as restored:
        assert restored.verify().first_bad == EVENTS


def test_a_ledger_that_goes_on_while_it_is_verified_is_no_older_one(
    small: Ledger, draft: Callable[..., Draft], monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(path: Path) -> str:
        small.append([draft(0)])
        small.checkpoint()
        return path.read_text()

    monkeypatch.setattr("vna_lifecycle.ledger.verification.read_note", overtaken)
    monkeypatch.setattr("vna_lifecycle.ledger.store.read_note", overtaken)
    assert small.verify().ok
    small.check_end()


def test_a_checkpoint_of_another_ledger_or_key_does_not_verify(small: Ledger, key: Ed25519PrivateKey) -> None:
    other = sign_checkpoint("another.example/ledger", EVENTS, small.root(), key)
    assert "another ledger" in small.verify(checkpoint=other).reason
    small.head_file.write_text(other)
    with pytest.raises(LedgerReplaced, match="another ledger"):
        small.check_end()
    small.head_file.unlink()
    other = sign_checkpoint(small.origin, EVENTS, small.root(), Ed25519PrivateKey.generate())
    assert "cannot be trusted" in small.verify(checkpoint=other).reason
    small.head_file.write_text("junk")
    assert "the head file" in small.verify().reason


def test_nothing_is_appended_to_a_ledger_whose_end_was_changed(
    small: Ledger, draft: Callable[..., Draft], clock: object, key: Ed25519PrivateKey
) -> None:
    small.close()
    with _raw(small) as raw:
        raw.execute("DELETE FROM events WHERE sequence = 4")
    with Ledger.open(small.path, clock=clock, signing_key=key) as opened, pytest.raises(LedgerCorrupt) as caught:
        opened.append([draft(0)])
    assert caught.value.sequence == 4


def test_reading_stops_at_the_first_bad_event(small: Ledger) -> None:
    with _raw(small) as raw:
        raw.execute("UPDATE events SET body = replace(body, 'plan\":5', 'plan\":6') WHERE sequence = 3")
        raw.execute("UPDATE events SET body = CAST(body AS BLOB)")
    seen = []
    with pytest.raises(LedgerCorrupt) as caught:
        seen.extend(small.read())
    assert caught.value.sequence == 3
    with pytest.raises(LedgerCorrupt):
        small.find("delta")


def test_a_file_whose_structure_is_damaged_is_found(small: Ledger, clock: object) -> None:
    small.close()
    content = bytearray(small.path.read_bytes())
    content[39] += 1  # the number of free pages, in SQLite's header
    small.path.write_bytes(content)
    with Ledger.open(small.path, clock=clock) as opened:
        assert "the database file is damaged" in opened.verify().reason


def _every_byte_of_the_page(small: Ledger, step: int) -> None:
    small.close()
    small.head_file.unlink()
    content = small.path.read_bytes()
    place = content.index(b'{"actor"')
    page = range(place // 4096 * 4096, (place // 4096 + 1) * 4096)
    used = [place for place in page if content[place]]
    bodies = {}
    for sequence in range(EVENTS):
        body = encode_of(small, sequence)
        start = content.index(body)
        bodies |= dict.fromkeys(range(start, start + len(body)), sequence)
    for place in used[::step]:
        changed = bytearray(content)
        changed[place] ^= 0x04
        small.path.write_bytes(changed)
        try:
            with Ledger.open(small.path, clock=lambda: pytest.fail("no time is needed")) as opened:
                found = opened.verify()
        except VnaLifecycleError:
            assert place not in bodies
            continue
        assert not found.ok, place
        assert place not in bodies or found.first_bad == bodies[place]
    small.path.write_bytes(content)


def encode_of(ledger: Ledger, sequence: int) -> bytes:
    with sqlite3.connect(ledger.path) as raw:
        (body,) = raw.execute("SELECT body FROM events WHERE sequence = ?", (sequence,)).fetchone()
    raw.close()
    return body


def test_bytes_changed_in_the_file_itself_are_found(small: Ledger) -> None:
    _every_byte_of_the_page(small, 7)


@pytest.mark.soak
def test_every_byte_changed_in_the_file_itself_is_found(small: Ledger) -> None:
    _every_byte_of_the_page(small, 1)


@pytest.mark.parametrize("change", [{"origin": "another"}, {"sequence": 0}, {"key": "other"}])
def test_an_envelope_that_is_not_about_its_row_is_found(
    small: Ledger, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    monkeypatch.setattr("vna_lifecycle.ledger.store.encode", lambda *a, **k: encode(*a, **{**k, **change}))
    small.append([Draft(event=PlanDropped(plan=1, reason=""), key="astray", actor="a")])
    assert small.verify().first_bad == EVENTS


def test_deep_verification_replays_what_a_study_went_through(ledger: Ledger, draft: Callable[..., Draft]) -> None:
    stored = StudyStored(study="study0", wave="pilot", attempt=1, stored=1, already_present=0, refused=0, warnings=0)
    ledger.append([draft(0), draft(1), Draft(event=stored, key="stored", actor="engine")])
    assert ledger.verify().ok
    found = ledger.verify(deep=True)
    assert found.first_bad == 2
    assert "study-stored cannot happen to a study that is fetched" in found.reason


def test_deep_verification_lets_a_plan_take_up_a_withdrawn_study(ledger: Ledger, draft: Callable[..., Draft]) -> None:
    from vna_lifecycle.model.event import StoreIntended, StudyFailed, WithdrawIntended

    where = {"study": "study0", "wave": "pilot"}
    ledger.append(
        [
            draft(0),
            Draft(event=StoreIntended(**where, attempt=1, token="", expected_ref=""), key="1", actor=""),
            Draft(
                event=StudyFailed(**where, attempt=1, phase="", code="", transient=False, retry_at=""),
                key="2",
                actor="",
            ),
            Draft(
                event=WithdrawIntended(**where, token="", instances=0, manifest_ref="", by="", reason=""),
                key="3",
                actor="",
            ),
            Draft(event=StudyWithdrawn(**where, token="", instances=0), key="4", actor=""),
        ]
    )
    again = Draft(event=draft(0).event, key="again", actor="")
    planned = WavePlanned(
        wave="", plan=2, studies=1, instances=0, size=0, members_ref="", policy_sha256="", modification_time=""
    )
    ledger.append([Draft(event=planned, key="5", actor=""), again])
    assert ledger.verify(deep=True).ok


def whole_move(draft: Callable[..., Draft], study: str) -> list[Draft]:
    where = {"study": study, "wave": "pilot", "attempt": 1}
    steps = [
        StoreIntended(**where, token="", expected_ref=""),
        StudyStored(**where, stored=1, already_present=0, refused=0, warnings=0),
        StudyTransferred(**where, instances=1, size=1, rung="hashed", read_back_ref=""),
    ]
    fetched = draft(0, study=study).event
    return [
        Draft(event=event, key=f"{study}/{number}", actor="engine") for number, event in enumerate([fetched, *steps])
    ]


def ended(number: int, transferred: int, wave: str = "pilot") -> Draft:
    event = TransferEnded(wave=wave, outcome="incomplete", transferred=transferred, remaining=0)
    return Draft(event=event, key=f"ended/{number}", actor="engine")


def test_deep_verification_counts_what_a_transfer_says_it_moved(ledger: Ledger, draft: Callable[..., Draft]) -> None:
    ledger.append([*whole_move(draft, "one"), ended(0, 1), *whole_move(draft, "two"), ended(1, 2), ended(2, 0, "rest")])
    changed = StudyChanged(study="one", wave="pilot", inventory=2, reason="new-instances")
    ledger.append([Draft(event=changed, key="changed", actor="engine"), ended(3, 1)])
    assert ledger.verify(deep=True).ok
    last = ledger.size()
    ledger.append([ended(4, 2)])
    assert ledger.verify().ok
    found = ledger.verify(deep=True)
    assert (found.first_bad, "counts 2 studies as transferred, where 1 are" in found.reason) == (last, True)


@pytest.mark.parametrize("after", range(5))
def test_deep_verification_takes_a_decision_at_any_time(
    ledger: Ledger, draft: Callable[..., Draft], after: int
) -> None:
    chosen = ContentChosen(study="one", instance="i", content="c", by="p", reason="r")
    steps = whole_move(draft, "one")
    steps.insert(after, Draft(event=chosen, key="chosen", actor="p"))
    ledger.append([*steps, ended(0, 1)])
    assert ledger.verify(deep=True).ok


def test_deep_verification_finds_bytes_that_are_not_canonical(
    small: Ledger, key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vna_lifecycle.ledger.store.encode", lambda *a, **k: encode(*a, **k).replace(b'":', b'": ', 1))
    small.append([Draft(event=PlanDropped(plan=1, reason=""), key="loose", actor="a")])
    assert small.verify().ok
    found = small.verify(deep=True)
    assert (found.first_bad, "canonical" in found.reason) == (EVENTS, True)
