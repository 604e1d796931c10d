"""What happens to batches of studies that a target imports by jobs."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class BatchOpened:
    """Instances are staged under this batch from now on. One that is never closed is never submitted."""

    kind: ClassVar[str] = "batch-opened"
    version: ClassVar[int] = 1
    wave: str
    batch: str


@frozen(kw_only=True)
class BatchClosed:
    """Everything of the batch is staged, and its job may be submitted, as often as it takes: it is one job.

    ``members_ref`` is the vault address of its studies, each with its attempt and which of its instances are in it.
    """

    kind: ClassVar[str] = "batch-closed"
    version: ClassVar[int] = 1
    wave: str
    batch: str
    studies: int
    instances: int
    size: int
    members_ref: str


@frozen(kw_only=True)
class JobSubmitted:
    """The target took the batch's job; ``job`` is its own name for it."""

    kind: ClassVar[str] = "job-submitted"
    version: ClassVar[int] = 1
    wave: str
    batch: str
    job: str


@frozen(kw_only=True)
class BatchEnded:
    """The job ended, and what the target says became of each instance. Claims: only the read-back proves them.

    ``results_ref`` is the vault address of the answers, in the order of the batch's members. ``unaccounted`` instances
    were staged, and the job said nothing of them.
    """

    kind: ClassVar[str] = "batch-ended"
    version: ClassVar[int] = 1
    wave: str
    batch: str
    stored: int
    already_present: int
    refused: int
    unaccounted: int
    warnings: int
    results_ref: str


@frozen(kw_only=True)
class SweepIntended:
    """Every study of the batch was read back, or the batch was never submitted: its staged copies are to be removed.

    ``files`` and ``size`` (bytes) are what was found of them.
    """

    kind: ClassVar[str] = "sweep-intended"
    version: ClassVar[int] = 1
    wave: str
    batch: str
    files: int
    size: int


@frozen(kw_only=True)
class BatchSwept:
    """The batch's staged copies are gone."""

    kind: ClassVar[str] = "batch-swept"
    version: ClassVar[int] = 1
    wave: str
    batch: str
