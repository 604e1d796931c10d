"""The specification's worked example is what this software writes, and what its own rules give."""

import base64
import datetime as dt
import hashlib
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vna_lifecycle import evidence_verifier
from vna_lifecycle.ledger import Draft, Ledger, public_key_text
from vna_lifecycle.ledger.codec import ENVELOPE
from vna_lifecycle.model.event import LeaseTaken, WavePaused, WaveResumed

PAGE = Path(__file__).parents[3].joinpath("docs/reference/ledger-format.md").read_text(encoding="utf-8")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC, EVENTS, OLD, NEW, INCLUSION, CONSISTENCY = re.findall(
    r"^```(?:text|json)\n(.*?)^```", PAGE[PAGE.index("## A worked example") :], re.MULTILINE | re.DOTALL
)


@pytest.fixture
def example(tmp_path: Path) -> Ledger:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    person = {"wave": "pilot", "by": "R. Smith"}
    ledger = Ledger.create(
        tmp_path / "ledger.db", origin="pacs.example/old-to-vna", clock=lambda: moment, signing_key=KEY
    )
    paused = WavePaused(**person, reason="Umbau in Köln")
    lease = LeaseTaken(epoch=1, verb="transfer", software="0.1.0", plugins=(("vna-lifecycle", "0.1.0"),))
    ledger.append([Draft(event=paused, key="pause:1", actor="R. Smith")])
    assert ledger.checkpoint() == OLD
    ledger.append([Draft(event=WaveResumed(**person, reason=""), key="resume:1", actor="R. Smith")])
    ledger.append([Draft(event=lease, key="lease:1", actor="engine")])
    return ledger


def test_the_example_is_what_this_software_writes(example: Ledger) -> None:
    proofs = [example.prove(sequence) for sequence in range(3)]
    assert "".join(f"{proof.event}\n{proof.leaf}\n" for proof in proofs) == EVENTS
    assert public_key_text(KEY) + "\n" == PUBLIC
    assert example.checkpoint() == NEW
    assert proofs[0].to_json() == INCLUSION
    assert example.prove_consistency(1).to_json() == CONSISTENCY


def test_the_example_follows_from_the_rules() -> None:
    lines = EVENTS.splitlines()
    leaves = [hashlib.sha256(b"\x00" + event.encode()).digest() for event in lines[::2]]
    assert [leaf.hex() for leaf in leaves] == lines[1::2]
    node = hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    root = hashlib.sha256(b"\x01" + node + leaves[2]).digest()
    assert f"`{node.hex()}`" in PAGE
    assert f"`{root.hex()}`" in PAGE
    assert NEW.splitlines()[:3] == ["pacs.example/old-to-vna", "3", base64.b64encode(root).decode()]
    assert OLD.splitlines()[2] == base64.b64encode(leaves[0]).decode()
    public = base64.b64decode(PUBLIC)
    assert "event 0 (wave-paused)" in evidence_verifier.check(INCLUSION, public, NEW, "")
    assert "as it was signed" in evidence_verifier.check(CONSISTENCY, public, NEW, OLD)


def test_the_page_names_every_field_of_the_envelope_and_the_proofs() -> None:
    for name in (*ENVELOPE, *json.loads(INCLUSION), *json.loads(CONSISTENCY)):
        assert f"`{name}`" in PAGE
