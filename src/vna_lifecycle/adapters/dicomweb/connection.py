"""Requests to one origin, and never to another: credentials, TLS, time limits, short retries, bounded answers."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import stamina
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.connectionpool import HTTPConnectionPool, connection_from_url
from urllib3.exceptions import HTTPError

from vna_lifecycle.adapters.dicomweb.multipart import media_type
from vna_lifecycle.adapters.dicomweb.pace import PacedConnection, PacedTlsConnection
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.adapters.dicomweb.trouble import (
    PASSING,
    BrokenAnswer,
    TooBroad,
    page_error,
    redirect_error,
    status_error,
    transport_error,
)
from vna_lifecycle.adapters.tls import tls_context
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Site

CHUNK: Final = 256 << 10
_LARGEST_ANSWER: Final = 64 << 20  # of JSON; a page of 500 answers has about 1 MB
_SMALL_REST: Final = 64 << 10
_SECONDS: Final = 30.0
_LONGEST_WAIT: Final = 8.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_T = TypeVar("_T")


class Connection:
    """The origin that the settings name. Threads may share it."""

    def __init__(self, settings: DicomwebSettings, site: Site) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            ConfigurationError: a secret or a certificate cannot be used.
        """
        self.settings = settings
        self.site = site
        self.archive = site.name
        self._root = urlsplit(settings.url).path.rstrip("/")
        options: dict[str, Any] = {}
        if settings.url.startswith("https"):
            options["ssl_context"] = tls_context(
                ssl.Purpose.SERVER_AUTH,
                ca=settings.tls_ca,
                certificate=settings.tls_certificate,
                key=settings.tls_key,
                minimum=settings.tls_minimum,
            )
        logging.getLogger("urllib3.connectionpool").addFilter(_names_no_study)
        self._pool: HTTPConnectionPool = connection_from_url(
            settings.url,
            maxsize=settings.connections,
            block=False,
            retries=False,
            timeout=Timeout(connect=settings.connect_timeout, read=settings.read_timeout),
            blocksize=CHUNK,
            **options,
        )
        self._pool.ConnectionCls = PacedTlsConnection if options else PacedConnection
        self._slots = threading.BoundedSemaphore(settings.connections)
        self._authorization = self._credentials()

    def _credentials(self) -> str:
        settings, secret = self.settings, self.site.secret
        if settings.token is not None:
            return f"Bearer {secret(settings.token)}"
        if settings.user is not None and settings.password is not None:
            pair = f"{secret(settings.user)}:{secret(settings.password)}"
            return f"Basic {base64.b64encode(pair.encode()).decode()}"
        return ""

    def close(self) -> None:
        """End the connections."""
        self._pool.close()

    def path(self, prefix: str, *names: str) -> str:
        """A path below the URL; names are quoted, whatever they hold."""
        parts = [self._root, prefix, *(quote(name, safe="") for name in names)]
        return "/".join(part for part in parts if part) if self._root else "/" + "/".join(filter(None, parts))

    @contextmanager
    def request(
        self,
        path: str,
        doing: str,
        *,
        accept: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterable[bytes]] | None = None,
    ) -> Iterator[BaseHTTPResponse]:
        """An answer whose status is about what was asked for, its body not yet read.

        It has one of the settings' ``connections`` to itself, which whoever asks meanwhile may have to wait for; so
        none may be asked for while another is held.

        Raises:
            ArchiveError: there is no answer, or it is about the archive as a whole.
        """
        with self._slots, self._answer(path, doing, method, {"Accept": accept, **(headers or {})}, body) as answer:
            yield answer

    @contextmanager
    def _answer(
        self, path: str, doing: str, method: str, headers: dict[str, str], body: Callable[[], Iterable[bytes]] | None
    ) -> Iterator[BaseHTTPResponse]:
        answer = self._follow(path, doing, method, headers, body)
        try:
            yield answer
        except (HTTPError, OSError) as error:
            answer.close()
            if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
                raise  # a disk's
            raise transport_error(self.archive, error, doing) from None
        except BaseException:
            answer.close()
            raise
        else:
            _finish(answer)

    def _follow(
        self, path: str, doing: str, method: str, headers: dict[str, str], body: Callable[[], Iterable[bytes]] | None
    ) -> BaseHTTPResponse:
        renewed = False
        for _ in range(4):
            shown = self._authorization
            answer = self._send(path, doing, method, headers, body, shown)
            if answer.status in _REDIRECTS:
                answer.close()
                place = self._same_origin(path, answer.headers.get("Location", ""))
                if method != "GET" or not place:
                    raise redirect_error(self.archive, doing)
                path = place
            elif (answer.status == 401 or _is_page(answer)) and not renewed and self._renew(shown):
                answer.close()
                renewed = True
            elif _is_page(answer):
                answer.close()
                raise page_error(self.archive, doing)
            elif answer.status in PASSING or answer.status in (401, 403):
                answer.close()
                raise status_error(self.archive, answer.status, answer.headers, self.site.clock(), doing)
            else:
                return answer
        raise redirect_error(self.archive, doing)

    def _renew(self, refused: str) -> bool:
        """Whether the secrets are others now than those that were refused; another thread may have renewed them."""
        self._authorization = self._credentials()
        return bool(refused) and refused != self._authorization

    def _send(
        self,
        path: str,
        doing: str,
        method: str,
        headers: dict[str, str],
        body: Callable[[], Iterable[bytes]] | None,
        authorization: str,
    ) -> BaseHTTPResponse:
        sent = {"Accept-Encoding": "identity", "User-Agent": "vna-lifecycle", **headers}
        if authorization:
            sent["Authorization"] = authorization
        try:
            answer = self._pool.urlopen(
                method,
                path,
                body=None if body is None else body(),
                headers=sent,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError) as error:
            raise transport_error(self.archive, error, doing) from None
        if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            answer.close()
            message = f"{self.archive}: answered {doing} compressed, although it was asked not to"
            raise ArchiveError(message, archive=self.archive, hint="let the archive or its proxy not compress answers")
        return answer

    def _same_origin(self, path: str, location: str) -> str:
        """Where a redirect leads, as a path; ``""`` where that is another origin."""
        here = urlsplit(self.settings.url)
        try:
            there = urlsplit(urljoin(f"{here.scheme}://{here.netloc}{path}", location))
            same = _origin(here.scheme, here.hostname, here.port) == _origin(there.scheme, there.hostname, there.port)
        except ValueError:
            return ""
        return (there.path + (f"?{there.query}" if there.query else "")) if location and same else ""

    def again(self, call: Callable[[], _T], *, repeats: bool = True) -> _T:
        """What ``call`` returns, which is made again for a short while as long as its failure may pass.

        ``repeats``: whether it may be made again also after an answer that broke, so that it may have had its effect.

        Raises:
            ArchiveError: it lasts.
        """
        worth = self._worth_another if repeats else lambda e: not isinstance(e, BrokenAnswer) and self._worth_another(e)
        for attempt in stamina.retry_context(
            on=worth, attempts=self.settings.attempts, timeout=_SECONDS, wait_max=_LONGEST_WAIT
        ):
            with attempt:
                return call()
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _worth_another(self, error: Exception) -> bool | float:
        if not isinstance(error, ArchiveError) or not error.transient or self.site.cancelled.is_set():
            return False
        wait = error.retry_after
        return True if wait is None else wait if wait <= _LONGEST_WAIT else False

    def chunks(self, answer: BaseHTTPResponse) -> Iterator[bytes]:
        """A body as it comes."""
        while chunk := answer.read1(CHUNK, decode_content=False):
            yield chunk

    def json(self, answer: BaseHTTPResponse, doing: str) -> Any:
        """A body that is JSON.

        Raises:
            TooBroad: it is too large.
            ArchiveError: it is none.
        """
        body = bytearray()
        for chunk in self.chunks(answer):
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                message = f"{self.archive}: the answer to {doing} has more than {_LARGEST_ANSWER >> 20} MiB"
                raise TooBroad(message, archive=self.archive, hint="lower page_size")
        try:
            return json.loads(body) if body.strip() else []
        except (ValueError, RecursionError):
            message = f"{self.archive}: the answer to {doing} is no JSON that can be read"
            raise ArchiveError(message, archive=self.archive, hint="is this the URL of a DICOMweb service?") from None


def _names_no_study(record: logging.LogRecord) -> bool:
    """Whether urllib3 may log this: it tells the URLs of requests, and those of DICOMweb name studies."""
    return "/studies" not in record.getMessage()


def _is_page(answer: BaseHTTPResponse) -> bool:
    """Whether this is a success for people: no service of DICOMweb answers so, but whoever asks them to log in does."""
    kind = media_type(answer.headers.get("Content-Type", ""))
    return answer.status < 300 and kind in ("text/html", "application/xhtml+xml") and answer.length_remaining != 0


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str, int]:
    return scheme, (host or "").lower(), port or (443 if scheme == "https" else 80)


def _finish(answer: BaseHTTPResponse) -> None:
    """Give the connection back if its answer is, but for a little, read to its end; else end it."""
    rest = 0
    try:
        if (answer.length_remaining or 0) <= _SMALL_REST:
            while chunk := answer.read1(_SMALL_REST, decode_content=False):
                rest += len(chunk)
                if rest > _SMALL_REST:
                    break
            else:
                answer.release_conn()
                return
    except (HTTPError, OSError):
        pass
    answer.close()
