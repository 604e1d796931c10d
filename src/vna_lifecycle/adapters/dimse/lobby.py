"""One archive's use of our listening side: opened when it is first needed, together with others of the same port."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vna_lifecycle.adapters.dimse.arrivals import Arrivals
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.letterbox import Letterbox
from vna_lifecycle.adapters.dimse.reception import Guest, Quarantine, Reception, Taker, attend, leave
from vna_lifecycle.adapters.dimse.settings import DimseSettings
from vna_lifecycle.adapters.dimse.wire import UNCOMPRESSED, Association, Context
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import Site


class Lobby:
    """Where one archive's objects arrive."""

    def __init__(self, settings: DimseSettings, site: Site) -> None:
        self.quarantine = Quarantine(site.workspace / "quarantine")
        self._settings = settings
        self._site = site
        self.letters = Letterbox(site.workspace / "commitment")
        self._guest = Guest(settings, self.quarantine, self.letters)
        if settings.retrieve == "push":
            self.arrivals = Arrivals(site.workspace / "arrivals")
            self._guest.keep(self.arrivals)
        self._lock = threading.Lock()
        self._reception: Reception | None = None

    def open(self) -> Reception:
        """Listen, if we do not yet.

        Raises:
            ArchiveUnreachable: we cannot listen there.
            ConfigurationError: another archive listens there with other settings.
        """
        with self._lock:
            if self._reception is None:
                try:
                    self._reception = attend(self._settings, self._guest)
                except ArchiveError as problem:
                    problem.archive = problem.archive or self._site.name
                    raise
            return self._reception

    @contextmanager
    def waiting(self, taker: Taker) -> Iterator[None]:
        """Offer arrivals to ``taker``; with C-GET nothing arrives here, so nothing is opened.

        Raises:
            ArchiveUnreachable: we cannot listen.
        """
        if self._settings.retrieve != "get":
            self.open()
        with self._guest.waiting(taker):
            yield

    @contextmanager
    def retrieval(self, caller: Caller, contexts: Sequence[Context]) -> Iterator[tuple[Association, int]]:
        """An association for one C-MOVE, with its message ID; or for one C-GET, with the ``contexts`` of its objects.

        Raises:
            ArchiveError: the archive cannot be reached, or does not want us.
        """
        if self._settings.retrieve == "get":
            model = Context(abstract_syntax=caller.models.get, transfer_syntaxes=UNCOMPRESSED)
            with caller.association([model, *contexts]) as association:
                yield association, 0
        else:
            with caller.questions() as association:
                yield association, self.open().next_message_id()

    def failed_handshakes(self, since: float) -> tuple[str, ...]:
        """Why connections to our port did not get through TLS since then, on the monotonic clock."""
        with self._lock:
            return () if self._reception is None else self._reception.failed_handshakes(since)

    def close(self) -> None:
        """Listen no longer for this archive."""
        with self._lock:
            reception, self._reception = self._reception, None
        if reception is not None:
            leave(reception, self._guest)
