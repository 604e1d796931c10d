"""A file's data set to a socket, in as few system calls as there can be: bytes unchanged, memory flat.

One buffer is laid out as the P-DATA-TF PDUs that go out, and the file is read straight into the places between their
headers. So each byte is copied once out of the page cache and once into the socket, and never by Python.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire.channel import P_DATA
from vna_lifecycle.adapters.dimse.wire.link import Link
from vna_lifecycle.dicom.limits import LIMITS, refused
from vna_lifecycle.dicom.part10 import begin
from vna_lifecycle.dicom.source import Source

_BATCH: Final = 512 << 10
_COMMAND_ROOM: Final = 2048
_HEAD: Final = 4096
_HEADERS: Final = Struct(">BxLLBB")
_OPEN: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_LAST: Final = 2
_MOST_PIECES: Final = 512  # a vectored read takes at most IOV_MAX pieces, 1,024 on Linux


@frozen
class DataSet:
    """An open file's data set: its place, and how it is encoded. To be closed by `close`."""

    descriptor: int
    start: int
    size: int
    transfer_syntax: str

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def open_data_set(path: Path | str) -> DataSet:
    """Find the data set behind preamble and file meta information.

    Raises:
        DicomRefused: there is none.
        OSError: the file cannot be opened or read.
    """
    descriptor = os.open(path, _OPEN)
    try:

        def read_at(offset: int, length: int) -> bytes:
            return os.pread(descriptor, length, offset)

        size = os.fstat(descriptor).st_size
        beginning = begin(Source(read_at, size, os.pread(descriptor, _HEAD, 0)), LIMITS)
        return DataSet(descriptor, beginning.start, size - beginning.start, beginning.transfer_syntax)
    except BaseException:
        os.close(descriptor)
        raise


class Sender:
    """Sends data sets over one association, with one buffer for all of them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._room = link.max_send - 6
        self._stride = link.max_send + 6
        self._pieces = max(1, min(_MOST_PIECES, _BATCH // self._stride))
        self._buffer = bytearray(_COMMAND_ROOM + self._pieces * self._stride)
        self._view = memoryview(self._buffer)
        starts = [_COMMAND_ROOM + 12 + number * self._stride for number in range(self._pieces)]
        self._starts = starts
        self._slots = [self._view[begin : begin + self._room] for begin in starts]
        self._batch = self._pieces * self._room
        self._context = -1

    def send(self, context_id: int, command: bytes, data: DataSet) -> None:
        """Send a command set, already as PDUs, and the data set after it.

        Raises:
            ArchiveError: as `Channel.send`.
            DicomRefused: the file became shorter meanwhile; the association can only be aborted.
            OSError: the file cannot be read.
        """
        if context_id != self._context:
            for begin in self._starts:
                _HEADERS.pack_into(self._buffer, begin - 12, P_DATA, self._link.max_send, self._room + 2, context_id, 0)
            self._context = context_id
        if len(command) > _COMMAND_ROOM:
            self._link.channel.send(command)
            command = b""
        first = _COMMAND_ROOM - len(command)
        self._buffer[first:_COMMAND_ROOM] = command
        offset, left = data.start, data.size
        while True:
            size = min(left, self._batch)
            self._read(data.descriptor, offset, size)
            offset += size
            left -= size
            end = self._close(size, context_id) if not left else len(self._buffer)
            self._link.channel.send(self._view[first:end])
            if not left:
                return
            first = _COMMAND_ROOM

    def _read(self, descriptor: int, offset: int, size: int) -> None:
        """Fill the places between the headers with ``size`` bytes of the file."""
        whole, rest = divmod(size, self._room)
        slots = self._slots[:whole]
        if rest:
            slots.append(self._slots[whole][:rest])
        count = os.preadv(descriptor, slots, offset) if slots else 0
        while count < size:  # a signal, a network file system, or a file that became shorter
            number, within = divmod(count, self._room)
            slot = self._slots[number]
            more = os.preadv(descriptor, [slot[within : min(self._room, within + size - count)]], offset + count)
            if not more:
                raise refused("truncated", offset + count)
            count += more

    def _close(self, size: int, context_id: int) -> int:
        """Make the last of ``size`` bytes the last fragment; where the bytes to be sent end."""
        number = max(size - 1, 0) // self._room
        begin, length = self._starts[number], size - number * self._room
        _HEADERS.pack_into(self._buffer, begin - 12, P_DATA, length + 6, length + 2, context_id, _LAST)
        self._context = -1 if number else self._context
        return begin + length
