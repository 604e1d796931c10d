"""What a bucket needs to be told, apart from the code that opens it."""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from attrs import Attribute, field, frozen

from vna_lifecycle.adapters.aws import settings as aws
from vna_lifecycle.plugin.secret import SecretReference

MIB: Final = 1 << 20
SMALLEST_PART: Final = 5 * MIB  # of all parts but the last (S3's quota)
MOST_PARTS: Final = 10_000
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{1,254}")


def _folder(prefix: str) -> str:
    """With one slash at its end, so that ``ct`` does not take in ``ct-old``."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _is_bucket(_: object, attribute: Attribute[Any], value: str) -> None:
    if not _BUCKET.fullmatch(value):
        raise ValueError("must be a bucket's name, or the ARN of an access point")


def _is_account(_: object, attribute: Attribute[Any], value: str) -> None:
    if value and not re.fullmatch(r"\d{12}", value):
        raise ValueError("must be an AWS account: 12 digits")


def _is_part(_: object, attribute: Attribute[Any], value: int) -> None:
    if value < SMALLEST_PART:
        raise ValueError(f"must be {SMALLEST_PART} at least")


def _are_tags(_: object, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if len(value) > 10:
        raise ValueError("an object has at most 10 tags")
    if not all(re.fullmatch(r"[^=]{1,128}=.{0,256}", tag) for tag in value):
        raise ValueError("each must be written 'key=value'")


def _not_negative(_: object, attribute: Attribute[Any], value: int) -> None:
    if value < 0:
        raise ValueError("must not be negative")


@frozen(kw_only=True)
class S3Settings:
    """A bucket, or what is under a prefix of it: any DICOM objects, or a store that this program wrote or shall write.

    As a target, nothing else may be under the prefix.
    """

    bucket: str = field(validator=_is_bucket, metadata={"help": "The bucket's name."})
    prefix: str = field(
        default="", converter=_folder, metadata={"help": "What the keys begin with; a slash ends it in any case."}
    )
    region: str = aws.region()
    endpoint_url: str = aws.endpoint_url()
    profile: str = aws.profile()
    access_key_id: SecretReference | None = aws.access_key_id()
    secret_access_key: SecretReference | None = aws.secret_access_key()
    session_token: SecretReference | None = aws.session_token()
    expected_bucket_owner: str = field(
        default="",
        validator=_is_account,
        metadata={"help": "The account that the bucket must belong to: every call is refused if it does not."},
    )
    storage_class: str = field(
        default="",
        metadata={"help": "Storage class of new objects, such as 'GLACIER_IR'; manifests stay in the standard class."},
    )
    object_lock: Literal["none", "governance", "compliance"] = field(
        default="none", metadata={"help": "Lock what is stored against deletion for object_lock_days."}
    )
    object_lock_days: int = field(
        default=0, validator=_not_negative, metadata={"help": "Days for which object_lock keeps what is stored."}
    )
    legal_hold: bool = field(default=False, metadata={"help": "Put each new object under legal hold."})
    require_versions: bool = field(
        default=False, metadata={"help": "Store only if the bucket keeps versions; object_lock implies it."}
    )
    tags: tuple[str, ...] = field(
        default=(), validator=_are_tags, metadata={"help": "Tags of new objects, each 'key=value'."}
    )
    encryption: Literal["bucket-default", "AES256", "aws:kms", "aws:kms:dsse"] = field(
        default="bucket-default", metadata={"help": "Server-side encryption of new objects."}
    )
    kms_key_id: str = field(default="", metadata={"help": "The KMS key's ID or ARN, for encryption by 'aws:kms'."})
    multipart_threshold: int = field(
        default=8 * MIB,
        validator=_is_part,
        metadata={"help": "Bytes from which an object is uploaded in parts. Smaller ones are held in memory."},
    )
    part_size: int = field(
        default=8 * MIB,
        validator=_is_part,
        metadata={"help": "Bytes of each part, but larger where 10,000 would not do."},
    )
    max_object_size: int = field(
        default=5 << 40, validator=aws.positive, metadata={"help": "Most bytes of one object that the server takes."}
    )
    max_attempts: int = aws.max_attempts()
    connect_timeout: float = aws.connect_timeout()
    read_timeout: float = aws.read_timeout()
    concurrency: int = aws.concurrency()

    def __attrs_post_init__(self) -> None:
        """See that settings that belong together are together."""
        if (self.object_lock != "none") != (self.object_lock_days > 0):
            raise ValueError("object_lock and object_lock_days go together")
        if self.kms_key_id and not self.encryption.startswith("aws:kms"):
            raise ValueError("kms_key_id needs encryption = 'aws:kms'")


def s3_from_url(url: str) -> S3Settings:
    """Settings from ``s3://BUCKET/PREFIX``; region, endpoint and credentials are found as AWS's own tools find them.

    Raises:
        ValueError: the URL names no bucket, or more than a bucket and a prefix.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("a bucket is written s3://BUCKET/PREFIX, such as s3://images/old-pacs")
    return S3Settings(bucket=parts.netloc, prefix=unquote(parts.path))
