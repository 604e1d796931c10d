"""Clients of AWS's services that do what an archive needs, and nothing behind its back.

botocore's own retries are off: `attempts.Attempts` tries again for a short while, and then the program's clock decides.
A redirect to another region or host is never followed: credentials and images go where the settings say, or nowhere.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.handlers import add_expect_header
from botocore.loaders import Loader
from botocore.utils import determine_content_length, parse_timestamp

from vna_lifecycle._version import __version__
from vna_lifecycle.adapters.aws.settings import AwsAccess
from vna_lifecycle.adapters.aws.trouble import RedirectRefused
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.ports import Secrets

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_boto3_s3 import S3Client

ASKED_FIRST: Final = 1 << 20
"""Bytes from which a server is asked whether it wants a body, before it is sent (RFC 9110 10.1.1)."""

_ANY_REGION: Final = "us-east-1"  # what a server elsewhere signs for, unless it was told otherwise
_HEADER_TIME: Final = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_LISTED_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ELSEWHERE: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)


def open_session(access: AwsAccess, secret: Secrets) -> boto3.Session:
    """A session with the credentials that the settings refer to; without any, AWS's own tools' places are searched.

    Raises:
        ConfigurationError: half of a pair of keys is missing, or there is nothing behind a reference.
    """
    if (access.access_key_id is None) != (access.secret_access_key is None):
        raise ConfigurationError(
            "access_key_id and secret_access_key go together", hint="set both, or neither for AWS's own defaults"
        )
    if access.session_token is not None and access.access_key_id is None:
        raise ConfigurationError("a session_token needs access_key_id and secret_access_key")
    logging.getLogger("botocore").setLevel(logging.INFO)  # below, it logs session tokens, and requests with our UIDs
    core = botocore.session.get_session()
    core.register_component("data_loader", _models())
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id=_resolved(access.access_key_id, secret),
        aws_secret_access_key=_resolved(access.secret_access_key, secret),
        aws_session_token=_resolved(access.session_token, secret),
        profile_name=access.profile or None,
        region_name=access.region or None,
    )


@functools.cache
def _models() -> Loader:
    """The descriptions of AWS's services, which take longer to read than all else: once for each process."""
    return botocore.session.get_session().get_component("data_loader")  # type: ignore[no-any-return]


def parse_time(value: str | float) -> dt.datetime:
    """A time as AWS's services tell it: in headers (RFC 9110 5.6.7), in listings (ISO 8601), or as seconds.

    botocore's own way takes 0.4 ms for each, which is most of what a page of a listing costs.

    Raises:
        ValueError: it is no time.
    """
    if isinstance(value, str):
        if _HEADER_TIME.fullmatch(value):
            return parsedate_to_datetime(value)
        if _LISTED_TIME.fullmatch(value):
            return dt.datetime.fromisoformat(value)
    return parse_timestamp(value)  # type: ignore[arg-type]  # it takes seconds too


def _resolved(reference: str | None, secret: Secrets) -> str | None:
    return None if reference is None else secret(reference)


def client_config(access: AwsAccess, **more: Any) -> Config:
    """How clients behave: one try a call, patient but not for ever, and no host names made up for other servers.

    ``more`` are further options of `botocore.config.Config`.
    """
    return Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=access.connect_timeout,
        read_timeout=access.read_timeout,
        max_pool_connections=max(10, access.concurrency + 2),
        inject_host_prefix=not access.endpoint_url,
        user_agent=f"vna-lifecycle/{__version__}",  # botocore's own is put together anew for each request
        tcp_keepalive=True,
        **more,
    )


def region_of(access: AwsAccess, session: boto3.Session) -> str | None:
    """The region to sign for: the one that is set or configured; any, where the server is not AWS's."""
    return session.region_name or (_ANY_REGION if access.endpoint_url else None)


def open_s3(access: AwsAccess, secret: Secrets) -> S3Client:
    """A client of S3, or of a server like it: by path where it is no AWS host, bodies signed through their checksum.

    Raises:
        ConfigurationError: as `open_session`.
        BotoCoreError: no such profile.
    """
    session = open_session(access, secret)
    config = client_config(
        access,
        s3={
            "addressing_style": "path" if access.endpoint_url else "auto",
            # every body has a checksum, which is a signed header: hashing it a second time proves nothing more
            "payload_signing_enabled": False,
        },
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = session.client(
        "s3",
        region_name=region_of(access, session) or _ANY_REGION,
        endpoint_url=access.endpoint_url or None,
        config=config,
    )
    events = client.meta.events
    events.register_first("needs-retry.s3", _refuse_redirect)
    events.unregister("before-call.s3", add_expect_header)
    events.register("before-call.s3", _expect_for_large)
    return client


def _expect_for_large(model: OperationModel, params: dict[str, Any], **_: object) -> None:
    """Ask whether a body is wanted before it is sent, where that costs less than sending it in vain."""
    size = determine_content_length(params.get("body", b""))
    if size is not None and size >= ASKED_FIRST:
        add_expect_header(model, params)


def _refuse_redirect(response: tuple[Any, dict[str, Any]] | None = None, **_: object) -> None:
    """Stop before botocore sends the same request elsewhere."""
    if response is not None and response[0] is not None:
        refuse_redirect(response[0].status_code, response[1])


def refuse_redirect(status: int, parsed: dict[str, Any]) -> None:
    """Raise an error where an answer of S3 asks to go elsewhere.

    Raises:
        RedirectRefused: it does.
    """
    metadata = parsed.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    error = parsed.get("Error", {})
    region = str(headers.get("x-amz-bucket-region") or error.get("Region") or "")
    bad_head = status == 400 and error.get("Code") == "400" and region
    if status in _REDIRECTS or error.get("Code") in _ELSEWHERE or bad_head:
        raise RedirectRefused(region=region)
