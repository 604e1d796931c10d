"""Check the evidence of a migration offline, with nothing but the Python standard library.

    python evidence_verifier.py proof.json --public-key BASE64 [--checkpoint FILE] [--old-checkpoint FILE]
    python evidence_verifier.py checkpoint.txt --public-key BASE64

A proof file tells that an event is in a ledger, or that a shorter ledger is the beginning of a longer one; a checkpoint
is a ledger's signed head. Get the public key, and if you can the checkpoints, from somewhere else than the proof. The
format is specified in ``docs/reference/ledger-format.md``. Exit code: 0 it holds, 1 it does not, 2 it cannot be read.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import NoReturn

# Ed25519 (RFC 8032, 5.1): verification only, so nothing here is secret and constant time is not needed
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


class Refused(Exception):
    """The evidence does not hold; the message says why."""


def _recover_x(y: int, sign: int) -> int:
    if y >= P:
        raise Refused("a point's coordinate is out of range")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        raise Refused("a point is not on the curve")
    return P - x if x & 1 != sign else x


def _decompress(data: bytes) -> Point:
    number = int.from_bytes(data, "little")
    y = number & (1 << 255) - 1
    x = _recover_x(y, number >> 255)
    return x, y, 1, x * y % P


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def verify_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is an Ed25519 signature of the message by the key (RFC 8032, 5.1.7)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= ORDER:
        return False
    a, r = _decompress(public), _decompress(signature[:32])
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    y = 4 * pow(5, P - 2, P) % P
    base = _recover_x(y, 0)
    left, right = _times(s, (base, y, 1, base * y % P)), _add(r, _times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 == (left[1] * right[2] - right[1] * left[2]) % P


def _base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise Refused("base64 with bits that are no data")
    return data


def read_checkpoint(text: str, public: bytes) -> tuple[str, int, bytes]:
    """Origin, size and root of a signed note (c2sp.org/tlog-checkpoint), once its signature is verified."""
    body, blank, signatures = text.rpartition("\n\n")
    lines = body.split("\n")
    if not blank or len(lines) < 3 or not lines[1].isascii() or not lines[1].isdigit():
        raise Refused("this is not a checkpoint")
    key_id = hashlib.sha256(lines[0].encode() + b"\n\x01" + public).digest()[:4]
    for line in signatures.split("\n"):
        dash, name, encoded = [*line.split(" "), "", "", ""][:3]
        signature = _base64(encoded)
        if (dash, name, signature[:4]) == ("\u2014", lines[0], key_id):
            if not verify_signature(public, (body + "\n").encode(), signature[4:]):
                raise Refused("the checkpoint's signature is not valid")
            return lines[0], int(lines[1]), _base64(lines[2])
    raise Refused("the checkpoint is not signed by this key")


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _climb(node: int, last: int, path: list[bytes], inner: list[bytes]) -> list[bytes]:
    """Fold the path into each hash of ``inner``; the second grows to the right too (RFC 9162, 2.1.3.2 and 2.1.4.2)."""
    for sibling in path:
        if last == 0:
            raise Refused("the path is too long")
        if node & 1 or node == last:
            inner = [_node(sibling, here) for here in inner]
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            inner[-1] = _node(inner[-1], sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise Refused("the path is too short")
    return inner


def check_inclusion(event: bytes, sequence: int, size: int, path: list[bytes], root: bytes) -> None:
    """Raise unless the path leads from the event to the root."""
    if not 0 <= sequence < size:
        raise Refused("the event is not within the ledger")
    if _climb(sequence, size - 1, path, [hashlib.sha256(b"\x00" + event).digest()]) != [root]:
        raise Refused("the event is not in the ledger that was signed")


def check_consistency(old_size: int, old_root: bytes, size: int, root: bytes, path: list[bytes]) -> None:
    """Raise unless the old ledger is the beginning of the new one."""
    if not 0 <= old_size <= size:
        raise Refused("the old ledger is longer than the new one")
    if old_size in (0, size):
        if path or old_root != (root if old_size else hashlib.sha256().digest()):
            raise Refused("the two ledgers differ")
        return
    hashes = path if old_size & (old_size - 1) else [old_root, *path]
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    if not hashes or _climb(node, last, hashes[1:], [hashes[0], hashes[0]]) != [old_root, root]:
        raise Refused("the old ledger is not the beginning of the new one")


def check(text: str, public: bytes, checkpoint: str, old_checkpoint: str) -> str:
    """Check a proof file's or a checkpoint's text; returns what holds, in a sentence."""
    if not text.lstrip().startswith("{"):
        origin, size, root = read_checkpoint(text, public)
        return f"{origin}: signed head over {size} events, root {root.hex()}"
    proof = json.loads(text)
    origin, size, root = read_checkpoint(checkpoint or proof["checkpoint"], public)
    path = [bytes.fromhex(step) for step in proof["path"]]
    if (proof["origin"], proof["size"]) != (origin, size):
        raise Refused("the proof and the checkpoint are not about the same ledger and size")
    if proof["format"] == "vna-lifecycle/inclusion-proof/1":
        envelope = json.loads(proof["event"])
        check_inclusion(proof["event"].encode(), proof["sequence"], size, path, root)
        if (envelope["origin"], envelope["sequence"]) != (origin, proof["sequence"]):
            raise Refused("the event says that it is another")
        return f"{origin}: event {proof['sequence']} ({envelope['kind']}) is among the {size} events that were signed"
    if proof["format"] != "vna-lifecycle/consistency-proof/1":
        raise Refused("this is not a proof file of a known format")
    old_size, old_root = proof["old_size"], bytes.fromhex(proof["old_root"])
    trusted = "as the proof states it"
    if old_checkpoint:
        if read_checkpoint(old_checkpoint, public) != (origin, old_size, old_root):
            raise Refused("the proof is not about the old checkpoint")
        trusted = "as it was signed"
    check_consistency(old_size, old_root, size, root, path)
    return f"{origin}: the ledger of {old_size} events, {trusted}, is the beginning of the one of {size}"


def main() -> NoReturn:
    """Read the arguments, check, say what holds, and exit."""
    parser = argparse.ArgumentParser(description="Check a proof file or a checkpoint of a vna_lifecycle ledger.")
    parser.add_argument("file", type=Path, help="proof file or checkpoint")
    parser.add_argument("--public-key", required=True, help="the signer's Ed25519 key, in base64")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint to trust instead of the one in the proof")
    parser.add_argument("--old-checkpoint", type=Path, help="the old ledger's checkpoint, for a consistency proof")
    given = parser.parse_args()
    try:
        texts = [
            path.read_bytes().decode() if path else "" for path in (given.file, given.checkpoint, given.old_checkpoint)
        ]
        print(check(texts[0], _base64(given.public_key), texts[1], texts[2]))  # noqa: T201
    except Refused as exc:
        sys.exit(f"does not hold: {exc}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        print(f"cannot be read: {exc!r}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    main()
