"""Where a store keeps what. Paths come from digests of UIDs, never from the UIDs themselves.

::

    vna-store.json                                   marks the folder as a store, with the version of this layout
    objects/ab/<SHA-256 of SOP Instance UID>.dcm     the object, byte for byte; one path per UID in the whole store
    studies/ab/<SHA-256 of Study Instance UID>/
        manifest.jsonl                               one line per instance, appended; what recovery needs
    index.sqlite                                     studies by what readers ask for; derived, may be deleted
    incoming/<random>/                               one call's files before they have a name; swept by the next writer
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Final

from vna_lifecycle.adapters.files.tree import Position, Tree
from vna_lifecycle.errors import ArchiveError

MARKER: Final = "vna-store.json"
OBJECTS: Final = b"objects"
STUDIES: Final = b"studies"
INCOMING: Final = "incoming"
INDEX: Final = "index.sqlite"
MANIFEST: Final = b"manifest.jsonl"
LAYOUT_VERSION: Final = 2
# What file systems and operating systems put into an empty folder, and what a crash leaves of making the marker.
_IGNORED: Final = {"lost+found", ".snapshot", ".DS_Store", f"{MARKER}.new"}


def _digest(uid: str) -> bytes:
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest().encode()


def object_position(sop_instance_uid: str) -> Position:
    """Where the object of a SOP Instance UID is or would be.

    A second level of folders would be one more to make, and to make durable, for nearly every object of a store with
    fewer than 100,000 of them; with a hundred million, a folder has 400,000 names, which file systems index.
    """
    digest = _digest(sop_instance_uid)
    return OBJECTS, digest[:2], digest + b".dcm"


def manifest_position(study_uid: str) -> Position:
    """Where the manifest of a study is or would be."""
    digest = _digest(study_uid)
    return STUDIES, digest[:2], digest, MANIFEST


def marker_bytes() -> bytes:
    """The contents of the marker."""
    return json.dumps({"layout": "vna-lifecycle-store", "version": LAYOUT_VERSION}).encode() + b"\n"


def is_store(tree: Tree) -> bool:
    """Whether the folder is a store of a layout that this version can read.

    Raises:
        ArchiveUnreachable: the root went away.
        ArchiveError: it is a store of a newer version, or its marker is damaged.
    """
    tree.check()
    marker = tree.root / MARKER
    if not marker.is_file() or marker.is_symlink():
        return False
    try:
        found = json.loads(marker.read_bytes())
        known = found["layout"] == "vna-lifecycle-store"
        version = found["version"]
    except (ValueError, KeyError, TypeError):
        known, version = False, 0
    if not known or version != LAYOUT_VERSION:
        raise ArchiveError(
            f"{tree.archive}: the folder's {MARKER} is damaged or of another version",
            archive=tree.archive,
            hint="use the version that wrote the store, or restore the marker",
        )
    return True


def is_empty(tree: Tree) -> bool:
    """Whether there is nothing in the folder that somebody put there."""
    with os.scandir(tree.root) as found:
        return all(entry.name in _IGNORED for entry in found)
