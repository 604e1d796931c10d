"""What the parts of the adapter share: clients, the staging and results folders, and how calls are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import evolve

from vna_lifecycle.adapters.aws.attempts import Attempts
from vna_lifecycle.adapters.aws.session import client_config, open_session, region_of
from vna_lifecycle.adapters.healthimaging.pacing import Pace
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings, bucket_and_prefix
from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.ports import Site

if TYPE_CHECKING:
    from types_boto3_medical_imaging import HealthImagingClient
    from types_boto3_sqs import SQSClient

SERVICE = "medical-imaging"


class Access:
    """A data store, and how it is reached. ``pause`` waits that many seconds, in place of `time.sleep`."""

    def __init__(
        self, settings: HealthImagingSettings, site: Site, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Make the clients; nothing is sent yet."""
        self.settings = settings
        self.site = site
        self.datastore_id = settings.datastore_id
        self.attempt = Attempts(archive=site.name, place="the data store", service=SERVICE, limit=settings.max_attempts)
        self.once = evolve(self.attempt, limit=1)
        self.session = self.attempt(lambda: open_session(settings, site.secret))
        self.region = region_of(settings, self.session)
        self.client: HealthImagingClient = self.attempt(
            lambda: self.session.client(
                "medical-imaging",
                region_name=self.region,
                endpoint_url=settings.endpoint_url or None,
                config=client_config(settings),
            )
        )
        self.queue: SQSClient | None = self.attempt(self._queue) if settings.queue_url else None
        self.staging = Bucket(_folder(settings, settings.staging, owner=settings.input_owner_account_id), site)
        self.results = Bucket(_folder(settings, settings.results), site)
        self.starts = Pace(settings.job_starts_per_second, self.now, pause)
        # who brings another way to wait waits by the program's clock, which may stand still while this machine sleeps
        seconds = time.monotonic if pause is time.sleep else self.now
        self.changes = Pace(settings.changes_per_second, seconds, pause)
        self.searches = Pace(settings.searches_per_second, seconds, pause)
        self.metadata = Pace(settings.metadata_per_second, seconds, pause)
        self.pause = pause
        self._pool_lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def _queue(self) -> SQSClient:
        parts = urlsplit(self.settings.queue_url)
        return self.session.client(
            "sqs",
            region_name=self.region,
            endpoint_url=f"{parts.scheme}://{parts.netloc}",
            config=client_config(self.settings),
        )

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for calls at the same time, as many as ``concurrency`` says. No task in it may wait for another."""
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="healthimaging")
            return self._pool

    def now(self) -> float:
        """The program's time, in seconds since 1970."""
        return self.site.clock().timestamp()

    def close(self) -> None:
        """End the threads and the connections."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None
        self.client.close()
        if self.queue is not None:
            self.queue.close()
        self.staging.close()
        self.results.close()


def _folder(settings: HealthImagingSettings, uri: str, *, owner: str = "") -> S3Settings:
    bucket, prefix = bucket_and_prefix(uri)
    own: dict[str, Any] = {
        name: getattr(settings, name)
        for name in ("region", "profile", "access_key_id", "secret_access_key", "session_token", "max_attempts")
    }
    return S3Settings(
        bucket=bucket,
        prefix=prefix,
        expected_bucket_owner=owner,
        endpoint_url=settings.s3_endpoint_url,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        concurrency=settings.concurrency,
        **own,
    )
