"""One connection of a misbehaving PACS: messages in, PDUs out, disturbed as it was told."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Final

from attrs import frozen
from pydicom.dataset import Dataset

from vna_lifecycle.testing.misbehaving_pacs import pdu
from vna_lifecycle.testing.misbehaving_pacs.faults import Faults

_HELD_SECONDS: Final = 60.0
MAX_PDU: Final = 65_536


class Ended(Exception):
    """The connection is over: released, lost, or cut on purpose."""


@frozen(kw_only=True)
class Message:
    """A message: its presentation context, command set, and data set as it came."""

    context: int
    command: Dataset
    data: bytes | None = None


class Disturbances:
    """How often a disturbance may still happen, on all associations together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0

    def take(self, times: int) -> bool:
        """Whether it happens now."""
        with self._lock:
            self._done += 1
            return self._done <= times


class Line:
    """Sends and reads. ``kind`` is which of a disturbance's associations it is."""

    def __init__(
        self, connection: socket.socket, kind: str, faults: Callable[[], Faults], disturbances: Disturbances
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._faults = faults
        self._disturbances = disturbances
        self._sent = 0
        self.max_send = MAX_PDU
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send a PDU, or what comes instead of it."""
        self._sent += 1
        faults = self._faults()
        wrong = faults.disturbance
        here = wrong is not None and (wrong.on, wrong.pdu) == (self._kind, self._sent)
        if wrong is not None and here and self._disturbances.take(wrong.times):
            self.put(wrong.instead)
            if wrong.hold:
                self._wait_for_end()
            raise Ended
        if faults.late:
            time.sleep(faults.late)
        self.put(data, faults.drip)

    def tell(self, context: int, command: Dataset, data: bytes | None = None) -> None:
        """Send a message."""
        for piece in pdu.message(context, command, data, self.max_send):
            self.send(piece)

    def read_pdu(self) -> tuple[int, bytes]:
        """The next PDU's type and body."""
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return kind, self._exactly(length)

    def next_message(self) -> Message:
        """The next whole message; a release is answered."""
        command: Dataset | None = None
        pieces: list[bytes] = []
        while True:
            kind, body = self.read_pdu()
            if kind == pdu.RELEASE_RQ:
                self.send(pdu.pdu(pdu.RELEASE_RP, bytes(4)))
            if kind != pdu.DATA:
                raise Ended
            for context, control, value in pdu.values(body):
                pieces.append(value)
                if not control & 2:
                    continue
                whole, pieces = b"".join(pieces), []
                if control & 1:
                    command = pdu.decoded(whole, "1.2.840.10008.1.2")
                    if command.CommandDataSetType == pdu.NO_DATA_SET:
                        return Message(context=context, command=command)
                elif command is not None:
                    return Message(context=context, command=command, data=whole)

    def waiting(self) -> bool:
        """Whether the other side has said something that was not read yet."""
        return bool(select.select([self._connection], [], [], 0)[0])

    def hang_up(self) -> None:
        """Release the association without waiting for the answer, and close."""
        with contextlib.suppress(OSError):
            self._connection.sendall(pdu.pdu(pdu.RELEASE_RQ, bytes(4)))
        self._connection.close()

    def put(self, data: bytes, drip: float = 0.0) -> None:
        """Send these bytes, whatever they are; with ``drip`` seconds before the next one."""
        try:
            if not drip:
                self._connection.sendall(data)
                return
            for byte in data:
                self._connection.sendall(bytes((byte,)))
                time.sleep(drip)
        except OSError:
            raise Ended from None

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                piece = self._connection.recv(min(size - len(found), 1 << 20))
            except OSError:
                raise Ended from None
            if not piece:
                raise Ended
            found += piece
        return bytes(found)

    def _wait_for_end(self) -> None:
        """Say nothing more, until the other side hangs up."""
        self._connection.settimeout(_HELD_SECONDS)
        try:
            while self._connection.recv(1 << 16):
                pass
        except OSError:
            pass
