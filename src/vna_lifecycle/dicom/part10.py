"""Where a data set begins and how it is encoded: preamble, file meta information (PS3.10 7.1), or a guess without."""

from __future__ import annotations

from struct import Struct
from typing import Final

from attrs import frozen

from vna_lifecycle.dicom.elements import KNOWN_VRS, LONG_VRS, has_vr
from vna_lifecycle.dicom.limits import Limits, refused
from vna_lifecycle.dicom.runs import leap
from vna_lifecycle.dicom.source import Source

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
GE_PRIVATE: Final = "1.2.840.113619.5.2"  # implicit VR little endian but for big endian pixel data

_MAGIC: Final = (
    b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf", b"\xbe\xba\xfe\xca", b"\xbf\xba\xfe\xca", b"PK\x03\x04", b"#!", b"\0asm",
    b"dex\n", b"\xd0\xcf\x11\xe0",
)  # fmt: skip
_NAMED: Final = frozenset({0x00020002, 0x00020003, 0x00020010})
_HEADER: Final = Struct("<HH2sH").unpack_from
_IMPLICIT: Final = Struct("<HHL").unpack_from
_LONG: Final = Struct("<L").unpack_from


@frozen(kw_only=True)
class Beginning:
    """How a file begins. ``start`` is the first byte of the data set, deflated or not.

    ``transfer_syntax`` is what the file states, or what was guessed (then a flag says so).
    """

    start: int
    transfer_syntax: str
    explicit: bool
    big: bool
    deflated: bool
    media_sop_class: str
    media_sop_instance: str
    flags: tuple[str, ...]


def begin(source: Source, limits: Limits) -> Beginning:
    """Find the data set.

    A preamble that begins like a program or archive is flagged, never refused and never altered; one that begins like a
    TIFF is what PS3.10 7.1 foresees and is not flagged.

    Raises:
        DicomRefused: empty, not-dicom, truncated.
    """
    if not source.size:
        raise refused("empty", 0)
    head = source.peek(0)
    buffer = source.buffer
    flags: tuple[str, ...] = ()
    if buffer[128:132] == b"DICM":
        start = 132
        if buffer.startswith(_MAGIC):
            flags = ("executable-preamble",)
    elif head.startswith(b"DICM"):
        start, flags = 4, ("no-preamble",)
    else:
        start, flags = 0, ("no-preamble",)
    meta, dataset = _meta(source, start, limits)
    if dataset == source.size:
        raise refused("truncated" if start else "not-dicom", dataset)
    if not meta:
        if not start:
            return _bare(source)
        flags += ("no-meta",)
    syntax = meta.get(0x0010, b"").rstrip(b"\0 ").decode("latin_1")
    first = source.peek(dataset)
    if not syntax:
        flags += ("no-transfer-syntax",)
        syntax = _guess(first)
    deflated = syntax in DEFLATED
    explicit = syntax != IMPLICIT_LITTLE and syntax != GE_PRIVATE
    if not deflated and len(first) >= 8 and has_vr(first) != explicit:
        explicit = not explicit
        flags += ("vr-mismatch",)
    return Beginning(
        start=dataset,
        transfer_syntax=syntax,
        explicit=explicit,
        big=syntax == EXPLICIT_BIG,
        deflated=deflated,
        media_sop_class=meta.get(0x0002, b"").rstrip(b"\0 ").decode("latin_1"),
        media_sop_instance=meta.get(0x0003, b"").rstrip(b"\0 ").decode("latin_1"),
        flags=flags,
    )


def _meta(source: Source, start: int, limits: Limits) -> tuple[dict[int, bytes], int]:
    """The short values of group 0002 by element number, and where the group ends."""
    found: dict[int, bytes] = {}
    pos = start
    source.peek(pos)
    buffer, at = source.buffer, pos - source.base
    if buffer[at : at + 8] == b"\x02\0\0\0UL\x04\0" and (
        run := leap(buffer, at + 12, source.size - pos - 12, _NAMED, frozenset(), limits)
    ):
        pos += 12 + run.length
        if run.last < 0x00030000:
            found = {tag & 0xFFFF: buffer[at + 12 + begin : at + 12 + end] for tag, begin, end in run.values}
        else:
            pos = start
    for _ in range(64):
        if pos + 8 > source.size:
            break
        head = source.peek(pos)
        group, number, vr, length = _HEADER(head)
        if group != 2:
            break
        value = pos + 8
        if vr in LONG_VRS:
            if len(head) < 12:
                raise refused("truncated", pos)
            (length,) = _LONG(head, 8)
            value = pos + 12
        elif not has_vr(head):
            length = _IMPLICIT(head)[2]
        if value + length > source.size:
            raise refused("truncated", pos)
        if length <= 256:
            found[number] = source.read(value, length)
        pos = value + length
    return found, pos


def _guess(first: bytes) -> str:
    if first[4:6] not in KNOWN_VRS:
        return IMPLICIT_LITTLE
    return EXPLICIT_BIG if first[0] < first[1] else EXPLICIT_LITTLE


def _bare(source: Source) -> Beginning:
    """A data set without file meta information, if the first element looks like one: group 0008, a credible length."""
    first = source.peek(0)
    syntax = _guess(first)
    group = first[:2]
    credible = len(first) >= 8 and group == (b"\0\x08" if syntax == EXPLICIT_BIG else b"\x08\0")
    if syntax == IMPLICIT_LITTLE and credible:
        length = _IMPLICIT(first)[2]
        credible = length < 0x10000 or length == 0xFFFFFFFF
    if not credible:
        raise refused("not-dicom", 0)
    return Beginning(
        start=0,
        transfer_syntax=syntax,
        explicit=syntax != IMPLICIT_LITTLE,
        big=syntax == EXPLICIT_BIG,
        deflated=False,
        media_sop_class="",
        media_sop_instance="",
        flags=("no-preamble", "no-meta"),
    )
