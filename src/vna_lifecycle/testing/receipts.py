"""Which copies at the target are a program's own, from the ledger's events alone: a second opinion on the engine's."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field

from vna_lifecycle.model.event import StudyIncomplete, StudyStored, StudyTransferred


@define
class Receipts:
    """What the target said that it stored of each study, and what the next read-back saw in its place.

    ``manifest`` gives the SOP Instance UIDs and data set SHA-256 of a manifest on record, by its address. ``new`` are
    the receipts that were followed since it was cleared.
    """

    manifest: Callable[[str], Iterable[tuple[str, str]]]
    new: set[str] = field(factory=set)
    _waiting: dict[str, set[str]] = field(factory=dict)
    _own: dict[str, set[tuple[str, str]]] = field(factory=dict)

    def follow(self, event: StudyStored | StudyIncomplete | StudyTransferred) -> str:
        """Take an event into account; what is wrong with it, if anything."""
        if isinstance(event, StudyStored):
            said = {uid for uid, _ in self.manifest(event.receipts_ref)} if event.receipts_ref else set()
            self.new |= said
            self._waiting.setdefault(event.study, set()).update(said)
            return "" if len(said) == event.stored else f"{event.stored} were stored, with receipts of {len(said)}"
        if event.read_back_ref:
            waiting = self._waiting.pop(event.study, set())
            seen = ((uid, digest) for uid, digest in self.manifest(event.read_back_ref) if uid in waiting)
            self._own.setdefault(event.study, set()).update(seen)
        return ""

    def withdraw(self, study: str) -> set[tuple[str, str]]:
        """The study's own copies, as pairs of SOP Instance UID and data set SHA-256; nothing of it counts any more."""
        self._waiting.pop(study, None)
        return self._own.pop(study, set())
