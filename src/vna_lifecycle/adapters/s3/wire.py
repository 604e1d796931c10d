"""One HTTP/1.1 request and its answer (RFC 9112), on a connection that botocore makes as it makes its own.

Objects go through here, as `http.client` and urllib3 spend more time on each than the system needs to move its bytes.
An answer in an unusual form (in chunks, after an interim answer, before the connection ends) is left to `http.client`.
"""

from __future__ import annotations

import http.client
import io
import re
import shutil
import ssl
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urlsplit

from attrs import define, frozen
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError, SSLError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

_BUFFER: Final = 1 << 20
_LONGEST_HEAD: Final = 64 << 10
_USUAL: Final = re.compile(rb"HTTP/1\.1 ([2-5]\d\d)[ \r]")
_UNUSUAL: Final = re.compile(rb"\r\n(?:transfer-encoding:|connection:[ \t]*close|[ \t])", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_OK: Final = 200


@frozen(kw_only=True)
class Answer:
    """What the server said: ``size`` bytes, of which ``body`` has none where they went into a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    size: int


class Wire:
    """Exchanges with the server at one address."""

    def __init__(self, session: Any, address: str, read_timeout: float) -> None:
        """Take a client's `botocore.httpsession.URLLib3Session`; nothing is sent yet."""
        pool = session._get_connection_manager(address).connection_from_url(address)
        session._setup_ssl_cert(pool, address, session._verify)
        self._take, self._give_back = pool._get_conn, pool._put_conn
        self._read_timeout = read_timeout
        self._own = threading.local()

    def exchange(self, request: AWSPreparedRequest, into: BinaryIO | None = None) -> Answer:
        """Send a request and take its answer; the body of one that is no error goes ``into`` a file.

        Raises:
            BotoCoreError: the connection broke, or nothing came in time.
            HTTPError: there is no connection.
            OSError: the file cannot be written.
        """
        connection = self._take()
        try:
            line = _Line(connection=connection, url=request.url)
            line.begin(self._read_timeout)
            line.send(_head(request))
            body: Any = request.body
            if body:
                line.send(body)
            answer, usual = self._answer(line, request.method, into)
        except BaseException:
            connection.close()
            raise
        if not usual:
            connection.close()
        self._give_back(connection)
        return answer

    def _answer(self, line: _Line, method: str, into: BinaryIO | None) -> tuple[Answer, bool]:
        """The answer, and whether the connection can be used again."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = bytearray(_BUFFER)
        buffer: bytearray = self._own.buffer
        view = memoryview(buffer)
        filled = line.receive(view)
        while (end := buffer.find(b"\r\n\r\n", 0, filled)) < 0 and 0 < filled < _LONGEST_HEAD:
            more = line.receive(view[filled:])
            filled = filled + more if more else 0
        head = bytes(view[: end + 2]) if end >= 0 else b""
        status, length = _USUAL.match(head), _LENGTH.search(head)
        if line.broken or status is None or length is None or _UNUSUAL.search(head):
            return _read(_Replayed(first=bytes(view[:filled]), line=line), method, into), False
        size = int(length[1])
        body = into if into is not None and int(status[1]) == _OK else io.BytesIO()
        body.write(view[end + 4 : min(filled, end + 4 + size)])
        left = size - (filled - end - 4)
        while left > 0:
            if not (count := line.receive(view[: min(left, _BUFFER)])):
                raise ConnectionClosedError(endpoint_url=line.url)
            body.write(view[:count])
            left -= count
        kept = body.getvalue() if isinstance(body, io.BytesIO) and body is not into else b""
        return Answer(status=int(status[1]), headers=_headers(head), body=kept, size=size), left == 0


@define
class _Line:
    """A connection of urllib3, with botocore's errors. ``broken``: the server took no more of what was sent."""

    connection: Any
    url: str
    broken: bool = False

    def begin(self, timeout: float) -> None:
        try:
            if self.connection.is_closed:
                self.connection.connect()
            self.connection.sock.settimeout(timeout)
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=self.url, error=error) from None

    def send(self, data: bytes) -> None:
        try:
            if not self.broken:
                self.connection.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.broken = True  # it may have answered before it stopped listening
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=self.url, error=error) from None
        except OSError as error:
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from None

    def receive(self, view: memoryview) -> int:
        try:
            return self.connection.sock.recv_into(view)  # type: ignore[no-any-return]
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=self.url, error=error) from None
        except OSError as error:
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from None


def _head(request: AWSPreparedRequest) -> bytes:
    """The request without its body.

    Raises:
        ValueError: a header has more than one line.
    """
    address = urlsplit(request.url)
    target = f"{address.path}?{address.query}" if address.query else address.path
    lines = [f"{request.method} {target} HTTP/1.1", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(lines)
    if head.count("\r") + head.count("\n") != 2 * len(lines) - 2:
        raise ValueError("a header has more than one line")
    return f"{head}\r\n\r\n".encode()


def _headers(head: bytes) -> dict[str, str]:
    """By lower-case names."""
    lines = head.decode("latin-1").split("\r\n")[1:-1]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


@define
class _Replayed:
    """What came in already, and then what still comes, as a socket and the file of it that `http.client` reads."""

    first: bytes
    line: _Line
    closed: bool = False

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)  # type: ignore[arg-type]  # what it calls of a raw file is here

    def readable(self) -> bool:
        return True

    def readinto(self, view: memoryview) -> int:
        if not self.first:
            return self.line.receive(view)
        count = min(len(view), len(self.first))
        view[:count] = self.first[:count]
        self.first = self.first[count:]
        return count

    def flush(self) -> None:
        """There is nothing to be written."""

    def close(self) -> None:
        self.closed = True


def _read(incoming: _Replayed, method: str, into: BinaryIO | None) -> Answer:
    response = http.client.HTTPResponse(incoming, method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if into is None or response.status != _OK:
            body = response.read()
            return Answer(status=response.status, headers=headers, body=body, size=len(body))
        begin = into.tell()
        shutil.copyfileobj(response, into)
        if response.length:
            raise ConnectionClosedError(endpoint_url=incoming.line.url)
        return Answer(status=response.status, headers=headers, body=b"", size=into.tell() - begin)
    except http.client.HTTPException as error:
        raise ConnectionClosedError(endpoint_url=incoming.line.url, error=error) from None
