"""A long-lived storage service class provider: one AE title, one port, one thread for each association."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from vna_lifecycle.adapters.dimse.wire.channel import Channel, tune
from vna_lifecycle.adapters.dimse.wire.reasons import handshake
from vna_lifecycle.adapters.dimse.wire.serving import Service, client_certificate, serve
from vna_lifecycle.errors import ArchiveError, ArchiveUnreachable

_LOG: Final = logging.getLogger(__name__)
_SPARE: Final = 8
_WAKE: Final = 0.5
_JOIN: Final = 5.0
_REMEMBERED: Final = 64
"""Failed handshakes, of which anybody may cause any number."""


class Receiver:
    """Listens from the moment it is made until `close`. ``port`` is where, also when 0 was asked for.

    Raises:
        ArchiveUnreachable: it cannot listen there.
    """

    def __init__(
        self, service: Service, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._service = service
        self._tls = tls
        self._lock = threading.Lock()
        self._live: dict[threading.Thread, socket.socket] = {}
        self._serving = 0
        self._handshakes: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)
        self._closing = threading.Event()
        try:
            self._listener = socket.create_server((host, port), backlog=64)
        except (OSError, OverflowError) as problem:
            raise ArchiveUnreachable(
                f"the receiver cannot listen on port {port}: {getattr(problem, 'strerror', None) or 'no such port'}",
                hint="Choose another port, or find out which program uses it; ports below 1024 need permission.",
            ) from problem
        self._listener.settimeout(_WAKE)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._listen, name="dimse receiver", daemon=True)
        self._thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def associations(self) -> int:
        """How many associations there are at the moment."""
        with self._lock:
            return self._serving

    def failed_handshakes(self, since: float) -> tuple[str, ...]:
        """Why connections did not get through TLS since then (on the monotonic clock), each reason once."""
        with self._lock:
            return tuple(dict.fromkeys(why for when, why in self._handshakes if when >= since))

    def close(self) -> None:
        """Stop listening and end all associations. What is half received is removed."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._thread.join(_JOIN)
        self._listener.close()
        with self._lock:
            live = dict(self._live)
        for connection in live.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in live:
            thread.join(_JOIN)

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                if not self._closing.is_set():  # such as no file descriptor being left
                    time.sleep(_WAKE)
                continue
            with self._lock:
                crowded = len(self._live) >= self._service.limits.associations + _SPARE
            if crowded:
                connection.close()
                continue
            thread = threading.Thread(target=self._handle, args=(connection,), name="dimse association", daemon=True)
            with self._lock:
                self._live[thread] = connection
            try:
                thread.start()
            except RuntimeError:  # there can be no more threads at the moment
                with self._lock:
                    self._live.pop(thread)
                connection.close()

    def _handle(self, connection: socket.socket) -> None:
        try:
            with self._counted() as full:
                self._serve(connection, full=full)
        finally:
            connection.close()
            with self._lock:
                self._live.pop(threading.current_thread(), None)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[bool]:
        with self._lock:
            full = self._serving >= self._service.limits.associations
            self._serving += not full
        try:
            yield full
        finally:
            with self._lock:
                self._serving -= not full

    def _serve(self, connection: socket.socket, *, full: bool) -> None:
        limits = self._service.limits
        try:
            tune(connection)
            if self._tls is not None:
                connection.settimeout(limits.request)
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._live[threading.current_thread()] = connection
        except (OSError, ValueError) as problem:
            if self._tls is not None:
                with self._lock:
                    self._handshakes.append((time.monotonic(), handshake(problem)))
            _LOG.info("a connection ended before there was an association: %s", type(problem).__name__)
            return
        channel = Channel(connection, max_pdu=limits.max_pdu, stall=limits.stall)
        try:
            serve(channel, self._service, client_certificate(connection), full=full)
        except ArchiveError as problem:
            if not self._closing.is_set():
                # Its text, not the error: whoever keeps the record would keep all that was received.
                _LOG.info("an association ended early: %s", str(problem))
            channel.abort()
        else:
            channel.finish()
