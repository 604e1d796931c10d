"""Every text of a file's data set, at every depth, as its value representation and character set have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from vna_lifecycle.dicom.charset import codecs_of, decode
from vna_lifecycle.dicom.dataset import open_dataset
from vna_lifecycle.dicom.dictionary import TEXT_VRS, keyword_of, vr_of
from vna_lifecycle.dicom.index import CHARACTER_SET
from vna_lifecycle.dicom.limits import LIMITS, Limits
from vna_lifecycle.dicom.source import file_source

MOST: Final = 1 << 16
"""Bytes that are read of one value: more than any VR with a limit may have (LT, 10240 characters)."""

_LOCALIZED: Final = frozenset({b"SH", b"LO", b"ST", b"LT", b"PN", b"UC", b"UT"})
_SINGLE: Final = frozenset({b"ST", b"LT", b"UT", b"UR"})  # a backslash is text in these (PS3.5 6.2)


@frozen(kw_only=True)
class Text:
    """The values of one element. ``keyword`` is the dictionary's, or ``(gggg,eeee)``; ``depth`` is 0 at the top level.

    Padding at the end of values is left out (PS3.5 6.2); of a longer value only the first `MOST` bytes are there.
    """

    tag: int
    keyword: str
    representation: str
    values: tuple[str, ...]
    depth: int


def texts_of(path: Path, *, limits: Limits = LIMITS) -> Iterator[Text]:
    """Every element with a text VR that is not empty, in file order. Items are read in the top level's character set.

    Raises:
        DicomRefused: the file is not a DICOM instance that can be trusted.
        OSError: it cannot be opened or read.
    """
    codecs = codecs_of("")
    with file_source(path) as source, open_dataset(source, limits) as dataset:
        for tag, stated, offset, length, depth, _ in dataset.walk(limits):
            representation = stated or vr_of(tag)
            if representation not in TEXT_VRS or not length:
                continue
            raw = dataset.source.read(offset, min(length, MOST))
            if tag == CHARACTER_SET and not depth:
                codecs = codecs_of(raw.decode("ascii", "replace").strip(" \0"))
            localized = representation in _LOCALIZED
            text = decode(raw, codecs) if localized else raw.decode("ascii", "replace")
            pieces = [text] if representation in _SINGLE else text.split("\\")
            yield Text(
                tag=tag,
                keyword=keyword_of(tag),
                representation=representation.decode(),
                values=tuple(piece.rstrip(" \0") for piece in pieces),
                depth=depth,
            )
