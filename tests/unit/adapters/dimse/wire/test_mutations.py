"""The receiver under mutated PDUs: it neither crashes, nor hangs, nor grows, and serves the next peer."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from peers.dicom import Gathering
from peers.scripted_dicom import RELEASE_RQ, message, pdu, pdv
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    UNCOMPRESSED,
    VERIFICATION,
    Admission,
    Context,
    Limits,
    Peer,
    Receiver,
    Service,
    Timeouts,
    echo,
    negotiation,
    request,
)
from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.identifier import write
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Proposed, Role
from vna_lifecycle.model.identity import AETitle

MEMORY = 32 << 20
HANG = 2.0
STALL = 0.3
"""How long the receiver waits for what a mutation promised and does not send: well under what counts as a hang."""


def conversation() -> list[bytes]:
    """What a peer that does everything sends, PDU by PDU."""
    report = {0x00081195: "1.2.9", 0x00081199: [{0x00081150: CTImageStorage, 0x00081155: "1.2.3"}]}
    storing: dict[int, int | str] = {
        cs.AFFECTED_CLASS: CTImageStorage, cs.FIELD: cs.C_STORE_RQ, cs.MESSAGE_ID: 1, cs.PRIORITY: 0,
        cs.DATA_SET_TYPE: 1, cs.AFFECTED_INSTANCE: "1.2.3", cs.MOVE_ORIGINATOR: "THEY",
        cs.MOVE_ORIGINATOR_MESSAGE_ID: 7,
    }  # fmt: skip
    echoing: dict[int, int | str] = {
        cs.AFFECTED_CLASS: VERIFICATION, cs.FIELD: cs.C_ECHO_RQ, cs.MESSAGE_ID: 2, cs.DATA_SET_TYPE: 0x0101
    }  # fmt: skip
    telling: dict[int, int | str] = {
        cs.AFFECTED_CLASS: COMMITMENT_PUSH, cs.FIELD: cs.N_EVENT_REPORT_RQ, cs.MESSAGE_ID: 3, cs.DATA_SET_TYPE: 1,
        cs.AFFECTED_INSTANCE: "1.2.840.10008.1.20.1.1", cs.EVENT_TYPE: 1,
    }  # fmt: skip
    asking = Negotiation(
        called="WE",
        calling="THEY",
        max_pdu=16384,
        proposed=(
            Proposed(id=1, abstract_syntax=CTImageStorage, transfer_syntaxes=(ExplicitVRLittleEndian,)),
            Proposed(id=3, abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED),
            Proposed(id=5, abstract_syntax=COMMITMENT_PUSH, transfer_syntaxes=UNCOMPRESSED),
        ),
        roles={COMMITMENT_PUSH: Role(scu=False, scp=True)},
        extended={CTImageStorage: b"\0\1"},
    )
    fragments = [pdu(4, pdv(1, 0, bytes(40))), pdu(4, pdv(1, 0, bytes(20)) + pdv(1, 2, bytes(10)))]
    return [
        negotiation.encode(1, asking),
        message(3, echoing),
        message(1, storing),
        *fragments,
        pdu(4, pdv(5, 3, cs.encode(telling))),
        pdu(4, pdv(5, 2, write(report, "1.2.840.10008.1.2.1"))),
        RELEASE_RQ,
    ]


CONVERSATION = conversation()
LENGTHS = (0, 1, 2, 3, 4, 5, 6, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(chance: random.Random) -> bytes:
    """The conversation with one to four PDUs changed: bits, bytes, lengths, order, cuts, repetitions, garbage."""
    pdus = list(CONVERSATION)
    # Half of the time what comes first stays whole, so that the mutation meets an association.
    first = chance.randrange(2)
    for _ in range(chance.randint(1, 4)):
        which = chance.randrange(first, len(pdus))
        data = bytearray(pdus[which])
        kind = chance.randrange(9)
        where = chance.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[where] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[where] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 2:
            data[2:6] = chance.choice(LENGTHS).to_bytes(4, "big")
        elif kind == 3:
            size = chance.choice((2, 4))
            value = chance.choice(LENGTHS) & ((1 << 8 * size) - 1)
            data[where : where + size] = value.to_bytes(size, chance.choice(("big", "little")))
        elif kind == 4:
            del data[where:]
        elif kind == 5:
            data[where:where] = chance.randbytes(chance.randrange(1, 40))
        elif kind == 6:
            pdus.insert(which, pdus[chance.randrange(len(pdus))])
            continue
        elif kind == 7 and len(pdus) > first + 1:
            del pdus[which]
            continue
        else:
            end = min(len(data), where + chance.randrange(1, 30))
            data[where:end] = chance.randbytes(end - where)
        pdus[which] = bytes(data)
    return b"".join(pdus)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    class Emptied(Gathering):
        def take(self, arrival: object) -> int:
            arrival.path.unlink()  # type: ignore[attr-defined]
            return 0

        def place(self, offer: object) -> Path | int:
            return self.folder / f"{next(self._numbers):06d}.dcm"

    admission = Admission(
        title="WE",
        transfer_syntaxes=lambda uid: UNCOMPRESSED,
        callers={"THEY": frozenset()},
    )
    limits = Limits(associations=8, request=STALL, idle=STALL, stall=STALL)
    with Receiver(
        Service(admission=admission, sink=Emptied(tmp_path), report=lambda report: None, limits=limits)
    ) as receiver:
        yield receiver


@pytest.fixture
def nobody_collects_the_log() -> Iterator[None]:
    """pytest keeps every record until the end of a test: its memory would be measured, not the receiver's."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def survives(receiver: Receiver, mutations: int, folder: Path) -> None:
    crashed: list[object] = []
    hook, threading.excepthook = threading.excepthook, crashed.append
    try:
        chance = random.Random(20240229)
        grown = psutil.Process().memory_info().rss
        for number in range(mutations):
            attack(receiver.port, mutated(random.Random(chance.random())), number)
            if number == mutations // 10:
                grown = psutil.Process().memory_info().rss  # what is loaded and cached once is there by now
        assert psutil.Process().memory_info().rss - grown < MEMORY
    finally:
        threading.excepthook = hook
    assert crashed == []
    deadline = time.monotonic() + HANG
    while receiver.associations:
        assert time.monotonic() < deadline, "an association hangs"
        time.sleep(0.01)
    peer = Peer(
        host="127.0.0.1", port=receiver.port, called=AETitle("WE"), calling=AETitle("THEY"),
        timeouts=Timeouts(connect=5, answer=5, stall=5),
    )  # fmt: skip
    with request(peer, [Context(abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED)]) as association:
        echo(association)
    assert list(folder.iterdir()) == [], "something was left of what was not received"


def attack(port: int, data: bytes, number: int) -> None:
    """Send it all, say no more, and wait until the receiver hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as connection:
        try:
            connection.sendall(data)
            if number % 50:  # now and then it is left to the receiver to lose patience
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except TimeoutError:
            pytest.fail(f"mutation {number} makes the receiver hang")
        except OSError:
            pass  # it hung up while there was more to read


def test_the_conversation_that_is_mutated_is_a_good_one(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=HANG) as connection:
        connection.sendall(b"".join(CONVERSATION))
        answered = b""
        while piece := connection.recv(65536):
            answered += piece
    kinds = []
    while answered:
        kinds.append(answered[0])
        answered = answered[6 + int.from_bytes(answered[2:6], "big") :]
    assert kinds == [2, 4, 4, 4, 6]


def test_the_receiver_survives_2_000_mutations(receiver: Receiver, tmp_path: Path) -> None:
    survives(receiver, 2_000, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("nobody_collects_the_log")
def test_the_receiver_survives_100_000_mutations(receiver: Receiver, tmp_path: Path) -> None:
    survives(receiver, 100_000, tmp_path)
