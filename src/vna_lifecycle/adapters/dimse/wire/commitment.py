"""Storage Commitment Push: asking as a service class user, and understanding the report (PS3.4 Annex J)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.association import Association
from vna_lifecycle.adapters.dimse.wire.command import Command
from vna_lifecycle.adapters.dimse.wire.identifier import Elements, read, write
from vna_lifecycle.adapters.dimse.wire.link import Link, expect, respond
from vna_lifecycle.adapters.dimse.wire.peer import Accepted
from vna_lifecycle.adapters.dimse.wire.reasons import violation
from vna_lifecycle.adapters.dimse.wire.status import failed
from vna_lifecycle.dicom.part10 import EXPLICIT_BIG

COMMITMENT_PUSH: Final = "1.2.840.10008.1.20.1"
_WELL_KNOWN_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
_REQUEST: Final = 1

_TRANSACTION: Final = 0x00081195
_REFERENCED: Final = 0x00081199
_FAILED: Final = 0x00081198
_REASON: Final = 0x00081197
_SOP_CLASS: Final = 0x00081150
_SOP_INSTANCE: Final = 0x00081155


_GRACE: Final = 5.0
"""Seconds by which the link waits longer than we do: it counts a wait that ends as the peer's failure."""


class _NoReport(Exception):
    """Nothing has come so far."""


@frozen(kw_only=True)
class Reference:
    """An object, by SOP class and instance. ``reason`` is why it is not committed, 0 otherwise (0008,1197)."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0


@frozen(kw_only=True)
class CommitmentReport:
    """What a peer says that it has taken responsibility for, and what not. An object in neither was not answered."""

    transaction: str
    committed: tuple[Reference, ...]
    failed: tuple[Reference, ...]


def ask_commitment(association: Association, transaction: str, objects: Iterable[Reference]) -> None:
    """Ask the peer to commit to the storage of objects (N-ACTION). That it took the request says nothing of them.

    ``transaction`` is the Transaction UID (0008,1195) by which the report will be known.

    Raises:
        ArchiveRefused: storage commitment was not agreed on.
        ArchiveError: the peer did not take the request, or stopped.
    """
    context = association.require(COMMITMENT_PUSH)
    items = [{_SOP_CLASS: item.sop_class_uid, _SOP_INSTANCE: item.sop_instance_uid} for item in objects]
    information = write({_TRANSACTION: transaction, _REFERENCED: items}, context.transfer_syntax)
    message_id = association.next_message_id()
    elements: dict[int, int | str] = {
        cs.REQUESTED_CLASS: COMMITMENT_PUSH,
        cs.FIELD: cs.N_ACTION_RQ,
        cs.MESSAGE_ID: message_id,
        cs.DATA_SET_TYPE: cs.DATA_SET,
        cs.REQUESTED_INSTANCE: _WELL_KNOWN_INSTANCE,
        cs.ACTION_TYPE: _REQUEST,
    }
    with association.exchanging() as link:
        link.send(context, elements, information)
        answered_in, answer = link.next_command(association.peer.timeouts.answer)
        status = expect(answer, cs.N_ACTION_RQ, message_id)
        if cs.required(answer, cs.DATA_SET_TYPE) != cs.NO_DATA_SET:
            link.data_set(answered_in, association.peer.timeouts.stall)
    if status != cs.SUCCESS:
        raise failed("the request for storage commitment", status)


def await_report(
    association: Association, patience: float, *, enough: Callable[[], bool] = lambda: False
) -> CommitmentReport | None:
    """Wait on this association for a report, and acknowledge it. Many archives send it on one of their own instead.

    None: there was none within ``patience`` seconds, or ``enough`` says that it came elsewhere meanwhile. The
    association can be used further; a report that comes later than that comes to the receiver (PS3.4 J.3.3).

    Raises:
        ArchiveError: the peer ended the association, or sent something else.
    """
    deadline = time.monotonic() + patience

    def give_up() -> None:
        if enough() or time.monotonic() >= deadline:
            raise _NoReport

    with association.exchanging() as link:
        try:
            context, command = link.next_command(patience + _GRACE, idle=give_up)
        except _NoReport:
            return None
        if cs.required(command, cs.FIELD) != cs.N_EVENT_REPORT_RQ:
            raise violation("something else than a storage commitment report")
        report = read_report(link, context, command, association.peer.timeouts.stall)
        respond(link, context, command, cs.SUCCESS)
    return report


def read_report(link: Link, context: Accepted, command: Command, patience: float) -> CommitmentReport:
    """The content of an N-EVENT-REPORT-RQ, which is still to be answered.

    Raises:
        ArchiveError: it is no report of storage commitment.
    """
    if context.abstract_syntax != COMMITMENT_PUSH or cs.required(command, cs.DATA_SET_TYPE) == cs.NO_DATA_SET:
        raise violation("an event report that is none of storage commitment")
    elements = read(link.data_set(context, patience), context.transfer_syntax)
    order = ">" if context.transfer_syntax == EXPLICIT_BIG else "<"
    return CommitmentReport(
        transaction=elements.text(_TRANSACTION),
        committed=tuple(_references(elements, _REFERENCED, order)),
        failed=tuple(_references(elements, _FAILED, order)),
    )


def _references(elements: Elements, sequence: int, order: str) -> Iterator[Reference]:
    for item in elements.items.get(sequence, ()):
        reason = item.get(_REASON, b"")
        yield Reference(
            sop_class_uid=_uid(item.get(_SOP_CLASS)),
            sop_instance_uid=_uid(item.get(_SOP_INSTANCE)),
            reason=Struct(order + "H").unpack(reason)[0] if len(reason) == 2 else 0,
        )


def _uid(raw: bytes | None) -> str:
    return raw.decode("latin_1").strip(" \0") if raw else ""
