"""Which objects at the target are this program's own copies: by what is on record, never by a guess.

A copy is our own if its content is one that we meant to store, or what a recorded correction made of it. What was
damaged on its way is too: the target said that it stored the object for us, and the next read-back saw this content in
its place. What came there later is another's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from attrs import frozen

from vna_lifecycle.catalog import StudyWork
from vna_lifecycle.dicom.compare import compare_entries
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.outcomes import Attempt
from vna_lifecycle.model.event import (
    Event,
    StoreIntended,
    StudyIncomplete,
    StudyStored,
    StudyTransferred,
)
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.model.inventory import ManifestEntry, Rung

_E = TypeVar("_E", bound=Event)


@frozen(kw_only=True)
class OwnCopies:
    """What a program stored of a study since it last had nothing of it at the target.

    ``meant`` are the contents that any attempt meant to store, the latest first, without what was there before; before
    them what was made of them since, by corrections on record. ``corrected`` leads from that, as a SOP Instance UID and
    a data set SHA-256, to the data set SHA-256 of what was stored. ``damaged`` pairs SOP Instance UIDs with the data
    set SHA-256 of what was read back in place of what was stored.
    """

    meant: Mapping[SOPInstanceUID, Sequence[ManifestEntry]]
    corrected: Mapping[tuple[SOPInstanceUID, str], str]
    damaged: frozenset[tuple[SOPInstanceUID, str]]

    def meant_by(self, there: ManifestEntry) -> str:
        """The data set SHA-256 of what was meant to lie where this lies, if it is our own copy; else nothing."""
        contents = self.meant[there.sop_instance_uid]
        same = (meant.digest.dataset_sha256 for meant in contents if compare_entries(meant, there) >= Rung.EQUIVALENT)
        damaged = (there.sop_instance_uid, there.digest.dataset_sha256) in self.damaged
        found = next(same, contents[0].digest.dataset_sha256 if damaged else "")
        return self.corrected.get((there.sop_instance_uid, found), found)


def present_before(journal: Journal, work: StudyWork) -> frozenset[str]:
    """The SOP Instance UIDs that were at the target before anything of ours was."""
    return frozenset(json.loads(journal.vault.get(work.present_ref)) if work.present_ref else ())


def own_copies(journal: Journal, work: StudyWork) -> OwnCopies:
    """What is on record of a study that has copies at the target."""
    present = present_before(journal, work)
    attempts = list(_attempts(journal, work))
    meant: dict[SOPInstanceUID, list[ManifestEntry]] = {}
    intents = (_of(journal, attempt, "store-intended", StoreIntended) for attempt in attempts)
    for intent in filter(None, intents):
        for entry in journal.manifest(intent.expected_ref).entries:
            known = meant.setdefault(entry.sop_instance_uid, [])
            if all(entry.digest.dataset_sha256 != other.digest.dataset_sha256 for other in known):
                known.append(entry)
    corrected: dict[tuple[SOPInstanceUID, str], str] = {}
    for entry in journal.manifest(work.expected_ref).entries:  # other than any attempt's only where a remedy made it so
        uid, content = entry.sop_instance_uid, entry.digest.dataset_sha256
        known = meant.setdefault(uid, [])
        if all(content != other.digest.dataset_sha256 for other in known):
            if known:
                corrected[uid, content] = known[0].digest.dataset_sha256
            known.insert(0, entry)
    return OwnCopies(
        meant={uid: entries for uid, entries in meant.items() if uid not in present},
        corrected=corrected,
        damaged=frozenset(_damaged(journal, reversed(attempts))),
    )


def _attempts(journal: Journal, work: StudyWork) -> Iterator[Attempt]:
    """The study's attempts since the target had nothing of ours, the latest first."""
    for number in range(work.attempt, 0, -1):
        attempt = Attempt(study=work.ref, wave=work.wave, number=number)
        yield attempt
        if journal.ledger.find(attempt.key("surveyed")) is not None:
            return


def _damaged(journal: Journal, attempts: Iterator[Attempt]) -> Iterator[tuple[SOPInstanceUID, str]]:
    """What the first read-back after each receipt saw, by UID: damaged or not, it is what became of what was stored."""
    stored: set[SOPInstanceUID] = set()
    for attempt in attempts:
        said = _of(journal, attempt, "stored", StudyStored)
        if said is not None and said.receipts_ref:
            stored |= {entry.sop_instance_uid for entry in journal.manifest(said.receipts_ref).entries}
        end = _of(journal, attempt, "transferred", StudyTransferred) or _of(
            journal, attempt, "incomplete", StudyIncomplete
        )
        if end is not None and end.read_back_ref:
            for entry in journal.manifest(end.read_back_ref).entries:
                if entry.sop_instance_uid in stored:
                    yield entry.sop_instance_uid, entry.digest.dataset_sha256
            stored.clear()


def _of(journal: Journal, attempt: Attempt, step: str, kind: type[_E]) -> _E | None:
    found = journal.ledger.find(attempt.key(step))
    return found.event if found is not None and isinstance(found.event, kind) else None
