"""Where a store keeps what in its bucket. Keys come from digests of UIDs, never from the UIDs themselves.

::

    PREFIX vna-store.json                                        marks a store, with the version of this layout
    PREFIX objects/ab/<SHA-256 of Study UID>/<SHA-256 of SOP Instance UID>.dcm      the object, byte for byte
    PREFIX manifests/ab/<SHA-256 of Study UID>/<8 digits>.jsonl  what was stored and withdrawn, one line per instance

A study's objects are together, so that one listing tells what is there, and one prefix is what lifecycle rules and
policies name. Manifests are apart from them, so that rules which move images to colder classes leave them readable.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

MARKER: Final = "vna-store.json"
OBJECTS: Final = "objects/"
MANIFESTS: Final = "manifests/"
LAYOUT: Final = "vna-lifecycle-bucket"
LAYOUT_VERSION: Final = 1


def digest_of(uid: str) -> str:
    """What stands for a UID in keys."""
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()


def study_objects(study_digest: str) -> str:
    """What the keys of a study's objects begin with."""
    return f"{OBJECTS}{study_digest[:2]}/{study_digest}/"


def study_manifests(study_digest: str) -> str:
    """What the keys of a study's manifest begin with."""
    return f"{MANIFESTS}{study_digest[:2]}/{study_digest}/"


def object_key(study_uid: str, sop_instance_uid: str) -> str:
    """Where an object is or would be, below the prefix."""
    return f"{study_objects(digest_of(study_uid))}{digest_of(sop_instance_uid)}.dcm"


def segment_key(study_digest: str, number: int) -> str:
    """Where a study's manifest has its lines of one commit. Numbers begin with 1."""
    return f"{study_manifests(study_digest)}{number:08d}.jsonl"


def study_digest_of(key: str) -> str:
    """The study that a key of an object or of a manifest belongs to, by its digest; ``""`` for other keys."""
    names = key.split("/")
    return names[2] if len(names) == 4 and f"{names[0]}/" in (OBJECTS, MANIFESTS) else ""


def segment_number(key: str) -> int:
    """The number in a manifest's key, 0 in others."""
    name = key.rsplit("/", 1)[-1]
    return int(name[:8]) if name[:8].isdigit() and name[8:] == ".jsonl" else 0


def marker_bytes() -> bytes:
    """The contents of the marker."""
    return json.dumps({"layout": LAYOUT, "version": LAYOUT_VERSION}).encode() + b"\n"


def is_marker(data: bytes) -> bool:
    """Whether these are the marker's bytes, of this version."""
    try:
        found = json.loads(data)
        return bool(found["layout"] == LAYOUT and found["version"] == LAYOUT_VERSION)
    except (ValueError, KeyError, TypeError):
        return False
