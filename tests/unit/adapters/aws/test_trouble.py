"""AWS's troubles become errors that say what to do, and never a credential."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import stamina
from attrs import frozen

from peers.s3 import Script
from vna_lifecycle.adapters.aws import settings as fields
from vna_lifecycle.adapters.aws.attempts import Attempts
from vna_lifecycle.adapters.aws.session import open_s3
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable, ConfigurationError
from vna_lifecycle.plugin import SecretReference

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SECRETS = {"env:KEY": "AKIACANARYCANARY", "env:SECRET": "canary/secret/canary", "env:TOKEN": "canary-token"}
PLACE = "the bucket images"


@frozen(kw_only=True)
class Settings:
    """As an archive's settings class has them."""

    region: str = fields.region()
    endpoint_url: str = fields.endpoint_url()
    profile: str = fields.profile()
    access_key_id: SecretReference | None = fields.access_key_id()
    secret_access_key: SecretReference | None = fields.secret_access_key()
    session_token: SecretReference | None = fields.session_token()
    max_attempts: int = fields.max_attempts()
    connect_timeout: float = fields.connect_timeout()
    read_timeout: float = fields.read_timeout()
    concurrency: int = fields.concurrency()


def settings(endpoint_url: str, **more: object) -> Settings:
    return Settings(
        endpoint_url=endpoint_url,
        access_key_id=SecretReference("env:KEY"),
        secret_access_key=SecretReference("env:SECRET"),
        session_token=SecretReference("env:TOKEN"),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
def _no_waiting() -> object:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def client(scripted: Script) -> S3Client:
    return open_s3(settings(scripted.endpoint_url), SECRETS.__getitem__)


def trouble(call: Callable[[], object], *, owner: str = "") -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        Attempts(archive="vna", place=PLACE, owner=owner, limit=2)(call)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", ArchiveRefused, "s3:ListBucket is denied on the bucket images"),
        (403, "InvalidAccessKeyId", ArchiveRefused, "does not accept the credentials (InvalidAccessKeyId)"),
        (403, "SignatureDoesNotMatch", ArchiveRefused, "does not accept the credentials"),
        (403, "RequestTimeTooSkewed", ArchiveRefused, "this machine's clock is wrong"),
        (400, "ExpiredToken", ArchiveRefused, "have expired"),
        (404, "NoSuchBucket", ArchiveUnreachable, "the bucket images is not there"),
        (400, "KMS.DisabledException", ArchiveRefused, "encryption key"),
        (501, "NotImplemented", ArchiveError, "refused s3:ListBucket: NotImplemented, status 501"),
    ],
)
def test_each_trouble_is_named(
    scripted: Script, client: S3Client, status: int, code: str, kind: type[ArchiveError], words: str
) -> None:
    scripted.say(status, code)
    error = trouble(lambda: client.list_objects_v2(Bucket="images"))
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith("vna: ")
    assert not error.transient
    assert len(scripted.seen) == 1, "what cannot pass is not tried again"


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (429, "TooManyRequests"), (400, "Throttling")])
def test_a_throttled_call_is_tried_again_and_then_put_off_for_as_long_as_the_server_says(
    scripted: Script, client: S3Client, status: int, code: str
) -> None:
    scripted.say(status, code, {"Retry-After": "7"})
    error = trouble(lambda: client.list_objects_v2(Bucket="images"))
    assert (error.transient, error.retry_after) == (True, 7.0)
    assert "slow down" in str(error)
    assert len(scripted.seen) == 2


def test_a_wait_that_is_longer_than_attempts_may_last_is_left_to_the_program(
    scripted: Script, client: S3Client
) -> None:
    scripted.say(503, "SlowDown", {"Retry-After": "3600"})
    error = trouble(lambda: client.list_objects_v2(Bucket="images"))
    assert (error.transient, error.retry_after, len(scripted.seen)) == (True, 3600.0, 1)


def test_a_call_that_succeeds_at_its_second_try_is_no_trouble(scripted: Script, client: S3Client) -> None:
    scripted.say(500, "InternalError")
    scripted.say(200)
    Attempts(archive="vna", place=PLACE)(lambda: client.head_bucket(Bucket="images"))
    assert len(scripted.seen) == 2


@pytest.mark.parametrize(
    ("status", "code", "headers", "more"),
    [
        (301, "PermanentRedirect", {"x-amz-bucket-region": "eu-central-1"}, ""),
        (400, "AuthorizationHeaderMalformed", {}, "<Region>eu-central-1</Region>"),
        (400, "", {"x-amz-bucket-region": "eu-central-1"}, ""),
    ],
)
def test_the_wrong_region_is_told_with_the_right_one(
    scripted: Script, client: S3Client, status: int, code: str, headers: dict[str, str], more: str
) -> None:
    scripted.say(status, code, headers, more)
    ask = client.list_objects_v2 if code else client.head_bucket  # the answer to a HEAD has no body
    error = trouble(lambda: ask(Bucket="images"))
    assert isinstance(error, ArchiveRefused)
    assert "eu-central-1" in str(error)
    assert error.hint == "set region = 'eu-central-1'"
    assert len(scripted.seen) == 1, "nothing is sent after it"


def test_a_redirect_to_another_host_is_not_followed(scripted: Script, client: S3Client) -> None:
    scripted.say(307, "TemporaryRedirect", {"Location": f"{scripted.endpoint_url}/elsewhere"})
    error = trouble(lambda: client.put_object(Bucket="images", Key="k", Body=b"pixels"))
    assert "sent us elsewhere" in str(error)
    assert [path for _, path, _ in scripted.seen] == ["/images/k"]


def test_a_bucket_of_another_owner_is_suspected_where_an_owner_was_expected(scripted: Script, client: S3Client) -> None:
    scripted.say(403, "AccessDenied")
    error = trouble(lambda: client.head_bucket(Bucket="images"), owner="111122223333")
    assert "111122223333" in error.hint


def test_an_endpoint_that_nobody_listens_on_is_unreachable_and_passing() -> None:
    client = open_s3(settings("http://127.0.0.1:9", connect_timeout=2.0), SECRETS.__getitem__)
    error = trouble(lambda: client.head_bucket(Bucket="images"))
    assert isinstance(error, ArchiveUnreachable)
    assert error.transient
    assert "cannot be reached" in str(error)


def test_no_credentials_at_all_is_said(monkeypatch: pytest.MonkeyPatch, scripted: Script) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    client = open_s3(Settings(endpoint_url=scripted.endpoint_url), SECRETS.__getitem__)
    error = trouble(lambda: client.head_bucket(Bucket="images"))
    assert "there are no credentials" in str(error)
    assert scripted.seen == []


def test_half_a_pair_of_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="go together"):
        open_s3(Settings(access_key_id=SecretReference("env:KEY")), SECRETS.__getitem__)


@pytest.mark.parametrize("url", ["ftp://s3.example", "https://user:pass@s3.example", "s3.example:9000", "https://"])
def test_an_endpoint_must_be_a_plain_url(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Settings(endpoint_url=url)


def test_credentials_are_in_no_message_log_or_traceback(
    scripted: Script, client: S3Client, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.say(403, "AccessDenied", more=f"<Token>{SECRETS['env:TOKEN']}</Token>")
    text = io.StringIO()
    with caplog.at_level(logging.INFO):
        try:
            Attempts(archive="vna", place=PLACE)(lambda: client.head_bucket(Bucket="images"))
        except ArchiveError as error:
            traceback.print_exception(error, file=text)
            text.write(repr(error.__dict__))
    shown = text.getvalue() + caplog.text + repr(settings(scripted.endpoint_url))
    assert not [secret for secret in SECRETS.values() if secret in shown]
    assert "Traceback" in shown
