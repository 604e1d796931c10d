"""The HTTP server of the fake: threads of the standard library, on a loopback port of its own."""

from __future__ import annotations

import datetime as dt
import re
import threading
import uuid
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from vna_lifecycle.testing.healthimaging.clock import wall_clock
from vna_lifecycle.testing.healthimaging.events import Notify, silent
from vna_lifecycle.testing.healthimaging.faults import Faults, Quotas
from vna_lifecycle.testing.healthimaging.image_sets import ImageSets, operations
from vna_lifecycle.testing.healthimaging.jobs import Timing
from vna_lifecycle.testing.healthimaging.protocol import Reply, read, refusal, reply, route
from vna_lifecycle.testing.healthimaging.service import Service
from vna_lifecycle.testing.healthimaging.signature import Keys
from vna_lifecycle.testing.healthimaging.stores import Datastore
from vna_lifecycle.testing.healthimaging.trouble import ServiceError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_INSTANCE: Final = re.compile(
    r"/datastore/(?P<datastoreId>[^/]+)/studies/(?P<study>[^/]+)/series/(?P<series>[^/]+)/instances/(?P<instance>[^/]+)"
)
_TICK: Final = 0.02  # seconds


class HealthImagingFake:
    """A HealthImaging that a boto3 client talks to unchanged, on ``endpoint_url``; use it in a ``with`` statement.

    Give ``endpoint_url`` to ``boto3.client("medical-imaging", ...)`` with ``Config(inject_host_prefix=False)`` and the
    credentials in ``keys``. The same server answers DICOMweb's RetrieveInstance. Input is read from, and results are
    written to, wherever the client ``s3`` leads. ``faults`` may be changed at any time.

    Args:
        s3: A client of a real S3 server.
        clock: Tells the time; jobs, deletions and throttling go by it.
        quotas: Limits of the account; AWS's, but without throttling.
        faults: What goes wrong.
        timing: How long jobs take.
        folder_in_output_uri: Whether GetDICOMImportJob's output URI has the job's own folder.
        deletion_seconds: How long a deletion takes.
        keys: The credentials that it accepts.
        notify: Is told each import job's events, in EventBridge's form.
    """

    def __init__(
        self,
        s3: S3Client,
        *,
        clock: Callable[[], dt.datetime] = wall_clock,
        quotas: Quotas | None = None,
        faults: Faults | None = None,
        timing: Timing | None = None,
        folder_in_output_uri: bool = False,
        deletion_seconds: float = 0.0,
        keys: Keys | None = None,
        notify: Notify = silent,
    ) -> None:
        self.service = Service(
            s3=s3,
            clock=clock,
            quotas=quotas or Quotas(),
            faults=faults or Faults(),
            timing=timing or Timing(),
            folder_in_output_uri=folder_in_output_uri,
            deletion_seconds=deletion_seconds,
            notify=notify,
        )
        self.keys = keys or Keys()
        self._image_sets = ImageSets(self.service)
        self._operations = operations(self.service, self._image_sets)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": _TICK}, daemon=True),
            threading.Thread(target=self._tick, daemon=True),
        ]

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def faults(self) -> Faults:
        """What goes wrong; change it at any time."""
        return self.service.faults

    def __enter__(self) -> HealthImagingFake:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def create_datastore(self, name: str = "datastore") -> Datastore:
        """Make a data store without a call."""
        with self.service.lock:
            answer = self.service.create_datastore({"clientToken": uuid.uuid4().hex, "datastoreName": name})
            return self.service.stores[answer["datastoreId"]]

    def put(self, datastore: Datastore, files: Iterable[bytes]) -> None:
        """Import files at once, as if they had always been there."""
        self.service.put(datastore.id, files)

    def _tick(self) -> None:
        """Result files appear in S3 without anybody asking the service."""
        while not self._stop.wait(_TICK):
            self.service.advance()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request. ``headers`` are by lower-case name."""
        try:
            self.keys.check(method, target, headers, body)
            found = _INSTANCE.fullmatch(urlsplit(target).path) if method == "GET" else None
            if found:
                names = {name: unquote(value) for name, value in found.groupdict().items()}
                return self._retrieve(names, target, headers)
            operation, path = route(method, target)
            with self.service.lock:
                self.service.advance()
                self.service.enter(operation.name)
                return reply(operation, self._operations[operation.name](read(operation, path, target, body)))
        except ServiceError as error:
            return refusal(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must get an answer
            drift = "the fake has drifted" if isinstance(error, AssertionError) else "the fake failed"
            return refusal(ServiceError("InternalServerException", f"{drift}: {error!r}"))

    def _retrieve(self, path: dict[str, str], target: str, headers: dict[str, str]) -> Reply:
        image_set = parse_qs(urlsplit(target).query).get("imageSetId", [""])[0]
        with self.service.lock:
            self.service.advance()
            self.service.enter("GetDICOMInstance")
            data = self._image_sets.instance(path, image_set, headers.get("accept", "*/*"))
        return Reply(status=200, body=data, headers={"Content-Type": "application/dicom"})


def _handler(fake: HealthImagingFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one segment for head and body

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = fake.answer(self.command, self.path, headers, body)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_DELETE = _respond  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Requests name patients' objects: nothing is logged."""

    return Handler
