"""C-STORE as a service class user (PS3.7 9.1.1, PS3.4 B.2)."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.association import Association
from vna_lifecycle.adapters.dimse.wire.link import expect
from vna_lifecycle.adapters.dimse.wire.sending import Sender, open_data_set


@frozen(kw_only=True)
class Originator:
    """The C-MOVE that caused a C-STORE: who asked for it, and with which message ID (0000,1030 and 0000,1031)."""

    ae_title: str
    message_id: int


@frozen(kw_only=True)
class StoreAnswer:
    """What the peer said to one object: a claim, not proof. ``comment`` is its own text and may hold patient data."""

    status: int
    comment: str = ""
    data_set_bytes: int = 0


class Storing:
    """Sends objects over one association, one after the other."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._sender = Sender(association.link)

    def store(
        self, path: Path | str, *, sop_class_uid: str, sop_instance_uid: str, originator: Originator | None = None
    ) -> StoreAnswer:
        """Send the data set of a DICOM file, byte for byte, and wait for the answer.

        Raises:
            ArchiveRefused: its SOP class and transfer syntax were not agreed on; nothing was sent.
            DicomRefused: the file holds no data set (nothing was sent), or became shorter (the association is aborted).
            ArchiveError: the peer did not answer as it must.
            OSError: the file cannot be opened or read.
            ValueError: a UID is not ASCII; nothing was sent.
        """
        association = self._association
        data = open_data_set(path)
        try:
            context = association.require(sop_class_uid, data.transfer_syntax)
            message_id = association.next_message_id()
            elements: dict[int, int | str] = {
                cs.AFFECTED_CLASS: sop_class_uid,
                cs.FIELD: cs.C_STORE_RQ,
                cs.MESSAGE_ID: message_id,
                cs.PRIORITY: cs.MEDIUM,
                cs.DATA_SET_TYPE: cs.DATA_SET,
                cs.AFFECTED_INSTANCE: sop_instance_uid,
            }
            if originator:
                elements[cs.MOVE_ORIGINATOR] = originator.ae_title
                elements[cs.MOVE_ORIGINATOR_MESSAGE_ID] = originator.message_id
            command = association.link.command_pdus(context, elements)
            try:
                self._sender.send(context.id, command, data)
            except BaseException:
                association.abort()  # half an object was sent
                raise
        finally:
            data.close()
        _, answer = association.next_command()
        status = expect(answer, cs.C_STORE_RQ, message_id)
        return StoreAnswer(status=status, comment=cs.text(answer, cs.ERROR_COMMENT), data_set_bytes=data.size)
