"""What a HealthImaging data store needs to be told, apart from the code that opens it."""

from __future__ import annotations

import enum
import re
from typing import Any, Final

from attrs import Attribute, field, frozen

from vna_lifecycle.adapters.aws import settings as aws
from vna_lifecycle.plugin.secret import SecretReference

_URI: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.*)")


class RemoveStaged(enum.Enum):
    """When copies that were staged for import jobs are removed."""

    AFTER_VERIFICATION = "after-verification"
    NEVER = "never"


def _is_datastore(_: object, attribute: Attribute[Any], value: str) -> None:
    if not re.fullmatch(r"[0-9a-z]{32}", value):
        raise ValueError("must be a data store's ID: 32 lower-case letters and digits")


def _is_role(_: object, attribute: Attribute[Any], value: str) -> None:
    if not re.fullmatch(r"arn:aws(-[^:]+)?:iam::[0-9]{12}:role/.+", value):
        raise ValueError("must be a role's ARN, such as 'arn:aws:iam::123456789012:role/import'")


def _is_folder(_: object, attribute: Attribute[Any], value: str) -> None:
    if not _URI.fullmatch(value):
        raise ValueError("must be an S3 URI, such as 's3://bucket/folder/'")
    if not value.endswith("/"):
        raise ValueError("must end in '/': without it, everything whose key begins alike would be taken in")


def _is_account(_: object, attribute: Attribute[Any], value: str) -> None:
    if value and not re.fullmatch(r"\d{12}", value):
        raise ValueError("must be an AWS account: 12 digits")


def _is_queue(_: object, attribute: Attribute[Any], value: str) -> None:
    if value and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#@\s]*)?/[A-Za-z0-9_-]{1,80}(\.fifo)?", value):
        raise ValueError("must be a queue's URL, such as 'https://sqs.eu-west-1.amazonaws.com/123456789012/imports'")


def _quota(default: float, text: str) -> Any:
    return field(default=default, validator=aws.positive, metadata={"help": text})


@frozen(kw_only=True)
class HealthImagingSettings:
    """A data store, and where in S3 its import jobs find their input and put their results.

    The quotas are AWS's defaults: set what your account has. Nothing else may be under the two S3 folders.
    """

    datastore_id: str = field(validator=_is_datastore, metadata={"help": "The data store's ID."})
    data_access_role_arn: str = field(
        validator=_is_role, metadata={"help": "ARN of the role in which jobs read staged files and write results."}
    )
    staging: str = field(
        validator=_is_folder, metadata={"help": "S3 URI, ending in '/', under which batches are staged."}
    )
    results: str = field(validator=_is_folder, metadata={"help": "S3 URI, ending in '/', for what jobs report."})
    input_owner_account_id: str = field(
        default="",
        validator=_is_account,
        metadata={"help": "Account that owns the staging bucket, if it is another one; a bucket of others is refused."},
    )
    region: str = aws.region()
    endpoint_url: str = aws.endpoint_url()
    s3_endpoint_url: str = aws.endpoint_url()
    dicomweb_url: str = aws.endpoint_url()
    queue_url: str = field(
        default="",
        validator=_is_queue,
        metadata={
            "help": "URL of an SQS queue that gets the data store's import events from EventBridge, for this program"
            " alone; empty: jobs are asked for in turn."
        },
    )
    profile: str = aws.profile()
    access_key_id: SecretReference | None = aws.access_key_id()
    secret_access_key: SecretReference | None = aws.secret_access_key()
    session_token: SecretReference | None = aws.session_token()
    max_files_per_job: int = _quota(5_000, "Most files in one import job.")
    max_bytes_per_job: int = _quota(10 * 10**9, "Most bytes in one import job.")
    max_bytes_per_file: int = _quota(4 * 10**9, "Most bytes of one file; AWS raises it to 10 GB on request.")
    concurrent_jobs: int = _quota(100, "Most import jobs under way in the data store at the same time.")
    job_starts_per_second: float = _quota(0.25, "How often a job may be started, per second.")
    changes_per_second: float = _quota(0.25, "How often an image set may be updated, copied or deleted, per second.")
    searches_per_second: float = _quota(25.0, "How often image sets may be searched for, per second.")
    metadata_per_second: float = _quota(50.0, "How often the metadata of an image set may be read, per second.")
    poll_seconds: float = _quota(10.0, "Seconds after which a young job is looked at again.")
    max_poll_seconds: float = _quota(300.0, "Seconds after which a job is looked at again, however old it is.")
    results_patience: float = _quota(3_600.0, "Seconds for which result files may lag behind the end of their job.")
    remove_staged: RemoveStaged = field(
        default=RemoveStaged.AFTER_VERIFICATION,
        metadata={
            "help": "When staged copies are removed: once every study of their batch was read back, or never (then with"
            " jobs sweep)."
        },
    )
    max_attempts: int = aws.max_attempts()
    connect_timeout: float = aws.connect_timeout()
    read_timeout: float = aws.read_timeout()
    concurrency: int = aws.concurrency()


def bucket_and_prefix(uri: str) -> tuple[str, str]:
    """The bucket of an S3 URI, and the rest of it.

    Raises:
        ValueError: it is none.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError("not an S3 URI")
    return found[1], found[2]
