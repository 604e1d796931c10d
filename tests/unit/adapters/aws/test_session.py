"""How clients of AWS read what the services say."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from peers.s3 import Script
from vna_lifecycle.adapters.aws.session import open_s3, parse_time
from vna_lifecycle.adapters.s3.settings import S3Settings
from vna_lifecycle.plugin import SecretReference

_TIMES = st.integers(0, 253_402_300_799).map(lambda seconds: dt.datetime.fromtimestamp(seconds + 0.5, dt.UTC))


@given(_TIMES)
def test_times_are_read_as_botocore_reads_them(moment: dt.datetime) -> None:
    """In headers, in listings with and without fractions, and as seconds."""
    for text in (
        moment.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
        moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        int(moment.timestamp()),
        str(int(moment.timestamp())),
    ):
        assert parse_time(text) == parse_timestamp(text)
        assert parse_time(text).tzinfo is not None


@pytest.mark.parametrize(
    "text", ["2024-02-30T00:00:00Z", "Wed, 99 Feb 2024 00:00:00 GMT", "yesterday", "", "2024-13-01T00:00:00Z"]
)
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


def test_other_forms_of_time_are_left_to_botocore() -> None:
    for text in ("2024-02-29T12:00:00+02:00", "Thu, 29 Feb 2024 12:00:00 +0200", "2024-02-29"):
        assert parse_time(text) == parse_timestamp(text)


def test_clients_read_times_so(scripted: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a header of one answer, and in the body of another."""
    monkeypatch.setattr("botocore.parsers.DEFAULT_TIMESTAMP_PARSER", None)  # what clients would use otherwise
    secrets = {"k": "key", "s": "secret"}
    access = S3Settings(
        bucket="images",
        endpoint_url=scripted.endpoint_url,
        access_key_id=SecretReference("k"),
        secret_access_key=SecretReference("s"),
    )
    client = open_s3(access, secrets.__getitem__)
    then = dt.datetime(2024, 2, 29, 12, 30, 1, tzinfo=dt.UTC)
    scripted.lines.append((200, {"Last-Modified": "Thu, 29 Feb 2024 12:30:01 GMT"}, b""))
    assert client.head_object(Bucket="b", Key="k")["LastModified"] == then
    contents = b"<Contents><LastModified>2024-02-29T12:30:01.000Z</LastModified></Contents>"
    scripted.lines[:] = [(200, {}, b"<ListBucketResult>" + contents + b"</ListBucketResult>")]
    assert client.list_objects_v2(Bucket="b")["Contents"][0]["LastModified"] == then
