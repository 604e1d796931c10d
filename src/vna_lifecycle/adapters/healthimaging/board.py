"""The import jobs as an operator looks at them: how they stand, when they may end, and what they did not import."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, Final

from botocore.exceptions import ClientError

from vna_lifecycle.adapters.healthimaging.access import Access
from vna_lifecycle.adapters.healthimaging.jobs import Job, Jobs, Status, folder_of
from vna_lifecycle.adapters.healthimaging.results import read_report, warning_code
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ports import JobProblem, JobReport

_SAMPLE: Final = 50  # ended jobs that an estimate rests on


class Board:
    """Tells of the import jobs of one data store, also of those that others started."""

    def __init__(self, access: Access) -> None:
        """``access`` says which."""
        self._access = access
        self._jobs = Jobs(access)

    def jobs(self) -> Iterator[JobReport]:
        """All jobs, the newest first; those under way with an estimate of their end, from how long others took.

        Raises:
            ArchiveError: they cannot be listed.
        """
        listed = list(self._jobs.listed())
        took = [
            (job.ended - job.submitted).total_seconds()
            for job in listed
            if job.status is Status.COMPLETED and job.ended and job.submitted
        ][:_SAMPLE]
        mean = sum(took) / len(took) if took else None
        for job in listed:
            yield _report(job, mean)

    def job(self, job: str) -> JobReport:
        """One job, by its name or ID: its counts, and each file that was not imported or that has a warning.

        Raises:
            ArchiveError: there is none, or its results cannot be read.
        """
        named = self._jobs.named(job)
        job_id = named.id if named else job
        answer = self._access.attempt(
            lambda: self._access.client.get_dicom_import_job(datastoreId=self._access.datastore_id, jobId=job_id)
        )
        read = self._jobs.read(answer["jobProperties"])
        folder = folder_of(self._access, read)
        report = read_report(self._access.results, folder)
        counts = dict(report.counts) if report else {}
        return _report(read, None, counts, tuple(self._problems(folder)) if report else ())

    def _problems(self, folder: str) -> Iterator[JobProblem]:
        for kind in ("FAILURE", "WARNING"):
            for listed in self._access.results.listing(f"{folder}{kind}/"):
                try:
                    lines = self._access.results.read(listed.key).split(b"\n")
                except ClientError as error:
                    raise ArchiveError(f"{self._access.site.name}: a result file went away") from error
                for line in filter(None, lines):
                    yield from _problems_in(line)


def _problems_in(line: bytes) -> Iterator[JobProblem]:
    try:
        found = json.loads(line)
        file = str(found["inputFile"])
        if "exception" in found:
            exception = found["exception"]
            yield JobProblem(file=file, code=str(exception["exceptionType"]), message=str(exception.get("message", "")))
        else:
            for one in found["importResponse"]["warnings"]:
                yield JobProblem(file=file, code=warning_code(one.get("type")), message=str(one.get("message", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        yield JobProblem(file="", code="unreadable-line", message="a line of the results cannot be read")


def _report(
    job: Job, mean: float | None, counts: dict[str, Any] | None = None, problems: tuple[JobProblem, ...] = ()
) -> JobReport:
    under_way = job.status in (Status.SUBMITTED, Status.IN_PROGRESS)
    expected = None
    if under_way and mean is not None and job.submitted is not None:
        expected = job.submitted + dt.timedelta(seconds=mean)
    return JobReport(
        job=job.id,
        name=job.name,
        status=job.status.value.lower().replace("_", "-"),
        submitted=job.submitted,
        ended=job.ended,
        expected_end=expected,
        message=job.message,
        counts=counts or {},
        problems=problems,
    )
