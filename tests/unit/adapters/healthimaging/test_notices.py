"""Jobs are followed by the events that come through a queue; what is wrong with them costs time and nothing else."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from attrs import define, field

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from unit.adapters.healthimaging.test_imports import BATCH, SPECS, STUDY, imports_of, stored_instances, told
from vna_lifecycle.adapters.healthimaging import notices
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.notices import ended_job
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings
from vna_lifecycle.ports import Done, ImportsInBatches, Pending
from vna_lifecycle.testing.conformance.case import written
from vna_lifecycle.testing.healthimaging import Timing

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

pytestmark = pytest.mark.peer
LASTS = 1_500.0  # seconds
EVENT: dict[str, Any] = {
    "source": "aws.medical-imaging",
    "detail-type": "Import Job Completed",
    "detail": {"datastoreId": "d" * 32, "jobId": "j" * 32, "jobStatus": "COMPLETED"},
}


@define
class Queue:
    """A queue of MiniStack that gets the fake's events, each as often as ``times`` says."""

    client: SQSClient
    url: str
    times: int = 1
    told: list[str] = field(factory=list)

    def notify(self, event: dict[str, Any]) -> None:
        self.told.append(event["detail-type"])
        for _ in range(self.times):
            self.send(event)

    def send(self, event: object) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=event if isinstance(event, str) else json.dumps(event))

    def left(self) -> int:
        """Messages that nobody took out, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]  # literals
        return sum(int(found[name]) for name in names)


@pytest.fixture
def queue(ministack: Server, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setattr(notices, "_WAIT", 0)  # SQS's own servers are many; this one answers at once
    client = boto3.client(
        "sqs",
        endpoint_url=ministack.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    name = f"imports-{uuid.uuid4().hex}"
    client.create_queue(QueueName=name)
    return Queue(client, f"{ministack.endpoint_url}/000000000000/{name}")


def followed(place: Place, imports: ImportsInBatches) -> tuple[dict[str, str], float, int]:
    """What a job came to, seconds from its end until that was known, and how often the service was asked how it is."""
    token = imports.submit(BATCH)
    before = sum(calls(place))
    for _ in range(2_000):
        state = imports.poll(token)
        if isinstance(state, Done):
            [job] = place.store.jobs.values()
            assert job.ended is not None
            return told(state), (place.clock() - job.ended).total_seconds(), sum(calls(place)) - before
        place.clock.advance(state.poll_after)
        place.fake.service.advance()  # events are sent though nobody asks
    raise AssertionError("the job is not done")


def calls(place: Place) -> tuple[int, int]:
    seen = place.fake.service.seen
    return seen.get("GetDICOMImportJob", 0), seen.get("ListDICOMImportJobs", 0)


def staged(place: Place, server: Server, folder: Path, **more: Any) -> ImportsInBatches:
    settings = settings_of(place, server, **more)
    imports = imports_of(open_archive(settings, site_of(folder, place), pause=place.clock.advance))
    list(imports.stage(BATCH, STUDY, written(folder / "in", SPECS)))
    return imports


ALL = {spec.sop_instance_uid: "stored" for spec in SPECS}


def test_the_end_of_a_job_is_known_at_once_and_the_service_is_hardly_asked(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, queue: Queue
) -> None:
    place = make_place(timing=Timing(running=LASTS), notify=queue.notify)
    imports = staged(place, seaweed, tmp_path, queue_url=queue.url, max_poll_seconds=2_000.0)
    results, delay, asked = followed(place, imports)
    assert results == ALL
    assert queue.told == ["Import Job Submitted", "Import Job In Progress", "Import Job Completed"]
    assert (delay <= 10, asked <= 8) == (True, True), (delay, asked)
    assert queue.left() == 0


def test_events_that_are_lost_cost_time_only(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, queue: Queue
) -> None:
    place = make_place(timing=Timing(running=LASTS))
    imports = staged(place, seaweed, tmp_path, queue_url=queue.url, max_poll_seconds=600.0)
    results, delay, _ = followed(place, imports)
    assert results == ALL
    assert delay <= 600


def test_events_that_come_twice_or_too_early_or_are_not_ours_change_nothing(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, queue: Queue
) -> None:
    """Messages of others stay where they are; an event that says more than is true is not believed."""
    queue.times = 2
    place = make_place(timing=Timing(running=LASTS), notify=queue.notify)
    imports = staged(place, seaweed, tmp_path, queue_url=queue.url)
    foreign: list[object] = ["no JSON", "[]", "{}", EVENT, {**EVENT, "source": "aws.s3"}]
    for event in foreign:
        queue.send(event)
    token = imports.submit(BATCH)
    [job] = place.store.jobs.values()
    detail = {"datastoreId": place.store.id, "jobId": job.id, "jobStatus": "COMPLETED"}
    queue.send({**EVENT, "detail": detail})
    assert isinstance(imports.poll(token), Pending)
    results, delay, _ = followed(place, imports)
    assert results == ALL
    assert delay <= 10
    assert len(place.store.jobs) == 1
    assert stored_instances(place) == sorted(ALL)
    assert queue.left() == len(foreign)


def test_a_queue_that_cannot_be_read_is_told_once_and_jobs_are_asked_for(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    queue: Queue,
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = make_place(timing=Timing(running=LASTS))
    imports = staged(place, seaweed, tmp_path, queue_url=f"{queue.url}-gone")
    with caplog.at_level(logging.WARNING):
        results, delay, _ = followed(place, imports)
    assert results == ALL
    assert delay <= 300
    assert len([record for record in caplog.records if "queue of events cannot be read" in record.message]) == 1


def test_a_queue_that_comes_back_is_listened_to_again(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, queue: Queue
) -> None:
    place = make_place(timing=Timing(running=LASTS), notify=queue.notify)
    queue.client.delete_queue(QueueUrl=queue.url)
    queue.times = 0
    imports = staged(place, seaweed, tmp_path, queue_url=queue.url, max_poll_seconds=1_000.0)
    assert isinstance(imports.poll(imports.submit(BATCH)), Pending)
    queue.client.create_queue(QueueName=queue.url.rpartition("/")[2])
    queue.times = 1
    results, delay, _ = followed(place, imports)
    assert results == ALL
    assert delay <= 10


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (True, "j" * 32)),
        ({"detail-type": "Image Set Created"}, (False, "")),
        ({"detail": {"datastoreId": "d" * 32, "jobId": "j" * 32, "jobStatus": "IN_PROGRESS"}}, (True, "")),
        ({"detail": {"datastoreId": "e" * 32, "jobId": "j" * 32, "jobStatus": "COMPLETED"}}, (False, "")),
        ({"detail": {"datastoreId": "d" * 32, "jobStatus": "COMPLETED"}}, (False, "")),
        ({"detail": None}, (False, "")),
    ],
)
def test_only_the_end_of_a_job_of_this_data_store_is_worth_a_look(
    change: dict[str, Any], expected: tuple[bool, str]
) -> None:
    assert ended_job(json.dumps(EVENT | change), "d" * 32) == expected


@pytest.mark.parametrize("url", ["imports", "sqs://host/1/imports", "https://key:secret@host/1/q", "https://host/"])
def test_a_queue_is_named_by_its_url(url: str) -> None:
    with pytest.raises(ValueError, match="must be a queue's URL"):
        HealthImagingSettings(
            datastore_id="0" * 32,
            data_access_role_arn="arn:aws:iam::123456789012:role/import",
            staging="s3://bucket/in/",
            results="s3://bucket/out/",
            queue_url=url,
        )
