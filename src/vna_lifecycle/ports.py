"""Every interface that a plug-in may implement, and the values that cross them.

An `Archive` is a record of powers. A plug-in fills in the powers its system has; the engine looks at the fields, never
at types, and nothing ever raises NotImplementedError. Methods report per-instance trouble as values (`FetchFailure`,
`StoreFailure`) and go on; they raise `ArchiveError` only when the archive as a whole does not answer.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from attrs import frozen

from vna_lifecycle.model.change import AttributeChange
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Digest, InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.model.wave import DateRange


@frozen(kw_only=True)
class StudyQuery:
    """What to ask an archive for, as a reader would: every stated condition must hold (PS3.4 C.6.2.1, QIDO-RS).

    Text matches exactly, except that ``*`` and ``?`` are wild cards in ``patient_name`` and ``description``. Empty
    means any.
    """

    study_uid: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    modality: str = ""
    description: str = ""
    studied: DateRange | None = None


@frozen(kw_only=True)
class Part:
    """A piece of an archive that is inventoried and committed as one.

    ``key`` is stable from pass to pass while the archive does not change, and is what an interrupted inventory resumes
    by. ``title`` is what progress shows. A part should hold some thousands of instances at most.
    """

    key: str
    title: str = ""


class Spool(Protocol):
    """Where fetched objects lie until they are stored: one folder per task, on a disk whose free space is watched."""

    def new_file(self, size: int | None = None) -> Path:
        """A path for one object, not yet existing, in this task's folder.

        ``size`` is how many bytes will come, if known.

        Raises:
            DiskFull: the disk's free space would fall under the reserve.
        """
        ...


@frozen(kw_only=True)
class Fetched:
    """An object that was fetched, byte for byte.

    ``path`` is a DICOM file (PS3.10) whose data set is what the archive served. The path is a spool file, or the
    archive's own file where the archive is a folder (then nothing may write to it). ``digest`` is what whoever asked
    for the object found it to be; adapters leave it None. A target may record it, and the read-back decides.
    """

    record: InstanceRecord
    path: Path
    digest: Digest | None = None


@frozen(kw_only=True)
class FetchFailure:
    """An object that could not be fetched. ``code`` is a stable kebab-case word; ``message`` has no patient data."""

    record: InstanceRecord
    code: str
    message: str
    transient: bool = False


class Outcome(enum.Enum):
    """What a target says it did with an instance. ALREADY_PRESENT: same UID and same bytes were there before."""

    STORED = "stored"
    ALREADY_PRESENT = "already-present"


@frozen(kw_only=True)
class Receipt:
    """A target's acknowledgement: a claim, not proof. ``warnings`` are codes, such as ``B000`` (PS3.4 B.2.3)."""

    sop_instance_uid: SOPInstanceUID
    outcome: Outcome
    warnings: tuple[str, ...] = ()


class ConflictClass(enum.Enum):
    """How two contents under one SOP Instance UID differ.

    Only in how they are encoded, in the patient module, or in substance.
    """

    ENCODING = "encoding"
    DEMOGRAPHICS = "demographics"
    CONTENT = "content"


@frozen(kw_only=True)
class StoreFailure:
    """An instance that the target did not take.

    ``code`` is a stable word; ``conflict`` is set when other bytes lie under its UID.
    """

    sop_instance_uid: SOPInstanceUID
    code: str
    message: str
    transient: bool = False
    conflict: ConflictClass | None = None


class SourceAdapter(Protocol):
    """Reading an archive. Also how a target is read back, so one conformance suite covers both directions."""

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        """The studies that a reader who asks ``query`` is shown."""
        ...

    def parts(self) -> Iterator[Part]:
        """All parts of the archive, in a stable order; together they hold every instance once."""
        ...

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        """Everything in one part. May be called again for the same part and then tells the same, if nothing changed."""
        ...

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        """The instances of one study, as the archive lists them now."""
        ...

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        """Each wanted instance, once, as it arrives and in any order. Locators decide, not UIDs."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class TargetStore(Protocol):
    """Writing an archive that answers at once."""

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
        """Store each instance, byte for byte, and say so when it is durable. Never overwrites.

        Same UID, same bytes: ALREADY_PRESENT. Same UID, other bytes: a `StoreFailure` with code ``conflict``.
        """
        ...


@frozen(kw_only=True)
class Batch:
    """Instances that are imported by one job. ``key`` is the same at every retry."""

    key: str
    wave: str


@frozen(kw_only=True)
class Staged:
    """An instance that lies where the import job will find it."""

    sop_instance_uid: SOPInstanceUID
    location: str


@frozen(kw_only=True)
class JobToken:
    """An import job of the target, for later polls. ``job`` is the target's own name for it."""

    batch: str
    job: str


@frozen(kw_only=True)
class Pending:
    """The job is not done. ``poll_after`` is in seconds."""

    poll_after: float


@frozen(kw_only=True)
class Done:
    """The job ended; what became of every staged instance."""

    results: tuple[Receipt | StoreFailure, ...]


class ImportsInBatches(Protocol):
    """Writing an archive that imports by asynchronous jobs (AWS HealthImaging)."""

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Staged | StoreFailure]:
        """Put each instance where the job will find it. Staging the same bytes again is harmless."""
        ...

    def submit(self, batch: Batch) -> JobToken:
        """Start the job; the same ``batch.key`` gives the same job, however often it is submitted."""
        ...

    def poll(self, token: JobToken) -> Pending | Done:
        """How the job stands. Every staged instance is in the results of `Done` exactly once."""
        ...


class Withdraws(Protocol):
    """Taking back this program's own copies before a wave was ever ready."""

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        """Remove each instance of the manifest whose bytes are still the manifest's; others are a conflict and stay.

        A receipt's outcome is STORED for "removed now", ALREADY_PRESENT for "was not there any more".
        """
        ...


@frozen(kw_only=True)
class Observation:
    """One thing that an archive was seen to do.

    ``name`` is a stable word, ``value`` text, ``unit`` ``""`` where none applies.
    """

    name: str
    value: str
    unit: str = ""


class ProbesBehaviour(Protocol):
    """Finding out how an archive behaves."""

    def probe(self) -> Iterator[Observation]:
        """Ask without changing anything, and tell what was seen."""
        ...


@frozen(kw_only=True)
class Archive:
    """What a plug-in's open function returns: the powers that this system has. None means that it lacks one."""

    reads: SourceAdapter
    stores: TargetStore | None = None
    imports: ImportsInBatches | None = None
    withdraws: Withdraws | None = None
    probes: ProbesBehaviour | None = None


class Clock(Protocol):
    """The time, as an argument."""

    def __call__(self) -> dt.datetime:
        """Now, with a time zone."""
        ...


class Cancellation(Protocol):
    """Whether the work shall stop."""

    def is_set(self) -> bool:
        """True once the work shall stop: finish or abandon the current object, and return."""
        ...


class Secrets(Protocol):
    """Resolves secrets at the place where they are used."""

    def __call__(self, reference: str) -> str:
        """The secret behind ``env:NAME`` or ``file:PATH``.

        Raises:
            ConfigurationError: there is nothing behind the reference.
        """
        ...


@frozen(kw_only=True)
class Site:
    """What an archive is given to work with. ``workspace`` is a folder of its own that outlives the process."""

    name: str
    workspace: Path
    clock: Clock
    cancelled: Cancellation
    secret: Secrets


@frozen(kw_only=True)
class StudyCase:
    """What an acceptance check is shown of one study.

    ``source`` is what was fetched, ``expected`` what should be at the target after declared changes, ``target`` what
    was read back (None when nothing was).
    """

    study: StudyRef
    records: tuple[InstanceRecord, ...]
    source: Manifest
    expected: Manifest
    target: Manifest | None


class AcceptanceCheck(Protocol):
    """Examines a study and tells what it sees. A failed check is a finding, not an exception."""

    def examine(self, case: StudyCase) -> Iterable[Finding]:
        """The findings; none means that this check has nothing to say against the study."""
        ...


HeaderValues: TypeAlias = "dict[str, tuple[str, ...]]"
"""A data set's top-level attributes by keyword, values as text."""


class NormalizationRule(Protocol):
    """A pure, versioned function from a data set's header to attribute changes."""

    @property
    def revision(self) -> str:
        """Changes whenever the rule's outcome may change for any header."""
        ...

    def changes(self, header: HeaderValues) -> Iterable[AttributeChange]:
        """What shall change before the first store; the same header always gives the same changes."""
        ...
