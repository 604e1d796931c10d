"""What searches do not tell is taken from metadata, and only that, and only of what was listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.scripted_web import ANSWERS, Reply, Scripted, answers
from vna_lifecycle.adapters.dicomweb import json_array
from vna_lifecycle.adapters.dicomweb import metadata as room
from vna_lifecycle.adapters.dicomweb.json_array import BadArray, JsonArray, UnfinishedArray
from vna_lifecycle.adapters.dicomweb.settings import DicomwebSettings
from vna_lifecycle.builtin import open_dicomweb
from vna_lifecycle.errors import ArchiveError, ArchiveRefused
from vna_lifecycle.model.identity import StudyRef, StudyUID
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Archive
from vna_lifecycle.testing.conformance import EXAMPLES, site
from vna_lifecycle.testing.conformance.case import study_of, written

ATTEMPTS = 2
_STUDY, _SERIES = "1.2.3", "1.2.3.4"
_CT, _MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
_JPEG = "1.2.840.10008.1.2.4.70"


def metadata(uid: str, **more: object) -> dict[str, Any]:
    """An instance's data set, with what archives leave out of answers."""
    values = {
        "00080016": _CT,
        "00080018": uid,
        "00080060": "CT",
        "00083002": _JPEG,
        "0020000D": _STUDY,
        "0020000E": _SERIES,
        "00200011": 7,
        "00280008": 12,
        "00280010": 512,
        "00280011": 256,
        **{name.removeprefix("t"): value for name, value in more.items()},
    }
    told: dict[str, Any] = {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}
    return {**told, "7FE00010": {"vr": "OW", "BulkDataURI": "http://127.0.0.1:1/bulk"}}


class Sparse:
    """A server that searches with no more than UIDs; ``series`` answers requests for metadata of a series."""

    def __init__(self, server: Scripted) -> None:
        self.server = server
        self.listed: list[dict[str, object]] = [{"00080018": f"{_SERIES}.{n}", "0020000E": _SERIES} for n in (1, 2)]
        self.series: Callable[[str], Reply] = lambda uid: self.tells(metadata(f"{_SERIES}.1"), metadata(f"{_SERIES}.2"))
        server.script = self.answer

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        place = path.partition("?")[0].split("/")
        if place[-1] == "metadata":
            return self.series(place[-2])
        if place[-1] == "studies":
            return answers({"0020000D": _STUDY})
        return answers(*self.listed)

    def tells(self, *told: object) -> Reply:
        return 200, {"Content-Type": ANSWERS}, json.dumps(told).encode()

    def asked(self) -> list[tuple[str, str]]:
        """Requests for metadata: paths, and what was accepted."""
        return [(path, headers["Accept"]) for _, path, headers in self.server.seen if "/metadata" in path]

    def many(self, count: int) -> None:
        """List ``count`` series of one instance."""
        self.listed = [{"00080018": f"{_SERIES}.{n}.1", "0020000E": f"{_SERIES}.{n}"} for n in range(count)]


@pytest.fixture
def sparse(server: Scripted) -> Sparse:
    return Sparse(server)


@pytest.fixture
def archive(sparse: Sparse, tmp_path: Path) -> Iterator[Archive]:
    opened = open_dicomweb(DicomwebSettings(url=sparse.server.url, read_timeout=2), site(tmp_path))
    yield opened
    opened.reads.close()


def listing(archive: Archive) -> list[InstanceRecord]:
    return list(archive.reads.list_instances(StudyRef(study_uid=StudyUID(_STUDY))))


def test_what_answers_lack_is_taken_from_one_request_for_the_series(sparse: Sparse, archive: Archive) -> None:
    found = listing(archive)
    for record in found:
        assert (record.sop_class_uid, record.transfer_syntax) == (_CT, _JPEG)
        assert (record.frames, record.rows, record.columns) == (12, 512, 256)
        assert (record.series.modality, record.series.series_number) == ("CT", "7")
        assert record.flags == ()
    assert [record.locator for record in found] == [f"{_STUDY}/{_SERIES}/{_SERIES}.{n}" for n in (1, 2)]
    assert sparse.asked() == [(f"/dicom/studies/{_STUDY}/series/{_SERIES}/metadata", "application/dicom+json")]
    assert not any("bulk" in path for _, path, _ in sparse.server.seen)


def test_an_inventory_is_completed_too(sparse: Sparse, archive: Archive) -> None:
    (*_, rest) = archive.reads.parts()
    found = [item for item in archive.reads.inventory(rest) if isinstance(item, InstanceRecord)]
    assert [record.series.modality for record in found] == ["CT", "CT"]


def test_what_was_listed_stays_as_it_was(sparse: Sparse, archive: Archive) -> None:
    sparse.listed = [{**one, "00080016": _MR, "00280010": 64, "0008103E": "listed"} for one in sparse.listed]
    sparse.series = lambda uid: sparse.tells(metadata(f"{_SERIES}.1", t0008103E="other"))
    first, second = listing(archive)
    assert (first.sop_class_uid, first.rows, first.columns) == (_MR, 64, 256)
    assert (first.series.series_description, first.series.modality) == ("listed", "CT")
    assert (second.columns, second.series.modality) == (None, "")


def test_an_archive_that_tells_enough_is_not_asked(sparse: Sparse, archive: Archive) -> None:
    sparse.listed = [{**one, "00080016": _MR, "00080060": "MR"} for one in sparse.listed]
    assert [record.rows for record in listing(archive)] == [None, None]
    assert sparse.asked() == []


def test_never_means_never(sparse: Sparse, tmp_path: Path) -> None:
    opened = open_dicomweb(DicomwebSettings(url=sparse.server.url, metadata="never"), site(tmp_path))
    assert [record.sop_class_uid for record in listing(opened)] == ["", ""]
    assert sparse.asked() == []
    opened.reads.close()


def test_who_stores_does_not_ask_for_metadata(sparse: Sparse, archive: Archive, tmp_path: Path) -> None:
    spec = EXAMPLES[0]
    sparse.listed = [{"00080018": spec.sop_instance_uid + ".9", "0020000E": spec.series_uid}]
    searched = sparse.answer

    def script(method: str, path: str, body: bytes) -> Reply:
        if method == "POST":
            return 200, {"Content-Type": ANSWERS}, b"{}"
        return searched(method, path, body) if "/studies/" in path else answers({"0020000D": spec.study_uid})

    sparse.server.script = script
    assert archive.stores is not None
    list(archive.stores.store(study_of(spec), written(tmp_path / "in", [spec])))
    assert any(f"/studies/{spec.study_uid}/instances" in path for _, path, _ in sparse.server.seen)
    assert sparse.asked() == []


@pytest.mark.parametrize(
    "other",
    [
        {"t00080018": f"{_SERIES}.77"},
        {"t0020000D": "1.2.9"},
        {"t0020000E": "1.2.3.9"},
        {"t0020000D": ""},
    ],
    ids=["instance", "study", "series", "no-study"],
)
def test_metadata_of_something_else_are_not_believed(
    sparse: Sparse, archive: Archive, other: dict[str, object]
) -> None:
    sparse.series = lambda uid: sparse.tells(metadata(f"{_SERIES}.1", **other), metadata(f"{_SERIES}.2"))
    first, second = listing(archive)
    assert (first.sop_class_uid, second.sop_class_uid) == ("", _CT)
    assert len(listing(archive)) == 2


@pytest.mark.parametrize(("status", "asked"), [(404, 3), (410, 3), (204, 3), (405, 1), (406, 1), (501, 1)])
def test_an_archive_without_metadata_leaves_records_as_they_were_and_is_soon_not_asked(
    sparse: Sparse, archive: Archive, status: int, asked: int
) -> None:
    sparse.many(5)
    sparse.series = lambda uid: (status, {}, b"")
    found = listing(archive)
    assert [(record.sop_class_uid, record.flags) for record in found] == [("", ())] * 5
    assert len(sparse.asked()) == asked
    listing(archive)
    assert len(sparse.asked()) == asked


def test_single_series_without_metadata_do_not_keep_it_from_others(sparse: Sparse, archive: Archive) -> None:
    sparse.many(6)

    def series(uid: str) -> Reply:
        return sparse.tells(metadata(f"{uid}.1", t0020000E=uid)) if int(uid[-1]) % 3 == 2 else (404, {}, b"")

    sparse.series = series
    assert [record.series.modality for record in listing(archive)] == ["", "", "CT", "", "", "CT"]


def _endless(piece: bytes) -> Iterable[bytes]:
    yield b"["
    while True:
        yield piece


@pytest.mark.parametrize(
    ("reply", "attempts"),
    [
        (lambda: (200, {}, b"nothing"), 1),
        (lambda: (200, {}, b'{"00080018": {}}'), 1),
        (lambda: (200, {}, b"[1]"), 1),
        (lambda: (200, {}, b"[{}{}]"), 1),
        (lambda: (200, {}, b'[{"a": "\xff"}]'), 1),
        (lambda: (200, {}, b'[{"a": ' + b"[" * 100_000), 1),
        (lambda: (200, {}, b'[{"a": ' + b"9" * 5_000 + b"}]"), 1),
        (lambda: (200, {}, _endless(b'{"a": 1}, ')), 1),
        (lambda: (200, {}, _endless(b'{"a": "' + b"x" * 65_536)), 1),
        (lambda: (200, {}, _endless(b" " * 65_536)), 1),
        (lambda: (400, {}, b""), 1),
        (lambda: (200, {}, b'[{"a": 1}'), 2),
        (lambda: (200, {}, b""), 2),
        (lambda: (200, {"Content-Length": "500"}, [b"[{}"]), 2),
        (lambda: (500, {}, b""), 2),
    ],
    ids=[
        "text",
        "object",
        "number",
        "glued",
        "bytes",
        "deep",
        "digits",
        "many",
        "large",
        "space",
        "refused",
        "unfinished",
        "empty",
        "cut",
        "error",
    ],
)
def test_metadata_that_cannot_be_read_leave_records_as_they_were_with_a_flag(
    sparse: Sparse,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    reply: Callable[[], Reply],
    attempts: int,
) -> None:
    """They are asked for again only if that may help, and no longer after three series in a row."""
    monkeypatch.setattr(room, "_LARGEST", 1 << 20)
    sparse.many(4)
    sparse.series = lambda uid: reply()
    found = listing(archive)
    assert [(record.sop_class_uid, record.flags) for record in found] == [("", ("metadata-unusable",))] * 4
    assert len(sparse.asked()) == 3 * attempts


def test_one_series_whose_metadata_cannot_be_read_does_not_keep_it_from_others(
    sparse: Sparse, archive: Archive
) -> None:
    sparse.many(3)
    sparse.series = lambda uid: (500, {}, b"") if uid[-1] == "1" else sparse.tells(metadata(uid + ".1", t0020000E=uid))
    assert [(record.series.modality, len(record.flags)) for record in listing(archive)] == [
        ("CT", 0),
        ("", 1),
        ("CT", 0),
    ]


def test_only_instances_that_lack_something_are_flagged(sparse: Sparse, archive: Archive) -> None:
    sparse.listed[0] |= {"00080016": _MR, "00080060": "MR"}
    sparse.series = lambda uid: (500, {}, b"")
    assert [record.flags for record in listing(archive)] == [(), ("metadata-unusable",)]


def test_a_busy_archive_is_an_error_that_may_pass_and_no_lack_of_metadata(sparse: Sparse, archive: Archive) -> None:
    sparse.series = lambda uid: (503, {"Retry-After": "120"}, b"")
    with pytest.raises(ArchiveError, match="a retrieval of metadata") as caught:
        listing(archive)
    assert (caught.value.transient, caught.value.retry_after) == (True, 120.0)
    assert _STUDY not in str(caught.value)


def test_refused_credentials_are_an_error_and_no_lack_of_metadata(sparse: Sparse, archive: Archive) -> None:
    sparse.series = lambda uid: (403, {}, b"")
    with pytest.raises(ArchiveRefused, match="does not allow a retrieval of metadata"):
        listing(archive)


# ------------------------------------------------------------------------------------------------ arrays as they come

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    objects=st.lists(st.dictionaries(st.text(), _VALUES)),
    size=st.integers(1, 40),
    indent=st.none() | st.integers(0, 2),
    plain=st.booleans(),
)
def test_an_array_is_read_the_same_however_it_is_cut(
    objects: list[dict[str, Any]], size: int, indent: int | None, plain: bool
) -> None:
    body = json.dumps(objects, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert list(JsonArray(chunks, largest=len(body))) == json.loads(body)
    with pytest.raises(UnfinishedArray):
        list(JsonArray([body.rstrip()[:-1]], largest=len(body)))


def test_an_object_may_be_as_large_as_allowed_and_no_larger() -> None:
    body = b'[{"a":"bcd"}]'
    for chunks in ([body], [bytes([one]) for one in body]):
        assert list(JsonArray(chunks, largest=11)) == [{"a": "bcd"}]
        with pytest.raises(BadArray):
            list(JsonArray(chunks, largest=10))


def test_a_large_object_in_small_pieces_is_tried_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def decode(text: str, start: int) -> tuple[Any, int]:
        tried.append(len(text))
        return json.JSONDecoder().raw_decode(text, start)

    monkeypatch.setattr(json_array, "_DECODE", decode)
    body = json.dumps([{"a": "x" * 100_000}]).encode()
    assert len(list(JsonArray((body[at : at + 100] for at in range(0, len(body), 100)), largest=1 << 20))) == 1
    assert len(tried) <= 12


def test_no_more_is_read_of_an_object_that_does_not_end_than_one_may_have() -> None:
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for piece in _endless(b'{"a": "xxx'):
            taken.append(piece)
            yield piece

    with pytest.raises(BadArray):
        list(JsonArray(chunks(), largest=1_000))
    assert sum(map(len, taken)) <= 1_020
