"""Data stores, import jobs and tags: the operations of the control plane. Each gives what the model's output has."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from vna_lifecycle.testing.healthimaging.clock import wall_clock
from vna_lifecycle.testing.healthimaging.events import Notify, job_event, silent
from vna_lifecycle.testing.healthimaging.faults import Faults, Quotas, Rates
from vna_lifecycle.testing.healthimaging.instances import take_in
from vna_lifecycle.testing.healthimaging.jobs import Importer, Timing, folder_of
from vna_lifecycle.testing.healthimaging.stores import Datastore, ImageSet, Job, new_id
from vna_lifecycle.testing.healthimaging.trouble import ServiceError, conflict, invalid, not_found

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Answer = dict[str, Any]
_PAGE: Final = 50


def stamp(time: dt.datetime) -> float:
    """A time as the protocol has it: seconds since 1970."""
    return time.timestamp()


def page_of(items: Sequence[Any], asked: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, str]]:
    """One page, and the token for the next, if there is more.

    Raises:
        ServiceError: the token is none of ours.
    """
    token = str(asked.get("nextToken", "0"))
    if not token.isdigit():
        raise invalid("nextToken is not valid")
    start, count = int(token), int(asked.get("maxResults", _PAGE))
    more = {"nextToken": str(start + count)} if start + count < len(items) else {}
    return items[start : start + count], more


@define(kw_only=True)
class Service:
    """What the service holds and knows; all calls take turns.

    ``seen`` counts the calls of each operation; ``throttled`` those refused.
    """

    s3: S3Client
    clock: Callable[[], dt.datetime] = wall_clock
    quotas: Quotas = field(factory=Quotas)
    faults: Faults = field(factory=Faults)
    timing: Timing = field(factory=Timing)
    region: str = "us-east-1"
    folder_in_output_uri: bool = False
    deletion_seconds: float = 0.0
    notify: Notify = silent
    stores: dict[str, Datastore] = field(factory=dict)
    seen: dict[str, int] = field(factory=dict)
    throttled: int = 0
    lock: threading.RLock = field(factory=threading.RLock)
    _rates: Rates = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rates = Rates(self.quotas.rates)

    def enter(self, operation: str) -> None:
        """Count a call, and let it meet throttling and faults.

        Raises:
            ServiceError: the call fails.
        """
        self.seen[operation] = self.seen.get(operation, 0) + 1
        try:
            self.faults.strike(operation)
            self._rates.take(operation, stamp(self.clock()))
        except ServiceError as refusal:
            self.throttled += refusal.kind == "ThrottlingException"
            raise

    def advance(self) -> None:
        """Bring jobs and deletions to where they are now."""
        with self.lock:
            now = self.clock()
            importer = Importer(
                s3=self.s3, quotas=self.quotas, faults=self.faults, timing=self.timing, notify=self.notify
            )
            for store in self.stores.values():
                importer.advance(store, now)
                for image_set in list(store.leaving):
                    if image_set.gone_at is not None and now >= image_set.gone_at:
                        image_set.state, image_set.deleted = "DELETED", image_set.gone_at
                        image_set.add(now, status="DELETED", primary=False)
                        store.leaving.remove(image_set)

    def put(self, datastore_id: str, files: Iterable[bytes]) -> list[ImageSet]:
        """Import files at once, without a job; the image set of each.

        Raises:
            Unimportable: one of them is no DICOM instance.
        """
        with self.lock:
            placed: list[ImageSet] = []
            for data in files:
                placed += self.stores[datastore_id].import_instances([take_in(data)], self.clock()).values()
            return placed

    def store(self, asked: Mapping[str, Any]) -> Datastore:
        """The data store that a request names.

        Raises:
            ServiceError: there is none.
        """
        found = self.stores.get(asked["datastoreId"])
        if found is None:
            raise not_found("data store")
        return found

    def create_datastore(self, asked: Mapping[str, Any]) -> Answer:
        """CreateDatastore. HTJ2K is refused, because this fake cannot encode it."""
        if asked.get("losslessStorageFormat", "JPEG_2000_LOSSLESS") != "JPEG_2000_LOSSLESS":
            raise invalid("this fake encodes JPEG_2000_LOSSLESS only")
        for found in self.stores.values():
            if found.token == asked["clientToken"]:
                return {"datastoreId": found.id, "datastoreStatus": "CREATING"}
        made = Datastore(
            id=new_id(),
            name=asked.get("datastoreName", "datastore"),
            region=self.region,
            created=self.clock(),
            token=asked["clientToken"],
            kms_key=asked.get("kmsKeyArn", ""),
        )
        made.tags[made.arn] = dict(asked.get("tags", {}))
        self.stores[made.id] = made
        return {"datastoreId": made.id, "datastoreStatus": "CREATING"}

    def get_datastore(self, asked: Mapping[str, Any]) -> Answer:
        """GetDatastore."""
        store = self.store(asked)
        properties = self._summary(store) | {"losslessStorageFormat": store.storage_format}
        return {"datastoreProperties": properties | ({"kmsKeyArn": store.kms_key} if store.kms_key else {})}

    def _summary(self, store: Datastore) -> Answer:
        return {
            "datastoreId": store.id,
            "datastoreName": store.name,
            "datastoreStatus": store.status,
            "datastoreArn": store.arn,
            "createdAt": stamp(store.created),
            "updatedAt": stamp(store.created),
        }

    def list_datastores(self, asked: Mapping[str, Any]) -> Answer:
        """ListDatastores."""
        wanted = asked.get("datastoreStatus")
        found = [self._summary(store) for store in self.stores.values() if wanted in (None, store.status)]
        page, more = page_of(found, asked)
        return {"datastoreSummaries": list(page), **more}

    def delete_datastore(self, asked: Mapping[str, Any]) -> Answer:
        """DeleteDatastore: only when it is empty."""
        store = self.store(asked)
        if any(store.present()):
            raise conflict("data store has image sets")
        del self.stores[store.id]
        return {"datastoreId": store.id, "datastoreStatus": "DELETING"}

    def start_dicom_import_job(self, asked: Mapping[str, Any]) -> Answer:
        """StartDICOMImportJob. The same client token is the same job."""
        store = self.store(asked)
        for known in store.jobs.values():
            if known.token == asked["clientToken"]:
                if (known.input_uri, known.output_uri) != (asked["inputS3Uri"], asked["outputS3Uri"]):
                    raise conflict("clientToken was used with other parameters")
                return self._started(store, known)
        if sum(job.under_way for job in store.jobs.values()) >= self.quotas.jobs:
            raise ServiceError("ServiceQuotaExceededException", "Concurrent import jobs exceed the quota")
        job = Job(
            id=new_id(),
            name=asked.get("jobName", "import"),
            token=asked["clientToken"],
            role=asked["dataAccessRoleArn"],
            input_uri=asked["inputS3Uri"],
            output_uri=asked["outputS3Uri"],
            submitted=self.clock(),
        )
        store.jobs[job.id] = job
        self.notify(job_event(store, job, job.submitted))
        return self._started(store, job)

    def _started(self, store: Datastore, job: Job) -> Answer:
        return {
            "datastoreId": store.id,
            "jobId": job.id,
            "jobStatus": job.status,
            "submittedAt": stamp(job.submitted),
        }

    def _job(self, store: Datastore, job: Job) -> Answer:
        told: Answer = {
            "jobId": job.id,
            "jobName": job.name,
            "jobStatus": job.status,
            "datastoreId": store.id,
            "dataAccessRoleArn": job.role,
            "submittedAt": stamp(job.submitted),
        }
        if job.ended is not None:
            told["endedAt"] = stamp(job.ended)
        return told | ({"message": job.message} if job.message else {})

    def get_dicom_import_job(self, asked: Mapping[str, Any]) -> Answer:
        """GetDICOMImportJob. The output URI has the job's folder, or not, as the fake was told."""
        store = self.store(asked)
        job = store.jobs.get(asked["jobId"])
        if job is None:
            raise not_found("job")
        output = job.output_uri
        if self.folder_in_output_uri:
            output = f"{output.rstrip('/')}/{folder_of(store, job)}"
        return {"jobProperties": self._job(store, job) | {"inputS3Uri": job.input_uri, "outputS3Uri": output}}

    def list_dicom_import_jobs(self, asked: Mapping[str, Any]) -> Answer:
        """ListDICOMImportJobs, the newest first."""
        store = self.store(asked)
        wanted = asked.get("jobStatus")
        jobs = [self._job(store, job) for job in reversed(store.jobs.values()) if wanted in (None, job.status)]
        page, more = page_of(jobs, asked)
        return {"jobSummaries": list(page), **more}

    def _tags(self, asked: Mapping[str, Any]) -> dict[str, str]:
        arn = asked["resourceArn"]
        for store in self.stores.values():
            if arn == store.arn or any(arn == store.arn_of(found) for found in store.present()):
                return store.tags.setdefault(arn, {})
        raise not_found("resource")

    def list_tags_for_resource(self, asked: Mapping[str, Any]) -> Answer:
        """ListTagsForResource."""
        return {"tags": dict(self._tags(asked))}

    def tag_resource(self, asked: Mapping[str, Any]) -> Answer:
        """TagResource."""
        self._tags(asked).update(asked["tags"])
        return {}

    def untag_resource(self, asked: Mapping[str, Any]) -> Answer:
        """UntagResource."""
        tags = self._tags(asked)
        for key in asked["tagKeys"]:
            tags.pop(key, None)
        return {}
