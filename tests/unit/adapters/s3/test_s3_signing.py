"""Our signatures are botocore's, whatever is signed."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_lifecycle.adapters.s3.signing import Credentials, encoded, signed

_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30)
_NAMES = st.from_regex(r"\A(x-amz-[a-z][a-z-]{0,12}|if-none-match|content-type|range|user-agent)\Z")
_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=50)
@given(
    method=st.sampled_from(["GET", "PUT"]),
    key=_TEXT,
    query=st.dictionaries(st.sampled_from(["versionId", "partNumber", "part-number"]), _TEXT.filter(bool), max_size=3),
    headers=st.dictionaries(_NAMES, _VALUES, max_size=4),
    token=st.sampled_from(["", "FwoGZXIvYXdzEA=="]),
    now=st.integers(1_600_000_000, 2_200_000_000).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC)),
)
def test_a_signature_is_the_one_that_botocore_makes(
    method: str, key: str, query: dict[str, str], headers: dict[str, str], token: str, now: dt.datetime
) -> None:
    path = f"/images/{quote(key, safe='/~')}"
    ours = signed(
        method,
        path,
        encoded(query),
        {**headers, "host": "s3.example:9000"},
        credentials=Credentials("AKIDEXAMPLE", "secret", token),
        region="eu-central-1",
        now=now,
    )
    url = f"http://s3.example:9000{path}"
    request: Any = AWSRequest(method, url, headers=headers, params=query, data=b"body" if method == "PUT" else b"")
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    signer: Any = botocore.auth.S3SigV4Auth(
        TheirCredentials("AKIDEXAMPLE", "secret", token or None), "s3", "eu-central-1"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now.replace(tzinfo=None))
        signer.add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_no_secret_is_in_the_text_of_credentials() -> None:
    assert "secret" not in repr(SimpleNamespace(of=Credentials("AKIDEXAMPLE", "secret", "secret-token")))
