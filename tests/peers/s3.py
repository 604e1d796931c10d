"""Real S3 servers for tests, on random loopback ports: SeaweedFS (locks, versions, checksums, signatures), MiniStack
(storage classes, restore), and one that says what it is told to (troubles that no server makes on demand).

The fixtures are in ``tests/conftest.py``, for all rooms. Each server runs once in a test session and
is killed, by its own pid, at its end; tests make buckets of their own with `Server.bucket`.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from attrs import evolve, frozen
from botocore.config import Config

from peers.scripted_web import Reply, Scripted
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.builtin import open_s3
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import site

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEYS = 'access_key_id = "env:S3_KEY"\nsecret_access_key = "env:S3_SECRET"\n'
"""Settings of credentials, which `give_keys` provides."""

_BEGIN_SECONDS = 60
_BIN = Path(sys.executable).parent
_numbers = itertools.count(1)
_CHANCE = random.SystemRandom()  # the others begin alike in every worker of a test run


@frozen(kw_only=True)
class Server:
    """A server that runs, and who may use it."""

    endpoint_url: str
    access_key_id: str = "AKIDEXAMPLE"
    secret_access_key: str = "not-much-of-a-secret"
    region: str = "us-east-1"

    def client(self) -> S3Client:
        """A client for the test, apart from any code under test."""
        return _client(self)

    def bucket(self, *, locked: bool = False, versioned: bool = False) -> str:
        """A new bucket; ``locked`` with Object Lock, which implies versions.

        Few of them: SeaweedFS keeps volumes for each. `place` is for tests that need no bucket of their own.
        """
        name = f"test-{os.getpid()}-{next(_numbers)}"
        client = self.client()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        if versioned and not locked:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def place(self, *, locked: bool = False) -> tuple[str, str]:
        """A bucket that tests share, and a prefix that nobody else has."""
        return _shared_bucket(self, locked), f"place-{next(_numbers)}"

    @property
    def secrets(self) -> dict[str, str]:
        """For a `Site.secret` that resolves ``env:S3_KEY`` and ``env:S3_SECRET``."""
        return {"env:S3_KEY": self.access_key_id, "env:S3_SECRET": self.secret_access_key}


@functools.cache
def _client(server: Server) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )


@functools.cache
def _shared_bucket(server: Server, locked: bool) -> str:
    return server.bucket(locked=locked)


def open_place(
    server: Server, place: tuple[str, str], folder: Path, *, ahead: dt.timedelta = dt.timedelta(), **more: Any
) -> Archive:
    """The adapter on a server's bucket and prefix, with its workspace in ``folder``; ``more`` are further settings.

    ``ahead``: how much later it is for the adapter than for everybody else.
    """
    settings = S3Settings(
        bucket=place[0],
        prefix=place[1],
        endpoint_url=server.endpoint_url,
        access_key_id=SecretReference("env:S3_KEY"),
        secret_access_key=SecretReference("env:S3_SECRET"),
        **more,
    )
    now = dt.datetime.now(dt.UTC) + ahead
    return open_s3(settings, evolve(site(folder), secret=server.secrets.__getitem__, clock=lambda: now))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, nor on the port 10,000 above (SeaweedFS adds that for gRPC).

    No system gives any of them to a connection that goes out.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = _CHANCE.randrange(20_000, 22_500)
            try:
                for number in (port, port + 10_000):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            ports.append(port)
    return ports


def absent(what: str) -> None:
    """A missing peer fails where everything must be there, and is a visible skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


@contextmanager
def _running(command: list[str], ready_url: str, folder: Path, **environment: str) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _BEGIN_SECONDS
        while not _answers(ready_url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not run:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - of our own making
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def run_seaweed(folder: Path) -> Iterator[Server]:
    """SeaweedFS with everything in ``folder``."""
    weed = shutil.which("weed", path=f"{_BIN}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        absent("SeaweedFS (weed)")
        return
    (folder / "data").mkdir()
    master, volume, filer, s3 = free_ports(4)
    server = Server(endpoint_url=f"http://127.0.0.1:{s3}")
    credentials = [{"accessKey": server.access_key_id, "secretKey": server.secret_access_key}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [weed, "-v=0", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=data", "-filer", "-s3"]
    command += [f"-s3.port={s3}", "-s3.config=s3.json", f"-master.port={master}", f"-volume.port={volume}"]
    command += [f"-filer.port={filer}", "-volume.max=400", "-master.volumeSizeLimitMB=64"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # fixed ports, which a second server would find taken
    try:
        with _running(command, server.endpoint_url, folder):
            _until_it_stores(server)
            yield server
    finally:
        for port in (master, volume, filer, s3):
            for number in (port, port + 10_000):  # sockets that it makes in /tmp, wherever it is told to be
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink(missing_ok=True)


def _until_it_stores(server: Server) -> None:
    """Its volumes come a little after its door opens."""
    deadline = time.monotonic() + _BEGIN_SECONDS
    while True:
        try:
            bucket = server.bucket()
            server.client().put_object(Bucket=bucket, Key="ready", Body=b"ready")
        except Exception:  # whatever it is, it is not ready
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


@contextmanager
def run_ministack(folder: Path) -> Iterator[Server]:
    """MiniStack, which keeps everything in memory."""
    command = shutil.which("ministack", path=f"{_BIN}{os.pathsep}{os.environ['PATH']}")
    if command is None:
        absent("MiniStack")
        return
    (port,) = free_ports(1)
    server = Server(endpoint_url=f"http://127.0.0.1:{port}", access_key_id="test", secret_access_key="test")
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3,sts,sqs", "HOME": str(folder)}
    with _running([command], server.endpoint_url, folder, **settings):
        yield server


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Server]:
    """SeaweedFS, for the session."""
    # in a short path of its own: it is gone with the session, however large it grew
    with (
        tempfile.TemporaryDirectory(prefix="seaweed-", ignore_cleanup_errors=True) as folder,
        run_seaweed(Path(folder)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MiniStack, for the session."""
    with run_ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


class Script(Scripted):
    """Says its ``lines``: ``(status, headers, body)`` for each request in turn, the last one again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, dict[str, str], bytes]] = []
        self.endpoint_url = f"http://127.0.0.1:{self.port}"

    def say(self, status: int, code: str = "", headers: dict[str, str] | None = None, more: str = "") -> None:
        """Add an answer with S3's form of errors."""
        body = f"<Error><Code>{code}</Code><Message>m</Message>{more}</Error>".encode() if code else b""
        self.lines.append((status, headers or {}, body))

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The next line."""
        return self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]


@pytest.fixture
def scripted() -> Iterator[Script]:
    """A server that answers as its script says."""
    script = Script()
    yield script
    script.close()


def section(name: str, endpoint_url: str, place: tuple[str, str], more: str = KEYS) -> str:
    """An archive of a program.toml: a bucket and prefix, and further settings with the credentials (`KEYS`)."""
    return f"""
[archives.{name}]
plugin = "s3"
bucket = "{place[0]}"
prefix = "{place[1]}"
endpoint_url = "{endpoint_url}"
{more}"""


def give_keys(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Put the server's credentials where `KEYS` points to."""
    monkeypatch.setenv("S3_KEY", server.access_key_id)
    monkeypatch.setenv("S3_SECRET", server.secret_access_key)


def stored(server: Server, place: tuple[str, str]) -> list[bytes]:
    """Every version of every object of a store, from the server itself: what was stored again has two."""
    client = server.client()
    pages = client.get_paginator("list_object_versions").paginate(Bucket=place[0], Prefix=f"{place[1]}/objects/")
    listed = [(one["Key"], one["VersionId"]) for page in pages for one in page.get("Versions", ())]
    return [client.get_object(Bucket=place[0], Key=key, VersionId=version)["Body"].read() for key, version in listed]
