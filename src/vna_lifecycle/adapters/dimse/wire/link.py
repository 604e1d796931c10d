"""Messages over an association: a command set, and the data set that may follow it (PS3.7 6.3, PS3.8 Annex E)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Final

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire.channel import P_DATA, RELEASE_RQ, Channel
from vna_lifecycle.adapters.dimse.wire.command import Command
from vna_lifecycle.adapters.dimse.wire.peer import MAX_PDU, Accepted
from vna_lifecycle.adapters.dimse.wire.reasons import lost, violation

IDENTIFIER: Final = 16 << 20
"""The longest data set that is held in memory, in bytes: identifiers, and the lists of storage commitment."""

_SLOW: Final = 30.0
"""How long the pieces of one command set may take to come, in seconds."""

_SLOWEST: Final = 1_024
"""A data set that comes with fewer bytes per second is given up."""

_PDV: Final = Struct(">LBB").unpack_from
_PDVS: Final = Struct(">BxLLBB").pack
_COMMAND: Final = 1
_LAST: Final = 2


class Released(Exception):
    """The peer asked for the end of the association where a message was expected."""


class Link:
    """An established association, from either side.

    ``max_send`` is the longest P-DATA-TF body that may be sent: what the peer takes, or our own size where that is
    any or larger.
    """

    def __init__(self, channel: Channel, contexts: Mapping[int, Accepted], max_pdu: int) -> None:
        self.channel = channel
        self.contexts = dict(contexts)
        self.max_send = min(max_pdu or MAX_PDU, MAX_PDU) & ~1
        if self.max_send < 128:
            raise violation("it takes PDUs of less than 128 bytes only")
        self._left = memoryview(b"")

    def next_command(self, patience: float, *, idle: Callable[[], None] | None = None) -> tuple[Accepted, Command]:
        """The next command set, and the context that it came in.

        Raises:
            Released: the peer wants to end the association.
            ArchiveError: as `Channel.read`; what came is no command set.
        """
        pieces: list[bytes] = []
        size = 0
        deadline = math.inf
        while True:
            id_, control, data = self._next_pdv(patience, idle)
            if not control & _COMMAND:
                raise violation("a data set without a command set")
            if time.monotonic() > deadline:
                raise lost("it sends too slowly")
            context = self.contexts.get(id_)
            if context is None:
                raise violation("a message in a presentation context that was not agreed on")
            size += len(data)
            if size > cs.LIMIT:
                raise violation("a command set that is too long")
            pieces.append(bytes(data))
            if control & _LAST:
                return context, cs.decode(b"".join(pieces))
            patience = min(patience, _SLOW)
            deadline = min(deadline, time.monotonic() + _SLOW)

    def fragments(self, context: Accepted, patience: float) -> Iterator[memoryview]:
        """The data set that follows a command set, piece by piece. A piece is good until the next is asked for.

        Raises:
            ArchiveError: as `Channel.read`; what came is no data set.
        """
        size, begun = 0, time.monotonic()
        while True:
            try:
                id_, control, data = self._next_pdv(patience, None)
            except Released:
                raise violation("it ends the association in the middle of a message") from None
            if control & _COMMAND or id_ != context.id:
                raise violation("a data set was interrupted by another message")
            size += len(data)
            if size < _SLOWEST * (time.monotonic() - begun - patience):
                raise lost("it sends too slowly")
            yield data
            if control & _LAST:
                return

    def data_set(self, context: Accepted, patience: float) -> bytes:
        """The data set that follows a command set, whole.

        Raises:
            ArchiveError: as `fragments`; it is longer than `IDENTIFIER`.
        """
        pieces: list[bytes] = []
        size = 0
        for piece in self.fragments(context, patience):
            size += len(piece)
            if size > IDENTIFIER:
                raise violation("an identifier that is too long")
            pieces.append(bytes(piece))
        return b"".join(pieces)

    def send(self, context: Accepted, elements: Mapping[int, int | str], data: bytes | None = None) -> None:
        """Send a command set, and the data set if there is one.

        Raises:
            ArchiveError: as `Channel.send`.
        """
        message = self.command_pdus(context, elements)
        if data is not None:
            message += b"".join(self._split(context.id, 0, data))
        self.channel.send(message)

    def command_pdus(self, context: Accepted, elements: Mapping[int, int | str]) -> bytes:
        """A command set as it is sent.

        Raises:
            ValueError: a text in it is not ASCII.
        """
        return b"".join(self._split(context.id, _COMMAND, cs.encode(elements)))

    def _split(self, id_: int, control: int, data: bytes) -> Iterator[bytes]:
        room = self.max_send - 6
        for begin in range(0, len(data) or 1, room):
            piece = data[begin : begin + room]
            last = _LAST if begin + room >= len(data) else 0
            yield _PDVS(P_DATA, len(piece) + 6, len(piece) + 2, id_, control | last) + piece

    def _next_pdv(self, patience: float, idle: Callable[[], None] | None) -> tuple[int, int, memoryview]:
        """The next presentation data value: context ID, message control header, bytes (PS3.8 9.3.5.1)."""
        left = self._left
        if not left:
            kind = self.channel.read(patience, idle=idle)
            if kind == RELEASE_RQ:
                raise Released
            if kind != P_DATA:
                raise violation(f"a PDU of type {kind} within an association")
            left = self.channel.body
            if len(left) < 6:
                raise violation("a P-DATA PDU without data")
        if len(left) < 6:
            raise violation("a P-DATA PDU ends within an item")
        length, id_, control = _PDV(left)
        if length < 2 or length + 4 > len(left):
            raise violation("an item of a P-DATA PDU is longer than the PDU")
        self._left = left[length + 4 :]
        return id_, control, left[6 : length + 4]


def respond(link: Link, context: Accepted, request: Command, status: int) -> None:
    """Answer a request that has no data set in its answer."""
    elements: dict[int, int | str] = {}
    affected = cs.text(request, cs.AFFECTED_CLASS) or cs.text(request, cs.REQUESTED_CLASS)
    instance = cs.text(request, cs.AFFECTED_INSTANCE) or cs.text(request, cs.REQUESTED_INSTANCE)
    if affected:
        elements[cs.AFFECTED_CLASS] = affected
    elements[cs.FIELD] = cs.required(request, cs.FIELD) | cs.RESPONSE
    elements[cs.RESPONDED_TO] = cs.required(request, cs.MESSAGE_ID)
    elements[cs.DATA_SET_TYPE] = cs.NO_DATA_SET
    elements[cs.STATUS] = status
    if instance:
        elements[cs.AFFECTED_INSTANCE] = instance
    try:
        link.send(context, elements)
    except ValueError:
        raise violation("a UID that is not ASCII") from None


def expect(command: Command, field: int, message_id: int) -> int:
    """Check that a command set is the response to our request, and return its status.

    Raises:
        ArchiveError: it is not.
    """
    if cs.required(command, cs.FIELD) != field | cs.RESPONSE or cs.required(command, cs.RESPONDED_TO) != message_id:
        raise violation("an answer to a question that was not asked")
    return cs.required(command, cs.STATUS)
