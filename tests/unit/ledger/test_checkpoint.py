"""Checkpoints are C2SP signed notes, and only the right key's signature makes one."""

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.errors import IntegrityError, StorageError
from vna_lifecycle.ledger import (
    Checkpoint,
    generate_key,
    load_key,
    public_key_text,
    sign_checkpoint,
    verify_checkpoint,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ROOT = hashlib.sha256(b"root").hexdigest()
NOTE = sign_checkpoint("pacs.example/a", 20852163, ROOT, KEY)


def test_the_note_has_the_lines_of_the_specification() -> None:
    origin, size, root, blank, signature, end = NOTE.split("\n")
    assert (origin, size, base64.b64decode(root).hex(), blank, end) == ("pacs.example/a", "20852163", ROOT, "", "")
    dash, name, encoded = signature.split(" ")
    public = base64.b64decode(public_key_text(KEY))
    assert (dash, name) == ("\N{EM DASH}", "pacs.example/a")
    assert base64.b64decode(encoded)[:4] == hashlib.sha256(b"pacs.example/a\n\x01" + public).digest()[:4]
    assert len(base64.b64decode(encoded)) == 4 + 64


@given(st.integers(0, 10**15), st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read_again(size: int, root: bytes) -> None:
    note = sign_checkpoint("o", size, root.hex(), KEY)
    assert verify_checkpoint(note, public_key_text(KEY)) == Checkpoint(origin="o", size=size, root=root.hex())


@given(st.integers(0, len(NOTE) - 1), st.sampled_from("AB1\n —"))
def test_no_character_of_a_note_can_be_another(place: int, character: str) -> None:
    changed = NOTE[:place] + character + NOTE[place + 1 :]
    if changed != NOTE:
        with pytest.raises(IntegrityError):
            verify_checkpoint(changed, public_key_text(KEY))


def test_a_signature_is_written_in_one_way() -> None:
    last = NOTE[-3]  # of this character of base64, two bits are no data
    assert NOTE.endswith("=\n")
    with pytest.raises(IntegrityError):
        verify_checkpoint(NOTE[:-3] + chr(ord(last) + 1) + "=\n", public_key_text(KEY))


@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_named_error(text: str) -> None:
    with pytest.raises(IntegrityError):
        verify_checkpoint(text, public_key_text(KEY))


def test_another_keys_signature_is_passed_over_but_not_enough() -> None:
    with pytest.raises(IntegrityError, match="not signed by this key"):
        verify_checkpoint(NOTE, public_key_text(OTHER))
    witness = sign_checkpoint("pacs.example/a", 20852163, ROOT, OTHER).splitlines()[-1]
    both = NOTE + witness + "\n"
    assert verify_checkpoint(both, public_key_text(KEY)).size == verify_checkpoint(both, public_key_text(OTHER)).size


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "a\nb", "a\N{NO-BREAK SPACE}b"])
def test_an_origin_that_cannot_be_a_key_name_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        sign_checkpoint(origin, 0, ROOT, KEY)


def test_a_public_key_that_is_none_is_refused() -> None:
    for text in ("", "AAAA", "not base64!"):
        with pytest.raises(IntegrityError):
            verify_checkpoint(NOTE, text)


def test_a_key_file_is_private_is_never_replaced_and_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    key = generate_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_key_text(load_key(path)) == public_key_text(key)
    with pytest.raises(StorageError):
        generate_key(path)
    path.chmod(0o640)
    with pytest.raises(StorageError, match="read by others"):
        load_key(path)


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        load_key(tmp_path / "none")
    path = tmp_path / "junk"
    path.write_text("junk")
    path.chmod(0o600)
    with pytest.raises(StorageError, match="does not hold a key"):
        load_key(path)


@pytest.mark.peer
def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        assert not os.environ.get("CI"), "openssl must be there in CI"
        pytest.skip("openssl is not installed")
    text, _, signatures = NOTE.rpartition("\n\n")
    (tmp_path / "note").write_bytes((text + "\n").encode())
    (tmp_path / "signature").write_bytes(base64.b64decode(signatures.split(" ")[2])[4:])
    (tmp_path / "key.pem").write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "note", "-sigfile", "signature"]
    assert subprocess.run([openssl, *command], cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "note").write_bytes((text + "!\n").encode())
    assert subprocess.run([openssl, *command], cwd=tmp_path, check=False).returncode != 0


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_signed_root_that_is_no_sha_256_hash_is_refused(key: Ed25519PrivateKey, length: int) -> None:
    note = sign_checkpoint("o", 1, "ab" * length, key)
    with pytest.raises(IntegrityError):
        verify_checkpoint(note, public_key_text(key))


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(StorageError, match="not an Ed25519 key"):
        load_key(path)
