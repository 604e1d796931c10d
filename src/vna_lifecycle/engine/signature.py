"""Signatures of people: what is signed, with which key, and whether it fits (Ed25519, RFC 8032)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from vna_lifecycle.errors import ConfigurationError

_BEGIN = "-----BEGIN"


def statement(facts: Mapping[str, str | int]) -> str:
    """The text that is signed: canonical JSON (sorted keys, no white space, UTF-8), so that it has one form only."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_public(text: str) -> str:
    """A public key in base64 (32 bytes), from that or from PEM.

    Raises:
        ConfigurationError: it is no Ed25519 public key.
    """
    text = text.strip()
    try:
        if text.startswith(_BEGIN):
            key = load_pem_public_key(text.encode())
        else:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, TypeError) as exc:
        raise ConfigurationError("it does not hold an Ed25519 public key") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError("the key in it is not an Ed25519 public key")
    return _text(key)


def read_private(text: str) -> Ed25519PrivateKey:
    """A private key from PKCS#8 PEM.

    Raises:
        ConfigurationError: it is no Ed25519 private key. The text never has any of it.
    """
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(
            "--key does not hold an Ed25519 private key", hint="Make one: vna-lifecycle sign --new-key PATH"
        ) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError("the key in --key is not an Ed25519 private key")
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """The public key in base64."""
    return _text(key.public_key())


def fingerprint(public: str) -> str:
    """What the ledger says of a public key: the SHA-256 of its 32 bytes, in hexadecimal."""
    return hashlib.sha256(base64.b64decode(public)).hexdigest()


def sign(text: str, key: Ed25519PrivateKey) -> str:
    """The signature over a statement's UTF-8 bytes, in base64."""
    return base64.b64encode(key.sign(text.encode())).decode()


def fits(text: str, signature: str, public: str) -> bool:
    """Whether a signature over a statement is of this key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _text(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
