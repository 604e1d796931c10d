"""The vault gives back what was put, tells when it cannot, and forgets what it is told to forget."""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vna_lifecycle.errors import EvidenceErased, SchemaTooNew, StateError, StorageError, VaultCorrupt
from vna_lifecycle.vault import Vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with Vault.create(tmp_path / "vault.db", tmp_path / "keys") as made:
        yield made


def _again(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "vault.db", tmp_path / "keys")


def _files(tmp_path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def _wrapped(tmp_path: Path, table: str, name: str) -> bytes:
    query = {
        "scopes": "SELECT wrapped FROM scopes WHERE name = ?",
        "groups": "SELECT wrapped FROM groups WHERE name = ?",
    }
    connection = sqlite3.connect(tmp_path / "keys" / "vault-keys.db")
    (wrapped,) = connection.execute(query[table], (name,)).fetchone()
    connection.close()
    return wrapped


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "program"]), st.binary(max_size=3000)), max_size=6))
def test_what_was_put_is_given_back_and_putting_again_changes_nothing(
    vault: Vault, items: list[tuple[str, bytes]]
) -> None:
    addresses = vault.put_many(items)
    assert [vault.get(address) for address in addresses] == [data for _, data in items]
    assert vault.put_many(items) == addresses
    assert len(set(addresses)) == len(set(items))  # one address per scope and content


def test_it_is_there_after_opening_again(vault: Vault, tmp_path: Path) -> None:
    address, label, commitment = vault.put("a", b"evidence"), vault.label("1.2.3"), vault.commit("a", b"DOE")
    vault.close()
    with _again(tmp_path) as opened:
        assert opened.get(address) == b"evidence"
        assert opened.label("1.2.3") == label
        assert opened.commit("a", b"DOE") == commitment


def test_nothing_readable_lies_in_the_files(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", b"DOE^JANE" * 200)
    vault.label("1.2.840.99")
    for content in _files(tmp_path).values():
        assert b"DOE^JANE" not in content
        assert b"1.2.840.99" not in content


def test_an_address_that_was_never_given_is_refused(vault: Vault) -> None:
    with pytest.raises(StateError):
        vault.get("00" * 32)


def test_erased_evidence_is_gone_and_says_so(vault: Vault, tmp_path: Path) -> None:
    address, other = vault.put("a", b"evidence"), vault.put("b", b"evidence")
    vault.erase("a")
    vault.erase("a")
    for refused in (
        lambda: vault.get(address),
        lambda: vault.put("a", b"more"),
        lambda: vault.commit("a", b"DOE"),
        lambda: vault.assign("a", "group"),
    ):
        with pytest.raises(EvidenceErased):
            refused()
    with pytest.raises(EvidenceErased) as caught:
        vault.get(address)
    assert caught.value.digest == address
    assert vault.get(other) == b"evidence"
    with pytest.raises(StateError):
        vault.erase("never put")
    vault.close()
    with _again(tmp_path) as opened, pytest.raises(EvidenceErased):
        opened.get(address)


def test_another_object_of_the_same_vault_forgets_too(vault: Vault, tmp_path: Path) -> None:
    address = vault.put("a", b"evidence")
    with _again(tmp_path) as other:
        assert other.get(address) == b"evidence"
        vault.erase("a")
        with pytest.raises(EvidenceErased):
            other.get(address)


@pytest.mark.parametrize("groups", [[], ["patient"], ["patient", "merged", "patient"]])
def test_no_byte_of_an_erased_key_stays_in_any_file(vault: Vault, tmp_path: Path, groups: list[str]) -> None:
    vault.put_many([(f"study{number}", b"evidence") for number in range(50)])
    wrapped = [_wrapped(tmp_path, "scopes", "study7"), _wrapped(tmp_path, "groups", "study7")]
    for group in groups:
        vault.assign("study7", group)
        wrapped += [_wrapped(tmp_path, "scopes", "study7"), _wrapped(tmp_path, "groups", group)]
    assert wrapped[-1] in b"".join(_files(tmp_path).values())
    vault.erase("study7")
    for name, content in _files(tmp_path).items():
        for key in wrapped:
            for part in range(0, len(key) - 8, 8):
                assert key[part : part + 8] not in content, name


def test_a_reader_in_the_way_of_erasing_is_told(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = vault.put("a", b"evidence")
    vault.put("b", b"evidence")
    monkeypatch.setattr("vna_lifecycle.database._BUSY_SECONDS", 0.01)
    vault.close()
    with _again(tmp_path) as opened:
        opened.put("c", b"")
        reader = sqlite3.connect(tmp_path / "keys" / "vault-keys.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM scopes").fetchall()
        with pytest.raises(StorageError, match="reading the vault's keys"):
            opened.erase("a")
        reader.close()
        opened.erase("a")
        with pytest.raises(EvidenceErased):
            opened.get(address)


def test_moving_a_study_to_another_patient_touches_no_object(vault: Vault, tmp_path: Path) -> None:
    address = vault.put("a", b"evidence")
    objects = (tmp_path / "vault.db").read_bytes()
    commitment = vault.commit("a", b"DOE")
    vault.assign("a", "patient")
    vault.assign("b", "patient")
    vault.assign("a", "merged")
    assert (tmp_path / "vault.db").read_bytes() == objects
    assert vault.get(address) == b"evidence"
    assert vault.commit("a", b"DOE") == commitment
    assert vault.put("a", b"evidence") == address
    vault.erase("b")
    assert vault.get(address) == b"evidence"


def test_a_label_is_short_and_keyed(vault: Vault, tmp_path: Path) -> None:
    label = vault.label("1.2.840.113619.2.1")
    assert len(label) == 16
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert len({vault.label(f"1.2.{number}") for number in range(10_000)}) == 10_000
    with Vault.create(tmp_path / "other.db", tmp_path / "other-keys") as other:
        assert other.label("1.2.840.113619.2.1") != label
    assert vault.label("\udc80not unicode")


def test_a_commitment_is_salted_by_scope(vault: Vault) -> None:
    assert vault.commit("a", b"DOE") == vault.commit("a", b"DOE")
    assert vault.commit("a", b"DOE") != vault.commit("b", b"DOE")
    assert vault.commit("a", b"DOE") != vault.commit("a", b"DOF")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE objects SET sealed = x'00' || substr(sealed, 2)",
        "UPDATE objects SET sealed = 'text'",
        "UPDATE objects SET scope = 'b' WHERE scope = 'a'",
        "UPDATE objects SET scope = 'nobody'",
        "UPDATE objects SET sealed = (SELECT sealed FROM objects WHERE scope = 'a' ORDER BY rowid DESC)",
    ],
)
def test_changed_evidence_is_not_given_out(vault: Vault, tmp_path: Path, statement: str) -> None:
    address = vault.put("a", b"evidence")
    vault.put_many([("b", b"something else"), ("a", b"the same study's")])
    connection = sqlite3.connect(tmp_path / "vault.db")
    with connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(VaultCorrupt) as caught:
        vault.get(address)
    assert caught.value.digest == address


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE scopes SET wrapped = (SELECT wrapped FROM scopes WHERE name = 'b') WHERE name = 'a'",
        "UPDATE scopes SET wrapped = (SELECT wrapped FROM scopes WHERE name = 'c') WHERE name = 'a'",
        "UPDATE scopes SET member_of = 'b' WHERE name = 'a'",
        "UPDATE groups SET wrapped = x'00'",
        "DELETE FROM groups",
    ],
)
def test_changed_keys_are_told_from_erased_ones(vault: Vault, tmp_path: Path, statement: str) -> None:
    address = vault.put("a", b"evidence")
    vault.put_many([("b", b"something else"), ("c", b"another study of the patient")])
    vault.assign("a", "patient")
    vault.assign("c", "patient")
    connection = sqlite3.connect(tmp_path / "keys" / "vault-keys.db")
    with connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(VaultCorrupt):
        vault.get(address)
    with pytest.raises(VaultCorrupt):
        vault.put("a", b"under a key that does not go when this study is erased")


def test_the_root_key_is_private_and_never_replaced(vault: Vault, tmp_path: Path) -> None:
    root = tmp_path / "keys" / "root.key"
    assert root.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    with pytest.raises(StorageError):
        Vault.create(tmp_path / "new.db", tmp_path / "keys")
    text = root.read_text()
    root.chmod(0o644)
    with pytest.raises(StorageError, match="read by others"):
        _again(tmp_path)
    root.chmod(0o600)
    root.write_text("00" * 64)
    with pytest.raises(VaultCorrupt):
        _again(tmp_path)
    for damaged in ("junk", text[:-3]):
        root.write_text(damaged)
        with pytest.raises(StorageError, match="damaged"):
            _again(tmp_path)
    root.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        _again(tmp_path)


def test_a_missing_damaged_or_newer_vault_is_refused(vault: Vault, tmp_path: Path) -> None:
    vault.close()
    for file in (tmp_path / "vault.db", tmp_path / "keys" / "vault-keys.db"):
        content = file.read_bytes()
        file.write_bytes(b"junk" * 5000)
        with pytest.raises(VaultCorrupt):
            _again(tmp_path)
        file.unlink()
        with pytest.raises(StorageError):
            _again(tmp_path)
        file.write_bytes(content)
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA user_version=9")
        connection.close()
        with pytest.raises(SchemaTooNew):
            _again(tmp_path)
        file.write_bytes(content)
    _again(tmp_path).close()


def test_a_key_that_another_process_made_meanwhile_is_used(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    address = vault.put("a", b"evidence")
    real, answers = vault._unwrapped, iter([{}])  # at first, as if it were not there yet

    def unwrapped(*arguments: object) -> dict[str, object]:
        answer = next(answers, None)
        return real(*arguments) if answer is None else answer

    monkeypatch.setattr(vault, "_unwrapped", unwrapped)
    assert vault.put("a", b"evidence") == address


def _put_all(tmp_path: Path, addresses: "multiprocessing.Queue[list[str]]") -> None:
    with _again(tmp_path) as opened:
        addresses.put([opened.put(f"study{number}", b"evidence") for number in range(30)])


def test_two_processes_that_meet_a_new_study_agree_on_its_key(vault: Vault, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    addresses = context.Queue()
    processes = [context.Process(target=_put_all, args=(tmp_path, addresses)) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = addresses.get(timeout=60), addresses.get(timeout=60)
    for process in processes:
        process.join()
    assert first == second
    assert {vault.get(address) for address in first} == {b"evidence"}


def test_what_is_sealed_first_and_put_later_is_what_would_have_been_put(vault: Vault) -> None:
    """An address is known before the evidence is durable, and is the same either way."""
    sealed = vault.seal("study", b"evidence")
    with pytest.raises(StateError):
        vault.get(sealed.address)
    vault.put_sealed([sealed])
    vault.put_sealed([sealed])
    assert vault.get(sealed.address) == b"evidence"
    assert vault.put("study", b"evidence") == sealed.address


def test_scopes_begun_together_share_the_fate_of_their_group(vault: Vault) -> None:
    """Beginning scopes makes their keys in their groups, and leaves those that there are alone."""
    before = vault.put("old", b"evidence")
    vault.begin([("old", "patient"), ("a", "patient"), ("b", "patient"), ("c", "c")])
    assert vault.put("old", b"evidence") == before
    addresses = [vault.put(scope, b"x") for scope in ("a", "b", "c")]
    assert len(set(addresses)) == 3
    vault.begin([("a", "other")])
    assert vault.put("a", b"x") == addresses[0]
    vault.erase("a")
    with pytest.raises(EvidenceErased):
        vault.begin([("a", "patient")]) or vault.put("a", b"x")
    assert vault.get(addresses[1]) == b"x"
