"""Who may associate with us, and about what: the answer to an A-ASSOCIATE-RQ (PS3.8 7.1.1 and 9.3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import frozen

from vna_lifecycle.adapters.dimse.wire.commitment import COMMITMENT_PUSH
from vna_lifecycle.adapters.dimse.wire.negotiation import Negotiation, Proposed, Result, Role
from vna_lifecycle.adapters.dimse.wire.peer import MAX_CONTEXTS, Accepted
from vna_lifecycle.adapters.dimse.wire.reasons import violation

_TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}")
_UID: Final = re.compile(r"[0-9.]{1,64}")
_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
_PERMANENT, _TRANSIENT = 1, 2
_NOT_SUPPORTED, _NO_SYNTAX = 3, 4

Rejected = tuple[int, int, int]
"""Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

FULL: Final[Rejected] = (_TRANSIENT, 3, 2)


@frozen(kw_only=True)
class Admission:
    """Who may associate, and about what.

    ``callers`` are the calling AE titles that are allowed, None for any; each with the SHA-256 digests (hex) of the
    client certificates of which it must show one, or with none where any will do. ``transfer_syntaxes`` tells, for an
    abstract syntax, what is taken, best first; nothing where the abstract syntax is not supported.
    """

    title: str
    transfer_syntaxes: Callable[[str], Sequence[str]]
    callers: Mapping[str, frozenset[str]] | None = None
    check_called: bool = True

    def rejects(self, asked: Negotiation, certificate: str) -> Rejected | None:
        """Why a request is not accepted, None if it is. ``certificate`` is the client's digest, empty without one."""
        if not asked.version & 1:
            return _PERMANENT, 2, 2
        if asked.application_context != _APPLICATION_CONTEXT:
            return _PERMANENT, 1, 2
        if not _TITLE.fullmatch(asked.called) or (self.check_called and asked.called != self.title):
            return _PERMANENT, 1, 7
        if not _TITLE.fullmatch(asked.calling) or not self._knows(asked.calling, certificate):
            return _PERMANENT, 1, 3
        return None

    def _knows(self, calling: str, certificate: str) -> bool:
        if self.callers is None:
            return True
        allowed = self.callers.get(calling)
        return allowed is not None and (not allowed or certificate in allowed)

    def answer(self, asked: Negotiation, max_pdu: int) -> tuple[Negotiation, dict[int, Accepted]]:
        """The acceptance of a request, and the contexts that it agrees to.

        Raises:
            ArchiveError: the request's contexts are not as PS3.8 9.3.2.2 demands.
        """
        ids = [context.id for context in asked.proposed]
        if not 1 <= len(ids) <= MAX_CONTEXTS or len(set(ids)) != len(ids) or not all(number & 1 for number in ids):
            raise violation("an association request whose presentation contexts are not numbered as they must be")
        results, accepted = [], {}
        roles: dict[str, Role] = {}
        for context in asked.proposed:
            result = self._decide(context)
            results.append(result)
            if result.result:
                continue
            role = asked.roles.get(context.abstract_syntax)
            if role is not None:
                # reports of storage commitment come from the requestor, everything else is asked of us
                roles[context.abstract_syntax] = Role(
                    scu=role.scu, scp=role.scp and context.abstract_syntax == COMMITMENT_PUSH
                )
            accepted[context.id] = Accepted(
                id=context.id,
                abstract_syntax=context.abstract_syntax,
                transfer_syntax=result.transfer_syntax,
                as_scp=bool(role and roles[context.abstract_syntax].scp),
            )
        answer = Negotiation(
            called=asked.called, calling=asked.calling, max_pdu=max_pdu, results=tuple(results), roles=roles
        )
        return answer, accepted

    def _decide(self, context: Proposed) -> Result:
        wanted: tuple[str, ...] = ()
        if _UID.fullmatch(context.abstract_syntax):
            wanted = tuple(self.transfer_syntaxes(context.abstract_syntax))
        if not wanted:
            return Result(id=context.id, result=_NOT_SUPPORTED)
        chosen = next((syntax for syntax in wanted if syntax in context.transfer_syntaxes), "")
        return Result(id=context.id, result=0 if chosen else _NO_SYNTAX, transfer_syntax=chosen)
