"""The settings that every archive on AWS has, each once: its help, its default and what makes it acceptable."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from attrs import Attribute, field

from vna_lifecycle.plugin.secret import SecretReference

_REGION: Final = re.compile(r"[a-z0-9-]{1,63}")


class AwsAccess(Protocol):
    """How AWS, or a server that speaks its protocol, is reached. Settings classes have these fields (see `region`)."""

    @property
    def region(self) -> str:
        """AWS region, or ``""`` for what the environment or the profile says."""
        ...

    @property
    def endpoint_url(self) -> str:
        """URL of another server than AWS's own, or ``""``."""
        ...

    @property
    def profile(self) -> str:
        """Name of a profile in AWS's configuration files, or ``""``."""
        ...

    @property
    def access_key_id(self) -> SecretReference | None:
        """Where the access key ID is found; None: wherever AWS's own tools would look."""
        ...

    @property
    def secret_access_key(self) -> SecretReference | None:
        """Where the secret access key is found."""
        ...

    @property
    def session_token(self) -> SecretReference | None:
        """Where the session token of temporary credentials is found."""
        ...

    @property
    def max_attempts(self) -> int:
        """How often a call is tried before its failure is told, within half a minute."""
        ...

    @property
    def connect_timeout(self) -> float:
        """Seconds to wait for a connection."""
        ...

    @property
    def read_timeout(self) -> float:
        """Seconds to wait for each piece of an answer."""
        ...

    @property
    def concurrency(self) -> int:
        """Most calls at the same time."""
        ...


def _is_region(_: object, attribute: Attribute[Any], value: str) -> None:
    if value and not _REGION.fullmatch(value):
        raise ValueError("must be the name of a region, such as 'eu-central-1'")


def _is_endpoint(_: object, attribute: Attribute[Any], value: str) -> None:
    if not value:
        return
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL such as 'https://s3.example:9000'")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials; use access_key_id and secret_access_key")


def positive(_: object, attribute: Attribute[Any], value: float) -> None:
    """Validates that a number is above zero.

    Raises:
        ValueError: it is not.
    """
    if value <= 0:
        raise ValueError("must be greater than 0")


def region() -> Any:
    """The field ``region: str``. The others are made in the same way, each by the function of its name."""
    return field(
        default="",
        validator=_is_region,
        metadata={"help": "AWS region, such as 'eu-central-1'; empty: what the environment or the profile says."},
    )


def endpoint_url() -> Any:
    """The field ``endpoint_url: str``."""
    text = "URL of a server other than AWS's own, such as 'https://s3.example:9000'."
    return field(default="", validator=_is_endpoint, metadata={"help": text})


def profile() -> Any:
    """The field ``profile: str``."""
    return field(default="", metadata={"help": "Profile of AWS's own configuration files to take credentials from."})


def access_key_id() -> Any:
    """The field ``access_key_id: SecretReference | None``."""
    text = "Access key ID, as 'env:NAME' or 'file:PATH'. Without it, credentials are found as AWS's own tools do."
    return field(default=None, metadata={"help": text})


def secret_access_key() -> Any:
    """The field ``secret_access_key: SecretReference | None``."""
    return field(default=None, metadata={"help": "Secret access key, as 'env:NAME' or 'file:PATH'."})


def session_token() -> Any:
    """The field ``session_token: SecretReference | None``."""
    return field(
        default=None, metadata={"help": "Session token of temporary credentials, as 'env:NAME' or 'file:PATH'."}
    )


def max_attempts() -> Any:
    """The field ``max_attempts: int``."""
    text = "How often a call is tried, within half a minute, before the program puts the work off."
    return field(default=5, validator=positive, metadata={"help": text})


def connect_timeout() -> Any:
    """The field ``connect_timeout: float``."""
    return field(default=10.0, validator=positive, metadata={"help": "Seconds to wait for a connection."})


def read_timeout() -> Any:
    """The field ``read_timeout: float``."""
    return field(default=60.0, validator=positive, metadata={"help": "Seconds to wait for each piece of an answer."})


def concurrency() -> Any:
    """The field ``concurrency: int``."""
    return field(default=8, validator=positive, metadata={"help": "Most calls at the same time, in each process."})
