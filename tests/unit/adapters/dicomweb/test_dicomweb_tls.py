"""TLS: only those whom a named authority vouches for are talked to, and we show a certificate where one is wanted."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from peers.scripted_web import Scripted
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveRefused, ConfigurationError
from vna_lifecycle.testing.conformance import site

_NOW = dt.datetime.now(dt.UTC)


@frozen
class Identity:
    """A key with its certificate, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        own = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        usage = dict.fromkeys(("digital_signature", "key_cert_sign", "crl_sign"), True)
        rest = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        off = dict.fromkeys((*rest, "encipher_only", "decipher_only"), False)
        own = own.add_extension(x509.KeyUsage(**usage, **off), True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        day = dt.timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(_NOW - day).not_valid_after(_NOW + day)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)

    def issue(self, name: str, address: str = "127.0.0.1", passphrase: bytes = b"") -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(names, False).add_extension(issuer, False).sign(self._key, hashes.SHA256())
        found = Identity(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        found.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        found.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, how))
        return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "hospital")


@pytest.fixture(scope="module")
def us(authority: Authority) -> Identity:
    return authority.issue("us")


def demanding(authority: Authority, version: ssl.TLSVersion) -> Scripted:
    """It wants to see a certificate of the authority's, and speaks one version of TLS."""
    own = authority.issue("archive")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    return Scripted(context)


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Scripted]:
    scripted = demanding(authority, ssl.TLSVersion.TLSv1_2)
    yield scripted
    scripted.close()


@pytest.fixture(scope="module")
def newer(authority: Authority) -> Iterator[Scripted]:
    scripted = demanding(authority, ssl.TLSVersion.TLSv1_3)
    yield scripted
    scripted.close()


def settings(server: Scripted, authority: Authority | None, us: Identity | None, **more: object) -> DicomwebSettings:
    return DicomwebSettings(
        url=server.url,
        tls_ca=authority and authority.file,
        tls_certificate=us and us.certificate,
        tls_key=us and us.key,
        read_timeout=5,
        attempts=1,
        **more,  # type: ignore[arg-type]
    )


def test_an_archive_of_the_named_authority_is_talked_to_and_sees_our_certificate(
    server: Scripted, newer: Scripted, authority: Authority, us: Identity, tmp_path: Path
) -> None:
    server.seen.clear()
    newer.seen.clear()
    open_dicomweb(settings(server, authority, us), site(tmp_path)).reads.close()
    open_dicomweb(settings(newer, authority, us, tls_minimum="1.3"), site(tmp_path)).reads.close()
    assert (len(server.seen), len(newer.seen)) == (1, 1)


def test_an_archive_that_no_authority_of_the_machine_vouches_for_is_refused(
    server: Scripted, us: Identity, tmp_path: Path
) -> None:
    server.seen.clear()
    with pytest.raises(ArchiveRefused, match=r"no TLS connection could be made: .*certificate") as caught:
        open_dicomweb(settings(server, None, us), site(tmp_path))
    assert "tls_ca" in caught.value.hint
    assert server.seen == []


def test_another_authority_of_the_same_name_is_another(
    server: Scripted, us: Identity, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    impostor = Authority(tmp_path_factory.mktemp("impostor"), "hospital")
    with pytest.raises(ArchiveRefused, match="no TLS connection"):
        open_dicomweb(settings(server, impostor, us), site(tmp_path))


@pytest.mark.parametrize("which", ["server", "newer"])
def test_an_archive_that_wants_a_certificate_refuses_us_without_one(
    which: str, request: pytest.FixtureRequest, authority: Authority, tmp_path: Path
) -> None:
    """In TLS 1.3 its refusal comes only after our first request was sent."""
    server = request.getfixturevalue(which)
    server.seen.clear()
    with pytest.raises(ArchiveRefused, match="no TLS connection could be made"):
        open_dicomweb(settings(server, authority, None), site(tmp_path))
    assert server.seen == []


def test_an_older_tls_than_the_settings_allow_is_not_spoken(
    server: Scripted, authority: Authority, us: Identity, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveRefused, match="no TLS connection"):
        open_dicomweb(settings(server, authority, us, tls_minimum="1.3"), site(tmp_path))


def test_a_certificate_for_another_address_is_not_taken(authority: Authority, us: Identity, tmp_path: Path) -> None:
    own = authority.issue("elsewhere", address="127.0.0.2")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    scripted = Scripted(context)
    try:
        with pytest.raises(ArchiveRefused, match="mismatch"):
            open_dicomweb(settings(scripted, authority, us), site(tmp_path))
        assert scripted.seen == []
    finally:
        scripted.close()


def test_files_that_are_no_certificates_are_told_by_the_setting_that_names_them(
    server: Scripted, authority: Authority, us: Identity, tmp_path: Path
) -> None:
    """A key with a pass phrase too: nobody is asked for it at a terminal."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    locked = authority.issue("locked", passphrase=b"pass")
    for setting, chosen in [
        ("tls_ca", DicomwebSettings(url=server.url, tls_ca=broken)),
        ("tls_ca", DicomwebSettings(url=server.url, tls_ca=tmp_path / "absent.pem")),
        ("tls_certificate", DicomwebSettings(url=server.url, tls_certificate=broken, tls_key=us.key)),
        ("tls_certificate", DicomwebSettings(url=server.url, tls_certificate=us.certificate, tls_key=locked.key)),
        ("tls_certificate", settings(server, authority, locked)),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            open_dicomweb(chosen, site(tmp_path))
        assert [where for where, _ in caught.value.problems] == [setting]
