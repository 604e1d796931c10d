"""The listening side of several archives: whose object is whose, who may send, and what nobody asked for."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peers.dicom import free_port
from vna_lifecycle.adapters.dimse.letterbox import Letterbox
from vna_lifecycle.adapters.dimse.reception import Guest, Quarantine, Reception, attend, leave
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.dimse.wire import Arrival, Offer
from vna_lifecycle.errors import ConfigurationError, DiskFull, StorageError

NOT_AUTHORIZED = 0x0124
DIGESTS = ("a" * 64, "b" * 64)


def settings(title: str, port: int, **more: object) -> DimseSettings:
    return DimseSettings(  # type: ignore[arg-type]
        **{"host": "127.0.0.1", "ae_title": title, "listen_host": "127.0.0.1", "listen_port": port, **more}
    )


def offer(calling: str, uid: str = "1.2.3") -> Offer:
    return Offer(
        calling=calling,
        called="VNALIFECYCLE",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=uid,
        transfer_syntax="1.2.840.10008.1.2",
    )


class Waiting:
    """Takes whatever comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.took: list[Path] = []
        self.lost: list[StorageError | None] = []

    def place(self, offer: Offer) -> Path:
        return self.folder / "taken.dcm"

    def take(self, arrival: Arrival) -> int:
        self.took.append(arrival.path)
        return 0

    def lose(self, path: Path, problem: StorageError | None) -> None:
        self.lost.append(problem)


Come = Callable[..., tuple[Reception, Guest]]


@pytest.fixture
def come(tmp_path: Path) -> Iterator[Come]:
    """An archive at the reception of a port."""
    there: list[tuple[Reception, Guest]] = []

    def one(title: str, port: int, **more: object) -> tuple[Reception, Guest]:
        its = settings(title, port, **more)
        folder = tmp_path / f"{title}-{len(there)}"
        folder.mkdir()
        guest = Guest(its, Quarantine(folder / "quarantine"), Letterbox(folder / "letters"))
        there.append((attend(its, guest), guest))
        return there[-1]

    yield one
    for reception, guest in there:
        if guest in reception._guests:
            leave(reception, guest)


def test_archives_of_one_port_get_what_they_sent_themselves(come: Come, tmp_path: Path) -> None:
    port = free_port()
    reception, first = come("FIRST", port)
    same, second = come("SECOND", port)
    assert same is reception
    waiting = Waiting(tmp_path)
    with first.waiting(waiting):
        assert reception.place(offer("FIRST")) == tmp_path / "taken.dcm"
        strange = reception.place(offer("SECOND"))
    assert isinstance(strange, Path)
    assert strange.parent == second.quarantine.folder
    assert reception.place(offer("NOBODY")) == NOT_AUTHORIZED


def test_whoever_waits_is_asked_before_whoever_keeps_what_nobody_else_wants(come: Come, tmp_path: Path) -> None:
    reception, guest = come("FIRST", free_port())
    keeping, waiting = Waiting(tmp_path / "kept"), Waiting(tmp_path / "wanted")
    guest.keep(keeping)
    with guest.waiting(waiting):
        assert reception.place(offer("FIRST")) == waiting.folder / "taken.dcm"
    assert reception.place(offer("FIRST")) == keeping.folder / "taken.dcm"


def test_whoever_wanted_an_object_hears_of_it_once(come: Come, tmp_path: Path) -> None:
    reception, guest = come("FIRST", free_port())
    waiting, full = Waiting(tmp_path), DiskFull("no room")
    with guest.waiting(waiting):
        for end in (
            lambda path: reception.take(Arrival(offer=offer("FIRST"), path=path, size=1, dataset_size=1, digest=None)),
            lambda path: reception.lose(path, full),
        ):
            path = reception.place(offer("FIRST"))
            end(path)
            reception.lose(path, None)
    assert (waiting.took, waiting.lost) == ([tmp_path / "taken.dcm"], [full])


def test_the_port_is_closed_with_the_last_archive_and_then_anybodys(come: Come) -> None:
    port = free_port()
    reception, first = come("FIRST", port)
    _, second = come("SECOND", port)
    leave(reception, first)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    leave(reception, second)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert come("OTHER", port, calling_ae_title="ANOTHER")[0] is not reception


def test_one_port_has_one_title(come: Come) -> None:
    port = free_port()
    come("FIRST", port)
    with pytest.raises(ConfigurationError, match="same port"):
        come("SECOND", port, calling_ae_title="ANOTHER")


@pytest.mark.parametrize(
    ("certificates", "allowed"),
    [
        (((), ()), set()),
        ((DIGESTS[:1], DIGESTS[1:]), set(DIGESTS)),
        (((), DIGESTS[1:]), set()),  # one of them takes any trusted certificate
    ],
)
def test_a_sender_shows_a_certificate_that_one_of_its_archives_allows(
    come: Come, certificates: tuple[tuple[str, ...], tuple[str, ...]], allowed: set[str], tmp_path: Path
) -> None:
    port = free_port()
    reception, _ = come("PACS", port)
    for number, digests in enumerate(certificates):
        guest = Guest(settings("SHARED", port), Quarantine(tmp_path / str(number)), Letterbox(tmp_path / str(number)))
        guest.certificates = frozenset(digests)
        reception.add(guest)
    assert reception._callers["SHARED"] == allowed


def test_what_is_in_quarantine_is_never_written_over(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine")
    for text in ("one", "two", "three"):
        path = tmp_path / "came.dcm"
        path.write_text(text)
        quarantine.keep(path, offer("PACS"))
    assert sorted(path.read_text() for path in quarantine.objects()) == ["one", "three", "two"]
