"""rest-json by botocore's own service model: which operation a request is, what it asks, and how it is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import botocore.session
from attrs import frozen
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from vna_lifecycle.testing.healthimaging.trouble import ServiceError, invalid

SERVICE: Final = "medical-imaging"
_JSON: Final = "application/json"


@lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """The model that the installed botocore drives its clients by."""
    return botocore.session.get_session().get_service_model(SERVICE)


@frozen(kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@lru_cache(maxsize=1)
def _routes() -> list[tuple[str, re.Pattern[str], OperationModel]]:
    found = []
    for name in service_model().operation_names:
        operation = service_model().operation_model(name)
        path = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.http["requestUri"])
        found.append((operation.http["method"], re.compile(path), operation))
    return found


def route(method: str, target: str) -> tuple[OperationModel, dict[str, str]]:
    """The operation that a request is, and what its path says.

    Raises:
        ServiceError: there is no such operation.
    """
    path = urlsplit(target).path
    for wanted, pattern, operation in _routes():
        match = pattern.fullmatch(path) if wanted == method else None
        if match:
            return operation, {name: unquote(value) for name, value in match.groupdict().items()}
    raise ServiceError("UnknownOperationException", "no such operation", 404)


def read(operation: OperationModel, path: Mapping[str, str], target: str, body: bytes) -> dict[str, Any]:
    """What a request asks, by member, checked against the model.

    Raises:
        ServiceError: it does not keep to the model.
    """
    shape = _shape(operation.input_shape)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(target).query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    payload = shape.serialization.get("payload")
    try:
        document = json.loads(body) if body else {}
    except ValueError:
        raise invalid("the body is not JSON") from None
    asked: dict[str, Any] = {}
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        wire = member.serialization.get("name", name)
        if place == "uri":
            asked[name] = path[wire]
        elif place == "querystring":
            if wire in query:
                asked[name] = query[wire] if isinstance(member, ListShape) else _scalar(member, query[wire][0])
        elif name == payload:
            if document:
                asked[name] = document
        elif payload is None and name in document:
            asked[name] = document[name]
    problem = next(breaches(shape, asked), None)
    if problem:
        raise invalid(problem)
    return asked


def _scalar(shape: Shape, text: str) -> Any:
    if shape.type_name == "boolean":
        return text == "true"
    return int(text) if shape.type_name == "integer" and text.lstrip("-").isdigit() else text


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "timestamp": (int, float),
    "string": (str,),
    "blob": (str, bytes),
    "structure": (dict,),
    "list": (list,),
    "map": (dict,),
}


def _shape(shape: StructureShape | None) -> StructureShape:
    """Every operation of this service has an input and an output."""
    if shape is None:
        raise TypeError("the model describes no such message")
    return shape


def breaches(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Where a value does not keep to its shape, one sentence each; no value is quoted."""
    where = path or shape.name
    fits: bool = isinstance(value, _TYPES[shape.type_name])  # named, so that mypy leaves the value as it is
    if not fits or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"{where} is not of the type {shape.type_name}"
        return
    if isinstance(shape, StructureShape):
        yield from _of_structure(shape, value, path)
    elif isinstance(shape, ListShape):
        for item in value:
            yield from breaches(shape.member, item, f"{where}[]")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from breaches(shape.key, key, f"{where} key")
            yield from breaches(shape.value, item, f"{where} value")
    yield from _of_limits(shape, value, where)


def _of_structure(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    start = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"{start}{name} is required"
    for name, item in value.items():
        if name not in shape.members:
            yield f"{start}{name} is not known"
        else:
            yield from breaches(shape.members[name], item, f"{start}{name}")
    if shape.is_tagged_union and len(value) != 1:
        yield f"{path or shape.name} needs exactly one member"


def _of_limits(shape: Shape, value: Any, where: str) -> Iterator[str]:
    limits = shape.metadata
    amount = value if shape.type_name in ("integer", "long", "float") else None
    if shape.type_name in ("string", "blob", "list", "map"):
        amount = len(value)
    if amount is not None and not limits.get("min", amount) <= amount <= limits.get("max", amount):
        yield f"{where} is out of range"
    pattern = limits.get("pattern", "")
    if shape.type_name == "string":
        if limits.get("enum") and value not in limits["enum"]:
            yield f"{where} is none of the known values"
        if pattern and r"\p{" not in pattern and not re.fullmatch(pattern, value):
            yield f"{where} does not match its pattern"


def reply(operation: OperationModel, answer: Mapping[str, Any]) -> Reply:
    """An answer on the wire.

    Raises:
        AssertionError: it does not keep to the model: this fake has drifted.
    """
    shape = _shape(operation.output_shape)
    problems = list(breaches(shape, dict(answer)))
    if problems:
        raise AssertionError(f"{operation.name}: {'; '.join(problems)}")
    headers, rest = {}, {}
    payload = shape.serialization.get("payload")
    body: bytes | None = None
    for name, value in answer.items():
        member = shape.members[name]
        if name == payload:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
        elif member.serialization.get("location") == "header":
            headers[member.serialization["name"]] = str(value)
        else:
            rest[member.serialization.get("name", name)] = value
    if body is None:
        body = json.dumps(rest).encode()
    return Reply(status=operation.http.get("responseCode", 200), body=body, headers={"Content-Type": _JSON, **headers})


def refusal(error: ServiceError) -> Reply:
    """An error on the wire."""
    model = service_model()
    status = error.status
    if not status:
        status = int(model.shape_for(error.kind).metadata["error"]["httpStatusCode"]) if _known(error.kind) else 500
    headers = {"Content-Type": _JSON, "x-amzn-ErrorType": error.kind}
    return Reply(status=status, body=json.dumps({"message": str(error)}).encode(), headers=headers)


def _known(kind: str) -> bool:
    return kind in service_model().shape_names
