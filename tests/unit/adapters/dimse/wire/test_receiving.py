"""What the receiver takes, from whom, and what it does with peers that misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import psutil
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from peers.dicom import Gathering
from peers.scripted_dicom import (
    RELEASE_RP,
    RELEASE_RQ,
    Authority,
    client_tls,
    message,
    pdu,
    pdv,
    read_command,
    read_pdu,
    server_tls,
)
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    UNCOMPRESSED,
    VERIFICATION,
    Admission,
    Arrival,
    CommitmentReport,
    Context,
    Limits,
    Offer,
    Originator,
    Outgoing,
    Peer,
    Receiver,
    Reference,
    Service,
    StoreAnswer,
    Timeouts,
    echo,
    negotiation,
    request,
    store,
)
from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Proposed, Role
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable, DiskFull
from vna_lifecycle.model.identity import AETitle
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

CT = Context(abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,))
ECHO = Context(abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED)
QUICK = Limits(request=0.6, idle=0.6, stall=0.6)


def syntaxes(uid: str) -> tuple[str, ...]:
    return UNCOMPRESSED if uid in (VERIFICATION, COMMITMENT_PUSH) else (ExplicitVRLittleEndian,)


@contextmanager
def receiving(
    sink: Gathering,
    *,
    limits: Limits = QUICK,
    report: Callable[[CommitmentReport], None] | None = None,
    tls: object = None,
    **admission: object,
) -> Iterator[Receiver]:
    who = Admission(title="WE", transfer_syntaxes=syntaxes, **admission)  # type: ignore[arg-type]
    service = Service(admission=who, sink=sink, limits=limits, report=report)
    with Receiver(service, tls=tls) as receiver:  # type: ignore[arg-type]
        yield receiver


def peer(receiver: Receiver, **changes: object) -> Peer:
    known: dict[str, object] = {
        "host": "127.0.0.1", "called": AETitle("WE"), "calling": AETitle("THEY"),
        "timeouts": Timeouts(connect=5, answer=5, stall=5),
    }  # fmt: skip
    return Peer(port=receiver.port, **{**known, **changes})  # type: ignore[arg-type]


def outgoing(folder: Path, number: int = 1, **changes: object) -> Outgoing:
    spec = ObjectSpec(instance=number)
    path = folder / f"out-{number}.dcm"
    path.write_bytes(dicom_bytes(spec))
    known: dict[str, object] = {"sop_class_uid": CTImageStorage, "sop_instance_uid": str(spec.sop_instance_uid)}
    return Outgoing(path=path, **{**known, **changes})  # type: ignore[arg-type]


def sending(receiver: Receiver, *objects: Outgoing, **changes: object) -> list[int]:
    with request(peer(receiver, **changes), [CT]) as association:
        answers = [answer for _, answer in store(association, objects)]
    return [answer.status for answer in answers if isinstance(answer, StoreAnswer)]


def test_what_arrives_is_told_with_all_that_its_command_says(tmp_path: Path) -> None:
    sink = Gathering(tmp_path)
    mover = Originator(ae_title="MOVER", message_id=4711)
    with receiving(sink) as receiver:
        assert sending(receiver, outgoing(tmp_path, originator=mover)) == [0]
    [arrival] = sink.arrivals
    assert arrival.offer == Offer(
        calling="THEY",
        called="WE",
        sop_class_uid=CTImageStorage,
        sop_instance_uid=ObjectSpec(instance=1).sop_instance_uid,
        transfer_syntax=ExplicitVRLittleEndian,
        originator=mover,
    )
    data = dicom_bytes(ObjectSpec(instance=1))[-arrival.dataset_size :]
    assert hashlib.sha256(data).hexdigest() == arrival.dataset_sha256
    assert arrival.path.read_bytes().endswith(data)
    assert arrival.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changes", "admission", "words"),
    [
        ({"calling": AETitle("STRANGER")}, {"callers": {"THEY": frozenset()}}, "our calling AE title"),
        ({"called": AETitle("OTHER")}, {}, "the called AE title"),
        ({"called": AETitle("we")}, {}, "the called AE title"),
    ],
)
def test_strangers_are_rejected(
    tmp_path: Path, changes: dict[str, object], admission: dict[str, object], words: str
) -> None:
    with receiving(Gathering(tmp_path), **admission) as receiver, pytest.raises(ArchiveRefused, match=words):
        request(peer(receiver, **changes), [CT])


def test_any_called_title_will_do_where_it_is_not_checked(tmp_path: Path) -> None:
    with receiving(Gathering(tmp_path), check_called=False) as receiver:
        assert sending(receiver, outgoing(tmp_path), called=AETitle("OTHER")) == [0]


def test_associations_beyond_the_limit_are_rejected_for_now_and_later_welcome(tmp_path: Path) -> None:
    limits = Limits(associations=2, request=5, idle=5, stall=5)
    with receiving(Gathering(tmp_path), limits=limits) as receiver:
        with request(peer(receiver), [ECHO]), request(peer(receiver), [ECHO]):
            assert receiver.associations == 2
            for _ in range(3):
                with pytest.raises(ArchiveRefused, match="no association left") as caught:
                    request(peer(receiver), [ECHO])
                assert caught.value.transient
        wait_until(lambda: receiver.associations == 0)
        with request(peer(receiver), [ECHO]) as association:
            echo(association)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.01)


def test_a_context_takes_the_first_of_our_transfer_syntaxes_that_was_proposed(tmp_path: Path) -> None:
    admission = Admission(title="WE", transfer_syntaxes=lambda uid: ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"))
    with Receiver(Service(admission=admission, sink=Gathering(tmp_path))) as receiver:
        offers = [
            Context(abstract_syntax="1.2.3", transfer_syntaxes=("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70")),
            Context(abstract_syntax="1.2.4", transfer_syntaxes=("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")),
            Context(abstract_syntax="1.2.5", transfer_syntaxes=("1.2.840.10008.1.2",)),
        ]
        with request(peer(receiver), offers) as association:
            chosen = {one.abstract_syntax: one.transfer_syntax for one in association.accepted}
            [refused] = association.refused
    assert chosen == {"1.2.3": "1.2.840.10008.1.2.4.70", "1.2.4": "1.2.840.10008.1.2.1"}
    assert (refused.abstract_syntax, refused.reason) == ("1.2.5", "none of the transfer syntaxes is supported")


# ------------------------------------------------------------------------------------------------------ the sink


class Scripted(Gathering):
    """A sink that does one thing after the other: an answer, or an exception."""

    def __init__(self, folder: Path, places: list[object], takes: list[object]) -> None:
        super().__init__(folder)
        self.places, self.takes = places, takes

    def place(self, offer: Offer) -> Path | int:
        wanted = self.places.pop(0)
        if isinstance(wanted, Exception):
            raise wanted
        return wanted if isinstance(wanted, int) else super().place(offer)

    def take(self, arrival: Arrival) -> int:
        super().take(arrival)
        wanted = self.takes.pop(0)
        if isinstance(wanted, Exception):
            raise wanted
        assert isinstance(wanted, int)
        return wanted


def test_the_sink_decides_what_the_sender_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ok = object()
    sink = Scripted(
        tmp_path,
        places=[ok, 0x0124, DiskFull("no room"), ok, ok, RuntimeError("secret"), ok, ok],
        takes=[0, 0xB000, DiskFull("no room"), RuntimeError("secret"), 0],
    )
    with receiving(sink) as receiver:
        statuses = sending(receiver, *(outgoing(tmp_path, number) for number in range(1, 9)))
    assert statuses == [0, 0x0124, 0xA700, 0xB000, 0xA700, 0x0110, 0x0110, 0]
    left = {arrival.offer.sop_instance_uid[-1] for arrival in sink.arrivals if arrival.path.exists()}
    assert left == {"1", "4", "8"}
    assert "secret" not in caplog.text


def test_an_object_that_is_too_large_is_not_taken_and_the_next_is(tmp_path: Path) -> None:
    sink = Gathering(tmp_path / "in")
    sink.folder.mkdir()
    small = outgoing(tmp_path, 1)
    size = small.path.stat().st_size
    large = outgoing(tmp_path, 2)
    large.path.write_bytes(dicom_bytes(ObjectSpec(instance=2))[:-4] + bytes(2 * size))
    with receiving(sink, limits=Limits(max_object=size)) as receiver:
        assert sending(receiver, large, small) == [0xA700, 0]
    assert [path.stat().st_size for path in sink.folder.iterdir()] == [sink.arrivals[0].size]
    assert sink.lost == [None]


@pytest.mark.parametrize("short", [False, True])
def test_a_full_disk_is_out_of_resources_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    """Whoever wanted the object hears of it; also where only a part of it was written."""
    sink = Gathering(tmp_path / "in")
    sink.folder.mkdir()
    write = os.writev
    full = threading.Event()

    def filling(descriptor: int, data: tuple[bytes, ...]) -> int:
        if full.is_set() and "/in/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            if short:
                return write(descriptor, (data[0],))
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "writev", filling)
    full.set()
    with receiving(sink) as receiver, request(peer(receiver), [CT]) as association:
        said = store(association, [outgoing(tmp_path, 1), outgoing(tmp_path, 2)])
        first = next(said)[1]
        full.clear()
        list(said)
    assert isinstance(first, StoreAnswer)
    assert first.status == 0xA700
    assert len(list(sink.folder.iterdir())) == len(sink.arrivals)
    assert isinstance(sink.lost[0], DiskFull)
    assert sink.lost[0].hint


def test_a_path_that_exists_is_never_written_over(tmp_path: Path) -> None:
    sink = Gathering(tmp_path / "in")
    sink.folder.mkdir()
    precious = sink.folder / "000001.dcm"
    precious.write_text("precious")
    with receiving(sink) as receiver:
        assert sending(receiver, outgoing(tmp_path, 1), outgoing(tmp_path, 2)) == [0xA700, 0]
    assert precious.read_text() == "precious"
    assert [str(problem) for problem in sink.lost] == ["an object that was received cannot be written: File exists"]


# ---------------------------------------------------------------------------------------------- by hand, byte by byte


@contextmanager
def connected(receiver: Receiver) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def asking(**changes: object) -> bytes:
    known: dict[str, object] = {
        "called": "WE", "calling": "THEY", "max_pdu": 16384,
        "proposed": (
            Proposed(id=1, abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,)),
            Proposed(id=3, abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED),
            Proposed(id=5, abstract_syntax=COMMITMENT_PUSH, transfer_syntaxes=UNCOMPRESSED),
        ),
    }  # fmt: skip
    return negotiation.encode(1, Negotiation(**{**known, **changes}))  # type: ignore[arg-type]


def storing(**changes: int | str) -> dict[int, int | str]:
    elements: dict[int, int | str] = {
        cs.AFFECTED_CLASS: CTImageStorage,
        cs.FIELD: cs.C_STORE_RQ,
        cs.MESSAGE_ID: 1,
        cs.PRIORITY: 0,
        cs.DATA_SET_TYPE: 1,
        cs.AFFECTED_INSTANCE: "1.2.3",
    }
    return elements | {getattr(cs, name): value for name, value in changes.items()}


def ended(connection: socket.socket) -> bytes:
    """What comes until the receiver hangs up; it has to, within the test's patience."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass  # it hung up while there was more to read
    return found


HOSTILE: dict[str, bytes] = {
    "not DICOM": b"GET / HTTP/1.1\r\n\r\n",
    "a PDU of 4 GiB": b"\1\0\xff\xff\xff\xff" + bytes(1000),
    "a request that is too short": pdu(1, bytes(20)),
    "P-DATA before a request": pdu(4, pdv(1, 3, b"")),
    "a release before a request": RELEASE_RQ,
    "an acceptance": b"\2" + asking()[1:],
    "no contexts": asking(proposed=()),
    "the same context ID twice": asking(
        proposed=(Proposed(id=1, abstract_syntax="1.2", transfer_syntaxes=("1.2",)),) * 2
    ),
    "an even context ID": asking(proposed=(Proposed(id=2, abstract_syntax="1.2", transfer_syntaxes=("1.2",)),)),
    "a maximum length that holds nothing": asking(max_pdu=6),
    "a second request": asking() + asking(),
    "P-DATA of 4 GiB": asking() + b"\4\0\xff\xff\xff\xff" + bytes(1000),
    "P-DATA without an item": asking() + pdu(4, b""),
    "an item longer than its PDU": asking() + pdu(4, b"\0\0\xff\xff\1\3"),
    "an item shorter than its header": asking() + pdu(4, b"\0\0\0\1\1\3"),
    "a context that was not agreed on": asking() + pdu(4, pdv(9, 3, cs.encode(storing()))),
    "a data set without a command set": asking() + pdu(4, pdv(1, 2, b"abcd")),
    "a command set that is none": asking() + pdu(4, pdv(1, 3, b"\xff" * 30)),
    "an endless command set": asking() + pdu(4, pdv(1, 1, bytes(16000))) * 6,
    "a command set instead of the data set": asking() + message(1, storing()) * 2,
    "a data set in another context": asking() + message(1, storing()) + pdu(4, pdv(3, 2, b"abcd")),
    "a fragment longer than its PDU": asking() + message(1, storing()) + pdu(4, b"\0\0\0\x64\1\2abcd"),
    "a release within an object": asking() + message(1, storing()) + pdu(4, pdv(1, 0, b"abcd")) + RELEASE_RQ,
    "a store without an instance": asking() + message(1, storing(AFFECTED_INSTANCE=""), b"abcd"),
    "a store whose instance is no UID": asking() + message(1, storing(AFFECTED_INSTANCE="x" * 100), b"abcd"),
    "a store without a data set": asking() + message(1, storing(DATA_SET_TYPE=0x0101)),
    "an answer without a question": asking() + message(1, storing(FIELD=0x8001, DATA_SET_TYPE=0x0101)),
    "an event report of nothing": asking() + message(1, storing(FIELD=0x0100, DATA_SET_TYPE=0x0101)),
    "an event report that cannot be read": asking() + message(5, storing(FIELD=0x0100), b"\xff" * 40),
    "an unknown PDU": asking() + pdu(9, bytes(4)),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_peer_that_breaks_the_protocol_is_aborted_at_once_and_the_next_is_served(tmp_path: Path, data: bytes) -> None:
    sink = Gathering(tmp_path / "in")
    sink.folder.mkdir()
    patient = Limits(request=600, idle=600, stall=600)
    with receiving(sink, report=lambda report: None, limits=patient) as receiver:
        with connected(receiver) as connection:
            connection.sendall(data)
            ended(connection)
        assert sending(receiver, outgoing(tmp_path)) == [0]
        wait_until(lambda: receiver.associations == 0)
    assert len(list(sink.folder.iterdir())) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\1", asking()[:-1], asking(), asking() + b"\4", asking() + message(1, storing())],
    ids=["nothing", "one byte", "almost a request", "a request", "the beginning of a PDU", "a store without its data"],
)  # fmt: skip
def test_a_peer_that_falls_silent_is_given_up(tmp_path: Path, data: bytes) -> None:
    sink = Gathering(tmp_path)
    with receiving(sink) as receiver:
        with connected(receiver) as connection:
            connection.sendall(data)
            ended(connection)
        wait_until(lambda: receiver.associations == 0)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_loris_is_given_up_before_and_after_its_request(tmp_path: Path) -> None:
    with receiving(Gathering(tmp_path)) as receiver:
        for beginning, dribble in ((b"", asking()), (asking() + message(1, storing()), pdu(4, pdv(1, 0, b"ab")) * 100)):
            with connected(receiver) as connection:
                connection.sendall(beginning)
                with pytest.raises(OSError):
                    for _ in range(10):
                        for byte in dribble[:392]:  # whole PDUs, each in good time
                            connection.sendall(bytes((byte,)))
                            time.sleep(0.02)
        wait_until(lambda: receiver.associations == 0)
    assert list(tmp_path.iterdir()) == []


def test_headers_of_4_gib_cost_no_memory(tmp_path: Path) -> None:
    process = psutil.Process()
    with receiving(Gathering(tmp_path), limits=Limits()) as receiver:
        with connected(receiver) as connection:
            connection.sendall(b"\1\0\xff\xff\xff\xff")
            ended(connection)
        before = process.memory_info().rss
        for data in (b"\1\0\xff\xff\xff\xff", asking() + b"\4\0\xff\xff\xff\xff") * 3:
            with connected(receiver) as connection:
                connection.sendall(data)
                with contextlib.suppress(OSError):  # it hung up
                    connection.sendall(bytes(16 << 20))
        assert process.memory_info().rss - before < 32 << 20


def test_an_association_that_breaks_within_an_object_leaves_nothing(tmp_path: Path) -> None:
    sink = Gathering(tmp_path)
    with receiving(sink) as receiver:
        with connected(receiver) as connection:
            connection.sendall(asking())
            assert read_pdu(connection)[0] == 2
            connection.sendall(message(1, storing()) + pdu(4, pdv(1, 0, b"abcd")))
            wait_until(lambda: len(sink.offers) == 1)
        wait_until(lambda: receiver.associations == 0)
    assert (sink.arrivals, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize("control", [(0, 2), (0, 0, 2), (2,)])
def test_a_data_set_may_come_in_any_fragments(tmp_path: Path, control: tuple[int, ...]) -> None:
    sink = Gathering(tmp_path)
    items = b"".join(pdv(1, flag, bytes((65 + number,)) * 2) for number, flag in enumerate(control))
    with receiving(sink) as receiver, connected(receiver) as connection:
        connection.sendall(asking() + pdu(4, pdv(1, 3, cs.encode(storing())) + items))
        assert read_pdu(connection)[0] == 2
        assert cs.required(read_command(connection), cs.STATUS) == 0
        connection.sendall(RELEASE_RQ)
        assert connection.recv(10) == RELEASE_RP
    [arrival] = sink.arrivals
    assert arrival.path.read_bytes()[-arrival.dataset_size :] == b"AABBCC"[: 2 * len(control)]


def test_what_is_not_our_service_is_refused_and_the_association_goes_on(tmp_path: Path) -> None:
    with receiving(Gathering(tmp_path)) as receiver, connected(receiver) as connection:
        connection.sendall(asking())
        assert read_pdu(connection)[0] == 2
        for elements, data, status in (
            (storing(FIELD=0x0020), b"abcd", 0x0211),
            (storing(AFFECTED_CLASS=MRImageStorage), b"abcd", 0x0122),
            (storing(FIELD=0x0030, DATA_SET_TYPE=0x0101), None, 0x0118),
        ):
            connection.sendall(message(1, elements, data))
            answer = read_command(connection)
            assert (cs.required(answer, cs.STATUS), cs.required(answer, cs.RESPONDED_TO)) == (status, 1)
        connection.sendall(message(3, {cs.FIELD: 0x0FFF, cs.RESPONDED_TO: 1, cs.DATA_SET_TYPE: 0x0101}))
        connection.sendall(message(3, {cs.FIELD: 0x0030, cs.MESSAGE_ID: 9, cs.DATA_SET_TYPE: 0x0101}))
        answer = read_command(connection)
        assert (cs.required(answer, cs.FIELD), cs.required(answer, cs.STATUS)) == (0x8030, 0)


def test_a_storage_commitment_report_is_taken_on_an_association_of_its_own(tmp_path: Path) -> None:
    def item(uid: str, reason: int = 0) -> Dataset:
        made = Dataset()
        made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = CTImageStorage, uid
        if reason:
            made.FailureReason = reason
        return made

    information = Dataset()
    information.TransactionUID = "1.2.9"
    information.ReferencedSOPSequence = [item("1.2.1"), item("1.2.2")]
    information.FailedSOPSequence = [item("1.2.3", 0x0112)]
    data = io.BytesIO()
    file = DicomFileLike(data)
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, information)
    elements: dict[int, int | str] = {
        cs.AFFECTED_CLASS: COMMITMENT_PUSH,
        cs.FIELD: cs.N_EVENT_REPORT_RQ,
        cs.MESSAGE_ID: 1,
        cs.DATA_SET_TYPE: 1,
        cs.AFFECTED_INSTANCE: "1.2.840.10008.1.20.1.1",
        cs.EVENT_TYPE: 2,
    }
    reports: Queue[CommitmentReport] = Queue()
    roles = {COMMITMENT_PUSH: Role(scu=False, scp=True), CTImageStorage: Role(scu=True, scp=True)}
    with receiving(Gathering(tmp_path), report=reports.put) as receiver, connected(receiver) as connection:
        connection.sendall(asking(roles=roles))
        kind, body = read_pdu(connection)
        assert kind == 2
        assert negotiation.decode(body).roles == {
            COMMITMENT_PUSH: Role(scu=False, scp=True), CTImageStorage: Role(scu=True, scp=False)
        }  # fmt: skip
        connection.sendall(message(5, elements, data.getvalue()))
        assert cs.required(read_command(connection), cs.STATUS) == 0
    assert reports.get_nowait() == CommitmentReport(
        transaction="1.2.9",
        committed=tuple(Reference(sop_class_uid=CTImageStorage, sop_instance_uid=f"1.2.{n}") for n in (1, 2)),
        failed=(Reference(sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3", reason=0x0112),),
    )


def test_closing_ends_associations_and_frees_the_port(tmp_path: Path) -> None:
    with receiving(Gathering(tmp_path), limits=Limits()) as receiver:
        association = request(peer(receiver), [ECHO])
        echo(association)
    with pytest.raises(ArchiveError):
        echo(association)
    association.abort()
    admission = Admission(title="WE", transfer_syntaxes=syntaxes)
    with Receiver(Service(admission=admission, sink=Gathering(tmp_path)), port=receiver.port) as again:
        assert again.port == receiver.port
        with pytest.raises(ArchiveUnreachable, match="cannot listen"):
            Receiver(Service(admission=admission, sink=Gathering(tmp_path)), port=again.port)


# ------------------------------------------------------------------------------------------------------------ TLS


def test_a_client_certificate_is_bound_to_its_ae_title(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, good, other = (authority.issue(name) for name in ("server", "good", "other"))
    sink = Gathering(tmp_path / "in")
    sink.folder.mkdir()
    callers = {"THEY": frozenset({good.sha256}), "ANYONE": frozenset()}
    with receiving(sink, tls=server_tls(server, clients=authority), callers=callers, limits=Limits()) as receiver:
        assert sending(receiver, outgoing(tmp_path), tls=client_tls(authority, good)) == [0]
        with pytest.raises(ArchiveRefused, match="our calling AE title"):
            request(peer(receiver, tls=client_tls(authority, other)), [CT])
        with request(
            peer(receiver, tls=client_tls(authority, other), calling=AETitle("ANYONE")), [ECHO]
        ) as association:
            echo(association)
        with pytest.raises(ArchiveError):
            request(peer(receiver, tls=client_tls(authority)), [CT])
        with pytest.raises(ArchiveError):
            request(peer(receiver), [CT])
        stranger = Authority(tmp_path, "elsewhere").issue("stranger")
        with pytest.raises(ArchiveError):
            request(peer(receiver, tls=client_tls(authority, stranger)), [CT])
    [arrival] = sink.arrivals
    assert arrival.offer.certificate == good.sha256


def test_a_large_object_crosses_tls_unchanged(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    sink = Gathering(tmp_path / "in")
    sink.folder.mkdir()
    large = outgoing(tmp_path)
    data = dicom_bytes(ObjectSpec(instance=1)) + os.urandom(3_000_000)
    large.path.write_bytes(data)
    with receiving(sink, tls=server_tls(authority.issue("server")), limits=Limits()) as receiver:
        assert sending(receiver, large, tls=client_tls(authority)) == [0]
    [arrival] = sink.arrivals
    assert hashlib.sha256(data[-arrival.dataset_size :]).hexdigest() == arrival.dataset_sha256
