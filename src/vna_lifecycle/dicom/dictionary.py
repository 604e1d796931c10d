"""The VR of public attributes (PS3.6), looked up in pydicom's dictionary, which is loaded at the first question."""

from __future__ import annotations

from functools import cache
from typing import Final

TEXT_VRS: Final = frozenset(
    {b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT"}
    | {b"PN", b"SH", b"ST", b"TM", b"UC", b"UI", b"UR", b"UT"}
)


@cache
def vr_of(tag: int) -> bytes:
    """The VR of a public tag; the first of several alternatives; ``b""`` for private and unknown tags."""
    from pydicom.datadict import dictionary_VR

    if tag >> 16 & 1:
        return b""
    try:
        return dictionary_VR(tag)[:2].encode()
    except KeyError:
        return b""


@cache
def keyword_of(tag: int) -> str:
    """The keyword of a public tag, else the tag as ``(gggg,eeee)``."""
    from pydicom.datadict import keyword_for_tag

    return ("" if tag >> 16 & 1 else keyword_for_tag(tag)) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def is_sequence(tag: int) -> bool | None:
    """Whether the dictionary knows the tag as a sequence (or as UN); None where it does not know it."""
    vr = vr_of(tag)
    return vr in (b"SQ", b"UN") if vr else None
