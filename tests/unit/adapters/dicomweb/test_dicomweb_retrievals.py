"""What comes in place of an object: pages, pieces, references, half, too much. Each has a name; none is kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve

from peers.one_object import SPEC, failure, fetch, record
from peers.scripted_web import ANSWERS, PARTS, Reply, Scripted, answers, part, retrieved
from vna_lifecycle.adapters.dicomweb import receiving
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveError, ArchiveRefused
from vna_lifecycle.plugin import SecretReference
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Receipt, StudyQuery
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import dicom_bytes

ATTEMPTS = 4
_OBJECT = dicom_bytes(SPEC)
_MIB = 1 << 20


@pytest.fixture
def archive(server: Scripted, tmp_path: Path) -> Iterator[Archive]:
    settings = DicomwebSettings(url=server.url, read_timeout=2, largest_object=_MIB)
    opened = open_dicomweb(settings, site(tmp_path))
    server.seen.clear()
    yield opened
    opened.reads.close()


# --------------------------------------------------------------------------------------------------------- pages


PAGE: Reply = (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please log in</html>")


@pytest.mark.parametrize("verb", ["search", "retrieval", "store"])
def test_a_login_page_is_no_success_and_stops_the_wave_with_advice(
    server: Scripted, archive: Archive, tmp_path: Path, verb: str
) -> None:
    server.script = lambda method, path, body: PAGE if (method == "POST") == (verb == "store") else answers()
    with pytest.raises(ArchiveRefused, match=f"answered a {verb}.* with a web page") as caught:
        if verb == "search":
            list(archive.reads.find_studies(StudyQuery()))
        elif verb == "retrieval":
            fetch(archive, tmp_path)
        else:
            assert archive.stores is not None
            list(archive.stores.store(study_of(SPEC), written(tmp_path / "in", [SPEC])))
    assert "renew the token" in caught.value.hint
    assert len([method for method, _, _ in server.seen if (method == "POST") == (verb == "store")]) == 1


def test_a_login_page_is_passed_with_a_renewed_token(server: Scripted, tmp_path: Path) -> None:
    tokens = ["old"]
    ours = evolve(site(tmp_path), secret=lambda reference: tokens[-1])
    archive = open_dicomweb(DicomwebSettings(url=server.url, token=SecretReference("file:token")), ours)
    tokens.append("new")
    server.script = lambda *_: PAGE if server.seen[-1][2]["Authorization"] == "Bearer old" else retrieved(SPEC)
    (item,) = fetch(archive, tmp_path)
    archive.reads.close()
    assert isinstance(item, Fetched)


def test_a_store_that_is_answered_with_nothing_under_a_pages_type_is_not_a_page(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    server.script = lambda method, path, body: (200, {"Content-Type": "text/html"}, b"") if body else answers()
    assert archive.stores is not None
    (answer,) = archive.stores.store(study_of(SPEC), written(tmp_path / "in", [SPEC]))
    assert not isinstance(answer, Receipt)
    assert answer.code == "not-acknowledged"


# ------------------------------------------------------------------------------------------------------- another form


@pytest.mark.parametrize("how", ["gzip", "br", "x-ours"])
def test_a_compressed_answer_is_told_and_never_unpacked(
    server: Scripted, archive: Archive, tmp_path: Path, how: str
) -> None:
    """It was asked for without; a few bytes of it could be a bomb."""
    packed = gzip.compress(bytes(_MIB))
    server.script = lambda *_: (200, {"Content-Type": ANSWERS, "Content-Encoding": how}, packed)
    with pytest.raises(ArchiveError, match="compressed, although it was asked not to") as caught:
        list(archive.reads.find_studies(StudyQuery()))
    assert not caught.value.transient
    with pytest.raises(ArchiveError, match="a retrieval compressed"):
        fetch(archive, tmp_path)
    assert {headers["Accept-Encoding"] for _, _, headers in server.seen} == {"identity"}


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def test_an_answer_in_chunks_without_a_length_is_taken_whole(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    headers = {"Content-Type": PARTS, "Transfer-Encoding": "chunked"}
    server.script = lambda *_: (200, headers, [*chunked(part(_OBJECT), 100), b"0\r\n\r\n"])
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, Fetched)
    assert item.path.read_bytes() == _OBJECT


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PARTS, lambda: chunked(part(_OBJECT)[:-300], 100)),
        ("application/dicom", lambda: chunked(_OBJECT[:-100], 100)),
        (PARTS, lambda: [*chunked(part(_OBJECT)[:-300], 100), b"0\r\n\r\n"]),
        (PARTS, lambda: [b"zz\r\nno chunk"]),
    ],
    ids=["parts-cut-between-chunks", "object-cut-between-chunks", "parts-without-an-end", "no-chunks"],
)
def test_an_answer_in_chunks_that_is_cut_off_is_a_failure_that_may_pass(
    server: Scripted, archive: Archive, tmp_path: Path, kind: str, body: Callable[[], Iterator[bytes]]
) -> None:
    server.script = lambda *_: (200, {"Content-Type": kind, "Transfer-Encoding": "chunked"}, body())
    item = failure(archive, tmp_path)
    assert (item.code, item.transient) == ("broken-answer", True)
    assert len(server.seen) == 4


@pytest.mark.parametrize("size", [0, 80_000])
def test_an_answer_under_another_boundary_than_its_own_is_a_failure_that_may_pass(
    server: Scripted, archive: Archive, tmp_path: Path, size: int
) -> None:
    body = part(_OBJECT + bytes(size)).replace(b"--XX", b"--YY")
    server.script = lambda *_: (200, {"Content-Type": PARTS}, body)
    item = failure(archive, tmp_path)
    assert (item.code, item.transient) == ("broken-answer", True)


# ------------------------------------------------------------------------------------------------------------ pieces


def pieces(url: str) -> dict[str, tuple[str, bytes]]:
    """What archives answer that do not serve objects as they store them, each with URLs that lead elsewhere."""
    metadata = json.dumps([{"7FE00010": {"vr": "OW", "BulkDataURI": url}, "00080018": {"vr": "UI"}}]).encode()
    location = f"Content-Location: {url}\r\n".encode()

    def parts(kind: str, data: bytes) -> tuple[str, bytes]:
        head = f"--XX\r\nContent-Type: {kind}\r\n".encode() + location + b"\r\n"
        return f'multipart/related; type="{kind}"; boundary=XX', head + data + b"\r\n--XX--\r\n"

    reference = f'message/external-body; access-type=URL; URL="{url}"'
    return {
        "metadata": ("application/dicom+json", metadata),
        "metadata-in-parts": parts("application/dicom+xml", b"<NativeDicomModel/>"),
        "json-in-parts": parts("application/dicom+json", metadata),
        "bulk-data": parts("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", bytes(512)),
        "bulk-data-alone": ("application/octet-stream", bytes(512)),
        "frames": parts("image/jpeg", b"\xff\xd8"),
        "reference": parts(reference, b"Content-Type: application/dicom\r\n\r\n"),
        "text": ("text/plain", b"no"),
    }


@pytest.mark.parametrize("what", list(pieces("")))
def test_nothing_is_put_together_from_pieces_and_no_reference_to_them_is_followed(
    server: Scripted, elsewhere: Scripted, archive: Archive, tmp_path: Path, what: str
) -> None:
    """Of one object, and of a series of them: a failure that says what came, and that asking again does not mend."""
    kind, body = pieces(elsewhere.url + "/bulk/1")[what]
    server.script = lambda *_: (200, {"Content-Type": kind, "Content-Location": elsewhere.url}, body)
    item = failure(archive, tmp_path)
    assert (item.code, item.transient) == ("no-object", False)
    assert "nothing is put together from pieces" in item.message
    assert elsewhere.url not in item.message
    if what == "reference":
        assert "serves a reference to another place" in item.message
    assert ("serves metadata" in item.message) == ("metadata" in what or "json" in what)
    assert len(server.seen) == 1
    found = fetch(archive, tmp_path / "series", record(), record(".7"))
    assert [isinstance(item, FetchFailure) and item.code for item in found] == ["no-object"] * 2
    assert list((tmp_path / "series" / "spool").iterdir()) == []
    assert elsewhere.seen == []


@pytest.mark.parametrize("kind", ["application/octet-stream", ""])
@pytest.mark.parametrize("alone", [True, False])
def test_an_object_that_is_not_called_one_is_taken_by_its_bytes(
    server: Scripted, archive: Archive, tmp_path: Path, kind: str, alone: bool
) -> None:
    head = f"Content-Type: {kind}\r\n".encode() if kind else b""
    inner = b"--XX\r\n" + head + b"\r\n" + _OBJECT + b"\r\n--XX--"
    whole = (200, {"Content-Type": kind}, _OBJECT) if alone else (200, {"Content-Type": PARTS}, inner)
    server.script = lambda *_: whole
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, Fetched)
    assert item.path.read_bytes() == _OBJECT


# -------------------------------------------------------------------------------------------------------- too large


def endless(piece: bytes) -> Iterator[bytes]:
    """Much more than an object may have; it does end, or whoever takes it all would fill this disk."""
    return iter([piece] * 200)


@pytest.mark.parametrize("kind", ["application/dicom", PARTS])
def test_an_object_that_never_ends_is_given_up_before_it_fills_the_disk(
    server: Scripted, archive: Archive, tmp_path: Path, kind: str
) -> None:
    """However fast it comes; the others of its series are not kept from coming."""
    head = b"--XX\r\nContent-Type: application/dicom\r\n\r\n" if kind == PARTS else b""

    def script(method: str, path: str, body: bytes) -> Reply:
        if path.endswith(".7") or "/instances/" not in path:
            return 200, {"Content-Type": kind}, (piece for part in ([head], endless(bytes(65_536))) for piece in part)
        return retrieved(SPEC)

    server.script = script
    found = {item.record.sop_instance_uid: item for item in fetch(archive, tmp_path, record(), record(".7"))}
    assert isinstance(found[record().sop_instance_uid], Fetched)
    item = found[record(".7").sop_instance_uid]
    assert isinstance(item, FetchFailure)
    assert (item.code, item.transient) == ("too-large", False)
    assert "largest_object" in item.message
    assert len(list((tmp_path / "spool").iterdir())) == 1


def test_an_object_whose_retrieval_breaks_off_at_2_gib_is_told_with_advice_after_two_attempts(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    """As Orthanc 1.10 does it: the length is right, and nothing follows."""

    def script(method: str, path: str, body: bytes) -> Reply:
        if path.endswith(".7") or "/instances/" not in path:
            return 200, {"Content-Type": PARTS, "Content-Length": str((2 << 30) + 7_340_944)}, b""
        return retrieved(SPEC)

    server.script = script
    found = {item.record.sop_instance_uid: item for item in fetch(archive, tmp_path, record(), record(".7"))}
    assert isinstance(found[record().sop_instance_uid], Fetched)
    item = found[record(".7").sop_instance_uid]
    assert isinstance(item, FetchFailure)
    assert (item.code, item.transient) == ("breaks-off-large", False)
    assert "after 0 bytes of 2,154,824,592" in item.message
    assert "over DIMSE" in item.message
    assert [path.endswith(".7") for _, path, _ in server.seen].count(True) == 2


@pytest.mark.parametrize(
    ("places", "code", "transient", "requests"),
    [
        ([900_000, 900_000], "breaks-off-large", False, 2),
        ([900_000, 800_000, 800_000], "breaks-off-large", False, 3),
        ([900_000, 800_000, 700_000, 600_000], "broken-answer", True, 4),
        ([300_000, 300_000, 300_000, 300_000], "broken-answer", True, 4),
    ],
    ids=["same", "same-later", "elsewhere-each-time", "small"],
)
def test_only_a_large_answer_that_breaks_off_at_the_same_place_again_is_past_hope(
    server: Scripted,
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    places: list[int],
    code: str,
    transient: bool,
    requests: int,
) -> None:
    """Half a MiB stands for 2 GiB here; no length is stated."""
    monkeypatch.setattr(receiving, "_BIG", _MIB // 2)
    body = b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + bytes(_MIB)
    server.script = lambda *_: (200, {"Content-Type": PARTS}, [body[: places[len(server.seen) - 1]]])
    item = failure(archive, tmp_path)
    assert (item.code, item.transient, len(server.seen)) == (code, transient, requests)


# ------------------------------------------------------------------------------------------------------------- busy


def test_a_busy_archive_is_not_asked_for_every_object_before_it_counts_as_busy(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    """Of 300 objects in three series, each series is asked for once, and one object of each at most a few times."""
    server.script = lambda *_: (503, {"Retry-After": "0"}, b"")
    wanted = [
        evolve(record(f".{number}"), locator=f"{SPEC.study_uid}/1.{series}/1.{number}")
        for series in range(3)
        for number in range(100)
    ]
    with pytest.raises(ArchiveError, match="HTTP status 503") as caught:
        fetch(archive, tmp_path, *wanted)
    assert caught.value.transient
    assert len(server.seen) <= 3 * (1 + 4)
    assert list((tmp_path / "spool").iterdir()) == []
