"""The manifest of a stored study: segments that are only ever added, one JSON line per instance stored or withdrawn.

The last word on a UID counts: segments in the order of their numbers, lines in the order in which they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from attrs import field, frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.model.inventory import InstanceRecord, SeriesAttributes


@frozen(kw_only=True)
class StoredInstance:
    """A stored instance as its manifest line tells it.

    ``dataset_sha256`` is as in `Digest`, ``sha256`` that of the whole object's bytes. The record's locator, size and
    availability are those of the moment at which it was stored; a listing knows better.
    """

    record: InstanceRecord
    dataset_sha256: str
    dataset_size: int
    sha256: str


@frozen(kw_only=True)
class Contents:
    """What a manifest says: instances by UID, and how many lines cannot be read. ``last`` is its last segment."""

    instances: dict[SOPInstanceUID, StoredInstance] = field(factory=dict)
    damaged: int = 0
    last: int = 0


def _converter() -> Converter:
    made = Converter(detailed_validation=False)
    for cls in (SeriesAttributes, InstanceRecord, StoredInstance):
        made.register_unstructure_hook(cls, make_dict_unstructure_fn(cls, made, _cattrs_omit_if_default=True))
        made.register_structure_hook(cls, make_dict_structure_fn(cls, made))
    return made


_CONVERTER: Final = _converter()


def to_bytes(stored: Iterable[StoredInstance] = (), withdrawn: Iterable[SOPInstanceUID] = ()) -> bytes:
    """The lines of a segment."""
    lines: list[dict[str, Any]] = [_CONVERTER.unstructure(item) for item in stored]
    lines += [{"withdrawn": uid} for uid in withdrawn]
    return b"".join(json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n" for line in lines)


def read(segments: Iterable[tuple[int, bytes]]) -> Contents:
    """Fold the segments, given in the order of their numbers."""
    instances: dict[SOPInstanceUID, StoredInstance] = {}
    damaged = last = 0
    for number, data in segments:
        last = number
        *lines, rest = data.split(b"\n")
        damaged += bool(rest)
        for line in lines:
            try:
                raw = json.loads(line)
                if "withdrawn" in raw:
                    instances.pop(raw["withdrawn"], None)
                else:
                    stored = _CONVERTER.structure(raw, StoredInstance)
                    instances[stored.record.sop_instance_uid] = stored
            except (ValueError, KeyError, TypeError, AttributeError, BaseValidationError):
                damaged += 1
    return Contents(instances=instances, damaged=damaged, last=last)


def named(data: bytes) -> set[SOPInstanceUID]:
    """Every instance that a segment names, as stored or as withdrawn."""
    uids: set[SOPInstanceUID] = set()
    for line in data.split(b"\n"):
        try:
            raw = json.loads(line) if line else {}
            uids.add(SOPInstanceUID(raw.get("withdrawn") or raw.get("record", {}).get("sop_instance_uid", "")))
        except (ValueError, AttributeError):
            continue  # a damaged line names nobody
    return uids - {SOPInstanceUID("")}
