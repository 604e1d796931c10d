"""Writing an archive: receipts are claims, and only the read-back is proof."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import Manifest
from vna_lifecycle.policy.packing import BatchLimits
from vna_lifecycle.ports.reading import Fetched


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
    """The answer is there: what became of every instance that was asked for."""

    results: tuple[Receipt | StoreFailure, ...]


class ImportsInBatches(Protocol):
    """Writing an archive that imports by asynchronous jobs (AWS HealthImaging)."""

    @property
    def limits(self) -> BatchLimits:
        """What one batch may hold; `vna_lifecycle.policy.packing.pack` makes batches that keep to it."""
        ...

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Staged | StoreFailure]:
        """Put each instance where the job will find it. Staging the same bytes again is harmless.

        What is staged is in the results of `Done`, also what the job need not import because it is there already, or
        must not because other bytes are. What is not taken at all is a `StoreFailure` here, and in no results.
        """
        ...

    def submit(self, batch: Batch) -> JobToken:
        """Let the job begin; the same ``batch.key`` gives the same job, however often it is submitted.

        It need not have begun when this returns: what the target cannot begin at once, later polls begin.
        """
        ...

    def poll(self, token: JobToken) -> Pending | Done:
        """How the job stands. Every staged instance is in the results of `Done` exactly once."""
        ...


@frozen(kw_only=True)
class JobProblem:
    """What a job says of one file. ``message`` is the target's own text: it may name patients' objects."""

    file: str
    code: str
    message: str


@frozen(kw_only=True)
class JobReport:
    """A job as an operator looks at it. ``status`` is the target's word, in kebab-case; times are None until known.

    ``counts`` are of files, by the target's words; with ``problems`` they are filled when one job is asked for.
    """

    job: str
    name: str
    status: str
    submitted: dt.datetime | None = None
    ended: dt.datetime | None = None
    expected_end: dt.datetime | None = None
    message: str = ""
    counts: Mapping[str, int] = field(factory=dict)
    problems: tuple[JobProblem, ...] = ()


class TellsOfJobs(Protocol):
    """A target whose import jobs can be looked at."""

    def jobs(self) -> Iterator[JobReport]:
        """Every job that the target knows, the newest first."""
        ...

    def job(self, job: str) -> JobReport:
        """One job, by the name of its `JobToken` or `JobReport`, with its counts and problems."""
        ...


class CommitsStorage(Protocol):
    """A target that can be asked to take responsibility for what it was given (Storage Commitment, PS3.4 Annex J)."""

    @property
    def patience(self) -> float:
        """Seconds after which a request that was not answered counts as unanswered."""
        ...

    def ask(self, transaction: str, manifest: Manifest) -> None:
        """Ask for commitment to each instance of the manifest, under a Transaction UID that was never used before.

        Raises:
            ArchiveError: the target did not take the request, or it is not known whether it did.
        """
        ...

    def poll(self, transaction: str, manifest: Manifest) -> Pending | Done:
        """What was answered, to whoever asked and whenever: each instance once, as a receipt or a failure.

        What the answer does not mention is a failure with code ``not-mentioned``.
        """
        ...


@frozen(kw_only=True)
class StagedCopies:
    """What is left of a batch where its job found it; ``size`` is in bytes."""

    files: int
    size: int


class LetsGoOfStaged(Protocol):
    """Copies that were staged for a job, and are of no use once what it imported was read back."""

    @property
    def when_verified(self) -> bool:
        """Whether they shall go as soon as that is so; else only when somebody asks for it."""
        ...

    def staged(self, batch: Batch) -> StagedCopies:
        """What is left of a batch.

        Raises:
            ArchiveError: the place cannot be looked at.
        """
        ...

    def let_go(self, batch: Batch) -> StagedCopies:
        """Remove what is left of a batch, and say what it was. To do it again is harmless.

        Raises:
            ArchiveError: it cannot be removed.
        """
        ...


class Withdraws(Protocol):
    """Taking back this program's own copies before a wave was ever ready."""

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        """Remove each instance of the manifest whose bytes are still the manifest's; others are a conflict and stay.

        A receipt's outcome is STORED for "removed now", ALREADY_PRESENT for "was not there any more".
        """
        ...
