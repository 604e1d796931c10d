"""What an association requestor is told when the other side refuses, misbehaves, or is not there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from peers.dicom import free_port
from peers.scripted_dicom import (
    RELEASE_RP,
    RELEASE_RQ,
    Authority,
    accept,
    client_tls,
    exactly,
    message,
    pdu,
    pdv,
    read_command,
    read_pdu,
    scripted,
    server_tls,
)
from vna_lifecycle.adapters.dimse.wire import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Context,
    NotSent,
    Outgoing,
    Peer,
    StoreAnswer,
    Timeouts,
    echo,
    find,
    move,
    negotiation,
    request,
    store,
)
from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.identifier import Keys, write
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Result
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable, DicomRefused
from vna_lifecycle.model.identity import AETitle
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

CONTEXTS = [
    Context(abstract_syntax=uid, transfer_syntaxes=UNCOMPRESSED)
    for uid in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE)
]
CT = Context(abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,))
QUICK = Timeouts(connect=0.6, answer=0.6, stall=0.6)

Script = Callable[[socket.socket], None]


def peer(port: int, **changes: object) -> Peer:
    known: dict[str, object] = {
        "host": "127.0.0.1", "called": AETitle("THEY"), "calling": AETitle("WE"), "timeouts": QUICK
    }  # fmt: skip
    return Peer(port=port, **{**known, **changes})  # type: ignore[arg-type]


def rejecting(result: int, source: int, reason: int) -> Script:
    def script(connection: socket.socket) -> None:
        read_pdu(connection)
        connection.sendall(negotiation.encode_rejection(result, source, reason))
        connection.recv(1)

    return script


@pytest.mark.parametrize(
    ("result", "source", "reason", "words", "transient"),
    [
        (1, 1, 1, "permanently: no reason was given", False),
        (1, 1, 2, "application context", False),
        (1, 1, 3, "does not recognise our calling AE title", False),
        (1, 1, 7, "does not recognise the called AE title", False),
        (1, 2, 1, "no reason was given", False),
        (1, 2, 2, "protocol version", False),
        (2, 3, 1, "for now: it is congested", True),
        (2, 3, 2, "no association left", True),
        (1, 3, 2, "no association left", True),
        (2, 1, 1, "for now: no reason was given", True),
        (1, 1, 9, "reason 9 of source 1", False),
    ],
)
def test_a_rejection_is_told_in_words(result: int, source: int, reason: int, words: str, transient: bool) -> None:
    with scripted(rejecting(result, source, reason)) as port, pytest.raises(ArchiveRefused, match=words) as caught:
        request(peer(port), CONTEXTS)
    assert caught.value.transient is transient
    if (source, reason) in ((1, 3), (1, 7)):
        assert "AE title" in caught.value.hint


def test_nobody_at_the_port_is_unreachable_and_may_be_there_later() -> None:
    with pytest.raises(ArchiveUnreachable, match="refused") as caught:
        request(peer(free_port()), CONTEXTS)
    assert caught.value.transient


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(ArchiveUnreachable):
        request(peer(104, host="no-such-host.invalid"), CONTEXTS)


@pytest.mark.parametrize("port", [0, 65_536])
def test_a_port_that_does_not_exist_is_no_peer(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        peer(port)


def test_a_name_that_no_host_can_have_is_unreachable_for_good() -> None:
    with pytest.raises(ArchiveUnreachable) as caught:
        request(peer(104, host="a" * 64 + ".example"), CONTEXTS)
    assert not caught.value.transient


def test_no_common_context_is_a_refusal_with_each_reason() -> None:
    def script(connection: socket.socket) -> None:
        read_pdu(connection)
        results = (Result(id=1, result=3), Result(id=3, result=4), Result(id=5, result=1))
        connection.sendall(negotiation.encode(2, Negotiation(called="A", calling="B", max_pdu=0, results=results)))
        connection.recv(1)

    with scripted(script) as port, pytest.raises(ArchiveRefused) as caught:
        request(peer(port), CONTEXTS)
    for words in ("SOP class is not supported", "none of the transfer syntaxes", "rejected by the user"):
        assert words in str(caught.value)


def test_a_transfer_syntax_that_was_not_proposed_is_not_accepted() -> None:
    def script(connection: socket.socket) -> None:
        read_pdu(connection)
        results = (Result(id=1, result=0, transfer_syntax="1.2.3"),)
        connection.sendall(negotiation.encode(2, Negotiation(called="A", calling="B", max_pdu=0, results=results)))
        connection.recv(1)

    with scripted(script) as port, pytest.raises(ArchiveRefused, match="was not proposed"):
        request(peer(port), CONTEXTS[:1])


def once(data: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        read_pdu(connection)
        connection.sendall(data)
        connection.recv(1)

    return script


GARBAGE = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a mail server": b"220 mail.example ESMTP\r\n",
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "an acceptance that is too short": pdu(2, bytes(10)),
    "an acceptance whose items do not fit": pdu(2, bytes(68) + b"\x21\0\xff\xff"),
    "a PDU of 4 GiB": b"\2\0\xff\xff\xff\xff" + bytes(100),
    "P-DATA": pdu(4, pdv(1, 3, b"")),
    "a release": RELEASE_RQ,
    "a request": pdu(1, bytes(68)),
}


def test_a_server_of_another_protocol_is_told_as_such() -> None:
    with scripted(once(GARBAGE["a web server"])) as port, pytest.raises(ArchiveError, match="no PDU") as caught:
        request(peer(port), CONTEXTS)
    assert "host and port" in caught.value.hint


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_answer_to_a_request_is_a_named_error(data: bytes) -> None:
    with scripted(once(data)) as port, pytest.raises(ArchiveError, match=r"does not keep to the DICOM|accepted none"):
        request(peer(port), CONTEXTS)


def test_a_header_of_4_gib_costs_no_memory() -> None:
    process = psutil.Process()
    data = b"\2\0\xff\xff\xff\xff" + bytes(8 << 20)
    with scripted(once(data)) as port:
        before = process.memory_info().rss
        for _ in range(5):
            with pytest.raises(ArchiveError, match="4,294,967,295"):
                request(peer(port), CONTEXTS)
        assert process.memory_info().rss - before < 32 << 20


def test_a_peer_that_never_answers_is_given_up() -> None:
    with (
        scripted(lambda connection: time.sleep(5)) as port,
        pytest.raises(ArchiveError, match="did not answer") as caught,
    ):
        request(peer(port), CONTEXTS)
    assert caught.value.transient


def test_a_slow_loris_is_given_up() -> None:
    def script(connection: socket.socket) -> None:
        read_pdu(connection)
        for byte in pdu(2, bytes(200)):
            connection.sendall(bytes((byte,)))
            time.sleep(0.1)

    with scripted(script) as port, pytest.raises(ArchiveError, match="stopped in the middle") as caught:
        request(peer(port), CONTEXTS)
    assert caught.value.transient


@pytest.mark.timeout(60)
def test_a_peer_that_stops_within_a_pdu_is_given_up_long_before_one_that_thinks() -> None:
    patient = Timeouts(connect=600, answer=600, stall=0.5)

    def script(connection: socket.socket) -> None:
        accept(connection)
        read_command(connection)
        connection.sendall(b"\4\0\0")
        connection.recv(1)

    with scripted(script) as port, request(peer(port, timeouts=patient), CONTEXTS) as association:
        with pytest.raises(ArchiveError, match="stopped in the middle"):
            echo(association)
        assert not association.alive


def test_an_archive_that_releases_within_an_operation_is_told_as_such() -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        read_command(connection)
        connection.sendall(RELEASE_RQ)
        assert exactly(connection, 10) == RELEASE_RP

    with scripted(script) as port, request(peer(port), CONTEXTS) as association:
        with pytest.raises(ArchiveError, match="released the association") as caught:
            echo(association)
        assert caught.value.transient
        assert not association.alive


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "\u00c4RZTE"])
def test_what_is_no_ae_title_is_no_peer(title: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        peer(104, called=title)


def test_a_peer_that_hangs_up_is_told_from_one_that_is_not_there() -> None:
    with scripted(lambda connection: None) as port, pytest.raises(ArchiveError, match="was lost") as caught:
        request(peer(port), CONTEXTS)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [(0, 0, "no reason can be given"), (2, 6, "invalid PDU parameter"), (2, 2, "unexpected")],
)
def test_an_abort_is_told_in_words(source: int, reason: int, words: str) -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        read_command(connection)
        connection.sendall(bytes((7, 0, 0, 0, 0, 4, 0, 0, source, reason)))
        connection.recv(1)

    with scripted(script) as port, request(peer(port), CONTEXTS) as association, pytest.raises(ArchiveError) as caught:
        echo(association)
    assert f"aborted the association: {words}" in str(caught.value)
    assert caught.value.transient
    assert "may not allow our AE title" in caught.value.hint


# ------------------------------------------------------------------------------------------------------------ TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def echoing(connection: socket.socket) -> None:
    accept(connection)
    while True:
        command = read_command(connection)
        connection.sendall(
            message(
                1,
                {
                    cs.AFFECTED_CLASS: VERIFICATION,
                    cs.FIELD: 0x8030,
                    cs.RESPONDED_TO: cs.required(command, cs.MESSAGE_ID),
                    cs.DATA_SET_TYPE: 0x0101,
                    cs.STATUS: 0,
                },
            )
        )


def over_tls(script: Script, **options: object) -> Script:
    def run(connection: socket.socket) -> None:
        with server_tls(**options).wrap_socket(connection, server_side=True) as encrypted:  # type: ignore[arg-type]
            script(encrypted)

    return run


def test_an_association_over_tls_works(authority: Authority) -> None:
    own = authority.issue("archive")
    script = over_tls(echoing, own=own)
    with scripted(script) as port, request(peer(port, tls=client_tls(authority)), CONTEXTS) as association:
        for _ in range(3):
            echo(association)


def test_a_certificate_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    own = Authority(tmp_path, "stranger").issue("archive")
    with scripted(over_tls(echoing, own=own)) as port, pytest.raises(ArchiveUnreachable, match="not trusted") as caught:
        request(peer(port, tls=client_tls(authority)), CONTEXTS)
    assert not caught.value.transient


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    own = authority.issue("archive", days=-1)
    with scripted(over_tls(echoing, own=own)) as port, pytest.raises(ArchiveUnreachable, match="expired"):
        request(peer(port, tls=client_tls(authority)), CONTEXTS)


def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    own = authority.issue("archive")
    with scripted(over_tls(echoing, own=own)) as port, pytest.raises(ArchiveUnreachable, match="not trusted"):
        request(peer(port, tls=client_tls(authority), tls_name="pacs.example"), CONTEXTS)


def test_tls_to_a_peer_without_it_is_a_named_error(authority: Authority) -> None:
    with scripted(once(b"")) as port, pytest.raises(ArchiveError):
        request(peer(port, tls=client_tls(authority)), CONTEXTS)
    plain = negotiation.encode_rejection(1, 1, 1)
    with (
        scripted(lambda connection: connection.sendall(plain)) as port,
        pytest.raises(ArchiveUnreachable, match="no TLS connection"),
    ):
        request(peer(port, tls=client_tls(authority)), CONTEXTS)


def test_no_tls_to_a_peer_with_it_is_a_named_error(authority: Authority) -> None:
    script = over_tls(echoing, own=authority.issue("archive"))
    with scripted(script) as port, pytest.raises(ArchiveError, match=r"DICOM protocol|was lost"):
        request(peer(port), CONTEXTS)


# ----------------------------------------------------------------------------------------------------- operations


def answer(
    field: int, command: cs.Command, status: int, *, data_set: bool = False, **counters: int
) -> dict[int, int | str]:
    elements: dict[int, int | str] = {
        cs.FIELD: field | 0x8000,
        cs.RESPONDED_TO: cs.required(command, cs.MESSAGE_ID),
        cs.DATA_SET_TYPE: 1 if data_set else 0x0101,
        cs.STATUS: status,
    }
    names = {"remaining": cs.REMAINING, "completed": cs.COMPLETED, "failed": cs.FAILED, "warned": cs.WARNED}
    return elements | {names[name]: value for name, value in counters.items()}


PATIENT = 0x00100020


def one(patient: str) -> bytes:
    return write({PATIENT: patient}, "1.2.840.10008.1.2.1")


def asked(connection: socket.socket) -> cs.Command:
    command = read_command(connection)
    if cs.required(command, cs.DATA_SET_TYPE) != 0x0101:
        # the identifier follows in a PDU of its own
        read_pdu(connection)
    return command


def query() -> Keys:
    return {0x00080052: "STUDY", PATIENT: ""}


def test_a_failed_query_says_what_was_answered_before_and_why_it_ended() -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        connection.sendall(message(3, answer(0x20, command, 0xFF00, data_set=True), one("A")))
        connection.sendall(message(3, answer(0x20, command, 0xA700)))
        connection.recv(1)

    with scripted(script) as port, request(peer(port), CONTEXTS) as association:
        found = find(association, query())
        assert next(found).read().text(PATIENT) == "A"
        with pytest.raises(ArchiveError, match=r"A700 \(out of resources\)") as caught:
            next(found)
    assert caught.value.transient


def test_optional_keys_that_were_not_supported_are_noted() -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        connection.sendall(message(3, answer(0x20, command, 0xFF01, data_set=True), one("A")))
        connection.sendall(message(3, answer(0x20, command, 0xFF00, data_set=True), one("B")))
        connection.sendall(message(3, answer(0x20, command, 0)))
        connection.recv(1)

    with scripted(script) as port, request(peer(port), CONTEXTS) as association:
        assert [found.all_keys for found in find(association, query())] == [False, True]


def test_a_query_that_is_left_is_cancelled_and_its_late_answers_are_passed_over() -> None:
    cancelled: list[tuple[int, bool]] = []

    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        for patient in ("A", "B"):
            connection.sendall(message(3, answer(0x20, command, 0xFF00, data_set=True), one(patient)))
        cancel = read_command(connection)
        same = cs.required(cancel, cs.RESPONDED_TO) == cs.required(command, cs.MESSAGE_ID)
        cancelled.append((cs.required(cancel, cs.FIELD), same))
        connection.sendall(message(3, answer(0x20, command, 0xFE00)))
        second = asked(connection)
        connection.sendall(message(3, answer(0x20, second, 0xFF00, data_set=True), one("C")))
        connection.sendall(message(3, answer(0x20, second, 0)))
        connection.recv(1)

    with scripted(script) as port, request(peer(port), CONTEXTS) as association:
        for found in find(association, query()):
            assert found.read().text(PATIENT) == "A"
            break
        assert [found.read().text(PATIENT) for found in find(association, query())] == ["C"]
    assert cancelled == [(cs.C_CANCEL_RQ, True)]


def test_an_answer_to_another_question_is_a_violation() -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        elements = answer(0x20, command, 0) | {cs.RESPONDED_TO: cs.required(command, cs.MESSAGE_ID) + 1}
        connection.sendall(message(3, elements))
        connection.recv(1)

    with (
        scripted(script) as port,
        request(peer(port), CONTEXTS) as association,
        pytest.raises(ArchiveError, match="a question that was not asked"),
    ):
        list(find(association, query()))


def test_a_move_without_counters_leaves_them_unknown_and_names_what_failed() -> None:
    data = write({0x00080058: "1.2.3\\1.2.4"}, "1.2.840.10008.1.2.1")

    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        assert cs.text(command, cs.MOVE_DESTINATION) == "WE"
        connection.sendall(message(5, answer(0x21, command, 0xFF00, remaining=2, completed=1, failed=0, warned=0)))
        connection.sendall(message(5, answer(0x21, command, 0xFF00)))
        connection.sendall(message(5, answer(0x21, command, 0xB000, data_set=True), data))
        connection.recv(1)

    with scripted(script) as port, request(peer(port), CONTEXTS) as association:
        first, second, last = list(move(association, query(), "WE"))
    assert (first.remaining, first.completed, first.failed, first.warned, first.final) == (2, 1, 0, 0, False)
    assert (second.remaining, second.completed, second.failed, second.warned) == (None, None, None, None)
    assert (last.status, last.final, last.failed_uids) == (0xB000, True, ("1.2.3", "1.2.4"))


def test_a_retrieval_is_cancelled_while_the_peer_is_silent() -> None:
    cancelled: list[int] = []

    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        cancelled.append(cs.required(read_command(connection), cs.FIELD))
        connection.sendall(message(5, answer(0x21, command, 0xFE00)))
        connection.recv(1)

    with scripted(script) as port:
        slow = Timeouts(connect=5, answer=20, stall=5)
        with request(peer(port, timeouts=slow), CONTEXTS) as association:
            timer = threading.Timer(0.3, association.cancel)
            timer.start()
            assert [response.status for response in move(association, query(), "WE")] == [0xFE00]
            timer.join()
    assert cancelled == [cs.C_CANCEL_RQ]


@pytest.fixture
def objects(tmp_path: Path) -> list[Outgoing]:
    made = []
    for number in range(1, 4):
        spec = ObjectSpec(instance=number)
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(dicom_bytes(spec))
        made.append(Outgoing(path=path, sop_class_uid=CTImageStorage, sop_instance_uid=spec.sop_instance_uid))
    return made


def storing(statuses: list[int]) -> Script:
    def script(connection: socket.socket) -> None:
        accept(connection)
        for status in statuses:
            command = read_command(connection)
            while not read_pdu(connection)[1][5] & 2:
                pass
            connection.sendall(message(1, answer(1, command, status)))
        connection.recv(1)

    return script


def test_every_status_of_a_store_is_handed_on(objects: list[Outgoing]) -> None:
    statuses = [0xB000, 0xA700, 0xC123]
    with scripted(storing(statuses)) as port, request(peer(port), [CT]) as association:
        answers = list(store(association, objects))
    assert [sent for sent, _ in answers] == objects
    assert [said.status for _, said in answers if isinstance(said, StoreAnswer)] == statuses


def test_an_object_that_cannot_be_sent_does_not_stop_the_others(objects: list[Outgoing], tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM here")
    lacking = Outgoing(path=tmp_path / "absent.dcm", sop_class_uid=CTImageStorage, sop_instance_uid="1.2")
    hostile = Outgoing(path=tmp_path / "text.dcm", sop_class_uid=CTImageStorage, sop_instance_uid="1.2")
    foreign = Outgoing(path=objects[1].path, sop_class_uid="1.2.3.4", sop_instance_uid="1.2")
    nameless = Outgoing(path=objects[1].path, sop_class_uid=CTImageStorage, sop_instance_uid="1.2.\u00e4")
    order = [lacking, objects[0], hostile, foreign, objects[1], nameless]
    with scripted(storing([0, 0])) as port, request(peer(port), [CT]) as association:
        answers = [said for _, said in store(association, order)]
    kinds = [type(said.problem) if isinstance(said, NotSent) else type(said) for said in answers]
    assert kinds == [FileNotFoundError, StoreAnswer, DicomRefused, ArchiveRefused, StoreAnswer, UnicodeEncodeError]


def test_the_answer_to_one_object_is_not_lost_when_the_next_breaks_the_association(objects: list[Outgoing]) -> None:
    with scripted(storing([0])) as port, request(peer(port), [CT]) as association:
        said = store(association, objects)
        assert isinstance(next(said)[1], StoreAnswer)
        with pytest.raises(ArchiveError):
            next(said)
        assert not association.alive


def test_an_answer_is_not_lost_when_the_peer_does_not_take_the_next_object(objects: list[Outgoing]) -> None:
    with objects[1].path.open("ab") as file:
        file.truncate(64 << 20)

    def script(connection: socket.socket) -> None:
        accept(connection)
        command = asked(connection)
        connection.sendall(message(1, answer(1, command, 0)))
        time.sleep(3)

    with scripted(script) as port, request(peer(port), [CT]) as association:
        said = store(association, objects)
        assert isinstance(next(said)[1], StoreAnswer)
        with pytest.raises(ArchiveError, match="does not take") as caught:
            next(said)
        assert caught.value.transient
        assert not association.alive


def test_to_leave_while_an_object_is_under_way_ends_the_association(objects: list[Outgoing]) -> None:
    with scripted(storing([0, 0, 0])) as port, request(peer(port), [CT]) as association:
        for _ in store(association, objects):
            break
        assert not association.alive


def test_small_pdus_of_the_peer_are_kept_to(objects: list[Outgoing]) -> None:
    lengths: list[int] = []
    data = bytearray()

    def script(connection: socket.socket) -> None:
        accept(connection, max_pdu=256)
        body = b""
        while not body or body[5] != 2:
            kind, body = read_pdu(connection)
            assert kind == 4
            lengths.append(len(body))
            if not body[5] & 1:
                data.extend(body[6:])
        connection.sendall(message(1, {cs.FIELD: 0x8001, cs.RESPONDED_TO: 2, cs.DATA_SET_TYPE: 0x0101, cs.STATUS: 0}))
        connection.recv(1)

    with scripted(script) as port, request(peer(port), [CT]) as association:
        [(_, said)] = store(association, objects[:1])
    assert isinstance(said, StoreAnswer)
    assert max(lengths) == 256
    assert objects[0].path.read_bytes().endswith(bytes(data))
    assert len(data) == said.data_set_bytes


def test_a_release_that_the_peer_does_not_answer_ends_all_the_same() -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        assert read_pdu(connection)[0] == 5

    with scripted(script) as port, request(peer(port), CONTEXTS) as association:
        pass
    assert not association.alive


def test_a_release_collision_is_resolved() -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        accept(connection)
        assert read_pdu(connection)[0] == 5
        connection.sendall(RELEASE_RQ)
        seen.append(exactly(connection, 10))
        connection.sendall(RELEASE_RP)

    with scripted(script) as port, request(peer(port), CONTEXTS):
        pass
    assert seen == [RELEASE_RP]


def test_an_exception_aborts_the_association() -> None:
    seen: list[int] = []

    def script(connection: socket.socket) -> None:
        accept(connection)
        seen.append(read_pdu(connection)[0])

    with scripted(script) as port:
        with pytest.raises(KeyError), request(peer(port), CONTEXTS):
            raise KeyError
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
    assert seen == [7]


@pytest.mark.parametrize("count", [0, 129])
def test_an_association_has_1_to_128_contexts(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 128"):
        request(peer(1), [CT] * count)
