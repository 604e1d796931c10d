"""The iterative element walker: every element at every depth of a data set, its lengths checked against the bytes.

The walk never recurses, reads no values, and holds one small buffer. It is as tolerant as files in the field need
and no more: an element whose VR is not two capital letters, or an item whose first element has none, is implicit VR
inside explicit VR; a UN value of undefined length is implicit VR little endian (PS3.5 6.2.2); where the VR is not
known, a value that consists of well-formed items is a sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, TypeAlias

from vna_lifecycle.dicom.limits import Limits, refused
from vna_lifecycle.dicom.source import Source

Element: TypeAlias = tuple[int, bytes, int, int, int, bool]
"""(tag, VR, offset of the value, length, depth, big endian).

The VR is ``b""`` where the file does not state it, ``b"SQ"`` for a sequence, `FRAGMENTS` for encapsulated fragments.
Structure is told by the tags of PS3.5 7.5: `ITEM` opens an item or is a fragment, `ITEM_END` and `SEQUENCE_END` close,
also where the file closes by a defined length; their offset is where the walk goes on. A sequence has the length
`UNDEFINED`, an item the length that the file states.
"""

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
FRAGMENTS: Final = b"[]"
PIXEL_DATA: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
    | {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
KNOWN_VRS: Final = LONG_VRS | SHORT_VRS

_EXPLICIT: Final = (Struct("<HH2sH").unpack_from, Struct(">HH2sH").unpack_from)
_IMPLICIT: Final = (Struct("<HHL").unpack_from, Struct(">HHL").unpack_from)
_LENGTH: Final = (Struct("<L").unpack_from, Struct(">L").unpack_from)
_ITEM_TAG: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")

_DATASET, _SEQUENCE, _FRAGMENTS = 0, 1, 2


def has_vr(header: bytes) -> bool:
    """Whether the first 6 bytes of an element state a VR: two capital letters after the tag."""
    return len(header) < 6 or (0x40 < header[4] < 0x5B and 0x40 < header[5] < 0x5B)


def walk(
    source: Source,
    start: int,
    *,
    explicit: bool,
    big: bool,
    limits: Limits,
    is_sequence: Callable[[int], bool | None] = lambda tag: None,
    single: bool = False,
    budget: int | None = None,
    beginning: int | None = None,
) -> Iterator[Element]:
    """Every element from ``start`` to the end of ``source``, in file order.

    Zeros that pad the file end the walk: they are told as one last element with tag 0 and their length.
    ``is_sequence`` answers for tags whose VR the file does not state; None leaves it to the value's structure. With
    ``single`` the walk ends after one top-level element.

    Raises:
        DicomRefused: truncated, malformed, too-deep, too-many-elements, item-flood or trailing-data.
    """
    size = source.size
    if start < source.base:
        source.window(start)
    buffer, base = source.buffer, source.base
    filled = base + len(buffer)
    left, empty = (limits.elements if budget is None else budget), 0
    # a level of nesting: its mode, where it ends (-1: at a delimiter), where it must end at the latest, its encoding
    mode, end, bound = _DATASET, size, size
    stack: list[tuple[int, int, int, bool, bool]] = []
    depth = opened = 0
    beginning = start if beginning is None else beginning
    pos = start
    while True:
        if single and not stack and pos != start:
            return
        if pos == end:
            if not stack:
                return
            closed = mode
            yield (SEQUENCE_END if closed else ITEM_END), b"", pos, 0, depth, big
            mode, end, bound, explicit, big = stack.pop()
            if closed:
                depth -= 1
            continue
        if pos + 12 > filled:
            if pos + 8 > size:
                if not stack and _padded(source, pos, limits):
                    yield 0, b"", pos, size - pos, 0, big
                    return
                raise refused("truncated", pos)
            if filled < size:
                buffer, base = source.window(pos), pos
                filled = base + len(buffer)
        left -= 1
        if left < 0:
            raise refused("too-many-elements", pos)

        if mode == _DATASET:
            value = pos + 8
            if explicit:
                group, number, vr, length = _EXPLICIT[big](buffer, pos - base)
                if vr in LONG_VRS:
                    value = pos + 12
                    if value > size:
                        raise refused("truncated", pos)
                    (length,) = _LENGTH[big](buffer, pos + 8 - base)
                elif vr not in SHORT_VRS and not b"AA" <= vr <= b"ZZ":
                    vr = b""
                    (length,) = _LENGTH[big](buffer, pos + 4 - base)
            else:
                group, number, length = _IMPLICIT[big](buffer, pos - base)
                vr = b""
            tag = group << 16 | number
            if length == UNDEFINED:
                if tag == ITEM_END or not _opens(source, value, big, vr):
                    raise refused("malformed", pos)
                pixels = tag in PIXEL_DATA or vr in (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV")
                yield tag, (FRAGMENTS if pixels else b"SQ"), value, UNDEFINED, depth, big
                stack.append((mode, end, bound, explicit, big))
                mode, end = (_FRAGMENTS if pixels else _SEQUENCE), -1
                if vr == b"UN":
                    big = source.peek(value)[:4] == _ITEM_TAG[1]
                depth += 1
                if depth > limits.depth:
                    raise refused("too-deep", pos)
                pos = value
                continue
            if tag == 0 and not stack and pos != beginning:
                if not _padded(source, pos, limits):
                    raise refused("trailing-data", pos)
                yield 0, b"", pos, size - pos, 0, big
                return
            stop = value + length
            if stop > bound:
                raise refused("truncated" if stop > size else "malformed", pos)
            if group == 0xFFFE:
                if tag != ITEM_END or end != -1 or length:
                    raise refused("malformed", pos)
                empty = empty + 1 if pos == opened else 0
                yield ITEM_END, b"", value, 0, depth, big
                pos = value
                mode, end, bound, explicit, big = stack.pop()
                continue
            if vr == b"SQ" or (
                length >= 8
                and (vr == b"" or vr == b"UN")
                and (nested := _nested(source, tag, value, length, explicit, big, limits, is_sequence))
            ):
                yield tag, b"SQ", value, UNDEFINED, depth, big
                stack.append((mode, end, bound, explicit, big))
                mode, end, bound = _SEQUENCE, stop, stop
                if vr != b"SQ":
                    big = nested == 2
                depth += 1
                if depth > limits.depth:
                    raise refused("too-deep", pos)
                pos = value
                continue
            yield tag, vr, value, length, depth, big
            pos = stop
            continue

        group, number, length = _IMPLICIT[big](buffer, pos - base)
        tag = group << 16 | number
        value = pos + 8
        if tag == SEQUENCE_END:
            if end != -1:
                raise refused("malformed", pos)
            yield SEQUENCE_END, b"", value, 0, depth, big
            mode, end, bound, explicit, big = stack.pop()
            depth -= 1
            pos = value
            continue
        if tag != ITEM:
            raise refused("malformed", pos)
        if length != UNDEFINED:
            empty = 0 if length else empty + 1
        opened = value
        if empty > limits.empty_items:
            raise refused("item-flood", pos)
        if length != UNDEFINED and value + length > bound:
            raise refused("truncated" if value + length > size else "malformed", pos)
        if mode == _FRAGMENTS:
            if length == UNDEFINED:
                raise refused("malformed", pos)
            yield ITEM, FRAGMENTS, value, length, depth, big
            pos = value + length
            continue
        yield ITEM, b"", value, length, depth, big
        stack.append((mode, end, bound, explicit, big))
        mode, pos = _DATASET, value
        if length == UNDEFINED:
            end = -1
        else:
            end = bound = value + length
        if explicit and pos + 6 <= bound and pos != end:
            explicit = has_vr(source.peek(pos))


def _opens(source: Source, value: int, big: bool, vr: bytes) -> bool:
    """Whether a value of undefined length begins as one must: with an item or the end of the sequence."""
    if value + 8 > source.size:
        raise refused("truncated", value)
    first = source.peek(value)[:4]
    known = (b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"), (b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd")
    return first in known[big] or (vr == b"UN" and first in known[0])


def _padded(source: Source, pos: int, limits: Limits) -> bool:
    """Whether nothing but zeros follows, and few enough."""
    rest = source.size - pos
    return rest <= limits.padding_size and not source.read(pos, rest).strip(b"\0")


def _nested(
    source: Source,
    tag: int,
    value: int,
    length: int,
    explicit: bool,
    big: bool,
    limits: Limits,
    is_sequence: Callable[[int], bool | None],
) -> int:
    """Whether a value of unknown VR is a sequence: 0 no, 1 yes, 2 yes and big endian.

    Values inside it are passed over by their lengths, so that each level of nesting is looked at only once.
    """
    first = source.peek(value)[:4]
    if first not in _ITEM_TAG[: 1 + big] or is_sequence(tag) is False:
        return 0
    big = first == _ITEM_TAG[1]
    end = value + length
    levels: list[int] = []  # for each open sequence or item: where it ends, or -1
    opened: list[int] = []  # for each open sequence or item: 1 for a sequence, 0 for an item
    levels.append(end)
    opened.append(1)
    pos = value
    steps = limits.elements
    while levels:
        if pos == levels[-1]:
            levels.pop()
            opened.pop()
            continue
        steps -= 1
        if pos + 8 > end or steps < 0 or len(levels) > 2 * limits.depth:
            return 0
        head = source.peek(pos)
        group, number, size = _IMPLICIT[big](head)
        inner = group << 16 | number
        if inner in (ITEM_END, SEQUENCE_END):
            if levels[-1] != -1 or opened[-1] != (inner == SEQUENCE_END) or size:
                return 0
            levels.pop()
            opened.pop()
            pos += 8
            continue
        if opened[-1]:
            if inner != ITEM:
                return 0
            levels.append(-1 if size == UNDEFINED else pos + 8 + size)
            opened.append(0)
            pos += 8
            if size != UNDEFINED and pos + size > end:
                return 0
            continue
        if inner == ITEM:
            return 0
        skip = 8
        if explicit and head[4:6] in KNOWN_VRS:
            size = _EXPLICIT[big](head)[3]
            if head[4:6] in LONG_VRS:
                if pos + 12 > end:
                    return 0
                skip, size = 12, _LENGTH[big](head, 8)[0]
        pos += skip
        if size == UNDEFINED:
            levels.append(-1)
            opened.append(1)
        elif pos + size > end:
            return 0
        else:
            pos += size
    return 2 if big else 1
