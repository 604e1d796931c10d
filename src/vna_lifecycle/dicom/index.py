"""The raw values of the index attributes, and what else must be known of a data set's top level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import define, field

from vna_lifecycle.dicom.completeness import PLAN_GEOMETRY, WITNESSES
from vna_lifecycle.dicom.elements import ITEM_END, PIXEL_DATA, Element, walk
from vna_lifecycle.dicom.limits import LIMITS, Limits, refused
from vna_lifecycle.dicom.part10 import Beginning
from vna_lifecycle.dicom.runs import KNOWN, learn
from vna_lifecycle.dicom.source import Source

Values: TypeAlias = dict[int, bytes]

CHARACTER_SET: Final = 0x00080005
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
ACCESSION_ISSUER: Final = 0x00080051
PROCEDURE: Final = 0x00081032
INSTANCE_NUMBER: Final = 0x00200013
SAMPLES: Final = 0x00280002
PHOTOMETRIC: Final = 0x00280004
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
ALLOCATED: Final = 0x00280100

OF_SERIES: Final = (
    0x00100020, 0x00100021, 0x00100010, 0x00100030, 0x00100040, 0x0020000D, 0x00200010, 0x00080020, 0x00080030,
    0x00080050, 0x00081030, 0x0020000E, 0x00200011, 0x00080060, 0x0008103E, 0x00180015, 0x00200060, CHARACTER_SET,
)  # fmt: skip
_OF_INSTANCE: Final = (
    SOP_CLASS, SOP_INSTANCE, INSTANCE_NUMBER, SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, ALLOCATED, PLAN_GEOMETRY,
)  # fmt: skip
IN_ITEMS: Final = (CHARACTER_SET, 0x00080100, 0x00080102, 0x00080119, 0x00080120, 0x00400031, 0x00400032)
_VALUES: Final = frozenset(OF_SERIES) | frozenset(_OF_INSTANCE)
_IN_ITEMS: Final = frozenset(IN_ITEMS)
_SEQUENCES: Final = frozenset({ACCESSION_ISSUER, PROCEDURE})


@define
class Found:
    """``values`` by tag, ``nested`` those of the first items of `ACCESSION_ISSUER` and `PROCEDURE`, ``seen`` witnesses.

    ``pixel_length`` is -1 without pixel data. ``group`` is the last group with a group length, which ends it at
    ``group_end``. ``last`` is the last tag.
    """

    values: Values = field(factory=dict)
    nested: dict[int, Values] = field(factory=dict)
    seen: set[int] = field(factory=set)
    pixel_length: int = -1
    last: int = -1
    disordered: bool = False
    oversized: bool = False
    padded: bool = False
    group: int = 0
    group_end: int = 0


_VALUES_AND_SEQUENCES: Final = _VALUES | _SEQUENCES
_SINGLES: Final = 64


def collect(source: Source, start: int, beginning: Beginning, limits: Limits) -> Found:
    """Walk the whole data set, checking every length, and keep what is needed.

    Raises:
        DicomRefused: as `elements.walk`.
    """
    found = Found()
    if beginning.big or not beginning.explicit or limits is not LIMITS:  # runs are learnt within the usual limits
        elements = walk(source, start, explicit=beginning.explicit, big=beginning.big, limits=limits)
        _note(elements, source, found, limits)
        return found
    values, seen, known = found.values, found.seen, KNOWN.get
    size, left, singles = source.size, limits.elements, _SINGLES
    pos, last = start, -1
    buffer, base = source.buffer, source.base
    while pos < size:
        if pos < base or pos + 12 > base + len(buffer):
            buffer, base = source.window(pos), pos
        at = pos - base
        run = known(buffer[at : at + 4])
        if not (
            run
            and run.length <= size - pos
            and at + run.span <= len(buffer)
            and run.unpack(buffer, at) == run.structure
        ):
            run = learn(buffer, at, size - pos, _VALUES_AND_SEQUENCES, WITNESSES, limits)
        if run:
            left -= run.count
            if left < 0:
                raise refused("too-many-elements", pos)
            if run.first <= last or not run.ascending:
                found.disordered = True
            last = run.last
            for tag, begin, end in run.values:
                values[tag] = buffer[at + begin : at + end]
            for tag, length in run.witnesses:
                seen.add(tag)
                if tag in PIXEL_DATA:
                    found.pixel_length = length
            pos += run.length
            continue
        singles -= 1
        elements = walk(
            source, pos, explicit=True, big=False, limits=limits, single=singles > 0, budget=left, beginning=start
        )
        found.last = last
        count, pos = _note(elements, source, found, limits)
        left -= count
        last = found.last
        buffer, base = source.buffer, source.base
    found.last = last
    return found


def _note(elements: Iterator[Element], source: Source, found: Found, limits: Limits) -> tuple[int, int]:
    """Keep what is needed of ``elements``; how many they were, and where the last ended."""
    values, nested = found.values, found.nested
    count = end = sequence = 0
    for tag, _, offset, length, depth, big in elements:
        count += 1
        end = offset + length
        if depth:
            if sequence and depth == 1:
                if tag == ITEM_END:  # only the first item counts
                    sequence = 0
                elif tag in _IN_ITEMS and length <= limits.value_size:
                    nested[sequence][tag] = source.read(offset, length)
            continue
        sequence = 0
        if not tag:
            found.padded = True
            continue
        if tag <= found.last:
            found.disordered = True
        found.last = tag
        if tag in _VALUES:
            if length <= limits.value_size:
                values[tag] = source.read(offset, length)
            else:
                found.oversized = True
        elif tag in WITNESSES:
            found.seen.add(tag)
            if tag in PIXEL_DATA:
                found.pixel_length = length
        elif tag in _SEQUENCES:
            sequence = tag
            nested[tag] = {}
        elif not tag & 0xFFFF and length == 4 and tag != 0x7FE00000:  # the pixel data has a length of its own
            found.group = tag >> 16
            found.group_end = offset + 4 + int.from_bytes(source.read(offset, 4), "big" if big else "little")
    return count, end
