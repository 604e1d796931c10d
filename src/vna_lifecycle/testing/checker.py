"""Judging a program by what it leaves behind: the ledger's events and the archives' bytes, never its own catalog.

Give a `Checker` what happened after each step in which either the source changed or the program acted, not both. It
remembers, and tells each broken invariant as a value:

- I1: what is called transferred is at the target, byte for byte, and stays there; what is called withdrawn is not,
  damaged on its way or not (but for damage of which no receipt was had, if a finding says that it stays); nothing is
  overwritten or invented.
- I2: an event that was acknowledged is never lost, moved or rewritten.
- I4: whatever is lacking, or was stored with a warning, has a finding; every receipt is on record.
- I5: counts close, of studies and of instances.
- I6: at most one lease epoch has effects at a time.
- intent: an effect on the target comes after the event that intends it, and every retry has the same token.
- held: of several contents under one SOP Instance UID, none is stored that nobody chose.
- foreign: what others stored at the target is never removed.
- I7, that everything is done once faults have ceased, needs another run to compare with: see `simulation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from attrs import define, field, frozen

from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.engine.status import Status
from vna_lifecycle.errors import DicomRefused
from vna_lifecycle.model.event import (
    CatchUpCompleted,
    ContentChosen,
    FindingRecorded,
    InventoryCompleted,
    InventoryStarted,
    LeaseTaken,
    RecordedEvent,
    StoreIntended,
    StudyFetched,
    StudyIncomplete,
    StudyStored,
    StudyTransferred,
    StudyWithdrawn,
    WithdrawIntended,
)
from vna_lifecycle.testing.receipts import Receipts
from vna_lifecycle.testing.standing import Standing

Files: TypeAlias = Mapping[str, bytes]
Contents: TypeAlias = dict[str, dict[str, set[bytes]]]
"""Study Instance UID to SOP Instance UID to the contents under it."""

_PLANNING: Final = ("plan/",)


@frozen(kw_only=True)
class Violation:
    """A broken invariant. ``sequence`` is that of the event in question, None where it is none."""

    invariant: str
    what: str
    sequence: int | None = None


@frozen(kw_only=True)
class Change:
    """A file of the target came (``before`` None), went (``after`` None) or changed, while the ledger had ``size``."""

    before: bytes | None
    after: bytes | None
    size: int


def identity(data: bytes) -> tuple[str, str] | None:
    """Study and SOP Instance UID of a file, None if it is no DICOM object that can be trusted."""
    try:
        record = scan_bytes(data, locator="")
    except DicomRefused:
        return None
    return record.study_uid, record.sop_instance_uid


def contents(files: Iterable[bytes]) -> Contents:
    """What files hold, by UIDs."""
    found: Contents = {}
    for data in files:
        if (known := identity(data)) is not None:
            found.setdefault(known[0], {}).setdefault(known[1], set()).add(data)
    return found


def served(listing: Files, source: Files) -> Contents:
    """What the source gives now for what it listed then: by locator, and only objects that are what was listed."""
    there = {place: source[place] for place in listing if place in source}
    return contents(data for place, data in there.items() if identity(data) == identity(listing[place]))


@define
class Checker:
    """Follows one program. ``label`` is how its ledger names UIDs, ``members`` reads a ``members_ref``.

    ``receipts`` knows which copies are its own, ``digest`` gives the data set SHA-256 of a file, as decisions name
    contents. ``foreign`` is what others had stored at the target before.
    """

    label: Callable[[str], str]
    members: Callable[[str], Iterable[tuple[str, str]]]
    receipts: Receipts
    digest: Callable[[bytes], str]
    foreign: frozenset[bytes] = frozenset()
    standing: Standing = field(factory=Standing)
    _seen: list[RecordedEvent] = field(factory=list)
    _told: dict[int, RecordedEvent] = field(factory=dict)
    _early: list[Violation] = field(factory=list)
    _epoch: int = 0
    _listed: dict[str, bytes] | None = field(factory=dict)
    _listings: list[dict[str, bytes] | None] = field(factory=lambda: [{}])
    _begun: dict[int, Files] = field(factory=dict)
    _expected: dict[str, dict[str, bytes]] = field(factory=dict)
    _tokens: dict[tuple[str, str], str] = field(factory=dict)
    _chosen: dict[str, str] = field(factory=dict)
    _intended: dict[str, list[tuple[int, str]]] = field(factory=dict)
    _held: set[bytes] = field(factory=set)
    _left: set[bytes] = field(factory=set)

    def acknowledged(self, events: Sequence[RecordedEvent], epoch: int | None) -> None:
        """An append returned these events to its caller, who held the lease of ``epoch`` (None: a decision)."""
        for event in events:
            if self._told.setdefault(event.sequence, event) != event:
                what = "two events were acknowledged for the same place"
                self._early.append(Violation(invariant="I2", what=what, sequence=event.sequence))
            if isinstance(event.event, LeaseTaken):
                self._epoch = max(self._epoch, event.event.epoch)
            if epoch is not None and epoch < self._epoch and event.sequence >= len(self._seen):
                what = f"an append with epoch {epoch} was accepted after epoch {self._epoch} had begun"
                self._early.append(Violation(invariant="I6", what=what, sequence=event.sequence))

    def moved(self, study: str) -> frozenset[str]:
        """The SOP Instance UIDs of a study that is called transferred."""
        return frozenset(self._expected.get(study, ()))

    def damaged(self, data: bytes) -> bool:
        """Whether it is what the fault `Corrupt` made of an object on its way: nobody can prove whose it is."""
        return data not in self._held and flipped(data) in self._held

    def forget_listing(self) -> None:
        """The catalog is gone: until sources are listed again, nothing is known of them."""
        self._listed, self._listings = {}, [{}]

    def examine(
        self,
        events: Sequence[RecordedEvent],
        source: Files,
        target: Files,
        changes: Sequence[Change] = (),
        *,
        warned: Iterable[str] = (),
        receipts: Iterable[str] = (),
    ) -> list[Violation]:
        """What is wrong now. ``events`` is the whole ledger, ``changes`` what came and went at the target since.

        ``warned`` are codes of warnings that the target gave in a step that was not cut off, ``receipts`` the SOP
        Instance UIDs of what it said then that it stored.
        """
        self._held.update(source.values())
        found = [*self._early, *self._kept(events)]
        self._early = []
        new = events[len(self._seen) :]
        self._seen = list(events)
        self.receipts.new.clear()
        for event in new:
            found += self._happened(event, source, target)
        found += self._effects(changes, source)
        if missing := set(receipts) - self.receipts.new:
            found.append(Violation(invariant="I4", what=f"{len(missing)} receipts are not on record"))
        kinds = {event.event.finding for event in events if isinstance(event.event, FindingRecorded)}
        for code in warned:
            if f"stored-with-warning-{code.lower()}" not in kinds:
                found.append(Violation(invariant="I4", what=f"a warning {code} has no finding"))
        for label, expected in self._expected.items():
            if not _holds(target, expected):
                found.append(Violation(invariant="I1", what=f"{label} was transferred and is not all there any more"))
        found += self._in_order(events)
        return found

    def reported(self, status: Status) -> list[Violation]:
        """What is wrong with what the program says of itself: each study found is somewhere, and nowhere twice."""
        counts = self.standing.counts()
        right = {wave: {state: n for (name, state), n in counts.items() if name == wave} for wave, _ in counts if wave}
        said = {line.name: dict(line.states) for line in status.waves}
        found = []
        if {wave: states for wave, states in said.items() if states} != right:
            found.append(Violation(invariant="I5", what=f"the status says {said} of the waves, the ledger {right}"))
        if any(line.imported != dict(line.states).get("transferred", 0) for line in status.waves):
            found.append(Violation(invariant="I5", what="imported is not what is transferred"))
        if (away := sum(n for _, n in status.excluded)) != counts.get(("", "excluded"), 0):
            found.append(Violation(invariant="I5", what=f"the status says {away} studies are excluded"))
        if len(self._listings) == 1 and (listing := self._listings[0]) is not None:
            labels = {self.label(study) for study in contents(listing.values())}
            free = {label for label in labels if self.standing.states.get(label, "unplanned") == "unplanned"}
            if status.unplanned != len(free):
                what = f"the status says {status.unplanned} studies are in no wave, and {len(free)} are"
                found.append(Violation(invariant="I5", what=what))
        return found

    # ------------------------------------------------------------------------------------------------ the record

    def _kept(self, events: Sequence[RecordedEvent]) -> Iterator[Violation]:
        if list(events[: len(self._seen)]) != self._seen:
            yield Violation(invariant="I2", what="events that were there are lost, moved or rewritten")
        for sequence, event in self._told.items():
            if sequence >= len(events) or events[sequence] != event:
                yield Violation(invariant="I2", what="an acknowledged event is not on record", sequence=sequence)

    def _in_order(self, events: Sequence[RecordedEvent]) -> Iterator[Violation]:
        if [event.sequence for event in events] != list(range(len(events))):
            yield Violation(invariant="I2", what="sequence numbers have gaps")
        if len({event.key for event in events}) != len(events):
            yield Violation(invariant="I2", what="an idempotency key is on record twice")

    # ------------------------------------------------------------------------------------------------ events

    def _happened(self, recorded: RecordedEvent, source: Files, target: Files) -> Iterator[Violation]:
        at = recorded.sequence
        if (why := self.standing.follow(recorded.event, self.members)) != "":
            yield Violation(invariant="I5", what=why, sequence=at)
        match recorded.event:
            case LeaseTaken() as event:
                if event.epoch <= self._epoch and at not in self._told:
                    yield Violation(invariant="I6", what=f"epoch {event.epoch} was taken twice", sequence=at)
                self._epoch = max(self._epoch, event.epoch)
            case InventoryStarted() as event:
                self._begun[event.inventory] = dict(source)
            case InventoryCompleted() as event:
                yield from self._inventoried(event, source, at)
            case CatchUpCompleted():
                self._listings = [self._listed]
            case ContentChosen() as event:
                self._chosen[event.instance] = event.content
            case StoreIntended() as event:
                self._intended.setdefault(event.study, []).append((at, "store"))
                token = self._tokens.setdefault((event.study, event.expected_ref), event.token)
                if token != event.token:
                    yield Violation(invariant="intent", what=f"{event.study}: a retry has another token", sequence=at)
            case WithdrawIntended() as event:
                self._intended.setdefault(event.study, []).append((at, "withdraw"))
                self._expected.pop(event.study, None)
            case StudyWithdrawn() as event:
                self._intended[event.study] = []
                yield from self._withdrawn(event, target, at)
            case StudyFetched() as event:
                yield from self._fetched(event, source, at)
            case StudyStored() as event:
                if not any(kind == "store" for _, kind in self._intended.get(event.study, ())):
                    yield Violation(invariant="intent", what=f"{event.study}: stored, never intended", sequence=at)
                if event.warnings and not self._finding(event.study, "stored-with-warning-"):
                    yield Violation(invariant="I4", what=f"{event.study}: warnings without a finding", sequence=at)
                if (why := self.receipts.follow(event)) != "":
                    yield Violation(invariant="I4", what=f"{event.study}: {why}", sequence=at)
            case StudyIncomplete() as event:
                self.receipts.follow(event)
                if not self._finding(event.study, ""):
                    yield Violation(invariant="I4", what=f"{event.study}: incomplete without a finding", sequence=at)
            case StudyTransferred() as event:
                self.receipts.follow(event)
                yield from self._transferred(event, source, target, at)
            case _:
                pass
        if recorded.key.startswith(_PLANNING):
            self._listings = [self._listed]

    def _inventoried(self, event: InventoryCompleted, source: Files, at: int) -> Iterator[Violation]:
        begun = self._begun.get(event.inventory)
        if begun != source:  # the source changed while the pass was interrupted: its parts are of several times
            self._listed = None
        else:
            self._listed = dict(source)
            known = [identity(data) for data in source.values()]
            there = [pair for pair in known if pair is not None]
            counts = (event.studies, event.instances, event.refused)
            right = (len({study for study, _ in there}), len(there), len(known) - len(there))
            if counts != right:
                what = f"an inventory counts {counts} studies, instances, refusals of {right}"
                yield Violation(invariant="I5", what=what, sequence=at)
        self._listings.append(self._listed)  # in force once studies are refreshed, which is not an event

    def _fetched(self, event: StudyFetched, source: Files, at: int) -> Iterator[Violation]:
        sure = [listing for listing in self._listings if listing is not None]
        if len(sure) < len(self._listings):
            return
        for listing in sure:
            listed = len(self._of(contents(listing.values()), event.study))
            if event.instances + event.held <= listed <= event.instances + event.held + event.failed:
                return
        what = f"{event.study}: {event.instances} in hand, {event.held} held and {event.failed} failed are not all"
        yield Violation(invariant="I5", what=what, sequence=at)

    def _transferred(self, event: StudyTransferred, source: Files, target: Files, at: int) -> Iterator[Violation]:
        for listing in self._listings:
            whole = self._unlisted(event.study, source, target) if listing is None else {}
            if listing is not None:
                now = self._of(served(listing, source), event.study)
                expected = {uid: self._true_content(uid, several) for uid, several in now.items()}
                whole = {uid: data for uid, data in expected.items() if data is not None}
                listed = set(self._of(contents(listing.values()), event.study))
                if not (len(expected) == event.instances and set(whole) == listed and _holds(target, whole)):
                    continue
            if len(whole) >= event.instances:
                self._expected[event.study] = whole
                return
        what = f"{event.study} is called transferred, and its {event.instances} instances are not all at the target"
        yield Violation(invariant="I1", what=what, sequence=at)

    def _unlisted(self, study: str, source: Files, target: Files) -> dict[str, bytes]:
        """What of a study the target has as the source has it: all that can be asked where the listing is not known."""
        now = self._of(contents(source.values()), study)
        return {uid: data for uid, several in now.items() for data in several if _holds(target, {uid: data})}

    def _true_content(self, uid: str, several: set[bytes]) -> bytes | None:
        """The only content, or the chosen one; None while it is undecided."""
        if len(several) == 1:
            return next(iter(several))
        chosen = self._chosen.get(self.label(uid))
        return next((data for data in several if self.digest(data) == chosen), None)

    def _finding(self, study: str, kind: str) -> bool:
        told = (event.event for event in self._seen)
        return any(isinstance(e, FindingRecorded) and e.study == study and e.finding.startswith(kind) for e in told)

    def _withdrawn(self, event: StudyWithdrawn, target: Files, at: int) -> Iterator[Violation]:
        own = self.receipts.withdraw(event.study)
        there = self._of(contents(set(target.values()) - self.foreign - self._left), event.study)
        left = {(uid, data) for uid, several in there.items() for data in several}
        told = self._left_as_found(event.study, at)
        ours = any(not self.damaged(data) or (uid, self.digest(data)) in own for uid, data in left)
        if ours or len(left) > told:
            what = f"{event.study} is called withdrawn, and {len(left)} instances are at the target"
            yield Violation(invariant="I1", what=what, sequence=at)
        self._left |= {data for _, data in left}

    def _left_as_found(self, study: str, since: int) -> int:
        """Of how many instances a withdrawal said that their content is not ours, and stays."""
        told = (event.event for event in self._seen[since:] if isinstance(event.event, FindingRecorded))
        return next((e.subjects for e in told if (e.study, e.finding) == (study, "not-ours-at-target")), 0)

    def _of(self, found: Contents, label: str) -> dict[str, set[bytes]]:
        return next((uids for study, uids in found.items() if self.label(study) == label), {})

    # ------------------------------------------------------------------------------------------------ effects

    def _effects(self, changes: Sequence[Change], source: Files) -> Iterator[Violation]:
        for change in changes:
            kind, data = ("store", change.after) if change.after is not None else ("withdraw", change.before)
            if change.before is not None and change.after is not None:
                yield Violation(invariant="I1", what="an object at the target was overwritten")
                continue
            if data is None or (known := identity(data)) is None:
                continue
            label = self.label(known[0])
            told = [event.event for event in self._seen[: change.size]]
            intents = (StoreIntended,) if kind == "store" else (WithdrawIntended,)
            if not any(isinstance(event, intents) and event.study == label for event in told):
                yield Violation(invariant="intent", what=f"{label}: an effect ({kind}) that nothing on record intends")
            if kind == "withdraw" and data in self.foreign | self._left:
                yield Violation(invariant="foreign", what=f"{label}: a copy that others had stored was removed")
            if kind == "store" and not self._may_store(known, data, source):
                yield Violation(invariant="held", what=f"{label}: something was stored that the source has not decided")

    def _may_store(self, known: tuple[str, str], data: bytes, source: Files) -> bool:
        for listing in self._listings:
            now = contents(source.values()) if listing is None else served(listing, source)
            several = now.get(known[0], {}).get(known[1], set())
            true = self._true_content(known[1], several)
            if listing is None or (true is not None and data in (true, flipped(true))):
                return True
        return False


def _holds(target: Files, expected: Mapping[str, bytes]) -> bool:
    """Whether each expected file is there, and nothing else under its UID."""
    there: dict[str, list[bytes]] = {}
    for data in target.values():
        if (known := identity(data)) is not None:
            there.setdefault(known[1], []).append(data)
    return all(there.get(uid) == [data] for uid, data in expected.items())


def flipped(data: bytes) -> bytes:
    """What the fault `Corrupt` makes of a file: that is the archive's doing, for the read-back to find."""
    return data[:-1] + bytes([data[-1] ^ 1])


def fingerprint(files: Iterable[bytes]) -> list[str]:
    """Files as sorted SHA-256, so that two archives can be compared."""
    return sorted(hashlib.sha256(data).hexdigest() for data in files)
