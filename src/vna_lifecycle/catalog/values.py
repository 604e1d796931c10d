"""What the catalog answers with."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from vna_lifecycle.model.identity import PatientKey, StudyRef, StudyUID
from vna_lifecycle.model.inventory import Availability, Basis
from vna_lifecycle.model.lifecycle import MigrationState


@frozen(kw_only=True)
class PartTotals:
    """One part as recorded. ``size`` is in bytes, over the objects whose size is known.

    ``studies`` counts what the archive claims about studies (`StudyRecord`). ``content_sha256`` covers every row, in
    an order that does not depend on the order of listing. It is unsalted: key it before it leaves the program.
    """

    instances: int
    refused: int
    size: int
    studies: int
    content_sha256: str


@frozen(kw_only=True)
class InventoryTotals:
    """A whole pass: its parts, distinct studies, listed objects, refused files, and known bytes."""

    parts: int
    studies: int
    instances: int
    refused: int
    size: int


@frozen(kw_only=True)
class StudySummary:
    """A study over the latest inventories of all sources.

    Text is from its leading header: of the source that comes first, the one most of its instances carry.
    ``instances`` counts distinct SOP Instance UIDs (what the archive claims, where it lists none; None where it does
    not say); ``size`` counts each once, by its largest copy, in bytes, and leaves out the ``unsized``.
    ``availability`` is the least available of any part. ``headers`` counts the distinct combinations of patient and
    study attributes, and ``patients`` the distinct patients among them: both are 1 in a consistent study. ``claimed``
    is the largest instance count that an archive claims.
    """

    ref: StudyRef
    patient: PatientKey
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_id: str
    study_date: str
    study_time: str
    accession_number: str
    issuer_of_accession_number: str
    description: str
    procedure_code: str
    modalities: tuple[str, ...]
    sources: tuple[str, ...]
    series: int
    instances: int | None
    size: int
    unsized: int
    availability: Availability
    headers: int
    patients: int
    claimed: int | None
    basis: Basis

    @property
    def study_uid(self) -> StudyUID:
        """Study Instance UID."""
        return self.ref.study_uid

    @property
    def label(self) -> str:
        """The study's short label."""
        return self.ref.label


@frozen(kw_only=True)
class Tally:
    """What an archive holds of one modality in one year (``""``: no usable Study Date), as listed, copies included."""

    archive: str
    modality: str
    year: str
    studies: int
    instances: int
    size: int


@frozen(kw_only=True)
class StudyDelta:
    """A study that two passes over an archive tell differently.

    Counts are listed objects, or what the archive claims where it lists none; sizes are known bytes.
    ``headers_changed`` says that patient, study or series attributes are not the same; ``content_changed`` that
    objects came, went or changed size.
    """

    ref: StudyRef
    kind: Literal["added", "vanished", "changed"]
    old_instances: int
    new_instances: int
    old_size: int
    new_size: int
    headers_changed: bool
    content_changed: bool

    @property
    def label(self) -> str:
        """The study's short label."""
        return self.ref.label

    @property
    def study_uid(self) -> StudyUID:
        """Study Instance UID."""
        return self.ref.study_uid


@frozen(kw_only=True)
class StudyWork:
    """Where a study stands in its wave. ``retry_at`` is UTC in ISO 8601, or ``""``; refs are vault addresses."""

    ref: StudyRef
    wave: str
    plan: int
    state: MigrationState
    attempt: int
    instances: int
    size: int
    rung: str
    manifest_ref: str
    present_ref: str
    expected_ref: str
    read_back_ref: str
    token: str
    phase: str
    code: str
    transient: bool
    retry_at: str
    matched: int
    missing: int
    differ: int
    extra: int
    held: int
    refused: int
    modification_time: str

    @property
    def label(self) -> str:
        """The study's short label."""
        return self.ref.label

    @property
    def study_uid(self) -> StudyUID:
        """Study Instance UID."""
        return self.ref.study_uid


@frozen(kw_only=True)
class WaveStatus:
    """How a wave stands.

    ``instances`` and ``size`` (bytes) are of all of its studies, as planned. ``imported``
    studies are transferred: copied, read back and reconciled in full, which says nothing about readiness. ``states``
    counts studies by state, in the order of `MigrationState`. ``outcome`` is how the last run of work on the wave
    ended, or ``""``.
    """

    name: str
    plan: int
    studies: int
    instances: int
    size: int
    states: tuple[tuple[MigrationState, int], ...]
    imported: int
    imported_instances: int
    imported_size: int
    outcome: str
    members_ref: str
    modification_time: str

    def count(self, state: MigrationState) -> int:
        """How many studies are in ``state``."""
        return dict(self.states).get(state, 0)

    @property
    def remaining(self) -> int:
        """Studies that are not proved to be at the target."""
        return self.studies - self.imported


@frozen(kw_only=True)
class FindingLine:
    """A finding as the ledger tells it. ``study`` is a label; ``evidence_ref`` leads to the whole in the vault.

    ``origin`` is by which step it came (an `Origin`'s value), ``settled`` the sequence of the event that settled it:
    None while it is open.
    """

    sequence: int
    kind: str
    severity: str
    check: str
    study: str
    wave: str
    subjects: int
    evidence_ref: str
    origin: str
    settled: int | None
