"""Text of the VRs that Specific Character Set (0008,0005) governs, PS3.3 C.12.1.1.2 and PS3.5 6.1.

Every byte sequence decodes: what a character set does not define becomes U+FFFD, and an unknown term falls back to
ISO 8859-1, so that a mislabelled name is still shown and compared rather than lost.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LATIN: Final = "iso8859"
_SINGLE_BYTE: Final = {
    "6": LATIN, "13": "shift_jis", "100": "latin_1", "101": "iso8859_2", "109": "iso8859_3", "110": "iso8859_4",
    "126": "iso8859_7", "127": "iso8859_6", "138": "iso8859_8", "144": "iso8859_5", "148": "iso8859_9",
    "166": "tis_620", "203": "iso8859_15",
}  # fmt: skip
_MULTI_BYTE: Final = {"87": "iso2022_jp", "159": "iso2022_jp_2", "149": "euc_kr", "58": "gb2312"}
_ALONE: Final = {"ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
_OTHER: Final = {"ISO 2022 GBK": "gbk", "ISO 2022 58": "gb2312", "UTF-8": "utf_8", "UTF8": "utf_8"}
_ESCAPES: Final = {
    b"(B": LATIN, b"-A": "latin_1", b")I": "shift_jis", b"(J": "shift_jis", b"-B": "iso8859_2", b"-C": "iso8859_3",
    b"-D": "iso8859_4", b"-F": "iso8859_7", b"-G": "iso8859_6", b"-H": "iso8859_8", b"-L": "iso8859_5",
    b"-M": "iso8859_9", b"-T": "tis_620", b"-b": "iso8859_15", b"$B": "iso2022_jp", b"$(D": "iso2022_jp_2",
    b"$)C": "euc_kr", b"$)A": "gb2312",
}  # fmt: skip
_KEEPS_ESCAPE: Final = ("iso2022_jp", "iso2022_jp_2")
_FRAGMENT: Final = re.compile(rb"\x1b?[^\x1b]+|\x1b")
_RESETS: Final = re.compile(rb"[\t\n\f\r]")
_TERM: Final = re.compile(r"ISO(?:.IR.|.2022.IR.)(\d+)")


def _codec(term: str) -> str:
    if not term:
        return LATIN
    if term in _ALONE or term in _OTHER:
        return _ALONE.get(term) or _OTHER[term]
    # the separators are often misspelt: "ISO-IR 100", "ISO 2022-IR 87"
    match = _TERM.fullmatch(term)
    number = match[1] if match else ""
    extended = term[4:8] == "2022"
    if number == "192" and not extended:
        return "utf_8"
    return _SINGLE_BYTE.get(number) or (_MULTI_BYTE.get(number, LATIN) if extended else LATIN)


@lru_cache(maxsize=256)
def codecs_of(character_set: str) -> tuple[str, ...]:
    """Python's names of the codecs that a Specific Character Set (values joined by a backslash) stands for.

    The first is in force until an escape sequence says otherwise. UTF-8, GB18030 and GBK allow no others beside them.
    """
    terms = character_set.split("\\")
    if len(terms) > 1 and terms[0] in _ALONE:
        return (_codec(terms[0]),)
    return tuple(_codec(term) for at, term in enumerate(terms) if not at or term not in _ALONE)


def decode(raw: bytes, codecs: tuple[str, ...]) -> str:
    """The text of a value. ``codecs`` comes from `codecs_of`."""
    if b"\x1b" not in raw:
        return raw.decode("ascii") if raw.isascii() else raw.decode(codecs[0], "replace")
    return "".join(_fragment(part, codecs) for part in _FRAGMENT.findall(raw))


def _fragment(part: bytes, codecs: tuple[str, ...]) -> str:
    first = codecs[0]
    if part[:1] != b"\x1b":
        return part.decode(first, "replace")
    length = 4 if part[1:3] in (b"$(", b"$)") else 3
    codec = _ESCAPES.get(part[1:length], "")
    if codec != LATIN and codec not in codecs:
        return part.decode(first, "replace")
    try:
        if codec in _KEEPS_ESCAPE:
            return part.decode(codec)
        text = part[length:]
        if (reset := _RESETS.search(text)) is None:
            return text.decode(codec)
        return text[: reset.start()].decode(codec) + text[reset.start() :].decode(first)
    except UnicodeError:
        return part.decode(first, "replace")
