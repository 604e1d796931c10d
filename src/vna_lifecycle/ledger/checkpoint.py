"""Signed ledger heads: C2SP tlog-checkpoint notes with Ed25519 signatures.

Sources: https://c2sp.org/tlog-checkpoint (the note's text), https://c2sp.org/signed-note (signature lines, key IDs),
RFC 8032 (Ed25519).
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Final

from attrs import frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from vna_lifecycle.database import make_entry_durable
from vna_lifecycle.errors import IntegrityError, StorageError

_ED25519: Final = b"\x01"
_SIGNATURE_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@frozen(kw_only=True)
class Checkpoint:
    """A ledger's head: ``root`` is the Merkle root over the first ``size`` events, in hexadecimal."""

    origin: str
    size: int
    root: str


def generate_key(path: Path) -> Ed25519PrivateKey:
    """Make a signing key and keep it at ``path`` (PKCS#8 PEM, mode 0600). An existing file is never replaced.

    Raises:
        StorageError: there is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        make_entry_durable(path)
    except OSError as exc:
        raise StorageError(f"the signing key cannot be written ({exc.strerror})", path=path) from exc
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a signing key that `generate_key` wrote.

    Raises:
        StorageError: not there, not an Ed25519 key, or readable by others than its owner.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise StorageError("the signing key can be read by others", path=path, hint="chmod 600 the key file")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise StorageError(f"the signing key cannot be read ({exc.strerror})", path=path) from exc
    except (ValueError, TypeError) as exc:
        raise StorageError("the signing key's file does not hold a key", path=path) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise StorageError("the signing key is not an Ed25519 key", path=path)
    return key


def public_key_text(key: Ed25519PrivateKey) -> str:
    """The public key's 32 bytes (RFC 8032, 5.1.5) in base64: what auditors are given."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def sign_checkpoint(origin: str, size: int, root: str, key: Ed25519PrivateKey) -> str:
    """A signed note over the head. ``root`` is hexadecimal here, base64 in the note; the key's name is the origin.

    Raises:
        ValueError: the origin cannot be a key name (empty, or with white space or ``+``).
    """
    if not re.fullmatch(r"[^\s+\x00-\x1f]+", origin):
        raise ValueError("an origin is not empty and has neither white space nor a plus sign")
    text = f"{origin}\n{size}\n{base64.b64encode(bytes.fromhex(root)).decode()}\n"
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = base64.b64encode(_key_id(origin, public) + key.sign(text.encode())).decode()
    return f"{text}\n— {origin} {signature}\n"


def verify_checkpoint(text: str, public_key: str) -> Checkpoint:
    """Read a checkpoint that ``public_key`` (base64) signed. Signatures by other keys are passed over.

    Raises:
        IntegrityError: it is not a checkpoint, or no valid signature by this key is on it.
    """
    body, blank, signatures = text.rpartition("\n\n")
    note = body + "\n"
    lines = body.split("\n")
    if not blank or not signatures.endswith("\n") or len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):
        raise IntegrityError("this is not a checkpoint", hint="see the ledger format in the reference")
    try:
        public, root = _decoded(public_key), _decoded(lines[2])
        verifier = Ed25519PublicKey.from_public_bytes(public)
    except ValueError as exc:
        raise IntegrityError("the checkpoint's root or the public key is malformed") from exc
    if len(root) != 32:
        raise IntegrityError("the checkpoint's root is not a SHA-256 hash")
    found = False
    for line in signatures[:-1].split("\n"):
        match = _SIGNATURE_LINE.fullmatch(line)
        try:
            signature = _decoded(match[2]) if match else b""
        except ValueError:
            signature = b""
        if match is None or len(signature) < 4:
            raise IntegrityError("a signature line of the checkpoint is malformed")
        if match[1] == lines[0] and signature[:4] == _key_id(lines[0], public):
            try:
                verifier.verify(signature[4:], note.encode())
            except InvalidSignature:
                raise IntegrityError("the checkpoint's signature is not valid") from None
            found = True
    if not found:
        raise IntegrityError("the checkpoint is not signed by this key")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root.hex())


def _decoded(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 with bits that are no data")  # else one note could be written in several ways
    return data


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]
