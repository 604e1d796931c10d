"""The DICOMDIR of a file-set (PS3.10 8, PS3.3 F)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.dicom.charset import codecs_of, decode
from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.elements import ITEM, ITEM_END
from vna_lifecycle.dicom.limits import LIMITS, Limits, refused
from vna_lifecycle.dicom.part10 import MEDIA_DIRECTORY
from vna_lifecycle.dicom.source import file_source

_RECORDS: Final = 0x00041220
_IN_USE: Final = 0x00041410
_RECORD_TYPE: Final = 0x00041430
_FILE_ID: Final = 0x00041500
_SOP_CLASS: Final = 0x00041510
_SOP_INSTANCE: Final = 0x00041511
_REMEMBERED: Final = 16
_WANTED: Final = frozenset({_IN_USE, _RECORD_TYPE, _FILE_ID, _SOP_CLASS, _SOP_INSTANCE})


@frozen(kw_only=True)
class ReferencedFile:
    """A file that a DICOMDIR names.

    ``path`` is None where it is not there: ``problem`` is then ``missing``, ``outside`` (it would lie, also through
    links, outside the file-set) or ``illegal`` (its ID is no file ID at all). ``file_id`` is as found.
    """

    file_id: tuple[str, ...]
    path: Path | None
    record_type: str
    sop_class_uid: str
    sop_instance_uid: str
    problem: str = ""


def read_dicomdir(path: Path, *, limits: Limits = LIMITS) -> Iterator[ReferencedFile]:
    """Every file that the directory records in use refer to, in the order of the records.

    Names are matched as real media need it: exactly, else without regard to case, a version (``;1``) or a final dot.

    Raises:
        DicomRefused: it is no DICOMDIR (``not-dicom``) or cannot be trusted.
        OSError: it cannot be opened or read.
    """
    root = path.parent
    with file_source(path) as source, open_dataset(source, limits, directory=True) as dataset:
        if dataset.beginning.media_sop_class != MEDIA_DIRECTORY:
            raise refused("not-dicom", 0)
        names: dict[Path, dict[str, str]] = {}
        inside = False
        record: dict[int, bytes] = {}
        for tag, _, offset, length, depth, _ in dataset.walk(limits):
            if not depth:
                inside = tag == _RECORDS
            elif inside and depth == 1:
                if tag == ITEM:
                    record = {}
                elif tag in _WANTED and length <= limits.value_size:
                    record[tag] = dataset.source.read(offset, length)
                elif tag == ITEM_END and record.get(_FILE_ID, b"").strip(b"\0 ") and _used(record):
                    yield _referenced(root, record, names)


def _used(record: dict[int, bytes]) -> bool:
    return record.get(_IN_USE, b"\xff\xff").strip(b"\0") != b""


def _text(raw: bytes) -> str:
    return decode(raw, codecs_of("")).strip(" \0")


def _referenced(root: Path, record: dict[int, bytes], names: dict[Path, dict[str, str]]) -> ReferencedFile:
    file_id = tuple(part.strip(" \0") for part in _text(record[_FILE_ID]).split("\\"))
    found, problem = _resolve(root, file_id, names)
    return ReferencedFile(
        file_id=file_id,
        path=found,
        record_type=_text(record.get(_RECORD_TYPE, b"")),
        sop_class_uid=_text(record.get(_SOP_CLASS, b"")),
        sop_instance_uid=_text(record.get(_SOP_INSTANCE, b"")),
        problem=problem,
    )


def _resolve(root: Path, file_id: tuple[str, ...], names: dict[Path, dict[str, str]]) -> tuple[Path | None, str]:
    """``names`` remembers the folders that were listed last: folded name to true name."""
    if any(part in ("", ".", "..") or len(part) > 63 or any(char in part for char in "/:\0") for part in file_id):
        return None, "illegal"
    place = root
    for part in file_id:
        exact = place / part
        if not exact.exists():
            if place not in names:
                if len(names) >= _REMEMBERED:
                    names.clear()
                names[place] = _listed(place)
            name = names[place].get(_folded(part))
            if name is None:
                return None, "missing"
            exact = place / name
        place = exact
    if not _within(os.path.realpath(place), os.path.realpath(root)):
        return None, "outside"
    return (place, "") if place.is_file() else (None, "missing")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _listed(folder: Path) -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return {_folded(name): name for name in sorted((entry.name for entry in entries), reverse=True)}
    except OSError:
        return {}


def _folded(name: str) -> str:
    return name.partition(";")[0].rstrip(".").casefold()
