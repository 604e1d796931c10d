"""Fetching from an archive that sends by itself: its operator chooses what and when, the inventory what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from vna_lifecycle.adapters.dimse.answers import place_of
from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.lobby import Lobby
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Fetched, FetchFailure, Spool

_NAP: Final = 0.5


class Pushed:
    """The objects of one archive, as they were or will be sent."""

    def __init__(self, caller: Caller, lobby: Lobby) -> None:
        self._settings = caller.settings
        self._cancelled = caller.site.cancelled
        self._lobby = lobby

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted object once it is there; what does not come in time, as missing. Files stay where they arrived.

        Raises:
            ArchiveUnreachable: we cannot listen.
        """
        self._lobby.open()
        arrivals = self._lobby.arrivals
        begun = time.monotonic()
        missing = list(wanted)
        while missing and not self._cancelled.is_set():
            later: list[InstanceRecord] = []
            for record in missing:
                found = arrivals.of(place_of(record.locator)[1])
                if len(found) > 1:
                    message = f"{len(found)} different objects were sent under its SOP Instance UID"
                    yield FetchFailure(record=record, code="several-contents-sent", message=message, withheld=True)
                elif found:
                    yield Fetched(record=record, path=found[0])
                else:
                    later.append(record)
            missing = later
            now = time.monotonic()
            quiet = now - max(begun, arrivals.quiet_since) > self._settings.push_quiet_seconds
            if not missing or quiet or now - begun > self._settings.push_longest_wait:
                break
            arrivals.wait(min(_NAP, self._settings.push_quiet_seconds))
        if self._cancelled.is_set():
            return
        for record in missing:
            message = "it is listed, and was not sent; have the archive send this study again, to our AE title"
            yield FetchFailure(record=record, code="not-sent-to-us", message=message, withheld=True)
