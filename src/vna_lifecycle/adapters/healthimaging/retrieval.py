"""DICOMweb's RetrieveInstance (PS3.18 10.4) of the service: a DICOM file with its frames as they are stored.

The endpoint is in no SDK, so requests are signed here (Signature Version 4). Redirects are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session

from vna_lifecycle.adapters.aws.trouble import RedirectRefused
from vna_lifecycle.adapters.healthimaging.access import SERVICE, Access
from vna_lifecycle.adapters.healthimaging.library import GONE

NOT_THIS: Final = (*GONE, "NotAcceptableException", "406", "ValidationException", "ConflictException")
"""Answers about one instance rather than about the data store."""

_ACCEPT: Final = "application/dicom; transfer-syntax=*"
_CHUNK: Final = 1 << 20


class Retrieval:
    """Retrieves instances of one data store."""

    def __init__(self, access: Access) -> None:
        """``access`` says which."""
        self._access = access
        settings = access.settings
        host = f"https://dicom-medical-imaging.{access.region}.amazonaws.com"
        self._base = (settings.dicomweb_url or settings.endpoint_url or host).rstrip("/")
        self._http = URLLib3Session(
            timeout=(settings.connect_timeout, settings.read_timeout),  # type: ignore[arg-type]  # the stubs forget it
            max_pool_connections=max(10, settings.concurrency + 2),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def download(self, path: Path, *, study: str, series: str, sop_instance: str, image_set: str) -> int:
        """Stream an instance into a file, from its beginning at each attempt; how many bytes.

        Raises:
            ClientError: with one of the codes `NOT_THIS`.
            ArchiveError: the data store does not answer as it should.
            OSError: the file cannot be written.
        """
        where = f"studies/{quote(study)}/series/{quote(series)}/instances/{quote(sop_instance)}"
        url = f"{self._base}/datastore/{self._access.datastore_id}/{where}?imageSetId={quote(image_set)}"

        def stream() -> int:
            with path.open("wb") as file:
                return sum(file.write(chunk) for chunk in self._get(url))

        return self._access.attempt(stream, expected=NOT_THIS)

    def _get(self, url: str) -> Iterator[bytes]:
        response = self._http.send(self._signed(url))
        if response.status_code != 200:
            raise _refusal(response)
        yield from response.raw.stream(_CHUNK, decode_content=False)

    def _signed(self, url: str) -> Any:
        credentials = self._access.session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        request = AWSRequest(method="GET", url=url, headers={"Accept": _ACCEPT}, stream_output=True)
        SigV4Auth(credentials.get_frozen_credentials(), SERVICE, self._access.region or "").add_auth(request)
        return request.prepare()


def _refusal(response: Any) -> Exception:
    """An answer that is no instance, as botocore would have raised it."""
    if 300 <= response.status_code < 400:
        response.raw.close()
        return RedirectRefused(region="")
    response.raw.drain_conn()
    headers = {name.lower(): value for name, value in response.headers.items()}
    code = str(headers.get("x-amzn-errortype", "")).partition(":")[0] or str(response.status_code)
    return ClientError(
        {
            "Error": {"Code": code, "Message": ""},
            "ResponseMetadata": {
                "HTTPStatusCode": response.status_code,
                "HTTPHeaders": headers,
                "RequestId": str(headers.get("x-amzn-requestid", "")),
                "HostId": "",
                "RetryAttempts": 0,
            },
        },
        "GetDICOMInstance",
    )
