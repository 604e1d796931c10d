"""Servers that would hold us for ever, send us elsewhere, or tell us half: each ends in a named error, soon."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import stamina
from attrs import evolve

from peers.one_object import SPEC, fetch, left_in, record
from peers.scripted_web import ANSWERS, PARTS, Reply, Scripted, answers, retrieved
from vna_lifecycle.adapters.dicomweb import connection as wire
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveError, ArchiveRefused
from vna_lifecycle.ports import Archive, Fetched, FetchFailure, Outcome, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance import EXAMPLES, site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import dicom_bytes

ATTEMPTS = 1
_PATIENCE = 0.5


@pytest.fixture
def archive(server: Scripted, tmp_path: Path) -> Iterator[Archive]:
    opened = open_dicomweb(DicomwebSettings(url=server.url, read_timeout=_PATIENCE), site(tmp_path))
    yield opened
    opened.reads.close()


# ----------------------------------------------------------------------------------------------------- for ever


def test_headers_that_trickle_are_given_up(server: Scripted, archive: Archive) -> None:
    """Each byte comes within the time limit; all of them would take years."""
    server.script = lambda *_: (200, {"X": "y", "Content-Type": ANSWERS}, b"[]")
    handler = server.server.RequestHandlerClass
    plain = handler.end_headers

    def trickle(self: object) -> None:
        for piece in server.trickle(b"X-More: yes\r\n", _PATIENCE / 10):
            self._headers_buffer = [*self._headers_buffer[:1], piece]  # type: ignore[attr-defined]
            self.flush_headers()  # type: ignore[attr-defined]

    handler.end_headers = trickle  # type: ignore[method-assign]
    try:
        with pytest.raises(ArchiveError, match="a search for studies") as caught:
            list(archive.reads.find_studies(StudyQuery()))
    finally:
        handler.end_headers = plain  # type: ignore[method-assign]
    assert caught.value.transient


def test_a_body_that_trickles_is_given_up(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    server.script = lambda *_: (200, {"Content-Type": PARTS}, server.trickle(b"--XX\r\n", _PATIENCE / 10))
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, FetchFailure)
    assert (item.code, item.transient) == ("broken-answer", True)
    assert left_in(tmp_path) == 0


def test_a_server_that_says_nothing_is_given_up(server: Scripted, archive: Archive) -> None:
    server.script = lambda *_: (server.stopped.wait(4 * _PATIENCE), answers())[1]
    with pytest.raises(ArchiveError) as caught:
        list(archive.reads.find_studies(StudyQuery()))
    assert caught.value.transient


def test_an_answer_that_is_long_but_comes_at_a_pace_is_taken(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    """It lasts longer than the time limit, which is for each piece."""
    status, headers, body = retrieved(SPEC)
    assert isinstance(body, bytes)
    slices = [body[at : at + 100] for at in range(0, len(body), 100)]

    def slowly() -> Iterator[bytes]:
        for piece in slices:
            yield piece
            time.sleep(1.5 * _PATIENCE / len(slices))

    server.script = lambda *_: (status, headers, slowly())
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, Fetched)
    assert item.path.read_bytes() == dicom_bytes(SPEC)


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def test_a_list_of_answers_that_never_ends_is_given_up(
    server: Scripted, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_LARGEST_ANSWER", 1 << 20)
    server.script = lambda *_: (200, {"Content-Type": ANSWERS}, endless(b"[" * 65_536))
    with pytest.raises(ArchiveError, match="more than 1 MiB"):
        list(archive.reads.find_studies(StudyQuery()))


@pytest.mark.parametrize(
    "body",
    [
        lambda: endless(b"nothing" * 10_000),
        lambda: [b"--XX\r\nX: " + b"y" * (1 << 16)],
        lambda: [b"--XX\r\nX: y\r\n\r\nabc"],
    ],
    ids=["before-the-parts", "headers", "object"],
)
def test_parts_that_have_no_end_are_given_up(
    server: Scripted, archive: Archive, tmp_path: Path, body: Callable[[], Iterable[bytes]]
) -> None:
    server.script = lambda *_: (200, {"Content-Type": PARTS}, body())
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, FetchFailure)
    assert item.code == "broken-answer"
    assert left_in(tmp_path) == 0


def test_a_series_that_goes_on_with_other_objects_for_ever_is_asked_for_singly(
    server: Scripted, archive: Archive, tmp_path: Path
) -> None:
    other = b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + dicom_bytes(EXAMPLES[1]) + b"\r\n"

    def script(method: str, path: str, body: bytes) -> Reply:
        if "/instances/" not in path:
            return 200, {"Content-Type": PARTS}, endless(other)
        return retrieved(SPEC) if path.endswith(SPEC.sop_instance_uid) else (404, {}, b"")

    server.script = script
    absent = evolve(record(), locator=record().locator + ".7", sop_instance_uid=record().sop_instance_uid)
    found = fetch(archive, tmp_path, record(), absent)
    assert sorted(type(item).__name__ for item in found) == ["FetchFailure", "Fetched"]
    assert left_in(tmp_path) == 1


def test_a_retrieval_that_is_called_off_ends(server: Scripted, tmp_path: Path) -> None:
    """Although the server sends for ever."""
    ours = site(tmp_path)
    archive = open_dicomweb(DicomwebSettings(url=server.url, read_timeout=_PATIENCE), ours)
    other = b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + dicom_bytes(EXAMPLES[1]) + b"\r\n"
    begun = threading.Event()

    def parts() -> Iterator[bytes]:
        for piece in endless(other):
            begun.set()
            ours.cancelled.set()
            yield piece

    server.script = lambda *_: (200, {"Content-Type": PARTS}, parts())
    assert fetch(archive, tmp_path, record(), evolve(record(), locator=record().locator + ".7")) == []
    assert begun.is_set()
    archive.reads.close()


def test_headers_that_are_none_are_not_logged_with_the_name_of_a_study(
    server: Scripted, archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 warns of such, with the URL."""
    status, headers, body = retrieved(SPEC)
    server.script = lambda *_: (status, {**headers, "X": "y\r\nno header"}, body)
    with caplog.at_level(1):
        (item,) = fetch(archive, tmp_path)
    assert isinstance(item, Fetched)
    assert SPEC.study_uid not in caplog.text
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


# ------------------------------------------------------------------------------------------------------ too much


@pytest.mark.parametrize("connections", [1, 3])
def test_no_more_requests_are_under_way_than_the_settings_allow_however_many_studies_are(
    server: Scripted, tmp_path: Path, connections: int
) -> None:
    """Four studies of two series each are fetched at the same time."""
    lock = threading.Lock()
    under_way = most = 0

    def body() -> Iterator[bytes]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        yield b"--XX\r\nContent-Type: application/dicom\r\n\r\n"
        time.sleep(0.02)
        with lock:
            under_way -= 1
        yield dicom_bytes(SPEC) + b"\r\n--XX--"

    server.script = lambda method, path, _: answers() if "?" in path else (200, {"Content-Type": PARTS}, body())
    archive = open_dicomweb(DicomwebSettings(url=server.url, connections=connections), site(tmp_path))
    both = [evolve(record(), locator=f"1/{series}/{record().sop_instance_uid}") for series in (1, 2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: fetch(archive, tmp_path / str(number), *both), range(4)))
    archive.reads.close()
    assert [len(items) for items in found] == [2] * 4
    assert 0 < most <= connections


# ---------------------------------------------------------------------------------------------------- elsewhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_retrieval_and_no_store_follows_a_redirect_elsewhere(
    server: Scripted, elsewhere: Scripted, archive: Archive, tmp_path: Path, status: int
) -> None:
    server.script = lambda *_: (status, {"Location": elsewhere.url + "/studies"}, b"")
    with pytest.raises(ArchiveRefused, match="a retrieval by sending us to another place"):
        fetch(archive, tmp_path)
    assert archive.stores is not None
    for place in (elsewhere.url + "/studies", "/dicom/other"):  # what was sent is never sent again, even at home
        server.seen.clear()
        server.script = lambda method, path, body, place=place: (  # type: ignore[misc]
            (status, {"Location": place}, b"") if method == "POST" else answers()
        )
        with pytest.raises(ArchiveRefused, match="a store request by sending us to another place"):
            list(archive.stores.store(study_of(SPEC), written(tmp_path / f"in{len(place)}", [SPEC])))
        assert [method for method, _, _ in server.seen].count("POST") == 1
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    "place",
    ["//127.0.0.1:1/x", "https://127.0.0.1/x", "http://me@127.0.0.1:99999/x", "file:///etc/passwd", ""],
)
def test_no_odd_place_is_followed(server: Scripted, archive: Archive, tmp_path: Path, place: str) -> None:
    server.script = lambda *_: (302, {"Location": place}, b"")
    with pytest.raises(ArchiveRefused, match="another place"):
        fetch(archive, tmp_path)


def test_a_redirect_at_home_is_followed_but_not_in_a_circle(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    server.script = lambda method, path, body: (
        retrieved(SPEC) if path == "/moved" else (302, {"Location": "/moved"}, b"")
    )
    (item,) = fetch(archive, tmp_path)
    assert isinstance(item, Fetched)
    server.seen.clear()
    server.script = lambda *_: (302, {"Location": "/dicom/again"}, b"")
    with pytest.raises(ArchiveRefused):
        fetch(archive, tmp_path)
    assert len(server.seen) == 4


def test_no_url_in_an_answer_is_ever_asked(
    server: Scripted, elsewhere: Scripted, archive: Archive, tmp_path: Path
) -> None:
    """Neither Retrieve URLs nor Bulk Data URIs: objects come whole from the one archive, or not at all."""
    url = f"{elsewhere.url}/studies/1"
    found = {
        "0020000D": {"vr": "UI", "Value": [SPEC.study_uid]},
        "0020000E": {"vr": "UI", "Value": [SPEC.series_uid]},
        "00080018": {"vr": "UI", "Value": [SPEC.sop_instance_uid]},
        "00081190": {"vr": "UR", "Value": [url]},
        "7FE00010": {"vr": "OW", "BulkDataURI": url},
        "00100010": {"vr": "PN", "BulkDataURI": url},
    }
    search = 200, {"Content-Type": ANSWERS}, json.dumps([found]).encode()
    headers = {"Content-Type": PARTS, "Content-Location": url, "Link": f"<{url}>"}
    server.script = lambda method, path, body: search if "?" in path else (200, headers, retrieved(SPEC)[2])
    listed = list(archive.reads.list_instances(study_of(SPEC)))
    (item,) = fetch(archive, tmp_path, *listed)
    assert isinstance(item, Fetched)
    assert elsewhere.seen == []


# --------------------------------------------------------------------------------------------------------- half


@pytest.mark.parametrize("status", [200, 202, 409])
def test_a_store_is_judged_instance_by_instance_under_any_status(
    server: Scripted, archive: Archive, tmp_path: Path, status: int
) -> None:
    """Stored, stored with a warning, and two failures of their own kinds; what is not mentioned is sent again alone."""
    items = written(tmp_path / "in", EXAMPLES[:4])
    one, two, three, four = (item.record.sop_instance_uid for item in items)

    def item(uid: str, **numbers: int) -> dict[str, object]:
        told = {tag.removeprefix("t"): {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
        return {"00081155": {"vr": "UI", "Value": [uid]}, **told}

    body = {
        "00081199": {"vr": "SQ", "Value": [item(one), item(two, t00081196=0xB007)]},
        "00081198": {"vr": "SQ", "Value": [item(three, t00081197=0xA700), item(four, t00081197=0xC122)]},
    }
    server.script = lambda method, path, sent: (
        (status, {"Content-Type": ANSWERS}, json.dumps(body).encode()) if method == "POST" else answers()
    )
    assert archive.stores is not None
    got = {answer.sop_instance_uid: answer for answer in archive.stores.store(study_of(SPEC), items)}
    first, second, third, fourth = (got[uid] for uid in (one, two, three, four))
    assert isinstance(first, Receipt) and first.warnings == ()
    assert isinstance(second, Receipt) and second.warnings == ("B007",)
    assert isinstance(third, StoreFailure) and (third.code, third.transient) == ("out-of-resources", True)
    assert isinstance(fourth, StoreFailure)
    assert (fourth.code, fourth.transient) == ("transfer-syntax-not-supported", False)


def test_a_store_whose_answer_says_nothing_is_no_success(server: Scripted, archive: Archive, tmp_path: Path) -> None:
    """An empty 200, HTML, an answer about somebody else's object."""
    assert archive.stores is not None
    other = json.dumps({"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}).encode()
    for body in (b"", b"<html>", b"[]", other):
        server.script = lambda method, path, sent, body=body: (  # type: ignore[misc]
            (200, {"Content-Type": ANSWERS}, body) if method == "POST" else answers()
        )
        (answer,) = archive.stores.store(study_of(SPEC), written(tmp_path / f"in{len(body)}", [SPEC]))
        assert isinstance(answer, StoreFailure)
        assert (answer.code, answer.transient) == ("not-acknowledged", True)


class Storing(Scripted):
    """Keeps what it is sent, and ends some store requests without a word: before it keeps anything, or afterwards."""

    def __init__(self, ends_before: Callable[[bytes], bool], ends_after: Callable[[bytes], bool]) -> None:
        super().__init__()
        self.ends_before, self.ends_after = ends_before, ends_after
        self.received: list[str] = []
        self.script = self.take

    def take(self, method: str, path: str, body: bytes) -> Reply:
        kept = [spec for spec in EXAMPLES[:4] if spec.sop_instance_uid in self.received]
        if method == "GET" and "?" not in path:
            return next(retrieved(spec) for spec in kept if path.endswith(spec.sop_instance_uid))
        if method == "GET":
            found = [{"0020000D": SPEC.study_uid}] if kept else []
            if "/instances" in urlsplit(path).path:
                found = [{"00080018": spec.sop_instance_uid, "0020000E": spec.series_uid} for spec in kept]
            return answers(*found)
        if self.ends_before(body):
            raise ConnectionAbortedError
        sent = [spec.sop_instance_uid for spec in EXAMPLES[:4] if dicom_bytes(spec) in body]
        self.received += sent
        if self.ends_after(body):
            raise ConnectionAbortedError
        stored = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in sent]
        return 200, {"Content-Type": ANSWERS}, json.dumps({"00081199": {"vr": "SQ", "Value": stored}}).encode()

    def stow(self, folder: Path, objects_per_store: int = 100) -> dict[str, Receipt | StoreFailure]:
        """Store four objects; what is said of each."""
        settings = DicomwebSettings(url=self.url, objects_per_store=objects_per_store)
        archive = open_dicomweb(settings, site(folder))
        assert archive.stores is not None
        try:
            found = archive.stores.store(study_of(SPEC), written(folder / "in", EXAMPLES[:4]))
            return {answer.sop_instance_uid: answer for answer in found}
        finally:
            archive.reads.close()
            self.close()

    @property
    def posts(self) -> int:
        return sum(method == "POST" for method, _, _ in self.seen)


def never(body: bytes) -> bool:
    return False


def test_an_object_that_ends_every_request_stops_no_other(tmp_path: Path) -> None:
    poison = dicom_bytes(EXAMPLES[2])
    server = Storing(lambda body: poison in body, never)
    got = server.stow(tmp_path)
    failed = got.pop(EXAMPLES[2].sop_instance_uid)
    assert isinstance(failed, StoreFailure)
    assert (failed.code, failed.transient) == ("broken-answer", True)
    assert [type(answer) for answer in got.values()] == [Receipt] * 3
    assert len(server.received) == 3


def test_a_store_whose_answer_was_lost_is_looked_up_and_not_sent_again(tmp_path: Path) -> None:
    server = Storing(never, lambda body: True)
    got = server.stow(tmp_path)
    assert {answer.outcome for answer in got.values() if isinstance(answer, Receipt)} == {Outcome.ALREADY_PRESENT}
    assert (len(got), server.posts, len(server.received)) == (4, 1, 4)


def test_store_requests_of_one_study_are_sent_side_by_side(tmp_path: Path) -> None:
    """Neither is answered before the other has come."""
    both = threading.Barrier(2)

    def ends_before(body: bytes) -> bool:
        both.wait(10)
        return False

    server = Storing(ends_before, never)
    got = server.stow(tmp_path, objects_per_store=2)
    assert [type(answer) for answer in got.values()] == [Receipt] * 4
    assert (server.posts, len(server.received)) == (2, 4)


def test_a_store_that_fails_ends_only_when_none_of_its_requests_is_under_way(tmp_path: Path) -> None:
    """Else another call could send under the same UIDs while the archive still takes them."""
    under_way = 0

    def ends_before(body: bytes) -> bool:
        nonlocal under_way
        if dicom_bytes(EXAMPLES[0]) in body:
            raise PermissionError
        under_way += 1
        time.sleep(0.2)
        under_way -= 1
        return False

    server = Storing(ends_before, never)
    take = server.take

    def script(method: str, path: str, body: bytes) -> Reply:
        try:
            return take(method, path, body)
        except PermissionError:
            return 403, {}, b""

    server.script = script
    with pytest.raises(ArchiveRefused, match="does not allow a store request"):
        server.stow(tmp_path, objects_per_store=2)
    assert under_way == 0
    assert len(server.received) == 2


def test_an_archive_that_answers_no_store_at_all_is_no_fault_of_the_objects(tmp_path: Path) -> None:
    """One of two halves is enough to know it: not every object is tried alone."""
    server = Storing(lambda body: True, never)
    with pytest.raises(ArchiveError, match="a store request") as caught:
        server.stow(tmp_path)
    assert caught.value.transient
    assert server.posts == 4  # all, a half of them, and each of that one's two


# --------------------------------------------------------------------------------------------------------- later


@pytest.mark.parametrize(
    ("told", "expected"),
    [("7", 7.0), ("Wed, 01 Jan 2025 00:01:30 GMT", 90.0), ("Tue, 31 Dec 2024 23:00:00 GMT", 0.0), ("soon", None)],
)
def test_when_to_come_again_is_told_in_seconds_or_by_a_date(
    server: Scripted, archive: Archive, told: str, expected: float | None
) -> None:
    server.script = lambda *_: (503, {"Retry-After": told}, b"")
    with pytest.raises(ArchiveError) as caught:
        list(archive.reads.find_studies(StudyQuery()))
    assert (caught.value.transient, caught.value.retry_after) == (True, expected)


def test_a_busy_archive_is_asked_again_at_once_only_when_it_says_soon(server: Scripted, archive: Archive) -> None:
    """Half a minute is waited in the adapter at most; the rest is the program's."""
    with stamina.set_testing(True, attempts=3, cap=True):
        for told, times in (("1", 3), ("120", 1)):
            server.seen.clear()
            server.script = lambda *_, told=told: (429, {"Retry-After": told}, b"")  # type: ignore[misc]
            with pytest.raises(ArchiveError):
                list(archive.reads.find_studies(StudyQuery()))
            assert len(server.seen) == times
