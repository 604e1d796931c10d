"""A fake of HealthImaging on a real S3 server, with a client as users make it: import the fixture `place`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from attrs import evolve, frozen
from botocore.config import Config

from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Site
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.healthimaging import Datastore, HandClock, HealthImagingFake, Keys
from vna_lifecycle.testing.healthimaging.clock import wall_clock

if TYPE_CHECKING:
    from types_boto3_medical_imaging import HealthImagingClient
    from types_boto3_s3 import S3Client


ROLE = "arn:aws:iam::123456789012:role/import"


@frozen(kw_only=True)
class Place:
    """A fake with an empty data store, and a folder, ``root``, of its own in a bucket that all places share."""

    fake: HealthImagingFake
    clock: HandClock
    s3: S3Client
    bucket: str
    root: str
    store: Datastore

    @property
    def client(self) -> HealthImagingClient:
        """A client of the fake, as users make it."""
        return client_of(self.fake)

    def stage(self, files: dict[str, bytes], prefix: str = "in/") -> None:
        """Put files where a job finds them."""
        for name, data in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"{self.root}{prefix}{name}", Body=data)

    def start(self, name: str = "job-1", prefix: str = "in/") -> str:
        """Start a job; its ID."""
        return self.client.start_dicom_import_job(
            datastoreId=self.store.id,
            dataAccessRoleArn=ROLE,
            clientToken=name,
            jobName=name,
            inputS3Uri=f"s3://{self.bucket}/{self.root}{prefix}",
            outputS3Uri=f"s3://{self.bucket}/{self.root}out/",
        )["jobId"]

    def job(self, job_id: str) -> dict[str, Any]:
        """What the service says of a job now."""
        return dict(self.client.get_dicom_import_job(datastoreId=self.store.id, jobId=job_id)["jobProperties"])

    def result(self, job_id: str, name: str) -> bytes:
        """A result file."""
        key = f"{self.root}out/{self.store.id}-DicomImport-{job_id}/{name}"
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


@cache
def shared(server: Server) -> tuple[S3Client, str]:
    """One client and one bucket for all places: new ones are what takes SeaweedFS long."""
    return server.client(), server.bucket()


@cache
def client_of(fake: HealthImagingFake) -> HealthImagingClient:
    """A client as users make it."""
    return boto3.client(
        "medical-imaging",
        endpoint_url=fake.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=fake.keys.access_key_id,
        aws_secret_access_key=fake.keys.secret_access_key,
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def make_place(seaweed: Server) -> Iterator[Callable[..., Place]]:
    """Make a place, with the fake's own options."""
    fakes: list[HealthImagingFake] = []

    def made(*, wall: bool = False, **options: Any) -> Place:
        """``wall``: on the machine's clock, for programs that wait by themselves."""
        clock = HandClock()
        # one pair of keys for both services, as on AWS
        keys = Keys(access_key_id=seaweed.access_key_id, secret_access_key=seaweed.secret_access_key)
        s3, bucket = shared(seaweed)
        fake = HealthImagingFake(s3, clock=wall_clock if wall else clock, keys=keys, **options)
        fakes.append(fake.__enter__())
        return Place(
            fake=fake,
            clock=clock,
            s3=s3,
            bucket=bucket,
            root=f"{uuid.uuid4().hex}/",
            store=fake.create_datastore(),
        )

    yield made
    for fake in fakes:
        fake.__exit__(None, None, None)


@pytest.fixture
def place(make_place: Callable[..., Place]) -> Place:
    """A place without options."""
    return make_place()


def settings_of(place: Place, server: Server, **more: Any) -> HealthImagingSettings:
    """Settings for the place's data store; ``secrets`` resolves what they refer to."""
    return HealthImagingSettings(
        **{
            "datastore_id": place.store.id,
            "data_access_role_arn": ROLE,
            "staging": f"s3://{place.bucket}/{place.root}stage/",
            "results": f"s3://{place.bucket}/{place.root}results/",
            "region": "us-east-1",
            "endpoint_url": place.fake.endpoint_url,
            "s3_endpoint_url": server.endpoint_url,
            "access_key_id": SecretReference("env:KEY"),
            "secret_access_key": SecretReference("env:SECRET"),
            "max_attempts": 1,
            **more,
        }
    )


def site_of(folder: Path, place: Place) -> Site:
    """A site on the fake's clock, whose secrets are the fake's keys."""
    secrets = {"env:KEY": place.fake.keys.access_key_id, "env:SECRET": place.fake.keys.secret_access_key}
    return evolve(site(folder), clock=place.clock, secret=secrets.__getitem__)
