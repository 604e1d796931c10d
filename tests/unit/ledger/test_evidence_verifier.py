"""The stand-alone verifier agrees with the library on what holds, and shares nothing with it."""

import ast
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import vna_lifecycle
from vna_lifecycle import evidence_verifier
from vna_lifecycle.ledger import Draft, Ledger, public_key_text, sign_checkpoint, store
from vna_lifecycle.ledger.codec import encode
from vna_lifecycle.model.event import PlanDropped

SCRIPT = Path(vna_lifecycle.__file__).with_name("evidence_verifier.py")


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)]  # no site packages, no path
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def full(ledger: Ledger, draft: Callable[..., Draft]) -> Ledger:
    ledger.append([draft(number) for number in range(11)])
    return ledger


def test_it_is_short_and_imports_the_standard_library_only() -> None:
    source = SCRIPT.read_text()
    assert len(source.splitlines()) <= 200
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_it_confirms_every_event_of_a_ledger(full: Ledger, tmp_path: Path) -> None:
    public = evidence_verifier.base64.b64decode(full.public_key)
    for sequence in range(full.size()):
        text = full.prove(sequence).to_json()
        assert f"event {sequence} (study-fetched)" in evidence_verifier.check(text, public, "", "")
    (tmp_path / "proof.json").write_text(text)
    ran = _run(tmp_path / "proof.json", "--public-key", full.public_key)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "event 10 (study-fetched) is among the 11 events" in ran.stdout


def test_it_confirms_that_one_checkpoint_goes_on_from_another(full: Ledger, tmp_path: Path, draft: Draft) -> None:
    old, new, proof = tmp_path / "old", tmp_path / "new", tmp_path / "proof"
    old.write_text(full.checkpoint())
    full.append([draft(number) for number in range(11, 20)])
    new.write_text(full.checkpoint())
    proof.write_text(full.prove_consistency(11).to_json())
    arguments = ("--public-key", full.public_key, "--checkpoint", new, "--old-checkpoint")
    assert _run(proof, *arguments, old).returncode == 0
    ran = _run(proof, *arguments, new)
    assert (ran.returncode, ran.stderr) == (1, "does not hold: the proof is not about the old checkpoint\n")
    assert _run(new, "--public-key", full.public_key).stdout.startswith(f"{full.origin}: signed head over 20 events")


@pytest.mark.parametrize("old_size", range(12))
def test_it_confirms_every_beginning_of_a_ledger(full: Ledger, old_size: int) -> None:
    public = evidence_verifier.base64.b64decode(full.public_key)
    text = full.prove_consistency(old_size).to_json()
    assert f"the ledger of {old_size} events" in evidence_verifier.check(text, public, "", "")
    for field, value in (("old_root", "00" * 32), ("old_size", old_size + 1), ("path", ["00" * 32])):
        changed = json.dumps({**json.loads(text), field: value})
        with pytest.raises(evidence_verifier.Refused):
            evidence_verifier.check(changed, public, "", "")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("event", lambda value: value.replace('"pilot"', '"other"')),
        ("sequence", lambda value: value + 1),
        ("size", lambda value: value + 1),
        ("origin", lambda value: value + "x"),
        ("path", lambda value: value[:-1]),
        ("path", lambda value: [*value, "00" * 32]),
        ("checkpoint", lambda value: value.replace("\n11\n", "\n12\n")),
        ("format", lambda value: value + "1"),
    ],
)
def test_a_changed_proof_does_not_hold(full: Ledger, field: str, change: Callable[[object], object]) -> None:
    proof = json.loads(full.prove(5).to_json())
    proof[field] = change(proof[field])
    with pytest.raises(evidence_verifier.Refused):
        evidence_verifier.check(json.dumps(proof), evidence_verifier.base64.b64decode(full.public_key), "", "")


def test_a_path_of_another_length_than_the_tree_is_deep_does_not_hold() -> None:
    first, second = (hashlib.sha256(b"\x00" + event).digest() for event in (b"first", b"second"))
    two = hashlib.sha256(b"\x01" + first + second).digest()
    evidence_verifier.check_inclusion(b"second", 1, 2, [first], two)
    evidence_verifier.check_consistency(1, first, 2, two, [second])
    for refused in (
        lambda: evidence_verifier.check_inclusion(b"second", 0, 1, [first], two),
        lambda: evidence_verifier.check_inclusion(b"second", 3, 4, [first], two),
        lambda: evidence_verifier.check_consistency(1, first, 3, two, [second]),
    ):
        with pytest.raises(evidence_verifier.Refused, match="too"):
            refused()


def test_an_event_that_says_that_it_is_another_does_not_hold(full: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "encode", lambda *a, **k: encode(*a, **{**k, "sequence": 3}))
    full.append([Draft(event=PlanDropped(plan=1, reason=""), key="astray", actor="a")])
    with pytest.raises(evidence_verifier.Refused, match="another"):
        evidence_verifier.check(full.prove(11).to_json(), evidence_verifier.base64.b64decode(full.public_key), "", "")


def test_another_key_is_refused_and_junk_cannot_be_read(full: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "proof"
    file.write_text(full.prove(5).to_json())
    other = public_key_text(Ed25519PrivateKey.generate())
    assert _run(file, "--public-key", other).returncode == 1
    assert _run(file, "--public-key", "no base64").returncode == 2
    assert _run(tmp_path / "none", "--public-key", other).returncode == 2
    file.write_text("{}")
    assert _run(file, "--public-key", other).returncode == 2


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 511), st.binary(max_size=5))
def test_its_ed25519_agrees_with_the_library_that_signs(seed: bytes, message: bytes, bit: int, more: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert evidence_verifier.verify_signature(public, message, signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not _holds(public, message, bytes(changed))
    assert not _holds(public, message + b"!", signature)
    assert not _holds(public, message, signature + more + b"!")
    # S + L would verify too, and make a second signature out of one (RFC 8032, 5.1.7)
    scalar = int.from_bytes(signature[32:], "little") + evidence_verifier.ORDER
    assert not _holds(public, message, signature[:32] + scalar.to_bytes(33, "little")[:32])


def _holds(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        return evidence_verifier.verify_signature(public, message, signature)
    except evidence_verifier.Refused:
        return False


def test_its_reading_of_checkpoints_agrees_with_the_library_that_writes_them() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    note = sign_checkpoint("o.example", 7, "ab" * 32, key)
    read = evidence_verifier.read_checkpoint(note, key.public_key().public_bytes_raw())
    assert read == ("o.example", 7, bytes.fromhex("ab" * 32))
    for place in range(len(note)):
        changed = note[:place] + ("B" if note[place] != "B" else "C") + note[place + 1 :]
        with pytest.raises((evidence_verifier.Refused, ValueError)):
            evidence_verifier.read_checkpoint(changed, key.public_key().public_bytes_raw())
