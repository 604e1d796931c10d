"""A file's data set to a socket, in as few system calls as there can be: bytes unchanged, memory flat.

A buffer is laid out as the P-DATA-TF PDUs that go out, and the file is read straight into the places between their
headers. So each byte is copied once out of the page cache and once into the socket, and never by Python.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from typing import Final

from attrs import define, frozen

from vna_lifecycle.adapters.dimse.wire.channel import P_DATA, Channel
from vna_lifecycle.dicom.limits import LIMITS, refused
from vna_lifecycle.dicom.part10 import begin
from vna_lifecycle.dicom.source import Source
from vna_lifecycle.errors import DicomRefused

_BATCH: Final = 640 << 10
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
        DicomRefused: there is none, or it has an odd length: no fragment may (PS3.8 Annex E.1), and peers abort.
        OSError: the file cannot be opened or read.
    """
    descriptor = os.open(path, _OPEN)
    try:

        def read_at(offset: int, length: int) -> bytes:
            return os.pread(descriptor, length, offset)

        size = os.fstat(descriptor).st_size
        beginning = begin(Source(read_at, size, os.pread(descriptor, _HEAD, 0)), LIMITS)
        if (size - beginning.start) & 1:
            raise DicomRefused(
                "the data set has an odd number of bytes, which cannot be sent over DIMSE as they are",
                code="odd-length",
                offset=size,
                hint="Move this object by another way, such as DICOMweb or files.",
            )
        return DataSet(descriptor, beginning.start, size - beginning.start, beginning.transfer_syntax)
    except BaseException:
        os.close(descriptor)
        raise


@define
class Batch:
    """A buffer of PDUs. ``context_id`` is the one in their headers, -1 where those must be written anew."""

    buffer: bytearray
    view: memoryview
    slots: list[memoryview]
    context_id: int = -1


@define
class Staged:
    """An object that is ready to go: the first of its PDUs lie in ``batch``, from ``first`` to ``end``."""

    batch: Batch
    context_id: int
    data: DataSet
    first: int
    end: int
    read: int


class Sender:
    """Sends data sets over one association. Has two buffers, so that the next object is read while one is answered."""

    def __init__(self, channel: Channel, max_send: int) -> None:
        self._channel = channel
        self._max_send = max_send
        self._room = max_send - 6
        self._stride = max_send + 6
        pieces = max(1, min(_MOST_PIECES, _BATCH // self._stride))
        self._starts = [_COMMAND_ROOM + 12 + number * self._stride for number in range(pieces)]
        self._size = _COMMAND_ROOM + pieces * self._stride
        self._most = pieces * self._room
        self._batches = (self._batch(), self._batch())
        self._turn = 0

    def stage(self, context_id: int, command: bytes, data: DataSet) -> Staged:
        """Read the beginning of an object into the buffer whose turn it is. ``command`` is its command set, as PDUs.

        Raises:
            DicomRefused: the file became shorter meanwhile.
            OSError: the file cannot be read.
        """
        if len(command) > _COMMAND_ROOM:
            raise ValueError("a command set that is too long")
        batch = self._batches[self._turn]
        self._turn ^= 1
        if context_id != batch.context_id:
            for begin in self._starts:
                _HEADERS.pack_into(batch.buffer, begin - 12, P_DATA, self._max_send, self._room + 2, context_id, 0)
            batch.context_id = context_id
        first = _COMMAND_ROOM - len(command)
        batch.buffer[first:_COMMAND_ROOM] = command
        staged = Staged(batch, context_id, data, first, 0, 0)
        self._load(staged)
        return staged

    def send(self, staged: Staged) -> None:
        """Send an object; nothing may have been staged but the one that follows it.

        Raises:
            ArchiveError: as `Channel.send`.
            DicomRefused: the file became shorter meanwhile; the association can only be aborted.
            OSError: the file cannot be read.
        """
        while True:
            self._channel.send(staged.batch.view[staged.first : staged.end])
            if staged.read == staged.data.size:
                return
            staged.first = _COMMAND_ROOM
            self._load(staged)

    def _batch(self) -> Batch:
        buffer = bytearray(self._size)
        view = memoryview(buffer)
        return Batch(buffer, view, [view[begin : begin + self._room] for begin in self._starts])

    def _load(self, staged: Staged) -> None:
        """Fill the places between the headers with the next bytes of the file."""
        batch, data = staged.batch, staged.data
        offset = data.start + staged.read
        size = min(data.size - staged.read, self._most)
        whole, rest = divmod(size, self._room)
        slots = batch.slots[:whole]
        if rest:
            slots.append(batch.slots[whole][:rest])
        count = os.preadv(data.descriptor, slots, offset) if slots else 0
        while count < size:  # a signal, a network file system, or a file that became shorter
            number, within = divmod(count, self._room)
            slot = batch.slots[number][within : within + size - count]
            more = os.preadv(data.descriptor, [slot], offset + count)
            if not more:
                raise refused("truncated", offset + count)
            count += more
        staged.read += size
        staged.end = self._size if staged.read < data.size else self._close(staged, size)

    def _close(self, staged: Staged, size: int) -> int:
        """Make the last of ``size`` bytes the last fragment; where the bytes to be sent end."""
        number = max(size - 1, 0) // self._room
        begin, length = self._starts[number], size - number * self._room
        _HEADERS.pack_into(staged.batch.buffer, begin - 12, P_DATA, length + 6, length + 2, staged.context_id, _LAST)
        staged.batch.context_id = -1
        return begin + length
