"""A DICOM peer that does what a test tells it to, byte for byte, and certificates for TLS."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire import negotiation
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Result

RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"
RELEASE_RP = b"\6\0\0\0\0\4\0\0\0\0"


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """A PDU; ``length`` is what its header says, where that shall not be the truth."""
    return struct.pack(">BxL", kind, len(body) if length is None else length) + body


def pdv(context: int, control: int, data: bytes) -> bytes:
    """A presentation data value item. ``control``: 1 for a command set, 2 for the last fragment."""
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def message(context: int, elements: dict[int, int | str], data: bytes | None = None) -> bytes:
    """A command set, and a data set if there is one, each in a PDU of its own."""
    encoded = pdu(4, pdv(context, 3, cs.encode(elements)))
    return encoded if data is None else encoded + pdu(4, pdv(context, 2, data))


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or EOFError."""
    found = b""
    while len(found) < size:
        piece = connection.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """The next PDU's type and body."""
    kind, length = struct.unpack(">BxL", exactly(connection, 6))
    return kind, exactly(connection, length)


def read_command(connection: socket.socket) -> cs.Command:
    """The next command set, which has to be in one PDU, and begins it; EOFError where something else comes."""
    kind, body = read_pdu(connection)
    if kind != 4:
        raise EOFError
    (length,) = struct.unpack_from(">L", body)
    return cs.decode(body[6 : 4 + length])


def accept(connection: socket.socket, *, max_pdu: int = 16384) -> Negotiation:
    """Read an association request and agree to everything in it; the request."""
    kind, body = read_pdu(connection)
    assert kind == 1
    asked = negotiation.decode(body)
    results = tuple(Result(id=one.id, result=0, transfer_syntax=one.transfer_syntaxes[0]) for one in asked.proposed)
    answer = Negotiation(
        called=asked.called, calling=asked.calling, max_pdu=max_pdu, results=results, roles=asked.roles
    )
    connection.sendall(negotiation.encode(2, answer))
    return asked


@contextmanager
def scripted(script: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where each connection is handed to ``script``, in a thread, and closed when that returns."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def run(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            script(connection)

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=run, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in held:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@frozen
class Certified:
    """A certificate and its key as PEM files, and the certificate's SHA-256 in hex."""

    certificate: Path
    key: Path
    sha256: str


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = folder / f"{name}.pem"
        made = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, days: int = 1) -> Certified:
        """A certificate for 127.0.0.1, valid for so many days; negative: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = self._sign(subject, key, names, days=days)
        certificate, path = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Certified(certificate, path, made.fingerprint(hashes.SHA256()).hex())

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        *,
        critical: bool = False,
        days: int = 1,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=10))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(extension, critical=critical)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if not critical:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def client_tls(authority: Authority, own: Certified | None = None) -> ssl.SSLContext:
    """For an association requestor that trusts ``authority`` and shows ``own``."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if own:
        context.load_cert_chain(own.certificate, own.key)
    return context


def server_tls(own: Certified, clients: Authority | None = None) -> ssl.SSLContext:
    """For a receiver that shows ``own`` and, with ``clients``, demands certificates of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(own.certificate, own.key)
    if clients:
        context.load_verify_locations(clients.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
