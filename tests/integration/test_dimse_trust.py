"""Whom an archive over DIMSE is taken for, in both directions: certificates, host names, AE titles."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peers.dicom import free_port
from peers.scripted_dicom import Authority, Certified, client_tls, server_tls
from vna_lifecycle.adapters.dimse.archive import open_archive
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.errors import ArchiveError, ArchiveUnreachable
from vna_lifecycle.ports import Archive, Fetched, FetchFailure
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.conformance.case import FolderSpool, study_of
from vna_lifecycle.testing.misbehaving_pacs import MisbehavingPacs
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

SPECS = [ObjectSpec(study=1, instance=number) for number in (1, 2)]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def theirs(authority: Authority) -> Certified:
    return authority.issue("theirs")


Open = Callable[..., tuple[Archive, MisbehavingPacs]]


@pytest.fixture
def opened(tmp_path: Path, authority: Authority, theirs: Certified) -> Iterator[Open]:
    """Opens an archive; with ``tls``, the context of the PACS as a server, and ``out`` as a client."""
    running: list[tuple[Archive | None, MisbehavingPacs]] = []

    def open_one(
        tls: ssl.SSLContext | None = None, out: ssl.SSLContext | None = None, /, **options: object
    ) -> tuple[Archive, MisbehavingPacs]:
        port = free_port()
        pacs = MisbehavingPacs(map(dicom_bytes, SPECS), destinations={"US": port}, tls=tls, tls_out=out)
        pacs.__enter__()
        running.append((None, pacs))
        known: dict[str, object] = {
            "host": "127.0.0.1",
            "port": pacs.port,
            "ae_title": "PACS",
            "calling_ae_title": "US",
            "listen_host": "127.0.0.1",
            "listen_port": port,
            "connect_timeout": 2.0,
            "answer_timeout": 2.0,
            "settle_seconds": 0.2,
            "attempts": 1,
        }
        if tls is not None:
            own = authority.issue("ours")
            known |= {
                "tls": True,
                "tls_ca": authority.certificate,
                "tls_certificate": own.certificate,
                "tls_key": own.key,
            }
        archive = open_archive(DimseSettings(**(known | options)), site(tmp_path / str(port)))  # type: ignore[arg-type]
        running.append((archive, pacs))
        return archive, pacs

    yield open_one
    for archive, pacs in running:
        if archive is not None:
            archive.reads.close()
        pacs.close()


def fetched(archive: Archive, folder: Path) -> list[Fetched | FetchFailure]:
    """What becomes of each object of the study."""
    study = study_of(SPECS[0])
    records = list(archive.reads.list_instances(study))
    assert len(records) == len(SPECS)
    return list(archive.reads.fetch(study, records, FolderSpool(folder)))


def fetch(archive: Archive, folder: Path) -> list[str]:
    """Fetch the study; "fetched" or a failure's code for each object."""
    return [one.code if isinstance(one, FetchFailure) else "fetched" for one in fetched(archive, folder)]


def test_tls_in_both_directions(opened: Open, authority: Authority, theirs: Certified, tmp_path: Path) -> None:
    """Both show certificates, and its own is bound to what it sends."""
    archive, _ = opened(
        server_tls(theirs, authority), client_tls(authority, theirs), tls_sender_certificates=(theirs.sha256,)
    )
    assert fetch(archive, tmp_path / "spool") == ["fetched", "fetched"]


def test_a_certificate_of_another_authority_is_refused(opened: Open, theirs: Certified, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    with pytest.raises(ArchiveUnreachable, match="certificate is not trusted"):
        opened(server_tls(theirs), tls_ca=other.certificate)


def test_an_expired_certificate_is_refused(opened: Open, authority: Authority) -> None:
    with pytest.raises(ArchiveUnreachable, match="expired"):
        opened(server_tls(authority.issue("old", days=-1)))


def test_a_certificate_of_another_host_is_refused_unless_that_is_switched_off(
    opened: Open, theirs: Certified, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveUnreachable, match=r"(?i)hostname mismatch|not valid for"):
        opened(server_tls(theirs), tls_host="elsewhere.example")
    archive, _ = opened(server_tls(theirs), tls_host="elsewhere.example", tls_check_host=False, retrieve="get")
    assert fetch(archive, tmp_path / "spool") == ["fetched", "fetched"]


def quick_trouble(opened: Open, theirs: ssl.SSLContext | None, /, **options: object) -> ArchiveError:
    """How opening an archive fails; in time, and with something to do about it."""
    begun = time.monotonic()
    with pytest.raises(ArchiveError) as raised:
        opened(theirs, **options)
    assert time.monotonic() - begun < 2 * 2.0 + 1
    assert raised.value.archive == "archive"
    assert raised.value.hint
    return raised.value


def test_plain_against_a_peer_that_speaks_tls_is_named_in_time(
    opened: Open, authority: Authority, theirs: Certified
) -> None:
    """And nothing waits for the answer that such a peer never gives."""
    trouble = quick_trouble(opened, server_tls(theirs), tls=False, tls_ca=None, tls_certificate=None, tls_key=None)
    assert "TLS" in f"{trouble} {trouble.hint}"


def test_tls_against_a_peer_that_speaks_plain_is_named_in_time(opened: Open, authority: Authority) -> None:
    trouble = quick_trouble(opened, None, tls=True, tls_ca=authority.certificate, retrieve="get")
    assert "TLS" in f"{trouble} {trouble.hint}"


def test_expired_and_foreign_certificates_are_named_with_what_to_do(
    opened: Open, authority: Authority, theirs: Certified
) -> None:
    expired = quick_trouble(opened, server_tls(authority.issue("old", days=-1)))
    assert "expired" in str(expired)
    foreign = quick_trouble(opened, server_tls(theirs), tls_host="elsewhere.example")
    assert "elsewhere.example" in str(foreign)


def test_a_peer_that_demands_a_certificate_of_us_is_named(
    opened: Open, authority: Authority, theirs: Certified
) -> None:
    trouble = quick_trouble(opened, server_tls(theirs, authority), tls_certificate=None, tls_key=None, retrieve="get")
    assert "certificate" in f"{trouble} {trouble.hint}"


def test_an_older_version_of_tls_than_the_minimum_is_refused(opened: Open, theirs: Certified, tmp_path: Path) -> None:
    old = server_tls(theirs)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ArchiveUnreachable, match="no TLS connection"):
        opened(old, tls_minimum="1.3")
    archive, _ = opened(old, tls_minimum="1.2", retrieve="get")
    assert fetch(archive, tmp_path / "spool") == ["fetched", "fetched"]


@pytest.mark.parametrize(
    ("shown", "code", "why"),
    [
        ("nothing", "no-tls-to-us", "it showed no certificate, which we demand"),
        ("foreign", "no-tls-to-us", "its certificate is not trusted here (tls_ca)"),
        ("plain", "no-tls-to-us", "it does not speak TLS there"),
        ("another", "not-sent", "however it was asked for"),
    ],
)
def test_a_sender_without_the_right_certificate_brings_nothing_and_what_it_lacks_is_told(
    opened: Open, authority: Authority, theirs: Certified, tmp_path: Path, shown: str, code: str, why: str
) -> None:
    """No certificate, a foreign one, no TLS at all, or the certificate of somebody else whom the authority knows."""
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Authority(tmp_path / "elsewhere")
    out = {
        "nothing": client_tls(authority),
        "foreign": client_tls(authority, elsewhere.issue("them")),
        "plain": None,
        "another": client_tls(authority, authority.issue("somebody-else")),
    }[shown]
    archive, _ = opened(server_tls(theirs), out, tls_sender_certificates=(theirs.sha256,))
    failures = fetched(archive, tmp_path / "spool")
    assert [one.code for one in failures if isinstance(one, FetchFailure)] == [code, code]
    assert all(why in one.message for one in failures if isinstance(one, FetchFailure)), failures


def test_a_sender_under_an_unknown_title_brings_nothing(opened: Open, tmp_path: Path) -> None:
    """Unless it is allowed to."""
    archive, pacs = opened()
    pacs.title = "SENDER"
    assert fetch(archive, tmp_path / "spool") == ["not-sent", "not-sent"]
    archive, pacs = opened(sender_ae_titles=("SENDER",))
    pacs.title = "SENDER"
    assert fetch(archive, tmp_path / "allowed") == ["fetched", "fetched"]
