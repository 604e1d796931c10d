"""Importing in batches: submit freezes what was staged, and every poll brings the batch as far as it gets.

::

    staged -> submitted (plan.json) -> started (job.json) -> COMPLETED -> results read -> done
    submitted -> nothing to import -> done
    started -> FAILED -> done, every instance failed

No state is kept on this machine that is not found again in S3 and in the service: whoever has the batch, or only the
token, goes on from where it stands.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import define, field

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.batch import BatchFolder, Entry, Fate, Started, token_of
from vna_lifecycle.adapters.healthimaging.jobs import Job, Jobs, Later, Status, folder_of
from vna_lifecycle.adapters.healthimaging.notices import Notices
from vna_lifecycle.adapters.healthimaging.results import aside, read_report, reconcile
from vna_lifecycle.adapters.healthimaging.staging import Stager
from vna_lifecycle.adapters.s3.uploads import end_upload, open_uploads
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import (
    Batch,
    BatchLimits,
    Done,
    Fetched,
    JobToken,
    Outcome,
    Pending,
    Receipt,
    Staged,
    StoreFailure,
)

_logger = logging.getLogger(__name__)
_AGE_SHARE: Final = 0.1  # of a job's age: how long until it is looked at again


@define
class _Known:
    """What this process knows of a submitted batch; not the plan itself, as many batches are under way together.

    ``imports``: whether there is anything to import. ``asked``: whether the service was asked for a job of its name.
    ``looked`` is when it was last asked how the job stands; ``ended`` the job, once it is.
    """

    imports: bool
    started: Started | None = None
    asked: bool = False
    looked: float = float("-inf")
    ended: Job | None = None
    lock: threading.Lock = field(factory=threading.Lock)


class Imports:
    """Imports of one data store."""

    def __init__(self, access: Access, stager: Stager, notices: Notices) -> None:
        """All three belong to the same data store."""
        self._access = access
        self._stager = stager
        self._notices = notices
        self._jobs = Jobs(access)
        self._known: dict[str, _Known] = {}

    @property
    def limits(self) -> BatchLimits:
        """The quotas of a job."""
        settings = self._access.settings
        return BatchLimits(
            instances=settings.max_files_per_job,
            size=settings.max_bytes_per_job,
            instance_size=settings.max_bytes_per_file,
            at_once=settings.concurrent_jobs,
        )

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Staged | StoreFailure]:
        """See `Stager.stage`.

        Raises:
            ArchiveError: the bucket or the data store does not do its part.
        """
        return self._stager.stage(batch, study, instances)

    def submit(self, batch: Batch) -> JobToken:
        """Freeze the batch, and start its job if the service takes one now; if not, a later poll will.

        Raises:
            ArchiveError: there are files in the batch's folder that nobody staged, the batch is over a quota, or the
                bucket or the data store does not do its part.
        """
        token = token_of(batch, self._access.datastore_id)
        folder = BatchFolder(self._access, token)
        fresh = token not in self._known and folder.plan() is None
        if fresh:
            plan = self._counted(folder)
            folder.freeze(plan)
            self._known[token] = _Known(_imports(plan), asked=True)  # nobody can have started it before
            self._begin(folder, self._known[token])
        return JobToken(batch=batch.key, job=token)

    def _counted(self, folder: BatchFolder) -> tuple[Entry, ...]:
        """What the job would find must be what was staged: everything under the folder is imported."""
        for upload in list(open_uploads(self._access.staging, folder.input)):
            end_upload(self._access.staging, upload)
            _logger.warning("%s: an upload that was left unfinished in staging was ended", self._access.site.name)
        recorded = folder.recorded()
        wanted = {entry.name for entry in recorded.values() if entry.fate is Fate.IMPORT}
        found = dict(folder.files())
        for name in found.keys() - wanted:
            if not folder.is_ours(name):
                message = f"{self._access.site.name}: the batch's staging folder holds files that nobody staged"
                hint = f"look into {folder.input_uri}, take out what is not ours, then resume"
                raise ArchiveError(message, archive=self._access.site.name, hint=hint)
            folder.remove(name)  # of a staging that was interrupted, or repeated with other bytes
            del found[name]
        self._require_within_quotas(found)
        return tuple(sorted(recorded.values(), key=lambda entry: entry.uid))

    def _require_within_quotas(self, found: dict[str, int]) -> None:
        settings, name = self._access.settings, self._access.site.name
        for value, most, what in (
            (len(found), settings.max_files_per_job, "files"),
            (sum(found.values()), settings.max_bytes_per_job, "bytes"),
        ):
            if value > most:
                message = f"{name}: the batch has {value} {what}; an import job takes {most}"
                hint = "make batches that keep to the archive's limits, under new keys"
                raise ArchiveError(message, archive=name, hint=hint)

    def poll(self, token: JobToken) -> Pending | Done:
        """Bring the batch as far as it gets now.

        Raises:
            ArchiveError: the batch was never submitted, or the bucket or the data store does not do its part.
        """
        folder = BatchFolder(self._access, token.job)
        known = self._known.get(token.job)
        if known is None:
            plan = self._plan(folder)
            known = self._known.setdefault(token.job, _Known(_imports(plan), started=folder.started()))
        with known.lock:
            if not known.imports:
                return Done(results=tuple(_settled(self._plan(folder))))
            later = self._begin(folder, known)
            if later is not None or known.started is None:
                return Pending(poll_after=later.seconds if later else self._access.settings.poll_seconds)
            return self._follow(folder, known, known.started)

    def _plan(self, folder: BatchFolder) -> tuple[Entry, ...]:
        plan = folder.plan()
        if plan is None:
            message = f"{self._access.site.name}: the staging folder knows no batch of this token"
            raise ArchiveError(message, archive=self._access.site.name, hint="submit the batch again")
        return plan

    def _begin(self, folder: BatchFolder, known: _Known) -> Later | None:
        """See that the job is started, however often this is tried."""
        if known.started is not None or not known.imports:
            return None
        job: Job | Later | None = None
        if not known.asked:
            # a process that died may have started it without being able to note it
            job = self._jobs.named(folder.token)
            known.asked = True
        if job is None:
            job = self._jobs.start(token=folder.token, input_uri=folder.input_uri)
        if isinstance(job, Later):
            return job
        started = Started(job=job.id, at=job.submitted.timestamp() if job.submitted else self._access.now())
        folder.note_job(started)
        known.started = started
        return None

    def _look(self, known: _Known, started: Started) -> Job | Pending:
        """The job, once it has ended. Where the service sends events, it is asked when one came, or none for long."""
        if known.ended is not None:
            return known.ended
        settings, now = self._access.settings, self._access.now()
        told = self._notices.take(started.job)
        listening = self._notices.listening
        if listening and not told and now - known.looked < settings.max_poll_seconds:
            return Pending(poll_after=settings.poll_seconds)
        job = self._jobs.look(started.job, afresh=told)
        known.looked = now
        if job.status in (Status.SUBMITTED, Status.IN_PROGRESS):
            return Pending(poll_after=settings.poll_seconds if listening else self._patience(started))
        known.ended = job
        return job

    def _follow(self, folder: BatchFolder, known: _Known, started: Started) -> Pending | Done:
        job = self._look(known, started)
        if isinstance(job, Pending):
            return job
        if job.status is Status.FAILED:
            plan = self._plan(folder)
            return Done(results=(*_settled(plan), *_failed(plan)))
        report = read_report(self._access.results, folder_of(self._access, job))
        ended = job.ended.timestamp() if job.ended else started.at
        if (report is None or not report.whole) and self._access.now() - ended < self._access.settings.results_patience:
            return Pending(poll_after=self._access.settings.poll_seconds)
        plan = self._plan(folder)
        files = [(entry.uid, entry.name) for entry in plan if entry.fate is Fate.IMPORT]
        return Done(results=(*_settled(plan), *reconcile(files, report)))

    def _patience(self, started: Started) -> float:
        """Young jobs are looked at often, old ones rarely."""
        settings = self._access.settings
        age = self._access.now() - started.at
        return min(settings.max_poll_seconds, max(settings.poll_seconds, age * _AGE_SHARE))


def _imports(plan: tuple[Entry, ...]) -> bool:
    return any(entry.fate is Fate.IMPORT for entry in plan)


def _settled(plan: tuple[Entry, ...]) -> Iterator[Receipt | StoreFailure]:
    """Answers for what the job had no part in."""
    for entry in plan:
        if entry.fate is Fate.PRESENT:
            yield Receipt(sop_instance_uid=entry.uid, outcome=Outcome.ALREADY_PRESENT)
        elif entry.fate is Fate.ASIDE:
            yield aside(entry.uid)
        elif entry.fate is Fate.CONFLICT:
            message = "the data store holds other content under this SOP Instance UID; it stays"
            yield StoreFailure(sop_instance_uid=entry.uid, code="conflict", message=message, conflict=entry.conflict)


def _failed(plan: tuple[Entry, ...]) -> Iterator[StoreFailure]:
    for entry in plan:
        if entry.fate is Fate.IMPORT:
            message = "the import job failed as a whole; see why among the archive's jobs"
            yield StoreFailure(sop_instance_uid=entry.uid, code="job-failed", message=message, transient=True)
