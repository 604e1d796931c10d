"""Queries that an archive does not answer while it answers others: they cost what they ask for, not all the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable
from vna_lifecycle.model.inventory import Refused

_AT_FIRST: Final = 3
IN_A_ROW: Final = 25
"""Queries in a row that are borne with: all dates are halved twenty times until a single day is left."""

_T = TypeVar("_T")


class Forbearance:
    """Bears with queries of one kind, but not with too many in a row. Used by one thread.

    ``at_first`` are so many before any was answered.
    """

    def __init__(self, caller: Caller, *, at_first: int = _AT_FIRST) -> None:
        self._caller = caller
        self._most = at_first
        self._in_a_row = 0

    def asked(self, call: Callable[[], _T]) -> _T | ArchiveError:
        """What ``call`` returns, which itself asks again for a while; or how it failed.

        Raises:
            ArchiveError: it does not answer a C-ECHO either, will not have us, or answers too few of this kind.
        """
        try:
            found = call()
        except (ArchiveRefused, ArchiveUnreachable):
            raise
        except ArchiveError as problem:
            self._in_a_row += 1
            if self._in_a_row > self._most or self._caller.site.cancelled.is_set():
                raise
            self._caller.check()
            return problem
        self._most, self._in_a_row = IN_A_ROW, 0
        return found


def not_answered(locator: str, what: str, problem: ArchiveError) -> Refused:
    """What an inventory tells of that which it could not ask for. The next inventory asks again."""
    reason = f"{what} is not known: the archive answers other queries, and this one failed each time: {problem}"
    return Refused(locator=locator, code="not-answered", reason=reason)
