"""The two calls that carry objects, without most of what botocore does around each call.

A program makes two of them for each object, and botocore spends about as much time around them as the server needs to
answer. Here the bucket's address and the way to sign are found once, `signing` signs, and `wire` does the exchange.
botocore finds the address, the credentials, and what renews them; it serializes parameters, makes connections, and
reads errors. What it would do in another way (through a proxy, with other signatures) it does itself.
"""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from attrs import frozen
from botocore.awsrequest import AWSPreparedRequest, HeadersDict

from vna_lifecycle.adapters.aws.session import refuse_redirect
from vna_lifecycle.adapters.s3.signing import Credentials, encoded, signed
from vna_lifecycle.adapters.s3.wire import Answer, Wire

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_boto3_s3 import S3Client

_LOG: Final = logging.getLogger(__name__)
_CHUNK: Final = 1 << 20
_REFUSED: Final = 300
_PORTS: Final = {"http": 80, "https": 443}


@frozen(kw_only=True)
class _Route:
    """The way to a bucket: what is the same for all keys. ``path`` is what its keys' paths begin with."""

    origin: str
    path: str
    headers: dict[str, str]
    region: str
    credentials: Any
    wire: Wire


class Direct:
    """Puts and gets objects of one bucket. Errors are the client's, and urllib3's where no connection is made."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        """Nothing is sent, and nothing is looked up but in the client's settings."""
        self._client = cast("Any", client)  # what is used of it here has no types
        self._route: _Route | None = None
        try:
            self._serialize = self._client._serializer.serialize_to_request
            self._parser_for = self._client._endpoint._response_parser_factory.create_parser
            self._route = _route(self._client, bucket)
        except (AttributeError, KeyError, TypeError) as error:  # none of it is promised by botocore
            _LOG.info("this version of botocore makes all requests itself, which is slower: %s", error)

    def put(self, parameters: dict[str, Any], body: bytes) -> None:
        """The client's ``put_object``, with a body that is in memory and has its checksum among the parameters.

        Raises:
            ClientError: the server refuses.
            BotoCoreError: no answer came, or it was a redirect.
            HTTPError: there is no connection.
        """
        if self._route is None:
            self._client.put_object(**parameters, Body=body)
        else:
            self._call(self._route, "PutObject", parameters, body)

    def get(self, parameters: dict[str, Any], into: BinaryIO) -> int:
        """The client's ``get_object``, into a file; how many bytes.

        Raises:
            ClientError: the server refuses.
            BotoCoreError: no answer came, or not all of it, or it was a redirect.
            HTTPError: there is no connection.
            OSError: the file cannot be written.
        """
        if self._route is not None:
            return self._call(self._route, "GetObject", parameters, into=into).size
        with closing(self._client.get_object(**parameters)["Body"]) as body:
            return sum(into.write(chunk) for chunk in body.iter_chunks(_CHUNK))

    def _call(
        self, route: _Route, name: str, parameters: dict[str, Any], body: bytes = b"", into: BinaryIO | None = None
    ) -> Answer:
        meta = self._client.meta
        events, model = meta.events, meta.service_model.operation_model(name)
        parameters = {**parameters}
        events.emit(f"before-parameter-build.s3.{name}", params=parameters, model=model, context={})
        asked = self._serialize(parameters, model)
        method, path, query = asked["method"], f"{route.path}{asked['url_path']}", encoded(asked["query_string"])
        headers = {**route.headers, **{name.lower(): value for name, value in asked["headers"].items()}}
        if body:
            headers["content-length"] = str(len(body))
        frozen = route.credentials.get_frozen_credentials()  # renewed if need be
        complete: Any = signed(
            method,
            path,
            query,
            headers,
            credentials=Credentials(frozen.access_key, frozen.secret_key, frozen.token or ""),
            region=route.region,
            now=dt.datetime.now(dt.UTC),
        )
        url = f"{route.origin}{path}?{query}" if query else f"{route.origin}{path}"
        request = AWSPreparedRequest(method, url, complete, body, stream_output=model.has_streaming_output)
        _, said = events.emit_until_response(f"before-send.s3.{name}", request=request)
        answer = route.wire.exchange(request, into) if said is None else _told(said, into)
        if answer.status >= _REFUSED:
            raise self._refusal(model, answer)
        return answer

    def _refusal(self, model: OperationModel, answer: Answer) -> Exception:
        """The client's error for an answer.

        Raises:
            RedirectRefused: it sends us elsewhere.
        """
        parser = self._parser_for(model.metadata["protocol"])
        parsed = parser.parse(
            {
                "status_code": answer.status,
                "headers": HeadersDict(answer.headers),
                "body": answer.body,
                "context": {"operation_name": model.name},
            },
            model.output_shape,
        )
        refuse_redirect(answer.status, parsed)
        error: Exception = self._client.exceptions.from_code(parsed.get("Error", {}).get("Code"))(parsed, model.name)
        return error


def _route(client: Any, bucket: str) -> _Route | None:
    """The way to a bucket; None where only botocore knows it."""
    model = client.meta.service_model.operation_model("GetObject")
    context: dict[str, Any] = {
        "client_region": client.meta.region_name,
        "client_config": client.meta.config,
        "auth_type": model.resolved_auth_type,
        "unsigned_payload": model.unsigned_payload,
    }
    address, more, _ = client._resolve_endpoint_ruleset(model, {"Bucket": bucket, "Key": "-"}, context)
    signing, credentials = context.get("signing", {}), client._request_signer._credentials
    usual = (
        credentials is not None
        and not more
        and client._request_signer._choose_signer(model.name, "standard", context) in ("v4", "s3v4")
        and signing.get("signing_name") == "s3"
    )
    session = client._endpoint.http_session
    if not usual or session._proxy_config.proxy_url_for(address) is not None:
        return None
    parts = urlsplit(address)
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return _Route(
        origin=f"{parts.scheme}://{parts.netloc}",
        path=parts.path.rstrip("/"),
        headers={"host": f"{host}{port}", "user-agent": client._user_agent_creator.to_string()},
        region=signing["region"],
        credentials=credentials,
        wire=Wire(session, address, client.meta.config.read_timeout),
    )


def _told(said: Any, into: BinaryIO | None) -> Answer:
    """The answer of a handler, which botocore lets answer in the server's place."""
    body = said.content
    if into is not None and said.status_code < _REFUSED:
        into.write(body)
    headers = {str(name).lower(): str(value) for name, value in said.headers.items()}
    return Answer(status=said.status_code, headers=headers, body=body, size=len(body))
