"""Which arrivals a retrieval takes for its own, and how long it waits for them."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest
from attrs import evolve

from vna_lifecycle.adapters.dimse.answers import locator_of
from vna_lifecycle.adapters.dimse.ticket import Inline, Ticket
from vna_lifecycle.adapters.dimse.wire import Arrival, Offer
from vna_lifecycle.adapters.dimse.wire.storing import Originator
from vna_lifecycle.dicom.digest import examine_file
from vna_lifecycle.errors import DiskFull
from vna_lifecycle.testing.conformance.case import FolderSpool
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.timeout(30)  # what waits although it has all it wants waits longer than that

SPECS = [ObjectSpec(instance=number) for number in (1, 2)]
WANTED, OTHER = SPECS[0].sop_instance_uid, "1.2.3"
LONG = 3600.0


@pytest.fixture
def ticket(tmp_path: Path) -> Ticket:
    records = []
    for number, spec in enumerate(SPECS):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(dicom_bytes(spec))
        record = examine_file(path, locator="").record
        records.append(evolve(record, locator=locator_of(record.series.series_uid, spec.sop_instance_uid)))
    ticket = Ticket(records, FolderSpool(tmp_path / "spool"), "US")
    ticket.moves.add(7)
    return ticket


def offer(uid: str = WANTED, mover: tuple[str, int] | None = None) -> Offer:
    return Offer(
        calling="PACS",
        called="US",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=uid,
        transfer_syntax="1.2.840.10008.1.2",
        originator=Originator(ae_title=mover[0], message_id=mover[1]) if mover else None,
    )


def arrive(ticket: Ticket, uid: str, data: bytes = b"x", mover: tuple[str, int] | None = None) -> Path:
    path = ticket.file()
    path.write_bytes(data)
    arrival = Arrival(offer=offer(uid, mover), path=path, size=1, dataset_size=1, digest=hashlib.sha256(data))
    assert ticket.take(arrival) == 0
    return path


@pytest.mark.parametrize(
    ("uid", "mover", "taken"),
    [
        (WANTED, ("US", 7), True),
        (OTHER, ("US", 7), True),  # by the retrieval, and under another UID than was listed: kept to be told of
        (WANTED, ("US", 8), False),
        (WANTED, ("THEM", 7), False),
        (WANTED, None, True),
        (OTHER, None, False),
    ],
)
def test_an_object_is_taken_by_the_retrieval_that_it_names_or_else_by_its_uid(
    ticket: Ticket, uid: str, mover: tuple[str, int] | None, taken: bool
) -> None:
    """PS3.7 9.1.1.1: a title or a message ID alone is somebody else's."""
    assert isinstance(ticket.place(offer(uid, mover)), Path) is taken


def test_an_object_that_came_is_not_waited_for_nor_taken_again(ticket: Ticket) -> None:
    first, again, other = arrive(ticket, WANTED), arrive(ticket, WANTED), arrive(ticket, OTHER)
    assert [item.path for item in ticket.ready()] == [first]
    assert [path.exists() for path in (first, again, other)] == [True, False, True]
    assert [arrival.path for arrival in ticket.extra] == [other]
    assert [record.sop_instance_uid for record in ticket.missing()] == [SPECS[1].sop_instance_uid]
    assert ticket.place(offer(WANTED)) is None


@pytest.mark.parametrize("mover", [("US", 7), None], ids=["C-MOVE", "C-GET"])
def test_every_content_that_one_retrieval_brings_under_a_uid_is_told(
    ticket: Ticket, mover: tuple[str, int] | None
) -> None:
    """Which of them is the true one is for people to say; none is thrown away unseen."""
    ticket.ask(7)
    first, again, other, other_again = (arrive(ticket, WANTED, data, mover) for data in (b"x", b"x", b"y", b"y"))
    told = list(ticket.ready())
    assert [item.path for item in told] == [first, other]
    assert {item.record.sop_instance_uid for item in told} == {WANTED}
    assert [path.exists() for path in (first, again, other, other_again)] == [True, False, True, False]


@pytest.mark.parametrize("mover", ["US", None], ids=["C-MOVE", "C-GET"])
def test_an_archive_that_writes_objects_anew_when_asked_again_has_one_content(
    ticket: Ticket, mover: str | None
) -> None:
    """It is asked again for others of the same series."""
    for number in (7, 8):
        ticket.ask(number)
        arrive(ticket, WANTED, str(number).encode(), (mover, number) if mover else None)
    assert len(list(ticket.ready())) == 1


def test_nobody_waits_for_more_than_is_wanted(ticket: Ticket) -> None:
    ticket.settle(LONG, lambda: True)
    for spec in SPECS:
        arrive(ticket, spec.sop_instance_uid)
    ticket.settle(LONG, lambda: False)


def test_silence_before_a_retrieval_does_not_count(ticket: Ticket) -> None:
    ticket._last -= LONG
    arrive(ticket, WANTED)
    ticket._last -= LONG
    ticket.begin()
    threading.Timer(0.3, arrive, (ticket, SPECS[1].sop_instance_uid)).start()
    ticket.settle(20.0, lambda: False)
    assert ticket.missing() == []


def test_each_object_that_comes_begins_the_silence_anew(ticket: Ticket) -> None:
    ticket._last -= LONG
    before = time.monotonic()
    arrive(ticket, OTHER)
    assert ticket._last >= before


def test_the_first_thing_that_the_disk_has_against_objects_is_kept(ticket: Ticket, tmp_path: Path) -> None:
    first, second = DiskFull("one"), DiskFull("two")
    inline = Inline(ticket)
    for problem in (None, first, None, second):  # None: the sender stopped
        inline.lose(tmp_path / "gone", problem)
    assert ticket.problem is first


def test_a_spool_without_room_is_the_problem_of_the_retrieval(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    full = DiskFull("no room")

    def refuse(self: object, size: int | None = None) -> Path:
        raise full

    monkeypatch.setattr(FolderSpool, "new_file", refuse)
    with pytest.raises(DiskFull):
        ticket.place(offer())
    assert ticket.problem is full
