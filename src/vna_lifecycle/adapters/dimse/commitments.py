"""Storage commitment with one archive: asked for, and answered on the same association or on one of its own."""

from __future__ import annotations

from typing import Final

from vna_lifecycle.adapters.dimse.calling import Caller
from vna_lifecycle.adapters.dimse.lobby import Lobby
from vna_lifecycle.adapters.dimse.wire import (
    COMMITMENT_PUSH,
    UNCOMPRESSED,
    Context,
    Reference,
    ask_commitment,
    await_report,
)
from vna_lifecycle.adapters.dimse.wire.status import words
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.inventory import Manifest, ManifestEntry
from vna_lifecycle.ports import Done, Outcome, Pending, Receipt, StoreFailure

_ON_THE_SAME: Final = 2.0
"""Seconds to wait for the answer on the association of the request, before that is released."""

_POLL: Final = 60.0
_CLASS_OR_INSTANCE: Final = {0x0112: "no-such-instance", 0x0119: "class-instance-conflict", 0x0122: "no-such-class"}


class Commitments:
    """The asking side."""

    def __init__(self, caller: Caller, lobby: Lobby) -> None:
        self._caller = caller
        self._lobby = lobby

    @property
    def patience(self) -> float:
        """As the settings have it."""
        return self._caller.settings.commitment_timeout

    def ask(self, transaction: str, manifest: Manifest) -> None:
        """Ask by N-ACTION, listening to an answer on another association from before that on.

        Raises:
            ArchiveRefused: the archive does not do storage commitment, or not for us.
            ArchiveUnreachable: it does not answer, or we cannot listen.
            ArchiveError: it did not take the request.
        """
        letters = self._lobby.letters
        self._lobby.open()
        letters.expect(transaction)
        objects = [
            Reference(sop_class_uid=entry.sop_class_uid, sop_instance_uid=entry.sop_instance_uid)
            for entry in manifest.entries
        ]
        context = Context(abstract_syntax=COMMITMENT_PUSH, transfer_syntaxes=UNCOMPRESSED)
        with self._caller.association([context]) as association:
            ask_commitment(association, transaction, objects)
            try:
                report = await_report(association, _ON_THE_SAME, enough=lambda: letters.answer(transaction) is not None)
            except ArchiveError:
                report = None  # it took the request, and ends the association: the answer comes on one of its own
            if report is not None:
                letters.take(report)

    def poll(self, transaction: str, manifest: Manifest) -> Pending | Done:
        """Look into the letterbox; we listen meanwhile, also when the request was made by an earlier run.

        Raises:
            ArchiveUnreachable: we cannot listen.
        """
        self._lobby.open()
        answer = self._lobby.letters.answer(transaction)
        if answer is None:
            return Pending(poll_after=_POLL)
        committed, failed = answer
        return Done(results=tuple(_told(entry, committed, failed) for entry in manifest.entries))


def _told(entry: ManifestEntry, committed: frozenset[str], failed: dict[str, int]) -> Receipt | StoreFailure:
    uid = entry.sop_instance_uid
    if uid in failed:
        reason = failed[uid]
        code = _CLASS_OR_INSTANCE.get(reason) or f"{reason:04x}"
        return StoreFailure(sop_instance_uid=uid, code=code, message=f"its reason is {words(reason)}")
    if uid in committed:
        return Receipt(sop_instance_uid=uid, outcome=Outcome.STORED)
    return StoreFailure(sop_instance_uid=uid, code="not-mentioned", message="its answer does not mention it")
