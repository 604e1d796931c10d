"""Recording what happened: evidence into the vault, events into the ledger, and both into the current state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import asdict

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import Event, FindingRecorded, RecordedEvent
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.vault import Sealed, Vault

MEMBERS_PER_CHUNK = 20_000
PROJECTED_AT_ONCE = 10_000
PROGRAM_SCOPE = "program"
SUBSCRIBERS = "plug-ins"


class Journal:
    """The one way by which a use case puts events on record.

    An append is durable before the current state follows, and the current state is before anything else happens: a
    crash between the two is mended by `sync`, which folds what the ledger has and the catalog lacks.

    ``epoch`` is the lease's, for effects; None for decisions, which any process may append. ``notify`` is called with
    each new event after both.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        vault: Vault,
        *,
        actor: str,
        epoch: int | None = None,
        notify: Callable[[RecordedEvent], None] | None = None,
    ) -> None:
        self.ledger = ledger
        self.catalog = catalog
        self.vault = vault
        self._actor = actor
        self._epoch = epoch
        self._notify = notify
        self._folded = catalog.projected_size()
        self._known_again = False
        self._evidence: list[Sealed] = []

    def record(self, events: Sequence[tuple[str, Event]], *, actor: str = "") -> tuple[RecordedEvent, ...]:
        """Append events, each with its idempotency key, and fold them into the current state.

        Raises:
            LeaseLost: a newer coordinator took over.
        """
        if not events:
            return ()
        self._put_evidence()  # before the events that refer to it
        drafts = [Draft(event=event, key=key, actor=actor or self._actor) for key, event in events]
        recorded = self.ledger.append(drafts, epoch=self._epoch)
        new = [event for event in recorded if event.sequence >= self._folded]
        if [event.sequence for event in new] == list(range(self._folded, self._folded + len(new))):
            self._project(new)
            self._folded += len(new)
        else:
            self.sync()  # others have appended in between
        if self._notify is not None:
            self._deliver(self._notify)
        return recorded

    def _deliver(self, notify: Callable[[RecordedEvent], None]) -> None:
        """Tell subscribers of every event since the last time: at least once each, crashes included."""
        size = self.ledger.size()
        for event in self.ledger.read(self.ledger.cursor(SUBSCRIBERS), size):
            notify(event)
        self.ledger.move_cursor(SUBSCRIBERS, size)

    def sync(self) -> bool:
        """Fold what the ledger has and the current state lacks; whether there is anything new, also what others folded.

        Raises:
            LedgerReplaced: the ledger is an older or another one than the current state was folded from.
        """
        if self._known_again and self.ledger.size() == self._folded:
            return False
        folded, root = self.catalog.folded()  # before the ledger is asked, which never is behind the current state
        if folded:
            self.ledger.check_beginning(folded, root, of="the catalog")
        self._known_again = True
        size = self.ledger.size()
        for first in range(folded, size, PROJECTED_AT_ONCE):
            self._project(list(self.ledger.read(first, min(first + PROJECTED_AT_ONCE, size))))
        before, self._folded = self._folded, size
        return size > before

    def _project(self, events: Sequence[RecordedEvent]) -> None:
        if events:
            self.catalog.project(events, self.members, self.ledger.root_at(events[-1].sequence + 1))

    # ------------------------------------------------------------------------------------------------ evidence

    def commitment(self, digest: str) -> str:
        """A salted commitment to a digest over what identifies people: nobody can try values against it."""
        return self.vault.commit(PROGRAM_SCOPE, digest.encode())

    def begin_scopes(self, labels: Sequence[str]) -> None:
        """Make the vault's keys of studies that have none, each in its patient's group.

        So a patient's studies can be moved or erased together. Studies without a Patient ID are groups of their own.
        """
        groups = []
        for label, patient in self.catalog.patients(labels).items():
            named = self.vault.label(f"patient {json.dumps([patient.issuer, patient.id])}") if patient.id else label
            groups.append((label, named))
        self.vault.begin(groups)

    def keep_manifest(self, scope: str, manifest: Manifest) -> str:
        """Keep a manifest under its study's scope; its address. It is durable before the next events are."""
        return self._keep(scope, manifest.to_bytes())

    def keep_uids(self, scope: str, uids: Iterable[str]) -> str:
        """Keep a set of UIDs, as a sorted JSON array, as `keep_manifest` does."""
        return self._keep_json(scope, sorted(uids))

    def manifest(self, address: str) -> Manifest:
        """The manifest at a vault address."""
        return Manifest.from_bytes(self.vault.get(address))

    def manifests(self, addresses: Iterable[str]) -> dict[str, Manifest]:
        """As `manifest`, for many at once, by address; ``""`` is none."""
        kept = self.vault.get_many(sorted({address for address in addresses if address}))
        return {address: Manifest.from_bytes(data) for address, data in kept.items()}

    def keep_members(self, members: Iterable[tuple[str, str]]) -> str:
        """Put pairs, of label and Study Instance UID say, into the vault, in bounded pieces; the address of the whole.

        They can be read at once.
        """
        addresses: list[str] = []
        chunk: list[tuple[str, str]] = []
        for member in members:
            chunk.append(member)
            if len(chunk) == MEMBERS_PER_CHUNK:
                addresses.append(self._keep_json(PROGRAM_SCOPE, chunk))
                self._put_evidence()  # a plan may be larger than memory
                chunk = []
        if chunk:
            addresses.append(self._keep_json(PROGRAM_SCOPE, chunk))
        whole = self._keep_json(PROGRAM_SCOPE, addresses)
        self._put_evidence()
        return whole

    def members(self, address: str) -> Iterator[tuple[str, str]]:
        """The pairs of label and Study Instance UID behind an address that `keep_members` gave."""
        for piece in json.loads(self.vault.get(address)):
            yield from ((label, study_uid) for label, study_uid in json.loads(self.vault.get(piece)))

    def finding(self, finding: Finding, *, wave: str, under: str = "") -> tuple[str, FindingRecorded]:
        """The event for a finding, its evidence put into the vault.

        The same finding again is the same event while it is open, and another one once it was settled. ``under`` is
        what else makes two findings the same: found in another attempt, it is another event. What goes on record
        together with the event that settles its like must say so.
        """
        return self.findings([finding], wave=wave, under=under)[0]

    def findings(self, findings: Sequence[Finding], *, wave: str, under: str = "") -> list[tuple[str, FindingRecorded]]:
        """As `finding`, for many, in order."""
        found = []
        for finding in findings:
            raw = asdict(finding, value_serializer=lambda _, __, value: getattr(value, "value", value))
            found.append((finding.study.label if finding.study is not None else PROGRAM_SCOPE, _json(raw)))
        sealed = self.vault.seal_many(found)
        self._evidence += sealed
        return [
            (
                f"{under or self._under(wave, evidence.address)}/{evidence.address}",
                FindingRecorded(
                    finding=finding.kind,
                    severity=finding.severity.value,
                    check=finding.check,
                    study=finding.study.label if finding.study is not None else "",
                    wave=wave,
                    subjects=len(finding.subjects),
                    evidence_ref=evidence.address,
                ),
            )
            for finding, evidence in zip(findings, sealed, strict=True)
        ]

    def _under(self, wave: str, address: str) -> str:
        again = self.catalog.decisions.settled(wave, address)
        return f"finding/{wave}/again-{again}" if again else f"finding/{wave}"

    def read_finding(self, address: str) -> Finding:
        """The finding whose evidence lies at a vault address."""
        raw = json.loads(self.vault.get(address).decode("utf-8", "surrogatepass"))
        study = raw.pop("study")
        return Finding(
            **{**raw, "severity": Severity(raw["severity"])},
            study=StudyRef(study_uid=StudyUID(study["study_uid"]), label=study["label"]) if study else None,
        )

    def keep_change(self, scope: str, value: object) -> str:
        """Keep what is changed of a study's objects, with its values, as JSON under its scope; `facts` reads it."""
        return self._keep_json(scope, value)

    def keep_facts(self, value: object) -> str:
        """Keep facts about the program (no identifiers) as JSON; the address. Durable before the next events are."""
        return self._keep_json(PROGRAM_SCOPE, value)

    def facts(self, address: str) -> Any:
        """What `keep_facts` or `keep_change` kept."""
        return json.loads(self.vault.get(address))

    def _put_evidence(self) -> None:
        self.vault.put_sealed(self._evidence)
        self._evidence.clear()

    def _keep_json(self, scope: str, value: object) -> str:
        return self._keep(scope, _json(value))

    def _keep(self, scope: str, data: bytes) -> str:
        sealed = self.vault.seal(scope, data)
        self._evidence.append(sealed)
        return sealed.address


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
