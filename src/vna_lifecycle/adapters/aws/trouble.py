"""What AWS's troubles mean for the program, in words that an operator can act on.

Messages hold codes, action names and request IDs, never what the server wrote (it may name keys, roles or accounts) and
never a credential.
"""

from __future__ import annotations

import re
from typing import Any, Final

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable

RETRY_AFTER: Final = 30.0
"""Seconds after which work is taken up again where the server names no time itself."""

THROTTLED: Final = frozenset(
    {"BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete"}
    | {"ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "SlowDown", "Throttled"}
    | {"RequestThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException", "429"}
)
PASSING: Final = frozenset(
    {"ConditionalRequestConflict", "InternalError", "InternalFailure", "InternalServerException", "OperationAborted"}
    | {"RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "500", "502", "503", "504"}
)
EXPIRED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "ExpiredAccessKey"}
)
UNKNOWN_KEY: Final = frozenset(
    {"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException", "AuthFailure"}
    | {"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken"}
)
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedAccess", "403"})
_NO_CREDENTIALS: Final = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.ProfileNotFound,
    botocore.TokenRetrievalError,
    botocore.SSOError,
)
_CONNECTION: Final = (
    botocore.HTTPClientError,
    botocore.ConnectionError,
    botocore.ResponseStreamingError,
    botocore.IncompleteReadError,
    HTTPError,
)
_ACTIONS: Final = {
    # operations whose IAM action has another name (Service Authorization Reference, Amazon S3)
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject (and s3:GetObject)",
    "CreateMultipartUpload": "PutObject",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjectsV2": "ListBucket",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject (and s3:GetObject)",
}
_PREFIXES: Final = {"s3": "s3", "sqs": "sqs", "medical-imaging": "medical-imaging", "medicalimaging": "medical-imaging"}
_WORD: Final = re.compile(r"[A-Za-z0-9_.:/+=-]{1,120}")


class RedirectRefused(BotoCoreError):
    """The server sent us to another region or host; ``region`` is which, or ``""``."""

    fmt = "the request was redirected"

    def __init__(self, *, region: str) -> None:
        super().__init__()
        self.region = region


def code_of(error: ClientError) -> str:
    """The error code; for answers without a body, its HTTP status as text."""
    return str(error.response.get("Error", {}).get("Code", "")) or str(status_of(error))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def retry_after(error: Exception) -> float | None:
    """Seconds that the server asks to wait, None where it does not."""
    if not isinstance(error, ClientError):
        return None
    said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(said) if re.fullmatch(r"\d{1,5}", str(said)) else None


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, ClientError):
        return code_of(error) in THROTTLED | PASSING or status_of(error) in (429, 500, 502, 503, 504)
    return isinstance(error, _CONNECTION) and not isinstance(error, botocore.SSLError)


def action_of(error: ClientError, service: str = "s3") -> str:
    """The permission that a call needs, as policies name it, such as ``s3:ListBucket``."""
    prefix = _PREFIXES.get(service, service)
    return f"{prefix}:{_ACTIONS.get(error.operation_name, error.operation_name)}"


def archive_error(error: Exception, *, archive: str, place: str, service: str = "s3", owner: str = "") -> ArchiveError:
    """An exception of botocore as what it means for the program.

    Args:
        error: A `ClientError`, a `BotoCoreError`, or an error of the connection.
        archive: The archive's name in the program.
        place: What was being talked to, for messages: "the bucket images", "the data store".
        service: Of which service the call was.
        owner: The account that the bucket was expected to belong to, if any.
    """
    if isinstance(error, ClientError):
        return _answered(error, archive, place, service, owner)
    if isinstance(error, RedirectRefused):
        return _elsewhere(error.region, archive, place)
    name = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        message = f"{archive}: there are no credentials to reach {place} with ({name})"
        hint = "set access_key_id and secret_access_key, or a profile, or give this machine a role"
        return ArchiveRefused(message, archive=archive, hint=hint)
    if isinstance(error, botocore.NoRegionError):
        return ArchiveRefused(
            f"{archive}: no region is set", archive=archive, hint="set region in the archive's section"
        )
    if isinstance(error, botocore.SSLError):
        message = f"{archive}: the certificate of the server behind {place} is not trusted"
        hint = "check endpoint_url, and put the authority that signed it into AWS_CA_BUNDLE"
        return ArchiveRefused(message, archive=archive, hint=hint)
    if isinstance(error, _CONNECTION):
        message = f"{archive}: {place} cannot be reached ({name})"
        hint = "check endpoint_url, the network and its proxies; then resume"
        return ArchiveUnreachable(message, archive=archive, transient=True, retry_after=RETRY_AFTER, hint=hint)
    return ArchiveError(f"{archive}: a call to {place} failed ({name})", archive=archive)


def _answered(error: ClientError, archive: str, place: str, service: str, owner: str) -> ArchiveError:
    code = code_of(error)
    action = action_of(error, service)
    trace = _trace(error)
    if code in THROTTLED or status_of(error) == 429:
        wait = retry_after(error) or RETRY_AFTER
        message = f"{archive}: {place} asks us to slow down ({code})"
        hint = "nothing is lost; lower concurrency or the number of workers if this lasts"
        return ArchiveError(message, archive=archive, transient=True, retry_after=wait, hint=hint)
    if is_passing(error):
        wait = retry_after(error) or RETRY_AFTER
        message = f"{archive}: {place} failed for the moment: {code}, {trace}"
        return ArchiveUnreachable(message, archive=archive, transient=True, retry_after=wait, hint="try again later")
    if code in EXPIRED:
        message = f"{archive}: the credentials for {place} have expired"
        return ArchiveRefused(message, archive=archive, hint="renew them where the settings point to, then resume")
    if code in UNKNOWN_KEY:
        message = f"{archive}: {place} does not accept the credentials ({code})"
        return ArchiveRefused(message, archive=archive, hint="check the access key, its secret and the session token")
    if code == "RequestTimeTooSkewed":
        message = f"{archive}: {place} refuses requests because this machine's clock is wrong"
        return ArchiveRefused(message, archive=archive, hint="set the clock, by NTP")
    if code.startswith("KMS.") or code in ("KMSAccessDeniedException", "KMSDisabledException"):
        message = f"{archive}: the encryption key of {place} cannot be used ({code})"
        return ArchiveRefused(message, archive=archive, hint="check the key's state and policy (kms:GenerateDataKey)")
    if code in DENIED or status_of(error) == 403:
        message = f"{archive}: {action} is denied on {place} ({trace})"
        hint = f"allow {action} in the policy of the role, of the bucket, and of its key if it is encrypted"
        if owner:
            hint = f"check that it belongs to the account {owner}, and {hint}"
        return ArchiveRefused(message, archive=archive, hint=hint)
    if code in ("NoSuchBucket", "404", "ResourceNotFoundException"):
        message = f"{archive}: {place} is not there ({action})"
        return ArchiveUnreachable(message, archive=archive, hint="check its name, its region and endpoint_url")
    message = f"{archive}: {place} refused {action}: {code}, status {status_of(error)}, {trace}"
    return ArchiveError(message, archive=archive)


def _elsewhere(region: str, archive: str, place: str) -> ArchiveError:
    if region and _WORD.fullmatch(region):
        message = f"{archive}: {place} lies in the region {region}, not where the settings say"
        return ArchiveRefused(message, archive=archive, hint=f"set region = '{region}'")
    message = f"{archive}: the server behind {place} sent us elsewhere, which is not followed"
    return ArchiveRefused(message, archive=archive, hint="set region and endpoint_url to where it really is")


def _trace(error: ClientError) -> str:
    """The request's ID, which AWS's support asks for."""
    request = str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))
    return f"request {request}" if _WORD.fullmatch(request) else "no request ID"


def request_id(answer: Any) -> str:
    """The request ID of an answer, ``""`` where there is none; it is what an erasure's evidence keeps."""
    found = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
    return found if _WORD.fullmatch(found) else ""
