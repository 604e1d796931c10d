"""PDUs over a socket: lengths are checked before bodies are read, into one fixed buffer (PS3.8 9.3)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Final

from vna_lifecycle.adapters.dimse.wire.hashing import Hashing
from vna_lifecycle.adapters.dimse.wire.reasons import abortion, lost, not_trusted, violation
from vna_lifecycle.errors import ArchiveError

ASSOCIATE_RQ: Final = 1
ASSOCIATE_AC: Final = 2
ASSOCIATE_RJ: Final = 3
P_DATA: Final = 4
RELEASE_RQ: Final = 5
RELEASE_RP: Final = 6
ABORT: Final = 7

NEGOTIATION: Final = 256 << 10
"""The longest A-ASSOCIATE body that is read: 128 contexts of 60 transfer syntaxes need less."""

_TICK: Final = 0.25
_SLOW_HINT: Final = "See the archive's log and its load. Where it only needs longer: answer_timeout, stall_timeout."
_LINGER: Final = 1.0
_SOCKET_BUFFER: Final = 4 << 20
_READ_AHEAD: Final = 3
_HEADER: Final = Struct(">BxL").unpack_from
_RELEASE_RQ: Final = b"\x05\0\0\0\0\x04\0\0\0\0"
_RELEASE_RP: Final = b"\x06\0\0\0\0\x04\0\0\0\0"


class Channel:
    """One connection. Not to be shared between threads.

    ``body`` is the last PDU that was read, without its header; it may be overwritten by the next. ``hashing`` makes the
    digests of data sets. It may lag behind, so there are two buffers: one is filled while the other is hashed.
    """

    __slots__ = (
        "_end",
        "_limits",
        "_marks",
        "_next",
        "_side",
        "_socket",
        "_stall",
        "_view",
        "_views",
        "body",
        "hashing",
    )

    def __init__(self, connected: socket.socket, *, max_pdu: int, stall: float) -> None:
        connected.settimeout(_TICK)
        self._socket = connected
        self._stall = stall
        self._limits = {P_DATA: max_pdu, ASSOCIATE_RQ: NEGOTIATION, ASSOCIATE_AC: NEGOTIATION}
        size = max(_READ_AHEAD * (max_pdu + 6), NEGOTIATION + 6)
        self._views = (memoryview(bytearray(size)), memoryview(bytearray(size)))
        self._marks = [0, 0]
        self._side = 0
        self._view = self._views[0]
        self.hashing = Hashing()
        self._next = self._end = 0
        self.body = self._view[:0]

    def read(self, patience: float, *, idle: Callable[[], None] | None = None, whole: bool = False) -> int:
        """Wait ``patience`` seconds at most for the next PDU to begin (``whole``: to end), and return its type.

        ``idle`` is called a few times a second while nothing comes. An A-ABORT is raised, not returned.

        Raises:
            ArchiveError: nothing came in time, the connection ended, or what came is no PDU.
        """
        deadline = time.monotonic() + patience
        if self._end - self._next < 6:
            self._fill(6, deadline, idle, extend=not whole)
        kind, length = _HEADER(self._view, self._next)
        if not 1 <= kind <= 7:
            raise violation("what it sends is no PDU")
        if length > self._limits.get(kind, 4) or length < 4:
            raise violation(f"a PDU of type {kind} with a length of {length:,} bytes")
        total = 6 + length
        if self._end - self._next < total:
            self._fill(total, deadline if whole else time.monotonic() + self._stall, None)
        begin = self._next
        self._next = begin + total
        self.body = self._view[begin + 6 : begin + total]
        if kind == ABORT:
            raise abortion(self.body[2], self.body[3])
        return int(kind)

    def _fill(self, size: int, deadline: float, idle: Callable[[], None] | None, *, extend: bool = False) -> None:
        """Read until ``size`` bytes from the next PDU on are there; ``extend``: once it begins, it has ``stall``."""
        if self._next == self._end or self._next + size > len(self._view):
            self._turn()
        while self._end - self._next < size:
            try:
                count = self._socket.recv_into(self._view[self._end :])
            except (TimeoutError, ssl.SSLWantReadError):
                count = -1
                if idle is not None and self._end == self._next:
                    idle()
            except (OSError, ValueError) as problem:
                if isinstance(problem, ssl.SSLError) and "ALERT" in (problem.reason or ""):
                    raise not_trusted(problem.reason.lower().replace("_", " ")) from problem
                raise lost(_words(problem)) from problem
            if not count:
                raise lost("the archive closed it")
            if count > 0:
                if extend and self._end == self._next:
                    deadline = time.monotonic() + self._stall
                self._end += count
            if time.monotonic() > deadline and self._end - self._next < size:
                what = "stopped in the middle of a PDU" if self._end > self._next else "did not answer in time"
                raise ArchiveError(f"the archive {what}", transient=True, hint=_SLOW_HINT)

    def _turn(self) -> None:
        """Go on in the other buffer, with what is left of this one at its beginning."""
        left = self._view[self._next : self._end]
        self._marks[self._side] = self.hashing.mark()
        self._side ^= 1
        self.hashing.before(self._marks[self._side])
        self._view = self._views[self._side]
        self._view[: len(left)] = left
        self._next, self._end = 0, len(left)

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it.

        Raises:
            ArchiveError: the connection ended, or the peer took nothing for ``stall`` seconds.
        """
        left = memoryview(data)
        deadline = 0.0
        while left:
            try:
                left = left[self._socket.send(left) :]
                deadline = 0.0
            except (TimeoutError, ssl.SSLWantWriteError):
                now = time.monotonic()
                deadline = deadline or now + self._stall - _TICK
                if now > deadline:
                    raise ArchiveError("the archive does not take what is sent to it", transient=True) from None
            except (OSError, ValueError) as problem:
                raise lost(_words(problem)) from problem

    def send_release(self) -> None:
        """Ask for the end of the association."""
        self.send(_RELEASE_RQ)

    def send_released(self) -> None:
        """Agree to the end of the association."""
        self.send(_RELEASE_RP)

    def abort(self, source: int = 0, reason: int = 0) -> None:
        """Say that the association is over, if that can still be said, and close (PS3.8 9.3.8)."""
        try:
            self._socket.settimeout(0.0)
            self._socket.send(bytes((7, 0, 0, 0, 0, 4, 0, 0, source, reason)))
        except (OSError, ValueError):
            pass  # it is over anyway
        self.close()

    def finish(self) -> None:
        """Let the peer have what was sent, and close: it hangs up first, or is given a moment (PS3.8 9.1.4)."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(_LINGER)
            deadline = time.monotonic() + _LINGER
            while self._socket.recv(4096) and time.monotonic() < deadline:
                pass
        except (OSError, ValueError):
            pass  # the peer was faster, or does not hang up
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):  # the peer was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hashing.close()


def tune(connection: socket.socket) -> None:
    """Small messages at once, large buffers, and a probe of connections that went dead."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, name in ((socket.SO_SNDBUF, "wmem_max"), (socket.SO_RCVBUF, "rmem_max")):
        if _allowed(name) >= _SOCKET_BUFFER:
            connection.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)


@cache
def _allowed(name: str) -> int:
    """The largest buffer that may be set. Where it is small, the kernel's own tuning goes further than setting it."""
    try:
        return int(Path("/proc/sys/net/core", name).read_text())
    except (OSError, ValueError):
        return 0


def _words(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else "") or type(problem).__name__
