"""Web servers that answer as a test says, and a gate before a real archive that sees who comes. Both may speak TLS."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

ANSWERS = "application/dicom+json"
PARTS = 'multipart/related; type="application/dicom"; boundary=XX'
Reply = tuple[int, Mapping[str, str], bytes | Iterable[bytes]]
"""Status, headers and body; a body in pieces goes on until it ends or nobody listens any more."""
Script = Callable[[str, str, bytes], Reply]


class Scripted:
    """A server that answers as it is told: ``script`` gets method, path and body. What came is in ``seen``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: Script = lambda method, path, body: answers()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.stopped = threading.Event()
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version: ClassVar[str] = "HTTP/1.1"
            disable_nagle_algorithm: ClassVar[bool] = True  # or every small answer takes 40 ms

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.command, self.path, dict(self.headers)))
                status, headers, data = outer.reply(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                whole = isinstance(data, bytes)
                if whole and "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(data)))
                self.close_connection = not whole or "Content-Length" in headers
                try:
                    self.end_headers()
                    for piece in [data] if isinstance(data, bytes) else data:
                        if self.command != "HEAD":
                            self.wfile.write(piece)
                except OSError:
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as the library wants it

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing of clients that go away, or that find our certificate wanting."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/dicom"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer to a request."""
        return self.script(method, path, body)

    def trickle(self, piece: bytes, seconds: float) -> Iterator[bytes]:
        """A body that never ends, a piece at a time, until the server is closed."""
        while not self.stopped.wait(seconds):
            yield piece

    def close(self) -> None:
        """End it."""
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class Gate(Scripted):
    """Before a real archive: lets those through whose Authorization is one of ``welcome``, or all if that is None.

    ``before`` sees each request that is let through, and may answer it instead of the archive.
    """

    def __init__(self, archive: str, *, welcome: set[str] | None = None) -> None:
        self._archive = urlsplit(archive)
        self.welcome = welcome
        self.before: Callable[[str, str], Reply | None] = lambda method, path: None
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}{self._archive.path}"

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The archive's answer, or a refusal."""
        if self.welcome is not None and headers.get("Authorization") not in self.welcome:
            return 401, {"WWW-Authenticate": "Bearer"}, b""
        if (instead := self.before(method, path)) is not None:
            return instead
        passed = {name: value for name, value in headers.items() if name in ("Accept", "Content-Type")}
        status, told, data = pass_on(self._archive.netloc, method, path, passed, body)
        return status, {"Content-Type": told.get("Content-Type", "")}, data


def pass_on(
    host: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """What a real server answers, from whatever stands before it."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def answers(*found: Mapping[str, object]) -> Reply:
    """Answers to a search: values by tag."""
    told = [{tag: {"vr": "LO", "Value": [value]} for tag, value in one.items()} for one in found]
    return 200, {"Content-Type": ANSWERS}, json.dumps(told).encode()


def part(data: bytes) -> bytes:
    """A body of one part."""
    return b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--XX--\r\n"


def retrieved(spec: ObjectSpec) -> Reply:
    """The answer to a retrieval of one object."""
    return 200, {"Content-Type": PARTS}, part(dicom_bytes(spec))
