"""Random access to the bytes of a file, of memory, or of an inflated data set, with flat memory."""

from __future__ import annotations

import errno
import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from vna_lifecycle.dicom.limits import Limits, refused

_FIRST_READ: Final = 16 << 10  # holds most headers; what is read beyond them costs more than a second read
_NEXT_READ: Final = 64 << 10
_FAR_READ: Final = 8 << 10
_CHUNK: Final = 1 << 20
_SPOOLED: Final = 8 << 20
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Source:
    """``size`` bytes, of which ``buffer`` holds those from ``base`` on.

    ``origin`` is what offsets are counted from in refusals: where an inflated data set began in its file.
    """

    __slots__ = ("_descriptor", "_read_at", "base", "buffer", "size")

    def __init__(
        self, read_at: Callable[[int, int], bytes], size: int, buffer: bytes = b"", descriptor: int = -1
    ) -> None:
        self._read_at = read_at
        self._descriptor = descriptor
        self.size = size
        self.buffer = buffer
        self.base = 0

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def window(self, offset: int) -> bytes:
        """Move the buffer so that it starts at ``offset`` and return it; empty only at the end."""
        near = offset <= self.base + len(self.buffer)
        self.buffer = self._exactly(offset, min(_NEXT_READ if near else _FAR_READ, max(self.size - offset, 0)))
        self.base = offset
        return self.buffer

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``, which the caller knows to be there and has bounded."""
        begin = offset - self.base
        if begin >= 0 and begin + length <= len(self.buffer):
            return self.buffer[begin : begin + length]
        return self._exactly(offset, length)

    def peek(self, offset: int) -> bytes:
        """The next 12 bytes from ``offset``, fewer at the end; the buffer follows, so that peeking on is cheap."""
        begin = offset - self.base
        if begin < 0 or (begin + 12 > len(self.buffer) and self.base + len(self.buffer) < self.size):
            self.window(offset)
            begin = 0
        return self.buffer[begin : begin + 12]

    def chunks(self, offset: int, length: int) -> Iterator[bytes]:
        """The same bytes in pieces of at most 1 MiB; every piece but the last has an even length."""
        end = offset + length
        while offset < end:
            piece = self._exactly(offset, min(_CHUNK, end - offset))
            yield piece
            offset += len(piece)

    def _exactly(self, offset: int, length: int) -> bytes:
        data = self._read_at(offset, length)
        while len(data) < length:
            more = self._read_at(offset + len(data), length - len(data))
            if not more:  # the file became shorter while it was read
                raise refused("truncated", offset + len(data))
            data += more
        return data


def bytes_source(data: bytes) -> Source:
    """Bytes in memory."""
    return Source(lambda offset, length: data[offset : offset + length], len(data), data)


def stream_source(stream: BinaryIO) -> Source:
    """A binary stream that can seek; its size is found by seeking to its end."""
    size = stream.seek(0, os.SEEK_END)

    def read_at(offset: int, length: int) -> bytes:
        stream.seek(offset)
        return stream.read(length)

    return Source(read_at, size)


def file_source(path: Path | str) -> Source:
    """A regular file, opened so that a pipe or device in its place never blocks. Use it in a ``with`` statement.

    Raises:
        DicomRefused: it is a folder (``directory``) or no regular file (``special-file``).
        OSError: it cannot be opened or read.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except IsADirectoryError:
        raise refused("directory", 0) from None
    except OSError as exc:
        if exc.errno == errno.ENXIO:  # a socket
            raise refused("special-file", 0) from None
        raise

    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refused("directory" if stat.S_ISDIR(status.st_mode) else "special-file", 0)
        return Source(_reading(descriptor), status.st_size, os.read(descriptor, _FIRST_READ), descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def descriptor_source(descriptor: int) -> Source:
    """A regular file that is open, and that stays open for whoever opened it.

    Raises:
        OSError: it cannot be read.
    """
    read_at = _reading(descriptor)
    return Source(read_at, os.fstat(descriptor).st_size, read_at(0, _FIRST_READ))


def _reading(descriptor: int) -> Callable[[int, int], bytes]:
    return lambda offset, length: os.pread(descriptor, length, offset)


@contextmanager
def inflated(source: Source, start: int, limits: Limits) -> Iterator[Source]:
    """The deflated data set from ``start`` on (PS3.5 A.5), inflated piece by piece into an unnamed temporary file.

    Raises:
        DicomRefused: ``bad-deflate``, ``truncated``, ``trailing-data`` or ``inflate-limit``; offsets are in ``source``.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOLED) as spool:
        consumed, checksum = start, 0
        for chunk in source.chunks(start, source.size - start):
            consumed += len(chunk)
            while chunk and not inflater.eof:
                try:
                    piece = inflater.decompress(chunk, _CHUNK)
                except zlib.error:
                    raise refused("bad-deflate", consumed - len(chunk)) from None
                spool.write(piece)
                checksum = zlib.crc32(piece, checksum)
                chunk = inflater.unconsumed_tail
                total = spool.tell()
                packed = consumed - len(chunk) - start
                if total > limits.inflated_size or total > max(limits.inflate_free, packed * limits.inflate_ratio):
                    raise refused("inflate-limit", consumed - len(chunk))
            if inflater.eof:
                break
        if not inflater.eof:
            raise refused("truncated", source.size)
        rest = source.size - consumed + len(inflater.unused_data)
        trailer = source.read(source.size - rest, min(rest, 8))
        if trailer == struct.pack("<LL", checksum, spool.tell() & 0xFFFFFFFF):  # a gzip trailer, as some writers leave
            rest -= 8
        if rest > limits.padding_size or source.read(source.size - rest, rest).strip(b"\0"):
            raise refused("trailing-data", source.size - rest)
        yield stream_source(spool)  # type: ignore[arg-type]  # typeshed: SpooledTemporaryFile is an IO[bytes]
