"""A misbehaving PACS on a port of this machine."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Mapping
from typing import Self

from vna_lifecycle.testing.misbehaving_pacs.faults import Faults
from vna_lifecycle.testing.misbehaving_pacs.holdings import Holdings
from vna_lifecycle.testing.misbehaving_pacs.line import Disturbances, Ended, Line
from vna_lifecycle.testing.misbehaving_pacs.serving import Conversation

HOST = "127.0.0.1"


class MisbehavingPacs:
    """Listens on ``port`` for as long as the ``with`` statement, each association in a thread.

    ``objects`` are DICOM files. ``destinations`` are ports of this machine by AE title, for C-MOVE. ``faults`` may be
    replaced at any time. ``asked`` are the operations that were asked for, such as ``C-FIND IMAGE``, and
    ``associations`` how many were requested.
    """

    def __init__(
        self,
        objects: Iterable[bytes] = (),
        faults: Faults | None = None,
        *,
        title: str = "PACS",
        destinations: Mapping[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
        tls_out: ssl.SSLContext | None = None,
    ) -> None:
        self.title = title
        self.faults = faults or Faults()
        self.holdings = Holdings(objects)
        self.asked: list[str] = []
        self.associations = 0
        self.port = 0
        self._destinations = dict(destinations or {})
        self._tls, self._tls_out = tls, tls_out
        self._disturbances = Disturbances()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._listener = socket.create_server((HOST, self.port))
        self.port = int(self._listener.getsockname()[1])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and end all associations."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join(5)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def held(self) -> tuple[str, ...]:
        """The SOP Instance UIDs that it holds, sorted."""
        return tuple(sorted(held.uid for held in self.holdings.all()))

    def note(self, what: str) -> None:
        """Something was asked."""
        self.asked.append(what)

    def dial(self, destination: str) -> Line | None:
        """A connection to a receiver of this machine."""
        port = self._destinations.get(destination)
        if port is None:
            return None
        connection = socket.create_connection((HOST, port), timeout=10)
        if self._tls_out is not None:
            connection = self._tls_out.wrap_socket(connection, server_hostname=HOST)
        self._open.append(connection)
        return Line(connection, "objects", lambda: self.faults, self._disturbances)

    def _listen(self) -> None:
        while self._listener is not None:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.associations += 1
            self._open.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        # What a hostile test sends must not end in a traceback of a thread: the association is over, that is all.
        with contextlib.suppress(Ended, OSError, ValueError, KeyError, IndexError, AttributeError, struct.error):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                Conversation(self, Line(connection, "answers", lambda: self.faults, self._disturbances)).run()
