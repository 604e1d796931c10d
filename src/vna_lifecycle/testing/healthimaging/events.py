"""Events of import jobs, as EventBridge passes them on (HealthImaging Developer Guide, "Using Amazon EventBridge")."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

from vna_lifecycle.testing.healthimaging.stores import ACCOUNT, Datastore, Job

Notify = Callable[[dict[str, Any]], None]
"""Is told each event, such as to send it to a queue; what it leaves out is an event that got lost."""


def silent(event: dict[str, Any]) -> None:
    """No rule of EventBridge matches: nobody is told."""


def job_event(store: Datastore, job: Job, now: dt.datetime) -> dict[str, Any]:
    """What is told when a job comes to the status that it has now."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": f"Import Job {job.status.replace('_', ' ').title()}",
        "source": "aws.medical-imaging",
        "account": ACCOUNT,
        "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "region": store.region,
        "resources": [store.arn],
        "detail": {
            "imagingVersion": "1.0",
            "datastoreId": store.id,
            "jobId": job.id,
            "jobName": job.name,
            "jobStatus": job.status,
            "inputS3Uri": job.input_uri,
            "outputS3Uri": job.output_uri,
        },
    }
