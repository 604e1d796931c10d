"""Associations with one archive: as many as allowed, requested again for a while, used again while fresh."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import stamina
from attrs import frozen

from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.dimse.slots import Slots
from vna_lifecycle.adapters.dimse.tls import calling_context
from vna_lifecycle.adapters.dimse.wire import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Association,
    Context,
    Peer,
    Timeouts,
    echo,
    request,
)
from vna_lifecycle.adapters.habits import known_associations
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable
from vna_lifecycle.model.identity import AETitle
from vna_lifecycle.ports import Site

_FRESH: Final = 5.0
"""Seconds for which an association that nobody uses is kept: most archives end idle ones after half a minute."""

USUAL_ASSOCIATIONS: Final = 4
"""Associations at once with an archive of which nobody has said or measured how many it bears."""

_SECONDS: Final = 30.0
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 4.0
_NAP: Final = 0.1
_T = TypeVar("_T")


@frozen(kw_only=True)
class Models:
    """The SOP classes of an information model (PS3.4 C.6)."""

    find: str
    move: str
    get: str


MODELS: Final = {
    "study-root": Models(find=STUDY_ROOT_FIND, move=STUDY_ROOT_MOVE, get=STUDY_ROOT_GET),
    "patient-root": Models(find=PATIENT_ROOT_FIND, move=PATIENT_ROOT_MOVE, get=PATIENT_ROOT_GET),
}


class Caller:
    """The requesting side of one archive. Used by any number of threads."""

    def __init__(self, settings: DimseSettings, site: Site) -> None:
        self.settings = settings
        self.site = site
        self.models = MODELS[settings.query_model]
        self.peer = Peer(
            host=settings.host,
            port=settings.port,
            called=AETitle(settings.ae_title),
            calling=AETitle(settings.calling_ae_title),
            timeouts=Timeouts(
                connect=settings.connect_timeout, answer=settings.answer_timeout, stall=settings.stall_timeout
            ),
            max_pdu=settings.max_pdu,
            tls=calling_context(settings),
            tls_name=settings.tls_host,
        )
        self.slots = Slots(settings.associations or known_associations(site) or USUAL_ASSOCIATIONS)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Association]] = []

    def check(self) -> None:
        """Ask whether the archive is there (C-ECHO).

        Raises:
            ArchiveError: it is not, or does not want us.
        """
        self.again(self._echo)

    @contextmanager
    def association(self, contexts: Sequence[Context]) -> Iterator[Association]:
        """An association of one's own, for as long as the ``with`` statement.

        Raises:
            ArchiveError: the archive cannot be reached, does not want us, or fails; it is named.
        """
        with self._slot(), self._request(contexts) as association:
            yield association

    @contextmanager
    def questions(self) -> Iterator[Association]:
        """An association for queries and C-MOVE, which others may have used before.

        Raises:
            ArchiveError: as `association`.
        """
        with self._slot():
            association = self._fresh()
            if association is None:
                contexts = (self.models.find, self.models.move)
                association = self._request(
                    [Context(abstract_syntax=uid, transfer_syntaxes=UNCOMPRESSED) for uid in contexts]
                )
            try:
                yield association
            except BaseException:
                association.abort()
                with self._lock:  # whoever tries again shall not be given another one that the archive has ended
                    idle, self._idle = self._idle, []
                for _, other in idle:
                    other.abort()
                raise
            with self._lock:
                if association.alive:
                    self._idle.append((time.monotonic(), association))

    def again(self, call: Callable[[], _T]) -> _T:
        """What ``call`` returns; made again, for a short while, where the connection was lost or an answer garbled.

        At least once, where it failed soon: the association may have been an old one.

        Raises:
            ArchiveError: it failed each time, or in a way that will not pass.
        """

        def worth(problem: Exception) -> bool:
            # Whom nobody could associate with was asked often enough.
            return self._passes(problem) and not isinstance(problem, ArchiveRefused | ArchiveUnreachable)

        return self._tried(call, worth, attempts=max(2, self.settings.attempts))

    def close(self) -> None:
        """Release what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, association in idle:
            association.release()

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the work goes on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.site.cancelled.is_set():
            time.sleep(min(left, _NAP))

    def _echo(self) -> None:
        with self.association([Context(abstract_syntax=VERIFICATION, transfer_syntaxes=UNCOMPRESSED)]) as association:
            echo(association)

    def _fresh(self) -> Association | None:
        """The association that was used last, if that was not long ago; old ones are released."""
        with self._lock:
            newest = time.monotonic() - _FRESH
            old = [association for since, association in self._idle if since < newest]
            self._idle = [item for item in self._idle if item[0] >= newest]
            found = self._idle.pop()[1] if self._idle else None
        for association in old:
            association.release()
        return found

    @contextmanager
    def _slot(self) -> Generator[None, None, None]:
        with self.slots.one():
            try:
                yield
            except ArchiveError as problem:
                problem.archive = problem.archive or self.site.name
                raise

    def _request(self, contexts: Sequence[Context]) -> Association:
        begun, attempts = time.monotonic(), self.settings.attempts
        try:
            return self._tried(lambda: request(self.peer, contexts), self._passes, attempts=attempts)
        except ArchiveError as problem:
            if attempts > 1 and self._passes(problem):
                since = f"{time.monotonic() - begun:.0f} s"
                problem.args = (f"{problem}; that was still so after {since} and up to {attempts} requests",)
            raise

    def _passes(self, problem: Exception) -> bool:
        return isinstance(problem, ArchiveError) and problem.transient and not self.site.cancelled.is_set()

    def _tried(self, call: Callable[[], _T], worth: Callable[[Exception], bool], *, attempts: int) -> _T:
        """What ``call`` returns, which is made again within half a minute, each time after a longer wait."""
        for attempt in stamina.retry_context(
            on=worth, attempts=attempts, timeout=_SECONDS, wait_initial=_FIRST_WAIT, wait_max=_LONGEST_WAIT
        ):
            with attempt:
                return call()
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover
