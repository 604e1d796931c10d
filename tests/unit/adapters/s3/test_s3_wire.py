"""Our exchange with a bucket: answers in every form, connections that end, and what it leaves to botocore."""

from __future__ import annotations

import datetime as dt
import io
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from botocore.awsrequest import AWSPreparedRequest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError, SSLError
from botocore.httpsession import URLLib3Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from peers.s3 import Script
from vna_lifecycle.adapters.aws.session import open_s3
from vna_lifecycle.adapters.aws.trouble import RedirectRefused
from vna_lifecycle.adapters.s3.direct import Direct
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.adapters.s3.wire import Wire
from vna_lifecycle.plugin import SecretReference

BODY = bytes(range(256)) * 8000  # more than one buffer


@define
class Peer:
    """Says what it is told to, whatever is asked; ``connections`` counts how often it was called."""

    address: str = ""
    says: bytes = b""
    ends: bool = False
    connections: int = 0
    heads: list[bytes] = field(factory=list)
    ended: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))

    def serve(self, listening: socket.socket, context: ssl.SSLContext | None = None) -> None:
        with suppress(OSError):
            while True:
                raw, _ = listening.accept()
                self.connections += 1
                threading.Thread(target=self._answer, args=(raw, context), daemon=True).start()

    def _answer(self, raw: socket.socket, context: ssl.SSLContext | None) -> None:
        with suppress(OSError), closing(context.wrap_socket(raw, server_side=True) if context else raw) as line:
            seen = b""
            while data := line.recv(1 << 16):
                seen += data
                head, found, body = seen.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                if found and (len(body) >= length or self.ends):
                    self.heads.append(head)
                    line.sendall(self.says)
                    seen = b""
                    if self.ends:
                        break
        self.ended.release()


@define
class Public:
    """A client without what it does not promise."""

    client: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.client, name)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = Peer(address=f"http://127.0.0.1:{listening.getsockname()[1]}")
        threading.Thread(target=peer.serve, args=(listening,), daemon=True).start()
        yield peer
        listening.shutdown(socket.SHUT_RDWR)


def asked(address: str, method: str = "GET", body: bytes = b"", tags: str = "") -> AWSPreparedRequest:
    headers: Any = {"host": "h", "content-length": str(len(body)), "x-amz-tagging": tags}
    return AWSPreparedRequest(method, f"{address}/bucket/key", headers, body, False)


def wire_to(peer: Peer, timeout: float = 10) -> Wire:
    return Wire(URLLib3Session(), peer.address, timeout)


def chunked(data: bytes) -> bytes:
    pieces = [data[at : at + 70_000] for at in range(0, len(data), 70_000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


PLAIN = b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("says", "again"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + PLAIN, True, id="plain"),
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: Close\r\n" + PLAIN, False, id="last of its connection"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(BODY), False, id="in chunks"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + PLAIN, False, id="after an interim one"),
        pytest.param(b"HTTP/1.0 200 OK\r\n" + PLAIN, False, id="of an older version"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n" + PLAIN, False, id="with a folded header"),
    ],
)
def test_an_answer_is_taken_in_every_form(peer: Peer, says: bytes, again: bool) -> None:
    peer.says = says
    wire = wire_to(peer)
    for _ in range(2):
        file = io.BytesIO()
        answer = wire.exchange(asked(peer.address), file)
        assert (answer.status, answer.size, answer.body) == (200, len(BODY), b"")
        assert file.getvalue() == BODY
    assert peer.connections == (1 if again else 2)


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf",
        b"\x15\x03\x01\x00\x02\x02\x46" * 20_000,
    ],
)
def test_half_an_answer_is_none(peer: Peer, says: bytes) -> None:
    peer.says, peer.ends = says, True
    with pytest.raises(ConnectionClosedError):
        wire_to(peer).exchange(asked(peer.address), io.BytesIO())


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(peer: Peer) -> None:
    with pytest.raises(ReadTimeoutError):
        wire_to(peer, 0.05).exchange(asked(peer.address))


def test_an_answer_before_the_whole_body_was_sent_is_heard(peer: Peer) -> None:
    peer.says, peer.ends = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", True
    answer = wire_to(peer).exchange(asked(peer.address, "PUT", bytes(50 << 20)))
    assert (answer.status, answer.body) == (403, b"no")


def test_what_is_more_than_the_answer_is_not_taken_for_the_next(peer: Peer) -> None:
    peer.says = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    wire = wire_to(peer)
    assert [wire.exchange(asked(peer.address)).body for _ in range(2)] == [b"OK", b"OK"]


def test_a_connection_that_the_server_ended_is_made_anew(peer: Peer) -> None:
    peer.says, peer.ends = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True
    wire = wire_to(peer)
    for _ in range(3):
        assert wire.exchange(asked(peer.address)).status == 200
        assert peer.ended.acquire(timeout=30), "only then can it be known"
    assert peer.connections == 3


def test_a_file_that_cannot_be_written_is_not_the_connections_fault(peer: Peer) -> None:
    peer.says = b"HTTP/1.1 200 OK\r\n" + PLAIN
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("wb", buffering=0) as full:
        wire_to(peer).exchange(asked(peer.address), full)


def test_a_header_of_two_lines_is_not_sent(peer: Peer) -> None:
    with pytest.raises(ValueError, match="more than one line"):
        wire_to(peer).exchange(asked(peer.address, tags="a\r\nx-amz-acl: public-read"))
    assert peer.heads == []


@pytest.fixture
def secure(peer: Peer, tmp_path: Path) -> Iterator[Path]:
    """The peer behind TLS; the certificate that it shows, which nobody but itself vouches for."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bucket")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(names, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    own, pair = tmp_path / "own.pem", tmp_path / "pair.pem"
    own.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pair.write_bytes(key.private_bytes(*form) + own.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer.address = f"https://127.0.0.1:{listening.getsockname()[1]}"
        threading.Thread(target=peer.serve, args=(listening, context), daemon=True).start()
        yield own
        listening.shutdown(socket.SHUT_RDWR)


def test_objects_go_only_to_a_server_that_is_vouched_for(peer: Peer, secure: Path) -> None:
    peer.says = b"HTTP/1.1 200 OK\r\n" + PLAIN
    file = io.BytesIO()
    trusting: Any = str(secure)
    Wire(URLLib3Session(verify=trusting), peer.address, 10).exchange(asked(peer.address, "PUT", BODY), file)
    assert file.getvalue() == BODY
    heads = len(peer.heads)
    with pytest.raises(SSLError):
        Wire(URLLib3Session(), peer.address, 10).exchange(asked(peer.address))
    assert len(peer.heads) == heads, "nothing was sent"


@pytest.fixture
def opened(scripted: Script) -> Callable[..., tuple[Any, Direct]]:
    def open_direct(**more: Any) -> tuple[Any, Direct]:
        settings = S3Settings(
            bucket="images",
            endpoint_url=scripted.endpoint_url,
            access_key_id=SecretReference("env:K"),
            secret_access_key=SecretReference("env:S"),
            **more,
        )
        client = open_s3(settings, lambda reference: {"env:K": "AKIDEXAMPLE", "env:S": "secret"}[reference])
        return client, Direct(client, "images")

    return open_direct


KEY = {"Bucket": "images", "Key": "a b/ü?.dcm"}


def test_the_two_calls_ask_for_what_the_clients_calls_ask_for(
    scripted: Script, opened: Callable[..., tuple[Any, Direct]]
) -> None:
    client, direct = opened()
    scripted.say(200)
    put: dict[str, Any] = {
        **KEY,
        "ChecksumSHA256": "c",
        "IfNoneMatch": "*",
        "Metadata": {"sha256": "d"},
        "Tagging": "a=b",
    }
    put["ObjectLockRetainUntilDate"] = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    get = {**KEY, "VersionId": "v/1", "Range": "bytes=0-1"}
    client.put_object(**put, Body=b"bytes")
    direct.put(put, b"bytes")
    client.get_object(**get)
    direct.get(get, io.BytesIO())
    apart = {"amz-sdk-invocation-id", "amz-sdk-request", "authorization", "x-amz-date"}
    seen = [
        (method, path, {name.lower(): value for name, value in headers.items() if name.lower() not in apart})
        for method, path, headers in scripted.seen
    ]
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]


@pytest.mark.parametrize(
    ("status", "headers", "code", "raised"),
    [(404, {}, "NoSuchKey", ClientError), (307, {"Location": "http://elsewhere"}, "", RedirectRefused)],
)
def test_the_errors_are_the_clients(
    scripted: Script,
    opened: Callable[..., tuple[Any, Direct]],
    status: int,
    headers: dict[str, str],
    code: str,
    raised: type[Exception],
) -> None:
    client, direct = opened()
    scripted.say(status, code, headers)
    with pytest.raises((ClientError, BotoCoreError)) as theirs:
        client.get_object(**KEY)
    with pytest.raises((ClientError, BotoCoreError)) as ours:
        direct.get(KEY, io.BytesIO())
    assert type(ours.value) is type(theirs.value)
    assert isinstance(ours.value, raised)
    if isinstance(ours.value, ClientError) and isinstance(theirs.value, ClientError):
        assert ours.value.response["Error"] == theirs.value.response["Error"]
        assert ours.value.operation_name == theirs.value.operation_name
    assert len(scripted.seen) == 2, "no redirect was followed"


def test_credentials_that_end_are_renewed_between_calls(
    scripted: Script, opened: Callable[..., tuple[Any, Direct]]
) -> None:
    client, _ = opened()
    renewed: list[str] = []

    def renew() -> dict[str, str]:
        renewed.append(f"KEY{len(renewed)}")
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)  # so soon that each call needs new ones
        return {
            "access_key": renewed[-1],
            "secret_key": "s",
            "token": f"T{len(renewed)}",
            "expiry_time": ends.isoformat(),
        }

    client._request_signer._credentials = RefreshableCredentials.create_from_metadata(renew(), renew, "test")
    direct = Direct(client, "images")
    scripted.say(200)
    direct.put({**KEY, "ChecksumSHA256": "c"}, b"bytes")
    direct.put({**KEY, "ChecksumSHA256": "c"}, b"bytes")
    used = [headers["authorization"].partition("Credential=")[2].partition("/")[0] for _, _, headers in scripted.seen]
    assert len(set(used)) == 2
    assert set(used) <= set(renewed)
    assert all(headers["x-amz-security-token"].startswith("T") for _, _, headers in scripted.seen)


def test_a_botocore_that_is_made_otherwise_inside_makes_the_requests_itself(
    scripted: Script, opened: Callable[..., tuple[Any, Direct]]
) -> None:
    client, _ = opened()
    direct = Direct(Public(client), "images")  # type: ignore[arg-type]  # it is what others may rely on of a client
    scripted.say(200)
    scripted.lines.append((200, {}, b"bytes"))
    file = io.BytesIO()
    direct.put({**KEY, "ChecksumSHA256": "c"}, b"bytes")
    assert direct.get(KEY, file) == 5
    assert file.getvalue() == b"bytes"


def test_where_only_botocore_knows_the_way_it_goes_it(
    scripted: Script, opened: Callable[..., tuple[Any, Direct]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a proxy, which sees the whole address in the request's first line."""
    for name, value in {"http_proxy": scripted.endpoint_url, "no_proxy": ""}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.upper(), value)
    _, direct = opened()
    scripted.say(200)
    scripted.lines.append((200, {}, b"bytes"))
    file = io.BytesIO()
    direct.put({**KEY, "ChecksumSHA256": "c"}, b"bytes")
    assert direct.get(KEY, file) == 5
    assert file.getvalue() == b"bytes"
    assert all(path.startswith("http://") for _, path, _ in scripted.seen)
