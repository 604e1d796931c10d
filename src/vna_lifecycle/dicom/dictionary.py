"""The VR of public attributes (PS3.6), from a table of our own, and their keywords, from pydicom's.

What counts as the same instance depends on the VRs: with the installed pydicom's, an upgrade could change digests.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

TEXT_VRS: Final = frozenset(
    {b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT"}
    | {b"PN", b"SH", b"ST", b"TM", b"UC", b"UI", b"UR", b"UT"}
)


@cache
def _table() -> tuple[dict[int, bytes], list[tuple[int, int, bytes]]]:
    """VRs by tag, and those of repeating groups and elements (PS3.5 7.6) as mask, tag under the mask, VR."""
    single: dict[int, bytes] = {}
    repeating: list[tuple[int, int, bytes]] = []
    for line in files(__package__).joinpath("vr.txt").read_bytes().splitlines()[1:]:  # after its title
        vr, *tags = line.split()
        for tag in tags:
            if b"x" in tag:
                mask = int("".join("0" if digit == "x" else "F" for digit in tag.decode()), 16)
                repeating.append((mask, int(tag.replace(b"x", b"0"), 16), vr))
            else:
                single[int(tag, 16)] = vr
    return single, repeating


@cache
def vr_of(tag: int) -> bytes:
    """The VR of a public tag; the first of several alternatives; ``b""`` for private and unknown tags."""
    if tag >> 16 & 1:
        return b""
    single, repeating = _table()
    if (vr := single.get(tag)) is not None:
        return vr
    return next((vr for mask, value, vr in repeating if tag & mask == value), b"")


@cache
def keyword_of(tag: int) -> str:
    """The keyword of a public tag, else the tag as ``(gggg,eeee)``."""
    from pydicom.datadict import keyword_for_tag

    return ("" if tag >> 16 & 1 else keyword_for_tag(tag)) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def name_of(uid: str) -> str:
    """The name of a UID that the standard assigns (PS3.6 annex A), else the UID."""
    from pydicom.uid import UID

    return UID(uid).name


def is_sequence(tag: int) -> bool | None:
    """Whether the dictionary knows the tag as a sequence (or as UN); None where it does not know it."""
    vr = vr_of(tag)
    return vr in (b"SQ", b"UN") if vr else None
