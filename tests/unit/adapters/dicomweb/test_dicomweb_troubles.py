"""What a DICOMweb server does wrong becomes a named failure or error; nothing is lost, and nothing goes elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.one_object import SPEC, fetch
from peers.scripted_web import ANSWERS, PARTS, Scripted, part
from vna_lifecycle.adapters.dicomweb.multipart import BadMultipart, Parts
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveError, ArchiveReadOnly, ArchiveRefused
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Archive, FetchFailure, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance import EXAMPLES, site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import dicom_bytes

ATTEMPTS = 2


@pytest.fixture
def archive(server: Scripted, tmp_path: Path) -> Iterator[Archive]:
    opened = open_dicomweb(DicomwebSettings(url=server.url, read_timeout=2), site(tmp_path))
    yield opened
    opened.reads.close()


def test_a_retrieval_that_is_cut_off_is_a_failure_that_may_pass(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    server.script = lambda *_: (200, {"Content-Type": PARTS}, part(dicom_bytes(SPEC))[:-30])
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, FetchFailure)
    assert (item.code, item.transient) == ("broken-answer", True)
    assert SPEC.study_uid not in item.message


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (404, "missing-instance", False),
        (410, "missing-instance", False),
        (406, "not-acceptable", False),
        (500, "server-error", True),
        (418, "refused", False),
    ],
)
def test_a_status_about_one_object_is_that_objects_failure(
    server: Scripted, archive: Archive, tmp_path: Path, status: int, code: str, transient: bool
) -> None:
    server.script = lambda *_: (status, {}, b"")
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, FetchFailure)
    assert (item.code, item.transient) == (code, transient)


def test_another_object_than_the_wanted_one_is_noticed(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    server.script = lambda *_: (200, {"Content-Type": PARTS}, part(dicom_bytes(EXAMPLES[1])))
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, FetchFailure)
    assert item.code == "uid-mismatch"


def test_a_busy_archive_says_when_to_come_again(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    server.script = lambda *_: (429, {"Retry-After": "120"}, b"")
    with pytest.raises(ArchiveError) as caught:
        fetch(archive, tmp_path)
    assert (caught.value.transient, caught.value.retry_after) == (True, 120.0)


def test_a_redirect_elsewhere_is_not_followed_and_gets_no_credentials(server: Scripted, tmp_path: Path) -> None:
    elsewhere = Scripted()
    try:
        server.script = lambda *_: (302, {"Location": elsewhere.url + "/studies"}, b"")
        settings = DicomwebSettings(url=server.url, token=SecretReference("secret-token"))
        with pytest.raises(ArchiveRefused, match="another place"):
            open_dicomweb(settings, site(tmp_path))
        assert server.seen[0][2]["Authorization"] == "Bearer secret-token"
        assert elsewhere.seen == []
    finally:
        elsewhere.close()


def test_an_expired_token_is_told_by_name_without_being_shown(server: Scripted, tmp_path: Path) -> None:
    settings = DicomwebSettings(url=server.url, token=SecretReference("secret-token"))
    archive = open_dicomweb(settings, site(tmp_path))
    server.script = lambda *_: (401, {}, b"")
    with pytest.raises(ArchiveRefused, match="credentials") as caught:
        fetch(archive, tmp_path)
    archive.reads.close()
    assert not caught.value.transient
    assert "renew" in caught.value.hint
    assert "secret-token" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b'{"a": 1}', b"[1]"], ids=["html", "deep", "object", "no"])
def test_an_answer_that_is_no_list_of_data_sets_is_an_error(server: Scripted, archive: Archive, body: bytes) -> None:
    server.script = lambda *_: (200, {"Content-Type": ANSWERS}, body)
    with pytest.raises(ArchiveError, match="a search for studies"):
        list(archive.reads.find_studies(StudyQuery()))


def test_answers_that_are_capped_and_not_continued_are_never_taken_as_whole(server: Scripted, archive: Archive) -> None:
    studies = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(100)]
    server.script = lambda *_: (200, {"Content-Type": ANSWERS}, json.dumps(studies).encode())
    with pytest.raises(ArchiveError, match="does not tell all"):
        list(archive.reads.find_studies(StudyQuery()))


def _stow(server: Scripted, status: int, stored: list[dict[str, object]], failed: list[dict[str, object]]) -> None:
    body = json.dumps({"00081199": {"vr": "SQ", "Value": stored}, "00081198": {"vr": "SQ", "Value": failed}}).encode()
    server.script = lambda method, path, data: (
        (status, {"Content-Type": ANSWERS}, body) if method == "POST" else (200, {"Content-Type": ANSWERS}, b"[]")
    )


def _item(uid: str, **numbers: int) -> dict[str, object]:
    told = {tag.removeprefix("t"): {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
    return {"00081155": {"vr": "UI", "Value": [uid]}, **told}


def test_the_body_and_not_the_status_says_what_was_stored(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    items = written(tmp_path / "in", EXAMPLES[:4])
    first, second, third, fourth = (item.record.sop_instance_uid for item in items)
    _stow(
        server,
        202,
        [_item(first), _item(second, t00081196=0xB000)],
        [_item(third, t00081197=0xA700)],
    )
    assert archive.stores is not None
    answers = {answer.sop_instance_uid: answer for answer in archive.stores.store(study_of(SPEC), items)}
    one, two, three, four = (answers[uid] for uid in (first, second, third, fourth))
    assert isinstance(one, Receipt) and one.warnings == ()
    assert isinstance(two, Receipt) and two.warnings == ("B000",)
    assert isinstance(three, StoreFailure) and (three.code, three.transient) == ("out-of-resources", True)
    assert isinstance(four, StoreFailure) and (four.code, four.transient) == ("not-acknowledged", True)


def test_a_failure_without_a_known_reason_is_not_taken_to_pass(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    items = written(tmp_path / "in", EXAMPLES[:1])
    _stow(server, 409, [], [_item(SPEC.sop_instance_uid, t00081197=0x1234)])
    assert archive.stores is not None
    (answer,) = archive.stores.store(study_of(SPEC), items)
    assert isinstance(answer, StoreFailure)
    assert (answer.code, answer.transient) == ("refused", False)
    assert "1234" in answer.message


def test_an_archive_without_stow_is_read_only(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    server.script = lambda method, path, body: (
        (405, {}, b"") if method == "POST" else (200, {"Content-Type": ANSWERS}, b"[]")
    )
    assert archive.stores is not None
    with pytest.raises(ArchiveReadOnly):
        list(archive.stores.store(StudyRef(study_uid=SPEC.study_uid), written(tmp_path / "in", EXAMPLES[:1])))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("stated", [True, False])
def test_parts_are_the_same_however_the_body_is_cut(size: int, stated: bool) -> None:
    objects = [b"\r\n--X", b"", b"a" * 999 + b"\r\n--", b"\r\n\r\n"]
    body = b"preamble"
    for data in objects:
        length = f"Content-Length: {len(data)}\r\n".encode() if stated else b""
        body += b"\r\n--XX\r\n" + length + b"Content-Type: application/dicom\r\n\r\n" + data
    body += b"\r\n--XX--"
    parts = Parts((body[at : at + size] for at in range(0, len(body), size)), b"XX")
    found = []
    while parts.next():
        data = bytearray()
        parts.read(data.extend)
        found.append(bytes(data))
    assert found == objects


def test_a_body_that_is_cut_anywhere_is_noticed() -> None:
    whole = part(b"abc")[: -len(b"\r\n")]
    for end in range(len(whole)):
        parts = Parts([whole[:end]], b"XX")
        with pytest.raises(BadMultipart):
            while parts.next():
                parts.read(lambda data: None)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://pacs.example"},
        {"url": "https://me:secret@pacs.example"},
        {"url": "http://pacs.example", "token": SecretReference("env:T")},
        {"url": "https://pacs.example", "user": SecretReference("env:U")},
        {"url": "https://pacs.example", "qido_prefix": "../else"},
    ],
)
def test_settings_that_would_be_unsafe_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|need|together"):
        DicomwebSettings(**settings)  # type: ignore[arg-type]
