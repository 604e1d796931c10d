"""Whose private elements an object holds (PS3.5 section 7.8.1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vna_lifecycle.dicom.elements import walk
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.part10 import begin
from vna_lifecycle.dicom.source import Source, file_source, inflated

_LONGEST: Final = 64  # characters of LO


def private_creators(path: Path | str, *, limits: Limits = LIMITS) -> frozenset[str]:
    """The Private Creator identifications at the top level of a file; what does not print becomes ``?``.

    Raises:
        DicomRefused: the file is not a DICOM object that can be trusted.
        OSError: the file cannot be read.
    """
    with file_source(path) as source:
        beginning = begin(source, limits)
        form = (beginning.explicit, beginning.big, limits)
        if not beginning.deflated:
            return frozenset(_creators(source, beginning.start, *form))
        with inflated(source, beginning.start, limits) as dataset:
            return frozenset(_creators(dataset, 0, *form))


def _creators(source: Source, start: int, explicit: bool, big: bool, limits: Limits) -> Iterator[str]:
    for tag, _, offset, length, depth, _ in walk(source, start, explicit=explicit, big=big, limits=limits):
        if depth == 0 and tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF and 0 < length <= 4 * _LONGEST:
            text = source.read(offset, length).rstrip(b"\0 ").decode("utf-8", "replace")
            if text:
                yield "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST]
