"""Answers that come too slowly to ever end are given up, wherever they drag: in headers, chunk sizes or bodies.

A socket's own time limit starts anew with every byte, so that a server could hold a program for ever.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection

_SLOWEST: Final = 1 << 10  # bytes per second, once an answer has lasted longer than the read timeout


class _Timely(io.RawIOBase):
    """What a socket brings, as long as it comes at a pace. Waiting for the first byte is the socket's own limit."""

    def __init__(self, raw: io.RawIOBase, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._raw = raw
        self._patience = patience
        self._clock = clock
        self._begun: float | None = None
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        count = self._raw.readinto(buffer)
        now = self._clock()
        if self._begun is None:
            self._begun = now
        self._count += count or 0
        lasted = now - self._begun
        if lasted > self._patience and self._count < lasted * _SLOWEST:
            raise TimeoutError("the answer comes too slowly")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that is read at a pace."""

    def __init__(self, sock: socket.socket, *args: Any, **keywords: Any) -> None:
        super().__init__(sock, *args, **keywords)
        patience = sock.gettimeout()
        if patience is not None:
            self.fp = io.BufferedReader(_Timely(self.fp.detach(), patience))

    def begin(self) -> None:
        super().begin()
        self.headers.defects.clear()  # urllib3 would warn of them, and name the study's URL
        self.headers.set_payload("")


class PacedConnection(HTTPConnection):
    """A connection whose answers come at a pace."""

    response_class = _Answer


class PacedTlsConnection(HTTPSConnection):
    """The same over TLS."""

    response_class = _Answer
