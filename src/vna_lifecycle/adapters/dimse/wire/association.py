"""Associations that we request (PS3.8 7.1): negotiated, used for one operation after the other, released or aborted."""

from __future__ import annotations

import errno
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from vna_lifecycle.adapters.dimse.wire import command as cs
from vna_lifecycle.adapters.dimse.wire import negotiation
from vna_lifecycle.adapters.dimse.wire.channel import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    RELEASE_RP,
    RELEASE_RQ,
    Channel,
    tune,
)
from vna_lifecycle.adapters.dimse.wire.link import Link, Released
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Proposed, Role
from vna_lifecycle.adapters.dimse.wire.peer import MAX_CONTEXTS, Accepted, Context, Peer, RefusedContext
from vna_lifecycle.adapters.dimse.wire.reasons import CONTEXT_RESULTS, lost, rejection, violation
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable

_RELEASE_WAIT: Final = 5.0
_TLS_HINT: Final = "See that the archive uses TLS on this port, 1.2 or newer, and trusts our certificate."
_LASTING: Final = frozenset({errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT})


class Association:
    """An association with a peer. Used by one thread; only `cancel` may be called from others.

    In a ``with`` statement it is released at the end, and aborted when an exception leaves. ``accepted`` and
    ``refused`` are the presentation contexts, ``implementation`` is what the peer calls its software, ``extended`` its
    answer to extended negotiation by SOP class.
    """

    def __init__(self, peer: Peer, link: Link, answer: Negotiation, refused: tuple[RefusedContext, ...]) -> None:
        self.peer = peer
        self.link = link
        self.accepted = tuple(link.contexts.values())
        self.refused = refused
        self.implementation = answer.implementation
        self.extended = dict(answer.extended)
        self._by_syntax = {(context.abstract_syntax, context.transfer_syntax): context for context in self.accepted}
        self._by_class = {context.abstract_syntax: context for context in reversed(self.accepted)}
        self._numbers = itertools.count(1)
        self._cancelled = threading.Event()
        self._open = True

    def __enter__(self) -> Association:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()

    @property
    def alive(self) -> bool:
        """Whether operations may still be asked for: it was neither released nor aborted from our side."""
        return self._open

    def context_for(self, abstract_syntax: str, transfer_syntax: str = "") -> Accepted | None:
        """The accepted context of an abstract syntax, with just this transfer syntax if one is given."""
        if transfer_syntax:
            return self._by_syntax.get((abstract_syntax, transfer_syntax))
        return self._by_class.get(abstract_syntax)

    def require(self, abstract_syntax: str, transfer_syntax: str = "") -> Accepted:
        """As `context_for`.

        Raises:
            ArchiveRefused: the peer took no such context; the message says why.
        """
        found = self.context_for(abstract_syntax, transfer_syntax)
        if found is None:
            raise ArchiveRefused(
                f"the archive did not agree to a presentation context: {self._why(abstract_syntax)}",
                hint="See the archive's conformance statement for what it supports, and how it is enabled.",
            )
        return found

    def _why(self, abstract_syntax: str) -> str:
        reasons = [context.reason for context in self.refused if context.abstract_syntax == abstract_syntax]
        if reasons:
            return reasons[0]
        return "it chose another transfer syntax" if abstract_syntax in self._by_class else "none was proposed"

    def next_message_id(self) -> int:
        """A message ID that no other outstanding operation of this association has (PS3.7 9.3)."""
        return next(self._numbers) % 0xFFFF + 1

    @contextmanager
    def exchanging(self) -> Iterator[Link]:
        """The link, for as long as one operation's messages go over it; where it fails, the association is aborted.

        Raises:
            ArchiveError: what the block raises, which may pass: a peer that agreed to an association does speak DICOM,
                and what it garbles may be one object of many; or the peer released it in the middle of an operation.
        """
        try:
            yield self.link
        except ArchiveError as problem:
            self.abort()
            problem.transient = problem.transient or not isinstance(problem, ArchiveRefused)
            raise
        except Released:
            self.link.channel.send_released()
            self.abort()
            raise lost("the archive released the association in the middle of an operation") from None

    def cancel(self) -> None:
        """Ask the peer to end the operation that runs now (C-CANCEL); it may do so, with status FE00, or not."""
        self._cancelled.set()

    def cancelling(self, context: Accepted, message_id: int) -> Callable[[], None]:
        """A function that sends the C-CANCEL once, when somebody asked for it since the operation began."""
        self._cancelled.clear()
        sent = False

        def check() -> None:
            nonlocal sent
            if self._cancelled.is_set() and not sent:
                sent = True
                elements: dict[int, int | str] = {
                    cs.FIELD: cs.C_CANCEL_RQ,
                    cs.RESPONDED_TO: message_id,
                    cs.DATA_SET_TYPE: cs.NO_DATA_SET,
                }
                self.link.send(context, elements)

        return check

    def release(self) -> None:
        """End the association in good order (PS3.8 7.2); whatever the peer does then, the connection is closed."""
        if not self._open:
            return
        self._open = False
        try:
            self.link.channel.send_release()
            for _ in range(64):  # what was still under way
                kind = self.link.channel.read(_RELEASE_WAIT)
                if kind == RELEASE_RQ:  # release collision (PS3.8 7.2.2.7)
                    self.link.channel.send_released()
                elif kind == RELEASE_RP:
                    break
        except ArchiveError:
            pass  # every operation has had its answer; how the peer hangs up changes nothing
        self.link.channel.close()

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        if self._open:
            self._open = False
            self.link.channel.abort()


def request(peer: Peer, contexts: Sequence[Context]) -> Association:
    """Request an association.

    Raises:
        ArchiveUnreachable: nobody answers at host and port, or not with DICOM over TLS.
        ArchiveRefused: the peer rejected the association, or every presentation context.
        ArchiveError: the peer does not speak DICOM, or stopped.
        ValueError: there are no contexts, more than 128, or one that cannot be written.
    """
    if not 1 <= len(contexts) <= MAX_CONTEXTS:
        raise ValueError(f"an association has 1 to {MAX_CONTEXTS} presentation contexts, not {len(contexts)}")
    proposed = tuple(
        Proposed(id=2 * number + 1, abstract_syntax=item.abstract_syntax, transfer_syntaxes=item.transfer_syntaxes)
        for number, item in enumerate(contexts)
    )
    wanted = Negotiation(
        called=peer.called,
        calling=peer.calling,
        max_pdu=peer.max_pdu,
        proposed=proposed,
        roles={item.abstract_syntax: Role(scu=True, scp=True) for item in contexts if item.scp_role},
        extended={item.abstract_syntax: item.extended for item in contexts if item.extended},
    )
    pdu = negotiation.encode(ASSOCIATE_RQ, wanted)
    channel = Channel(_connect(peer), max_pdu=peer.max_pdu, stall=peer.timeouts.stall)
    try:
        channel.send(pdu)
        kind = channel.read(peer.timeouts.connect)
        if kind == ASSOCIATE_RJ:
            raise rejection(channel.body[1], channel.body[2], channel.body[3])
        if kind != ASSOCIATE_AC:
            raise violation(f"a PDU of type {kind} in answer to an association request")
        answer = negotiation.decode(bytes(channel.body))
        accepted, refused = _agreed(wanted, answer)
        if not accepted:
            reasons = ", ".join(sorted({context.reason for context in refused}))
            raise ArchiveRefused(
                f"the archive accepted none of the {len(contexts)} presentation contexts: {reasons}",
                hint="See the archive's conformance statement for what it supports, and how it is enabled.",
            )
        return Association(peer, Link(channel, accepted, answer.max_pdu), answer, refused)
    except BaseException:
        channel.abort()
        raise


def _agreed(wanted: Negotiation, answer: Negotiation) -> tuple[dict[int, Accepted], tuple[RefusedContext, ...]]:
    """What was agreed on by context ID, and what was not."""
    results = {result.id: result for result in answer.results}
    accepted: dict[int, Accepted] = {}
    refused: list[RefusedContext] = []
    for context in wanted.proposed:
        result = results.get(context.id)
        reason = "it was not answered"
        if result is not None:
            reason = CONTEXT_RESULTS.get(result.result, f"result {result.result}")
            if result.result == 0 and result.transfer_syntax not in context.transfer_syntaxes:
                reason = "the archive chose a transfer syntax that was not proposed"
            elif result.result == 0:
                role = wanted.roles.get(context.abstract_syntax) and answer.roles.get(context.abstract_syntax)
                accepted[context.id] = Accepted(
                    id=context.id,
                    abstract_syntax=context.abstract_syntax,
                    transfer_syntax=result.transfer_syntax,
                    as_scp=bool(role and role.scp),
                )
                continue
        refused.append(
            RefusedContext(
                abstract_syntax=context.abstract_syntax, transfer_syntaxes=context.transfer_syntaxes, reason=reason
            )
        )
    return accepted, tuple(refused)


def _connect(peer: Peer) -> socket.socket:
    try:
        plain = socket.create_connection((peer.host, peer.port), timeout=peer.timeouts.connect)
    except (OSError, UnicodeError) as problem:
        lasting = isinstance(problem, UnicodeError) or problem.errno in _LASTING
        raise ArchiveUnreachable(
            f"the archive cannot be reached at {peer.host}:{peer.port}: {_words(problem)}",
            transient=not lasting,
            hint="See that host and port are right, that the archive runs, and that no firewall is between.",
        ) from problem
    try:
        tune(plain)
        if peer.tls is None:
            return plain
        return peer.tls.wrap_socket(plain, server_hostname=peer.tls_name or peer.host)
    except ssl.SSLCertVerificationError as problem:
        plain.close()
        raise ArchiveUnreachable(
            f"the archive's certificate is not trusted: {problem.verify_message}",
            hint="Set the certificate authority and the host name that the archive's certificate was issued for.",
        ) from problem
    except ssl.SSLError as problem:
        plain.close()
        raise ArchiveUnreachable(
            f"no TLS connection with the archive: {(problem.reason or 'it does not answer').lower().replace('_', ' ')}",
            hint=_TLS_HINT,
        ) from problem
    except OSError as problem:
        plain.close()
        if peer.tls is None:
            raise lost(_words(problem)) from problem
        what = f"the archive ended the connection instead of agreeing to TLS: {_words(problem)}"
        raise ArchiveUnreachable(what, transient=True, hint=_TLS_HINT) from problem
    except BaseException:
        plain.close()
        raise


def _words(problem: Exception) -> str:
    if isinstance(problem, TimeoutError):
        return "nobody answered in time"
    return (problem.strerror if isinstance(problem, OSError) else "") or "no host can have such a name"
