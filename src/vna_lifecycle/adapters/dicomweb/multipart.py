"""``multipart/related`` in both directions (PS3.18 8.6, RFC 2046 5.1), never with a whole object in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from attrs import frozen

_HEADER_LIMIT: Final = 16 << 10
_PREAMBLE_LIMIT: Final = 64 << 10
_CHUNK: Final = 256 << 10
_PART_HEAD: Final = b"Content-Type: application/dicom\r\n\r\n"
_BOUNDARY: Final = re.compile(r""";\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s";,]{1,200}))""", re.IGNORECASE)


class BadMultipart(Exception):
    """The body is not what its type says, or ends before it is complete."""


class Sink(Protocol):
    """Takes a part's bytes as they come."""

    def __call__(self, data: bytes | memoryview) -> object:
        """Take some."""
        ...


def boundary_of(content_type: str) -> bytes:
    """The boundary that a media type states.

    Raises:
        BadMultipart: it is no multipart type, or states none.
    """
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().lstrip().startswith("multipart/") or found is None:
        raise BadMultipart("the answer is not in parts")
    return (found[1] or found[2]).encode("latin_1")


def media_type(content_type: str) -> str:
    """A media type without its parameters, in lower case (RFC 9110 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


class Parts:
    """The parts of a body, one after the other; each is read before the next. ``kind`` is the present one's media type.

    Other headers of a part, such as Content-Location, say nothing that is needed, and are not looked at.
    """

    def __init__(self, chunks: Iterable[bytes], boundary: bytes) -> None:
        self._chunks = iter(chunks)
        self._mark = b"\r\n--" + boundary
        self._passed = False  # whether the boundary before the next part is behind us
        self._buffer = b"\r\n"  # so that the first boundary is found like all others
        self._stated: int | None = None
        self.kind = ""

    def next(self) -> bool:
        """Go to the next part, or to the first; False at the end. A preamble is skipped.

        Raises:
            BadMultipart: the body is cut off, or begins with too much that is in no part, or with headers without end.
        """
        if not self._passed:
            self._until_mark(_Preamble(), None)
        self._passed = False
        while len(self._buffer) < 2:
            self._more()
        if self._buffer.startswith(b"--"):
            return False
        self._headers()
        return True

    def _headers(self) -> None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEADER_LIMIT:
                raise BadMultipart("a part's headers have no end")
            self._more()
        headers = self._buffer[:end]
        self._stated = _length(headers)
        self.kind = media_type(_header(headers, b"content-type").decode("latin_1"))
        self._buffer = self._buffer[end + 4 :]

    def read(self, sink: Sink) -> int:
        """The present part's bytes, to ``sink``; how many.

        Raises:
            BadMultipart: the part is cut off, or has another length than it states.
        """
        count = self._until_mark(sink, self._stated)
        self._passed = True
        return count

    def _until_mark(self, sink: Sink, stated: int | None) -> int:
        count = 0
        if stated is not None:  # a boundary inside of it would be none
            while count + len(self._buffer) < stated:
                count += len(self._buffer)
                sink(self._buffer)
                self._buffer = b""
                self._more()
            rest = stated - count
            sink(memoryview(self._buffer)[:rest])
            self._buffer, count = self._buffer[rest:], stated
        keep = len(self._mark) - 1
        while (at := self._buffer.find(self._mark)) < 0:
            ready = len(self._buffer) - keep
            if ready > 0:
                sink(memoryview(self._buffer)[:ready])
                self._buffer = self._buffer[ready:]
                count += ready
            self._more()
        sink(memoryview(self._buffer)[:at])
        self._buffer = self._buffer[at + len(self._mark) :]
        if stated is not None and count + at != stated:
            raise BadMultipart("a part has another length than it states")
        return count + at

    def _more(self) -> None:
        chunk = next(self._chunks, b"")
        if not chunk:
            raise BadMultipart("the answer ends before it is complete")
        self._buffer = self._buffer + chunk if self._buffer else chunk


class _Preamble:
    """Takes what is before the first part, and not for ever."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, data: bytes | memoryview) -> None:
        self._count += len(data)
        if self._count > _PREAMBLE_LIMIT:
            raise BadMultipart("the answer begins with too much that is in no part")


def _length(headers: bytes) -> int | None:
    value = _header(headers, b"content-length")
    return int(value) if re.fullmatch(rb"[0-9]{1,18}", value) else None


def _header(headers: bytes, wanted: bytes) -> bytes:
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == wanted:
            return value.strip()
    return b""


@frozen(kw_only=True)
class Body:
    """Files as the parts of one request, streamed from disk.

    ``files`` are paths with the sizes that they had; ``boundary`` must not occur in them.
    """

    files: Sequence[tuple[Path, int]]
    boundary: str

    @property
    def content_type(self) -> str:
        """The request's media type."""
        return f'multipart/related; type="application/dicom"; boundary={self.boundary}'

    @property
    def length(self) -> int:
        """The request's length in bytes."""
        begin, end = self._begin(), self._end()
        return sum(len(begin) + size + 2 for _, size in self.files) + len(end)

    def _begin(self) -> bytes:
        return b"--" + self.boundary.encode() + b"\r\n" + _PART_HEAD

    def _end(self) -> bytes:
        return b"--" + self.boundary.encode() + b"--\r\n"

    def chunks(self) -> Iterator[bytes]:
        """The request's bytes: small files joined, large ones piece by piece.

        Raises:
            OSError: a file cannot be read, or has another size now.
        """
        waiting = bytearray()
        for path, size in self.files:
            waiting += self._begin()
            left = size
            with path.open("rb", buffering=0) as file:
                while left:
                    data = file.read(min(_CHUNK, left))
                    if not data:
                        raise OSError(f"a file of {size} bytes has become shorter")
                    left -= len(data)
                    waiting += data
                    if len(waiting) >= _CHUNK:
                        yield bytes(waiting)
                        waiting.clear()
            waiting += b"\r\n"
        yield bytes(waiting + self._end())
