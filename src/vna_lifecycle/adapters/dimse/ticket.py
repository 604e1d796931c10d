"""Whoever waits for the objects of one retrieval: what was wanted, what arrived, and what is still missing."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vna_lifecycle.adapters.dimse.answers import place_of
from vna_lifecycle.adapters.dimse.wire import Arrival, Offer
from vna_lifecycle.errors import StorageError
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, Spool


class Ticket:
    """Takes arrivals, from any thread, and matches them with what was wanted by SOP Instance UID.

    Other contents that one retrieval brings under the same UID are told as well: which is the true one is not decided
    here. ``title`` is as whom we ask for C-MOVE. ``moves`` are the message IDs of those that were asked for; an object
    that states none is taken where its UID is wanted. ``problem`` is why the spool could not take an object.
    """

    def __init__(self, wanted: Sequence[InstanceRecord], spool: Spool, title: str) -> None:
        self.moves: set[int] = set()
        self.problem: StorageError | None = None
        self.arrived = 0
        self.extra: list[Arrival] = []
        self.on_arrival: Callable[[], None] = lambda: None
        self._spool = spool
        self._title = title
        self._missing: dict[str, list[InstanceRecord]] = {}
        self._wanted = {place_of(record.locator)[1]: record for record in wanted}
        self._came: dict[tuple[int, str], list[Arrival]] = {}
        self._errands = 0
        for record in wanted:
            self._missing.setdefault(place_of(record.locator)[1], []).append(record)
        self._ready: deque[Fetched] = deque()
        self._changed = threading.Condition()
        self._last = time.monotonic()

    def ask(self, message_id: int) -> None:
        """A retrieval is asked for, a C-MOVE under this message ID."""
        self.begin()
        self.moves.add(message_id)
        self._errands += 1

    def place(self, offer: Offer) -> Path | int | None:
        """A file in the spool for what one of our retrievals brings."""
        mover = offer.originator
        if mover is None:
            with self._changed:
                if offer.sop_instance_uid not in self._missing:
                    return None
        elif (mover.ae_title, mover.message_id) not in {(self._title, number) for number in self.moves}:
            return None
        return self.file()

    def file(self) -> Path:
        """A file in the spool.

        Raises:
            StorageError: it has no room.
        """
        try:
            return self._spool.new_file()
        except StorageError as problem:
            self.problem = problem
            raise

    def take(self, arrival: Arrival) -> int:
        """Note an object; 0000 for its sender in any case, since what we lack we ask for again."""
        with self._changed:
            self.arrived += 1
            self._last = time.monotonic()
            uid = arrival.offer.sop_instance_uid
            records = self._missing.get(uid)
            if records:
                self._ready.append(Fetched(record=records.pop(0), path=arrival.path))
                if not records:
                    del self._missing[uid]
            elif uid not in self._wanted:
                self.extra.append(arrival)
            elif self._is_another(arrival):
                self._ready.append(Fetched(record=self._wanted[uid], path=arrival.path))
            else:
                arrival.path.unlink(missing_ok=True)
            if uid in self._wanted:
                self._came.setdefault((self._errand(arrival), uid), []).append(arrival)
            self._changed.notify_all()
        self.on_arrival()
        return 0

    def _is_another(self, arrival: Arrival) -> bool:
        """Whether the same retrieval brought its UID with other bytes. An archive may write objects anew each time."""
        before = self._came.get((self._errand(arrival), arrival.offer.sop_instance_uid), [])
        return bool(before) and arrival.dataset_sha256 not in {one.dataset_sha256 for one in before}

    def _errand(self, arrival: Arrival) -> int:
        """By which retrieval it came: the C-MOVE's message ID, or a number below 0."""
        mover = arrival.offer.originator
        return -self._errands if mover is None else mover.message_id

    def lose(self, path: Path, problem: StorageError | None) -> None:
        """Note what the disk has against the objects; what the sender broke off is asked for again."""
        self.problem = self.problem or problem

    def ready(self) -> Iterator[Fetched]:
        """What arrived and was not told yet."""
        while self._ready:
            yield self._ready.popleft()

    def missing(self) -> list[InstanceRecord]:
        """What has not arrived."""
        with self._changed:
            return [record for records in self._missing.values() for record in records]

    def begin(self) -> None:
        """A retrieval begins, or was said to be over: what happened before does not count as silence."""
        with self._changed:
            self._last = time.monotonic()

    def settle(self, quiet: float, enough: Callable[[], bool]) -> None:
        """Wait until nothing has arrived for ``quiet`` seconds, or it is enough."""
        with self._changed:
            while self._missing and not enough() and (left := self._last + quiet - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.1))


class Inline:
    """The ticket as the sink of a C-GET: whatever comes over that association was asked for by it."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    def place(self, offer: Offer) -> Path | int:
        """A file in the spool."""
        return self._ticket.file()

    def take(self, arrival: Arrival) -> int:
        """As the ticket."""
        return self._ticket.take(arrival)

    def lose(self, path: Path, problem: StorageError | None) -> None:
        """As the ticket."""
        self._ticket.lose(path, problem)
