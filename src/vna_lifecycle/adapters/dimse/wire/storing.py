"""C-STORE as a service class user (PS3.7 9.1.1, PS3.4 B.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.association import Association
from vna_lifecycle.adapters.dimse.wire.link import expect
from vna_lifecycle.adapters.dimse.wire.sending import Sender, Staged, open_data_set
from vna_lifecycle.errors import ArchiveRefused, DicomRefused


@frozen(kw_only=True)
class Originator:
    """The C-MOVE that caused a C-STORE: who asked for it, and with which message ID (0000,1030 and 0000,1031)."""

    ae_title: str
    message_id: int


@frozen(kw_only=True)
class Outgoing:
    """An object to be sent: a DICOM file whose data set goes out as it is, and what its command set shall say."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    originator: Originator | None = None


@frozen(kw_only=True)
class StoreAnswer:
    """What the peer said to one object: a claim, not proof. ``comment`` is its own text and may hold patient data."""

    status: int
    comment: str = ""
    data_set_bytes: int = 0


@frozen(kw_only=True)
class NotSent:
    """An object of which nothing was sent, and why: no data set in the file, no presentation context, no file."""

    problem: DicomRefused | ArchiveRefused | OSError | ValueError


@frozen
class _Ready:
    outgoing: Outgoing
    message_id: int
    staged: Staged


def store(association: Association, objects: Iterable[Outgoing]) -> Iterator[tuple[Outgoing, StoreAnswer | NotSent]]:
    """Send objects one after the other, byte for byte, and yield what the peer says to each, in their order.

    The next object is read while the peer works on the last one, and sent once that one's answer was yielded: to stop
    in good order, let ``objects`` end. To leave the loop aborts the association.

    Raises:
        ArchiveError: the peer did not answer as it must, or stopped; what was not yielded is not known to be stored.
        DicomRefused, OSError: a file changed or failed while it was sent; the association is aborted.
    """
    sender = Sender(association.link.channel, association.link.max_send)
    sent: _Ready | None = None
    ended = False
    try:
        for outgoing in objects:
            ready = _stage(association, sender, outgoing)
            try:
                if sent is not None:
                    yield sent.outgoing, _answered(association, sent)
                sent = ready if isinstance(ready, _Ready) else None
                if sent is not None:
                    sender.send(sent.staged)
            finally:
                if isinstance(ready, _Ready):
                    ready.staged.data.close()
            if isinstance(ready, NotSent):
                yield outgoing, ready
        if sent is not None:
            yield sent.outgoing, _answered(association, sent)
        ended = True
    finally:
        if not ended:
            association.abort()  # half an object was sent, or an answer is to come that nobody waits for


def _stage(association: Association, sender: Sender, outgoing: Outgoing) -> _Ready | NotSent:
    try:
        data = open_data_set(outgoing.path)
    except (DicomRefused, OSError) as problem:
        return NotSent(problem=problem)
    try:
        context = association.require(outgoing.sop_class_uid, data.transfer_syntax)
        message_id = association.next_message_id()
        elements: dict[int, int | str] = {
            cs.AFFECTED_CLASS: outgoing.sop_class_uid,
            cs.FIELD: cs.C_STORE_RQ,
            cs.MESSAGE_ID: message_id,
            cs.PRIORITY: cs.MEDIUM,
            cs.DATA_SET_TYPE: cs.DATA_SET,
            cs.AFFECTED_INSTANCE: outgoing.sop_instance_uid,
        }
        if outgoing.originator:
            elements[cs.MOVE_ORIGINATOR] = outgoing.originator.ae_title
            elements[cs.MOVE_ORIGINATOR_MESSAGE_ID] = outgoing.originator.message_id
        staged = sender.stage(context.id, association.link.command_pdus(context, elements), data)
        return _Ready(outgoing, message_id, staged)
    except (DicomRefused, ArchiveRefused, OSError, ValueError) as problem:
        data.close()
        return NotSent(problem=problem)
    except BaseException:
        data.close()
        raise


def _answered(association: Association, ready: _Ready) -> StoreAnswer:
    with association.exchanging() as link:
        _, answer = link.next_command(association.peer.timeouts.answer)
        status = expect(answer, cs.C_STORE_RQ, ready.message_id)
    size = ready.staged.data.size
    return StoreAnswer(status=status, comment=cs.text(answer, cs.ERROR_COMMENT), data_set_bytes=size)
