"""The service's events of import jobs, as they come through EventBridge into a queue of SQS.

An event says that it is worth looking at a job now; what became of the job is asked of the service all the same. So an
event that is lost costs time, one that comes twice a call, and one that is not ours nothing.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field
from botocore.exceptions import BotoCoreError, ClientError

from vna_lifecycle.adapters.aws.trouble import code_of
from vna_lifecycle.adapters.healthimaging.access import SERVICE, Access

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, MessageTypeDef

_logger = logging.getLogger(__name__)
_TOGETHER: Final = 10  # the most messages that SQS hands out at once
_WAIT: Final = 1  # seconds; an answer without waiting asks some of SQS's servers only
_ROUNDS: Final = 200  # calls in one look, so that a queue full of others' messages keeps nobody
_ENDED: Final = frozenset({"COMPLETED", "FAILED"})


def ended_job(body: str, datastore_id: str) -> tuple[bool, str]:
    """Whether a message tells of an import job of the data store, and the job's ID if it tells of its end."""
    try:
        event = json.loads(body)
        detail = event["detail"]
        about_us = (
            event["source"] == f"aws.{SERVICE}"
            and event["detail-type"].startswith("Import Job ")
            and detail["datastoreId"] == datastore_id
        )
        return about_us, str(detail["jobId"]) if about_us and detail["jobStatus"] in _ENDED else ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return False, ""


@define
class Notices:
    """The queue of one data store, looked into at most every ``poll_seconds``.

    Messages about the data store's import jobs are taken out of it. All others stay: whose they are is not known.
    """

    _access: Access
    _ended: set[str] = field(factory=set, init=False)
    _next: float = field(default=float("-inf"), init=False)
    _failing: bool = field(default=False, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @property
    def listening(self) -> bool:
        """Whether there is a queue, and it could be read when it was last tried."""
        return self._access.queue is not None and not self._failing

    def take(self, job_id: str) -> bool:
        """Whether the end of a job was told since this was last asked of it."""
        queue = self._access.queue
        if queue is None:
            return False
        with self._lock:
            if self._access.now() >= self._next:
                self._look(queue)
            found = job_id in self._ended
            self._ended.discard(job_id)
            return found

    def _look(self, queue: SQSClient) -> None:
        settings = self._access.settings
        try:
            self._drain(queue)
        except (ClientError, BotoCoreError) as trouble:
            if not self._failing:
                reason = code_of(trouble) if isinstance(trouble, ClientError) else type(trouble).__name__
                told = "%s: the queue of events cannot be read (%s); jobs are asked for in turn instead"
                _logger.warning(told, self._access.site.name, reason)
            self._failing = True
            self._next = self._access.now() + settings.max_poll_seconds
        else:
            self._failing = False
            self._next = self._access.now() + settings.poll_seconds

    def _drain(self, queue: SQSClient) -> None:
        url, wait = self._access.settings.queue_url, _WAIT
        for _ in range(_ROUNDS):
            answer = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=_TOGETHER, WaitTimeSeconds=wait)
            messages = answer.get("Messages", [])
            if not messages:
                return
            if read := self._note(messages):
                queue.delete_message_batch(QueueUrl=url, Entries=read)
            wait = 0

    def _note(self, messages: list[MessageTypeDef]) -> list[DeleteMessageBatchRequestEntryTypeDef]:
        """Keep what is told; the messages that are ours."""
        read: list[DeleteMessageBatchRequestEntryTypeDef] = []
        for message in messages:
            about_us, job = ended_job(message.get("Body", ""), self._access.datastore_id)
            if job:
                self._ended.add(job)
            if about_us:
                read.append({"Id": str(len(read)), "ReceiptHandle": message["ReceiptHandle"]})
        return read
