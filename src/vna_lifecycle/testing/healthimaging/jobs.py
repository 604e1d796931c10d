"""Import jobs: what a job reads from S3, makes of it, and writes back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, frozen

from vna_lifecycle.testing.healthimaging.events import Notify, job_event, silent
from vna_lifecycle.testing.healthimaging.faults import WARNINGS, Faults, Quotas
from vna_lifecycle.testing.healthimaging.instances import Instance, Unimportable, take_in
from vna_lifecycle.testing.healthimaging.stores import Datastore, ImageSet, Job

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@frozen
class _JobFailed(Exception):
    reason: str


def place_of(uri: str) -> tuple[str, str]:
    """Bucket and key prefix of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


@frozen(kw_only=True)
class Timing:
    """How long a job waits, runs, and runs longer for each file, in seconds."""

    waiting: float = 0.0
    running: float = 0.0
    per_file: float = 0.0


@define
class _Results:
    success: list[dict[str, Any]]
    failure: list[dict[str, Any]]
    warning: list[dict[str, Any]]


@frozen(kw_only=True)
class Importer:
    """Runs jobs of a data store. ``s3`` is a client for where the input lies and the results go; ``notify`` is told."""

    s3: S3Client
    quotas: Quotas
    faults: Faults
    timing: Timing
    notify: Notify = silent

    def advance(self, store: Datastore, now: dt.datetime) -> None:
        """Bring every job of the data store to where it is at ``now``."""
        for job in list(store.jobs.values()):
            if job.status == "SUBMITTED" and now >= (began := job.submitted + _seconds(self.timing.waiting)):
                job.status, job.started = "IN_PROGRESS", began
                self.notify(job_event(store, job, began))
            if job.status == "IN_PROGRESS" and job.started is not None:
                if job.ends is None:
                    job.ends = job.started + _seconds(self.timing.running + self.timing.per_file * self._count(job))
                if now >= job.ends:
                    self._run(store, job, job.ends)
                    self.notify(job_event(store, job, job.ends))
            waiting = job.results is not None and not job.written
            if waiting and job.ended is not None and now >= job.ended + _seconds(self.faults.lag):
                self._write(job)

    def _count(self, job: Job) -> int:
        return sum(1 for _ in self._listed(job)) if self.timing.per_file else 0

    def _listed(self, job: Job) -> Iterator[tuple[str, int]]:
        bucket, prefix = place_of(job.input_uri)
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                if not found["Key"].endswith("/"):
                    yield found["Key"], found["Size"]

    def _run(self, store: Datastore, job: Job, now: dt.datetime) -> None:
        job.ended = now
        try:
            if self.faults.fail_jobs:
                self.faults.fail_jobs -= 1
                raise _JobFailed("Internal error")
            files = self._within_quotas(job)
            job.results = self._import(store, job, files, now)
            job.status = "COMPLETED"
        except _JobFailed as failure:
            job.status, job.message = "FAILED", failure.reason

    def _within_quotas(self, job: Job) -> list[tuple[str, int]]:
        try:
            files = list(self._listed(job))
        except self.s3.exceptions.ClientError:
            raise _JobFailed("Input S3 location cannot be read with the data access role") from None
        _, prefix = place_of(job.input_uri)
        if not files:
            raise _JobFailed("No files found under the input S3 location")
        if len(files) > self.quotas.files:
            raise _JobFailed("Number of files exceeds the quota of a job")
        if sum(size for _, size in files) > self.quotas.job_bytes:
            raise _JobFailed("Total size of files exceeds the quota of a job")
        if len({key.removeprefix(prefix).rpartition("/")[0] for key, _ in files} - {""}) > self.quotas.folders:
            raise _JobFailed("Number of folders exceeds the quota of a job")
        return files

    def _import(self, store: Datastore, job: Job, files: list[tuple[str, int]], now: dt.datetime) -> dict[str, bytes]:
        bucket, _ = place_of(job.input_uri)
        results = _Results([], [], [])
        taken: list[tuple[str, Instance]] = []
        for key, size in files:
            try:
                if size > self.quotas.file_bytes:
                    raise Unimportable("ValidationException", "File exceeds the size limit")
                instance = take_in(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
                if kind := self.faults.fail.get(instance.sop_instance_uid):
                    raise Unimportable(kind, "Import of this file failed")
            except Unimportable as refusal:
                exception = {"exceptionType": refusal.kind, "message": str(refusal)}
                results.failure.append({"inputFile": key, "exception": exception})
                continue
            if self.faults.lose.get(instance.sop_instance_uid, True):
                taken.append((key, instance))
        placed = store.import_instances([instance for _, instance in taken], now, aside=self.faults.conflict)
        for position, (key, instance) in enumerate(taken):
            if instance.sop_instance_uid not in self.faults.lose:
                self._tell(results, key, instance, placed[position])
        return self._files(store, job, results, placed, scanned=len(files))

    def _tell(self, results: _Results, key: str, instance: Instance, image_set: ImageSet) -> None:
        response: dict[str, Any] = {"imageSetId": image_set.id, "isPrimary": image_set.latest.primary}
        results.success.append({"inputFile": key, "importResponse": response})
        kinds = list(instance.warnings)
        if instance.sop_instance_uid in self.faults.warn:
            kinds.append(self.faults.warn[instance.sop_instance_uid])
        if kinds:
            told = []
            for kind in kinds:
                code, message = WARNINGS.get(kind, ("", "A new kind of warning"))
                told.append({"warning_reason_code": code, "type": kind, "message": message})
            results.warning.append({"inputFile": key, "importResponse": {**response, "warnings": told}})

    def _files(
        self, store: Datastore, job: Job, results: _Results, placed: dict[int, ImageSet], *, scanned: int
    ) -> dict[str, bytes]:
        counts: dict[str, int] = {}
        for image_set in placed.values():
            counts[image_set.id] = counts.get(image_set.id, 0) + 1
        sets = {image_set.id: image_set for image_set in placed.values()}
        ours = sum(1 for line in results.failure if line["exception"]["exceptionType"] == "InternalServerException")
        folder = f"{job.output_uri.rstrip('/')}/{folder_of(store, job)}"
        summary = {
            "jobId": job.id,
            "datastoreId": store.id,
            "inputS3Uri": job.input_uri,
            "outputS3Uri": job.output_uri,
            "successOutputS3Uri": f"{folder}SUCCESS/",
            "failureOutputS3Uri": f"{folder}FAILURE/",
            "warningsOutputS3Uri": f"{folder}WARNING/",
            "numberOfScannedFiles": scanned,
            "numberOfImportedFiles": len(results.success),
            "numberOfFilesWithCustomerError": len(results.failure) - ours,
            "numberOfFilesWithServerError": ours,
            "numberOfGeneratedImageSets": len(sets),
            "imageSetsSummary": [
                {
                    "imageSetId": found.id,
                    "imageSetVersion": str(found.latest.number),
                    "isPrimary": found.latest.primary,
                    "numberOfMatchedSOPInstances": counts[found.id],
                }
                for found in sets.values()
            ],
        }
        files = {"job-output-manifest.json": json.dumps({"jobSummary": summary}, indent=2).encode()}
        named = ("SUCCESS", results.success), ("FAILURE", results.failure), ("WARNING", results.warning)
        for name, lines in named:
            if lines:
                files[f"{name}/{name.lower()}.ndjson"] = self._spoilt("".join(json.dumps(one) + "\n" for one in lines))
        return {f"{folder_of(store, job)}{name}": data for name, data in files.items()}

    def _spoilt(self, text: str) -> bytes:
        data = text.encode()
        if self.faults.truncate:
            data = data[: -self.faults.truncate]
        return data.rstrip(b"\n")[:-1] + b"\0\n" if self.faults.garble else data

    def _write(self, job: Job) -> None:
        bucket, prefix = place_of(job.output_uri)
        base = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        # in the order of names: the manifest comes last
        for name, data in sorted((job.results or {}).items()):
            self.s3.put_object(Bucket=bucket, Key=f"{base}{name}", Body=data, ContentType="application/json")
        job.written = True


def folder_of(store: Datastore, job: Job) -> str:
    """The folder of a job's results, under its output URI."""
    return f"{store.id}-DicomImport-{job.id}/"


def _seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)
