"""Runs of elements that look the same from file to file, leapt over at once.

The files of a series have the same elements, most with the same lengths. A run is a few successive top-level elements
in explicit VR little endian with everything in them. Its structure is the bytes of all their headers. Where a later
file has exactly these header bytes at these distances, walking it would take exactly the same steps, so one comparison
replaces them. Runs hold headers only, never values.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from attrs import define

from vna_lifecycle.dicom.elements import LONG_VRS, SHORT_VRS, UNDEFINED, walk
from vna_lifecycle.dicom.limits import Limits
from vna_lifecycle.dicom.source import Source
from vna_lifecycle.errors import DicomRefused

_SHORT: Final = Struct("<HH2sH").unpack_from
_LENGTH: Final = Struct("<L").unpack_from
_ELEMENTS: Final = 16
_KEPT: Final = 4_096


def _never(buffer: bytes, at: int) -> tuple[bytes, ...]:
    return (b"",)  # no structure


@define
class Run:
    """``length`` bytes of elements whose tags rise (unless not ``ascending``) from ``first`` to ``last``.

    ``values`` are (tag, distance of its value, distance of its end) of the index attributes among them, ``witnesses``
    (tag, length) of the elements whose presence is enough. ``span`` is how many bytes from the beginning must be in the
    buffer. ``layout`` alternates between lengths of headers and of values.
    """

    length: int
    span: int
    count: int
    first: int
    last: int
    ascending: bool
    values: tuple[tuple[int, int, int], ...]
    witnesses: tuple[tuple[int, int], ...]
    layout: tuple[int, ...]
    unpack: Callable[[bytes, int], tuple[bytes, ...]] = _never
    structure: tuple[bytes, ...] = ()


KNOWN: Final[dict[bytes, Run]] = {}
"""By the tag that a run begins with, as it is in the file: the run that was last seen there. It fits a file where its
``length`` and ``span`` do and ``unpack`` gives its ``structure``."""


def leap(
    buffer: bytes, at: int, room: int, values: frozenset[int], witnesses: frozenset[int], limits: Limits
) -> Run | None:
    """The run that begins at ``buffer[at]``, or None where none does. ``room`` is what the file has left.

    ``values`` and ``witnesses`` must be the same at every call for the same group.
    """
    run = KNOWN.get(buffer[at : at + 4])
    if run and run.length <= room and at + run.span <= len(buffer) and run.unpack(buffer, at) == run.structure:
        return run
    return learn(buffer, at, room, values, witnesses, limits)


def learn(
    buffer: bytes, at: int, room: int, values: frozenset[int], witnesses: frozenset[int], limits: Limits
) -> Run | None:
    """As `leap`, for a run that is not known: walked, and remembered to be compared once it was seen twice."""
    new = _read(buffer, at, room, values, witnesses, limits)
    if new is None:
        return None
    key = buffer[at : at + 4]
    run = KNOWN.get(key)
    if run is not None and run.layout == new.layout:
        unpack = Struct("<" + "".join(f"{size}{'sx'[nth % 2]}" for nth, size in enumerate(new.layout))).unpack_from
        new.unpack, new.structure = unpack, unpack(buffer, at)
    elif len(KNOWN) >= _KEPT:
        KNOWN.clear()
    KNOWN[key] = new
    return new


def _read(
    buffer: bytes, at: int, room: int, values: frozenset[int], witnesses: frozenset[int], limits: Limits
) -> Run | None:
    """Walk some elements of one file: none of group 0002 together with others, no group lengths."""
    filled = len(buffer)
    pos, end = at, at + room
    first = last = -1
    ascending = True
    found, seen = [], []
    layout: list[int] = []
    headers = at  # where the headers began that are not yet in the layout
    count = span = 0
    while len(layout) < 2 * _ELEMENTS and pos + 12 <= filled:
        group, number, vr, length = _SHORT(buffer, pos)
        value = pos + 8
        if vr in LONG_VRS:
            (length,) = _LENGTH(buffer, pos + 8)
            value = pos + 12
        elif vr not in SHORT_VRS:
            break
        tag = group << 16 | number
        if first < 0x00030000 <= tag and count:
            break
        if vr == b"SQ":
            nested = None if tag in values else _sequence(buffer, pos, limits)
            if nested is None:
                break
            inner, stop, steps = nested
            for begin, size in inner:
                layout += (begin - headers, size)
                headers = begin + size
            count += steps
            span = stop - at
            if tag in witnesses:
                seen.append((tag, UNDEFINED))
        else:
            stop = value + length
            if vr == b"UN" or stop > end or not number or group == 0xFFFE:
                break
            if tag in values:
                if stop > filled or length > limits.value_size:
                    break
                found.append((tag, value - at, stop - at))
            elif tag in witnesses:
                seen.append((tag, length))
            layout += (value - headers, length)
            headers = stop
            count += 1
            span = (stop if tag in values else value) - at
        if count and tag <= last:
            ascending = False
        if first < 0:
            first = tag
        last = tag
        pos = stop
    if not count:
        return None
    if headers == pos:
        layout.pop()  # nothing after the last value is to be compared
    else:
        layout.append(pos - headers)
    return Run(pos - at, span, count, first, last, ascending, tuple(found), tuple(seen), tuple(layout))


def _sequence(buffer: bytes, at: int, limits: Limits) -> tuple[list[tuple[int, int]], int, int] | None:
    """The places of the values in a sequence, where it ends, and its number of elements.

    None where it is not all in the buffer, or holds values of unknown VR: whether those are sequences is not a matter
    of their headers alone.
    """
    source = Source(lambda offset, length: b"", len(buffer), buffer)
    places: list[tuple[int, int]] = []
    end = at
    steps = 0
    try:
        for tag, vr, offset, length, _, _ in walk(source, at, explicit=True, big=False, limits=limits, single=True):
            steps += 1
            end = offset
            if (vr == b"" and tag >> 16 != 0xFFFE) or vr == b"UN":
                return None
            if vr and vr != b"SQ":
                places.append((offset, length))
                end = offset + length
    except DicomRefused:
        return None
    return places, end, steps
