"""C-MOVE and C-GET as a service class user (PS3.7 9.1.4 and 9.1.3, PS3.4 C.4.2 and C.4.3)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.arrival import Sink
from vna_lifecycle.adapters.dimse.wire.association import Association
from vna_lifecycle.adapters.dimse.wire.command import Command
from vna_lifecycle.adapters.dimse.wire.identifier import Keys, read, write
from vna_lifecycle.adapters.dimse.wire.link import expect
from vna_lifecycle.adapters.dimse.wire.peer import Accepted
from vna_lifecycle.adapters.dimse.wire.receiving import offer_of, receive
from vna_lifecycle.errors import ArchiveError

_FAILED_UIDS: Final = 0x00080058

PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"


@frozen(kw_only=True)
class Progress:
    """A response of a retrieval: claims, none of them proof. Counters are None where the peer leaves them out.

    ``final`` is the last one. ``failed_uids`` are the SOP instances that it says it could not send (0008,0058).
    """

    status: int
    final: bool
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warned: int | None = None
    failed_uids: tuple[str, ...] = ()
    comment: str = ""


def move(
    association: Association,
    keys: Keys,
    destination: str,
    *,
    model: str = STUDY_ROOT_MOVE,
    message_id: int | None = None,
) -> Generator[Progress, None, None]:
    """Have the peer send objects to another AE, and yield its responses; the last is final, whatever its status.

    ``message_id`` is what the peer should state as Move Originator Message ID in each C-STORE; without one, the
    association's next is used. To leave the loop, or to call `Association.cancel`, cancels the retrieval.

    Raises:
        ArchiveRefused: the information model was not agreed on.
        ArchiveError: the peer stopped, or does not keep to the protocol.
    """
    yield from _retrieve(association, keys, model, cs.C_MOVE_RQ, destination, message_id, None, None)


def get(
    association: Association, keys: Keys, sink: Sink, *, model: str = STUDY_ROOT_GET, limit: int | None = None
) -> Generator[Progress, None, None]:
    """Have the peer send objects over this association into ``sink``, and yield its responses as `move` does.

    The objects' SOP classes must have been proposed with the SCP role. ``limit`` is the largest data set that is taken,
    in bytes.

    Raises:
        ArchiveRefused: the information model was not agreed on.
        ArchiveError: the peer stopped, or does not keep to the protocol.
    """
    yield from _retrieve(association, keys, model, cs.C_GET_RQ, "", None, sink, limit)


def _retrieve(
    association: Association,
    keys: Keys,
    model: str,
    field: int,
    destination: str,
    message_id: int | None,
    sink: Sink | None,
    limit: int | None,
) -> Generator[Progress, None, None]:
    context = association.require(model)
    number = association.next_message_id() if message_id is None else message_id
    check = association.cancelling(context, number)
    elements: dict[int, int | str] = {cs.AFFECTED_CLASS: model, cs.FIELD: field, cs.MESSAGE_ID: number}
    if destination:
        elements[cs.MOVE_DESTINATION] = destination
    elements |= {cs.PRIORITY: cs.MEDIUM, cs.DATA_SET_TYPE: cs.DATA_SET}
    asked = write(keys, context.transfer_syntax)
    with association.exchanging() as link:
        link.send(context, elements, asked)
    wanted = True
    while True:
        with association.exchanging() as link:
            answered_in, command = link.next_command(association.peer.timeouts.answer, idle=check)
            check()
            if sink is not None and cs.required(command, cs.FIELD) == cs.C_STORE_RQ:
                _take(association, answered_in, command, sink, limit)
                continue
            progress = _progress(association, answered_in, command, field, number)
        if wanted:
            try:
                yield progress
            except GeneratorExit:
                wanted = False
                association.cancel()
        if progress.final:
            return


def _take(association: Association, context: Accepted, command: Command, sink: Sink, limit: int | None) -> None:
    peer = association.peer
    offer = offer_of(command, context, calling=peer.called, called=peer.calling)
    receive(association.link, context, command, offer, sink, patience=peer.timeouts.stall, limit=limit)


def _progress(association: Association, context: Accepted, command: Command, field: int, number: int) -> Progress:
    status = expect(command, field, number)
    failed_uids: tuple[str, ...] = ()
    if cs.required(command, cs.DATA_SET_TYPE) != cs.NO_DATA_SET:
        data = association.link.data_set(context, association.peer.timeouts.stall)
        failed_uids = _failed_uids(data, context.transfer_syntax)
    return Progress(
        status=status,
        final=status not in cs.PENDING,
        remaining=cs.number(command, cs.REMAINING),
        completed=cs.number(command, cs.COMPLETED),
        failed=cs.number(command, cs.FAILED),
        warned=cs.number(command, cs.WARNED),
        failed_uids=failed_uids,
        comment=cs.text(command, cs.ERROR_COMMENT),
    )


def _failed_uids(data: bytes, transfer_syntax: str) -> tuple[str, ...]:
    """Failed SOP Instance UID List (0008,0058), empty where it is absent or cannot be read: it is only a claim."""
    try:
        listed = read(data, transfer_syntax).text(_FAILED_UIDS)
    except ArchiveError:
        return ()
    return tuple(uid.strip(" \0") for uid in listed.split("\\")) if listed else ()
