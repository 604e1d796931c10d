"""The body of a retrieval, on its way into a file: whole objects, never what they could be put together from.

An answer may refer to more than it holds, by Bulk Data URIs, by Content-Location or as an external body. Nothing of it
is followed: an object that is built from pieces is not the one that the archive keeps.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from vna_lifecycle.adapters.dicomweb.multipart import BadMultipart, Parts, boundary_of, media_type
from vna_lifecycle.errors import DiskFull

_OBJECT: Final = "application/dicom"
_PERHAPS: Final = frozenset({_OBJECT, "application/octet-stream", ""})
"""Media types under which objects come; of the last two, the bytes decide."""

_OTHER: Final = {
    "application/dicom+json": "metadata",
    "application/dicom+xml": "metadata",
    "application/octet-stream": "bulk data, or something else that is no DICOM file",
    "message/external-body": "a reference to another place",
}
_BIG: Final = 2 << 30  # what counts bytes with 32 bits, one of them for the sign, comes to an end here


class NotAnObject(Exception):
    """Something else came than an object; its text says what, without a word of the archive's own."""


class TooLarge(Exception):
    """More came than an object may have."""


class ObjectFile:
    """A spool file that is written, until it has ``most`` bytes."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._left = most
        self._file = path.open("wb", buffering=0)

    def __enter__(self) -> ObjectFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | memoryview) -> None:
        """Write all of it.

        Raises:
            TooLarge: it would be more than an object may have.
            DiskFull: no space is left.
        """
        left = memoryview(data)
        self._left -= len(left)
        if self._left < 0:
            raise TooLarge("an object came that is larger than largest_object allows")
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "free some disk space; then resume"
                raise DiskFull("no space is left for a fetched object", path=self._path.parent, hint=hint) from None
            raise


def receive_one(content_type: str, chunks: Iterable[bytes], file: ObjectFile) -> str:
    """One object: in a part of its own, as it was asked for, or alone, as some archives answer. Its media type.

    Raises:
        NotAnObject: something else comes.
        BadMultipart: the parts are not as they must be, or the answer is cut off.
        TooLarge: there is more than an object may have.
        DiskFull: no space is left.
    """
    kind = media_type(content_type)
    if not kind.startswith("multipart/"):
        see_kind(kind)
        for chunk in chunks:
            file.write(chunk)
        return kind
    parts = Parts(chunks, boundary_of(content_type))
    if not parts.next():
        raise BadMultipart("the answer has no part")
    see_kind(parts.kind)
    parts.read(file.write)
    return parts.kind


def see_kind(kind: str) -> None:
    """See that an object may come under this media type.

    Raises:
        NotAnObject: none does.
    """
    if kind not in _PERHAPS:
        raise NotAnObject(_OTHER.get(kind, "something of another media type"))


def unreadable_as(kind: str) -> str:
    """What came under this media type, when it is no object after all; ``""`` where it was said to be one."""
    return "" if kind == _OBJECT else _OTHER["application/octet-stream"]


class Breaks:
    """Where the answers about one object broke off."""

    def __init__(self) -> None:
        self._stated = 0
        self._received = 0
        self._before: tuple[int, int] | None = None

    def counted(self, stated: str | None, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks; ``stated`` is the answer's Content-Length."""
        self._stated = int(stated) if stated and stated.isascii() and stated.isdigit() else 0
        self._received = 0
        for chunk in chunks:
            self._received += len(chunk)
            yield chunk

    def again(self) -> bool:
        """Whether an answer of 2 GiB or more broke off where the one before it had: so it will every time."""
        here = self._stated, self._received
        same = max(here) >= _BIG and here == self._before
        self._before = here
        return same

    def place(self) -> str:
        """Where it was."""
        of = f" of {self._stated:,}" if self._stated else ""
        return f"after {self._received:,} bytes{of}"
