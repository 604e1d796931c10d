"""The service's import jobs: started at the pace that it allows, followed together, found again after a crash."""

from __future__ import annotations

import datetime as dt
import enum
import threading
from collections.abc import Iterator
from typing import Any, Final

from attrs import define, field, frozen
from botocore.exceptions import BotoCoreError, ClientError

from vna_lifecycle.adapters.aws.trouble import RETRY_AFTER, THROTTLED, code_of, retry_after
from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.settings import bucket_and_prefix

_PAGE: Final = 50
_FULL: Final = ("ServiceQuotaExceededException", "402")


class Status(enum.Enum):
    """How a job stands, in the service's words. COMPLETED only means that it ran."""

    SUBMITTED = "SUBMITTED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@frozen(kw_only=True)
class Job:
    """A job as the service tells of it. ``name`` is the client token where we started it; times are None until known.

    ``output_uri`` is empty where the service was asked for a list.
    """

    id: str
    name: str
    status: Status
    submitted: dt.datetime | None = None
    ended: dt.datetime | None = None
    message: str = ""
    output_uri: str = ""


@frozen
class Later:
    """Not now: after so many seconds."""

    seconds: float


@define
class _Snapshot:
    taken: float = float("-inf")
    active: dict[str, Job] = field(factory=dict)


class Jobs:
    """The import jobs of a data store."""

    def __init__(self, access: Access) -> None:
        """``access`` says which data store."""
        self._access = access
        self._snapshot = _Snapshot()
        self._starting = threading.Lock()

    def listed(self, status: Status | None = None) -> Iterator[Job]:
        """All jobs, or those of one status, the newest first.

        Raises:
            ArchiveError: they cannot be listed.
        """
        asked: dict[str, Any] = {"datastoreId": self._access.datastore_id, "maxResults": _PAGE}
        if status:
            asked["jobStatus"] = status.value
        while True:
            page = self._access.attempt(lambda: self._access.client.list_dicom_import_jobs(**asked))
            yield from map(_job, page["jobSummaries"])
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]

    def read(self, properties: Any) -> Job:
        """A job from what the service tells of it."""
        return _job(properties)

    def named(self, name: str) -> Job | None:
        """The job of a name, also one that another process started.

        Raises:
            ArchiveError: jobs cannot be listed.
        """
        return next((job for job in self.listed() if job.name == name), None)

    def _active(self) -> dict[str, Job]:
        """The jobs that are under way, looked up again when that was long enough ago."""
        now = self._access.now()
        if now - self._snapshot.taken >= self._access.settings.poll_seconds:
            active = {job.id: job for kind in (Status.SUBMITTED, Status.IN_PROGRESS) for job in self.listed(kind)}
            self._snapshot = _Snapshot(taken=now, active=active)
        return self._snapshot.active

    def look(self, job_id: str, *, afresh: bool = False) -> Job:
        """How a job stands: from the list of those under way, or, when it is not there any more, by itself.

        ``afresh``: by itself at once.

        Raises:
            ArchiveError: the service does not say.
        """
        job = None if afresh else self._active().get(job_id)
        if job is not None:
            return job
        answer = self._access.attempt(
            lambda: self._access.client.get_dicom_import_job(datastoreId=self._access.datastore_id, jobId=job_id)
        )
        return _job(answer["jobProperties"])

    def start(self, *, token: str, input_uri: str) -> Job | Later:
        """Start a job, unless there are as many as may be, or it is too soon. The same token is the same job.

        Raises:
            ArchiveError: the service refuses.
        """
        with self._starting:  # one at a time, so that the pace holds
            return self._start(token, input_uri)

    def _start(self, token: str, input_uri: str) -> Job | Later:
        settings = self._access.settings
        due = self._access.starts.due_in()
        if due > 0:
            return Later(due)
        if len(self._active()) >= settings.concurrent_jobs:
            return Later(settings.poll_seconds)
        asked: dict[str, Any] = {
            "datastoreId": self._access.datastore_id,
            "dataAccessRoleArn": settings.data_access_role_arn,
            "clientToken": token,
            "jobName": token,
            "inputS3Uri": input_uri,
            "outputS3Uri": settings.results,
        }
        if settings.input_owner_account_id:
            asked["inputOwnerAccountId"] = settings.input_owner_account_id
        try:
            answer = self._access.client.start_dicom_import_job(**asked)
        except ClientError as error:
            if code_of(error) in _FULL:
                return Later(settings.poll_seconds)
            if code_of(error) in THROTTLED:
                wait = retry_after(error) or RETRY_AFTER
                self._access.starts.taken(not_before=wait)
                return Later(wait)
            raise self._access.once.error(error) from None
        except BotoCoreError as error:
            raise self._access.once.error(error) from None
        self._access.starts.taken()
        job = Job(id=answer["jobId"], name=token, status=Status(answer["jobStatus"]), submitted=answer["submittedAt"])
        self._snapshot.active[job.id] = job
        return job


def folder_of(access: Access, job: Job) -> str:
    """The folder of a job's results, relative to the results folder.

    The service tells the output URI with the job's own folder, or without.
    """
    prefix = access.results.prefix
    own = f"{access.datastore_id}-DicomImport-{job.id}/"
    told = bucket_and_prefix(job.output_uri)[1] if job.output_uri else prefix
    told = told.removeprefix(prefix)
    told = f"{told.rstrip('/')}/" if told.strip("/") else ""
    return told if told.endswith(own) else f"{told}{own}"


def _job(found: Any) -> Job:
    return Job(
        id=found["jobId"],
        name=found.get("jobName", ""),
        status=Status(found["jobStatus"]),
        submitted=found.get("submittedAt"),
        ended=found.get("endedAt"),
        message=found.get("message", ""),
        output_uri=found.get("outputS3Uri", ""),
    )
