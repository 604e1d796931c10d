"""One association that a peer requested of us, from its first byte to its last."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire import negotiation
from vna_lifecycle.adapters.dimse.wire.acceptance import FULL, Admission
from vna_lifecycle.adapters.dimse.wire.arrival import Sink
from vna_lifecycle.adapters.dimse.wire.channel import ASSOCIATE_AC, ASSOCIATE_RQ, Channel
from vna_lifecycle.adapters.dimse.wire.command import Command
from vna_lifecycle.adapters.dimse.wire.commitment import CommitmentReport, read_report
from vna_lifecycle.adapters.dimse.wire.link import Link, Released, respond
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation
from vna_lifecycle.adapters.dimse.wire.peer import MAX_PDU, Accepted
from vna_lifecycle.adapters.dimse.wire.query import VERIFICATION
from vna_lifecycle.adapters.dimse.wire.reasons import violation
from vna_lifecycle.adapters.dimse.wire.receiving import offer_of, receive
from vna_lifecycle.adapters.dimse.wire.status import PROCESSING_FAILURE, UNRECOGNIZED_OPERATION

_LOG: Final = logging.getLogger(__name__)
_UNEXPECTED_PDU: Final = 2
_CLASS_NOT_SUPPORTED: Final = 0x0122
_NO_SUCH_CLASS: Final = 0x0118


@frozen(kw_only=True)
class Limits:
    """What one association may cost. Times are seconds.

    ``request`` is how long a peer may take from connecting to the end of its association request (TLS apart, which may
    take as long again), ``idle`` how long it may be silent between messages, ``stall`` how long one PDU may take.
    ``max_object`` is the largest data set that is taken, in bytes; None leaves that to the disk.
    """

    associations: int = 32
    request: float = 10.0
    idle: float = 300.0
    stall: float = 30.0
    max_pdu: int = MAX_PDU
    max_object: int | None = None


@frozen(kw_only=True)
class Service:
    """What is done for the peers that are admitted. ``report`` takes storage commitment reports, where one is given."""

    admission: Admission
    sink: Sink
    report: Callable[[CommitmentReport], None] | None = None
    limits: Limits = Limits()


def serve(channel: Channel, service: Service, certificate: str, *, full: bool) -> None:
    """Negotiate, then answer one request after the other until the peer releases the association.

    ``full``: there is no room for another association, so this one is rejected for now.

    Raises:
        ArchiveError: the peer aborted, stopped, or does not keep to the protocol.
    """
    if channel.read(service.limits.request, whole=True) != ASSOCIATE_RQ:
        channel.abort(2, _UNEXPECTED_PDU)
        raise violation("something else than an association request")
    asked = negotiation.decode(bytes(channel.body))
    refusal = FULL if full else service.admission.rejects(asked, certificate)
    if refusal:
        channel.send(negotiation.encode_rejection(*refusal))
        _LOG.info("an association was rejected with result %d, source %d, reason %d", *refusal)
        return
    answer, accepted = service.admission.answer(asked, service.limits.max_pdu)
    channel.send(negotiation.encode(ASSOCIATE_AC, answer))
    link = Link(channel, accepted, asked.max_pdu)
    try:
        while True:
            context, command = link.next_command(service.limits.idle)
            _answer(link, context, command, service, asked, certificate)
    except Released:
        channel.send_released()


def _answer(
    link: Link, context: Accepted, command: Command, service: Service, asked: Negotiation, certificate: str
) -> None:
    field = cs.required(command, cs.FIELD)
    limits = service.limits
    if field == cs.C_STORE_RQ and cs.text(command, cs.AFFECTED_CLASS) == context.abstract_syntax:
        offer = offer_of(command, context, calling=asked.calling, called=asked.called, certificate=certificate)
        receive(link, context, command, offer, service.sink, patience=limits.stall, limit=limits.max_object)
        return
    if field & cs.RESPONSE:
        raise violation("an answer to a question that was not asked")
    if field == cs.C_CANCEL_RQ:
        return  # nothing that we do can be cancelled
    if field == cs.N_EVENT_REPORT_RQ and service.report is not None:
        report = read_report(link, context, command, limits.stall)
        respond(link, context, command, _told(service.report, report))
        return
    if cs.required(command, cs.DATA_SET_TYPE) != cs.NO_DATA_SET:
        for _ in link.fragments(context, limits.stall):
            pass
    if field == cs.C_STORE_RQ:
        status = _CLASS_NOT_SUPPORTED
    elif field == cs.C_ECHO_RQ:
        status = cs.SUCCESS if context.abstract_syntax == VERIFICATION else _NO_SUCH_CLASS
    else:
        status = UNRECOGNIZED_OPERATION
    respond(link, context, command, status)


def _told(report: Callable[[CommitmentReport], None], content: CommitmentReport) -> int:
    try:
        report(content)
    except Exception as problem:  # noqa: BLE001 - our fault is not the peer's, and what it says may identify
        _LOG.error("a storage commitment report was not taken: %s", type(problem).__name__)
        return PROCESSING_FAILURE
    return cs.SUCCESS


def client_certificate(connection: object) -> str:
    """The SHA-256 of the certificate that a TLS client showed, in hex; empty where there is none."""
    shown = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    return hashlib.sha256(shown).hexdigest() if shown else ""
