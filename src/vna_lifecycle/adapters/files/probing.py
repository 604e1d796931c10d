"""What a folder of DICOM files was seen to be: how files lie in it, whose private elements they hold, how fast."""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from vna_lifecycle.adapters.files.layout import is_store
from vna_lifecycle.adapters.files.tree import Entry, Tree, locator_of
from vna_lifecycle.dicom.private import private_creators
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.counting import measured_text
from vna_lifecycle.ports import Observation

LOOKED_AT: Final = 20_000
"""Files whose names are looked at: the first ones of the walk."""

SAMPLED: Final = 200
"""Files of these that are read, evenly spaced."""

_TOLD: Final = 10
_EXTENSION: Final = re.compile(rb".+(\.[A-Za-z0-9]{1,5})", re.DOTALL)


class Probing:
    """The asking side of a folder. Nothing is changed."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def probe(self) -> Iterator[Observation]:
        """Look at names, and read some files.

        Raises:
            ArchiveUnreachable: the folder went away.
        """
        entries = list(islice(self._tree.walk(), LOOKED_AT))
        store = is_store(self._tree)
        yield Observation(name="layout", value="store of this software" if store else "folders of files")
        yield Observation(name="files-looked-at", value=str(len(entries)))
        if entries and not store:
            yield from _names(entries)
        yield from self._contents(entries)

    def _contents(self, entries: Sequence[Entry]) -> Iterator[Observation]:
        creators: Counter[str] = Counter()
        seconds: list[float] = []
        for entry in entries[:: max(1, len(entries) // SAMPLED)][:SAMPLED]:
            if entry.trouble:
                continue
            began = time.perf_counter()
            with suppress(DicomRefused, OSError, ValueError):
                creators.update(private_creators(self._tree.find(locator_of(entry.position)).path))
                seconds.append(time.perf_counter() - began)
        yield Observation(name="files-sampled", value=str(len(seconds)))
        if seconds:
            yield Observation(name="private-creators", value=_shares(creators, len(seconds)) or "none")
            yield Observation(
                name="read-time", value=measured_text(statistics.median(seconds) * 1000), unit="ms per object"
            )


def _names(entries: Sequence[Entry]) -> Iterator[Observation]:
    depths = [len(entry.position) - 1 for entry in entries]
    folders = Counter(entry.position[:-1] for entry in entries)
    extensions = Counter(_extension(entry.position[-1]) for entry in entries)
    least, most = min(depths), max(depths)
    yield Observation(name="folder-depth", value=str(least) if least == most else f"{least} to {most}")
    yield Observation(name="files-in-a-folder", value=f"up to {max(folders.values())}")
    yield Observation(name="file-names", value=_shares(extensions, len(entries)))
    directories = sum(1 for entry in entries if entry.position[-1].upper() == b"DICOMDIR")
    if directories:
        yield Observation(name="media-directories", value=str(directories))
    for trouble, count in sorted(Counter(entry.trouble for entry in entries if entry.trouble).items()):
        yield Observation(name=trouble, value=str(count))


def _extension(name: bytes) -> str:
    """How a name ends. Anything but a short plain word may be part of somebody's name, and is not told."""
    match = _EXTENSION.fullmatch(name)
    return match[1].decode().lower() if match else "no extension"


def _shares(counted: Counter[str], whole: int) -> str:
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{name} ({100 * count / whole:.0f} %)" for name, count in ordered[:_TOLD]]
    return ", ".join([*told, f"{len(ordered) - _TOLD} more"] if len(ordered) > _TOLD else told)
