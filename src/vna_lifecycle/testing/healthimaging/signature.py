"""Checking Signature Version 4 as the service does: by botocore's own signer, over what a request says it signed."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vna_lifecycle.testing.healthimaging.protocol import SERVICE
from vna_lifecycle.testing.healthimaging.trouble import ServiceError

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


@frozen(kw_only=True)
class Keys:
    """The credentials that the fake accepts."""

    access_key_id: str = "AKIAFAKEFAKEFAKEFAKE"
    secret_access_key: str = "fake/secret/of/the/fake/health/imaging/00"  # noqa: S105 - of the fake alone

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Let a request in whose signature is right. ``headers`` are by lower-case name.

        Raises:
            ServiceError: it is not signed, by another key, for another service, or wrongly.
        """
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None:
            raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        key, _, region, service, signed, signature = found.groups()
        if key != self.access_key_id:
            raise ServiceError("UnrecognizedClientException", "The security token included is invalid", 403)
        if service != SERVICE or not hmac.compare_digest(
            self._signature(method, target, headers, body, region, signed.split(";")), signature
        ):
            raise ServiceError("InvalidSignatureException", "The request signature does not match", 403)

    def _signature(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, region: str, signed: list[str]
    ) -> str:
        parts = urlsplit(target)
        request = AWSRequest(
            method=method,
            url=f"http://{headers.get('host', '')}{parts.path}",
            params=dict(parse_qsl(parts.query, keep_blank_values=True)),
            data=body,
            headers={name: headers.get(name, "") for name in signed},
        )
        request.context["timestamp"] = headers.get("x-amz-date", "")
        signer = SigV4Auth(Credentials(self.access_key_id, self.secret_access_key), SERVICE, region)
        canonical = signer.canonical_request(request)
        return str(signer.signature(signer.string_to_sign(request, canonical), request))
