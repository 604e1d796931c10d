"""C-ECHO and C-FIND as a service class user (PS3.7 9.1.5 and 9.1.2, PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.association import Association
from vna_lifecycle.adapters.dimse.wire.identifier import Identifier, Keys, write
from vna_lifecycle.adapters.dimse.wire.link import expect
from vna_lifecycle.adapters.dimse.wire.status import failed

VERIFICATION: Final = "1.2.840.10008.1.1"
PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"


def echo(association: Association) -> None:
    """Ask whether the peer is there and answers.

    Raises:
        ArchiveRefused: verification was not agreed on.
        ArchiveError: it answered with a failure, or not.
    """
    context = association.require(VERIFICATION)
    message_id = association.next_message_id()
    elements: dict[int, int | str] = {
        cs.AFFECTED_CLASS: VERIFICATION,
        cs.FIELD: cs.C_ECHO_RQ,
        cs.MESSAGE_ID: message_id,
        cs.DATA_SET_TYPE: cs.NO_DATA_SET,
    }
    with association.exchanging() as link:
        link.send(context, elements)
        _, answer = link.next_command(association.peer.timeouts.answer)
        status = expect(answer, cs.C_ECHO_RQ, message_id)
    if status != cs.SUCCESS:
        raise failed("the verification", status)


def find(association: Association, keys: Keys, *, model: str = STUDY_ROOT_FIND) -> Generator[Identifier, None, int]:
    """Ask a query, and yield the answers as they come; nothing but the present one is held in memory.

    To leave the loop, or to call `Association.cancel`, ends the query at the peer, and the association can be used for
    the next operation. Returns the final status: 0000, or FE00 where it was cancelled.

    Raises:
        ArchiveRefused: the information model was not agreed on.
        ArchiveError: the peer ended the query with a failure (the association may be used on), or stopped.
        ValueError: a key cannot be written.
    """
    context = association.require(model)
    message_id = association.next_message_id()
    check = association.cancelling(context, message_id)
    elements: dict[int, int | str] = {
        cs.AFFECTED_CLASS: model,
        cs.FIELD: cs.C_FIND_RQ,
        cs.MESSAGE_ID: message_id,
        cs.PRIORITY: cs.MEDIUM,
        cs.DATA_SET_TYPE: cs.DATA_SET,
    }
    asked = write(keys, context.transfer_syntax)
    patience = association.peer.timeouts.answer
    with association.exchanging() as link:
        link.send(context, elements, asked)
    wanted = True
    while True:
        data = b""
        with association.exchanging() as link:
            answered_in, answer = link.next_command(patience, idle=check)
            status = expect(answer, cs.C_FIND_RQ, message_id)
            if cs.required(answer, cs.DATA_SET_TYPE) != cs.NO_DATA_SET:
                data = link.data_set(answered_in, patience)
            check()
        if status not in cs.PENDING:
            break
        if not wanted:
            continue
        try:
            yield Identifier(data=data, transfer_syntax=answered_in.transfer_syntax, all_keys=status == 0xFF00)
        except GeneratorExit:
            wanted = False
            association.cancel()
    if status not in (cs.SUCCESS, cs.CANCELLED) and wanted:
        raise failed("the query", status)
    return status
