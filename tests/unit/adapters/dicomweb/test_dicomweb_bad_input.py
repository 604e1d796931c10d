"""The table of what a server may answer that is no answer, and what is told of it, for each verb."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

from peers.one_object import SPEC, fetch, left_in
from peers.scripted_web import ANSWERS, PARTS, Reply, Scripted, answers, part
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.config.secret import resolve_secret
from vna_lifecycle.errors import ArchiveError, ConfigurationError
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Archive, FetchFailure, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import dicom_bytes

ATTEMPTS = 2
_OBJECT = dicom_bytes(SPEC)
_BOMB = gzip.compress(bytes(1 << 20))
_FOUR_GB = str(4 << 30)


@frozen
class Row:
    """What is answered, and what is told: of the object when retrieved, of a search, and of the object when stored.

    ``-`` stands for an error of the archive as a whole, ``~`` for one that may pass; a failure of the object that may
    pass ends with ``!``.
    """

    name: str
    reply: Reply
    retrieved: str
    searched: str
    stored: str


def kind(content_type: str, body: bytes, **headers: str) -> Reply:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return 200, {"Content-Type": content_type, **told}, body


NO_JSON = "- archive: the answer to a search for studies is no JSON that can be read"
LOST = "~ archive: the connection failed (ProtocolError) during a search for studies"
SILENT = "not-acknowledged!"
OTHER = "bytes that are no object"  # they are read through, and refused, before they are stored anywhere

ROWS = [
    Row("nothing", (200, {}, b""), "no-object", "0 studies", SILENT),
    Row(
        "a-length-of-4-gb",
        kind("application/dicom", _OBJECT, Content_Length=_FOUR_GB),
        "breaks-off-large",
        LOST,
        "broken-answer!",
    ),
    Row("json-of-4-gb", kind(ANSWERS, b"[]", Content_Length=_FOUR_GB), "no-object", LOST, "broken-answer!"),
    Row("a-negative-length", kind(PARTS, part(_OBJECT), Content_Length="-1"), "the object", NO_JSON, SILENT),
    Row("no-length", kind(PARTS, part(_OBJECT), Content_Length="many"), "the object", NO_JSON, SILENT),
    Row(
        "a-bomb",
        kind(ANSWERS, _BOMB, Content_Encoding="gzip"),
        "- archive: answered a retrieval compressed, although it was asked not to",
        "- archive: answered a search for studies compressed, although it was asked not to",
        "- archive: answered a store request compressed, although it was asked not to",
    ),
    Row("a-bomb-in-transfer", kind(ANSWERS, _BOMB, Transfer_Encoding="gzip"), "no-object", NO_JSON, SILENT),
    Row("a-bomb-that-is-not-called-one", kind("application/dicom", _BOMB), OTHER, NO_JSON, SILENT),
    Row("parts-without-a-boundary", kind("multipart/related", part(_OBJECT)), "broken-answer!", NO_JSON, SILENT),
    Row("parts-of-mail", kind("multipart/mixed; boundary=XX", part(_OBJECT)), "the object", NO_JSON, SILENT),
    Row(
        "an-endless-boundary",
        kind("multipart/related; boundary=" + "X" * 5_000, part(_OBJECT)),
        "broken-answer!",
        NO_JSON,
        SILENT,
    ),
    Row("parts-in-parts", kind(PARTS, part(part(_OBJECT))), OTHER, NO_JSON, SILENT),
    Row("parts-cut", kind(PARTS, part(_OBJECT)[:-40]), "broken-answer!", NO_JSON, SILENT),
    Row("no-parts", kind(PARTS, b"--XX--\r\n"), "broken-answer!", NO_JSON, SILENT),
    Row(
        "json-cut",
        kind(ANSWERS, json.dumps([{"0020000D": {"vr": "UI", "Value": ["1.2"]}}]).encode()[:-3]),
        "no-object",
        NO_JSON,
        SILENT,
    ),
    Row("json-in-utf-16", kind(ANSWERS, "[]".encode("utf-16")), "no-object", "0 studies", SILENT),
    Row(
        "json-of-numbers",
        kind(ANSWERS, b"[NaN, 1e999]"),
        "no-object",
        "- archive: the answer to a search for studies is no list of data sets",
        SILENT,
    ),
    Row("xml", kind("application/dicom+xml", b"<NativeDicomModel/>"), "no-object", NO_JSON, SILENT),
    Row(
        "a-page",
        kind("text/html", b"<html>log in</html>"),
        "- archive: answered a retrieval with a web page, as for a person who is to log in",
        "- archive: answered a search for studies with a web page, as for a person who is to log in",
        "- archive: answered a store request with a web page, as for a person who is to log in",
    ),
    Row(
        "a-redirect-elsewhere",
        (302, {"Location": "http://127.0.0.2:1/studies"}, b""),
        "- archive: answered a retrieval by sending us to another place, which was not followed",
        "- archive: answered a search for studies by sending us to another place, which was not followed",
        "- archive: answered a store request by sending us to another place, which was not followed",
    ),
    Row(
        "expired",
        (401, {"WWW-Authenticate": "Bearer"}, b""),
        "- archive: does not accept our credentials, or no longer",
        "- archive: does not accept our credentials, or no longer",
        "- archive: does not accept our credentials, or no longer",
    ),
    Row(
        "forbidden",
        (403, {}, b""),
        "- archive: does not allow a retrieval",
        "- archive: does not allow a search for studies",
        "- archive: does not allow a store request",
    ),
    Row(
        "busy-for-ever",
        (429, {"Retry-After": "9" * 400}, b""),
        "~ archive: answered a retrieval with HTTP status 429",
        "~ archive: answered a search for studies with HTTP status 429",
        "~ archive: answered a store request with HTTP status 429",
    ),
    Row(
        "busy-until-the-year-9999",
        (503, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, b""),
        "~ archive: answered a retrieval with HTTP status 503",
        "~ archive: answered a search for studies with HTTP status 503",
        "~ archive: answered a store request with HTTP status 503",
    ),
    Row(
        "broken",
        (500, {}, b"Traceback"),
        "server-error!",
        "~ archive: answered a search for studies with HTTP status 500",
        "server-error!",
    ),
    Row(
        "out-of-room",
        (507, {}, b""),
        "server-error!",
        "~ archive: answered a search for studies with HTTP status 507",
        "- archive: has no room left, as its HTTP status 507 says",
    ),
    Row(
        "an-unknown-status",
        (799, {}, b""),
        "server-error!",
        "~ archive: answered a search for studies with HTTP status 799",
        "server-error!",
    ),
]


@pytest.fixture
def archive(server: Scripted, tmp_path: Path) -> Iterator[Archive]:
    opened = open_dicomweb(DicomwebSettings(url=server.url, read_timeout=2), site(tmp_path))
    yield opened
    opened.reads.close()


def told(ask: Callable[[], str]) -> str:
    """What is told, in the words of `Row`."""
    try:
        return ask()
    except ArchiveError as error:
        assert SPEC.study_uid not in str(error)
        assert error.hint
        assert error.retry_after is None or error.retry_after <= 3_600
        return f"{'~' if error.transient else '-'} {error}"


def retrieve(archive: Archive, folder: Path) -> str:
    (item,) = fetch(archive, folder)
    if not isinstance(item, FetchFailure):
        return "the object" if item.path.read_bytes() == _OBJECT else OTHER
    assert left_in(folder) == 0
    return item.code + "!" * item.transient


def search(archive: Archive) -> str:
    return f"{len(list(archive.reads.find_studies(StudyQuery())))} studies"


def store(archive: Archive, folder: Path) -> str:
    assert archive.stores is not None
    (answer,) = archive.stores.store(study_of(SPEC), written(folder / "in", [SPEC]))
    return answer.code + "!" * answer.transient if isinstance(answer, StoreFailure) else "stored"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_verb_tells_by_name_what_it_was_answered(
    server: Scripted, archive: Archive, tmp_path: Path, row: Row
) -> None:
    server.script = lambda *_: row.reply
    got = [told(lambda: retrieve(archive, tmp_path)), told(lambda: search(archive))]
    server.script = lambda method, *_: row.reply if method == "POST" else answers()
    got.append(told(lambda: store(archive, tmp_path)))
    assert [row.retrieved, row.searched, row.stored] == got


@pytest.mark.parametrize("reference", ["env:NOT_SET_ANYWHERE", "file:not/there"])
def test_a_secret_that_is_not_there_is_told_before_anything_is_sent(
    server: Scripted, tmp_path: Path, reference: str
) -> None:
    ours = evolve(site(tmp_path), secret=lambda one: resolve_secret(one, tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        open_dicomweb(DicomwebSettings(url=server.url, token=SecretReference(reference)), ours)
    assert "NOT_SET_ANYWHERE" in str(caught.value) or "not/there" in str(caught.value)
    assert server.seen == []
