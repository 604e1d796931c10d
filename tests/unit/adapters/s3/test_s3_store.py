"""What a bucket does in trouble, on a real server: nothing is overwritten, lost, or left half done."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import stamina
from attrs import evolve
from botocore.exceptions import EndpointConnectionError

from peers.s3 import Server, open_place
from vna_lifecycle.adapters.s3.bucket import Bucket
from vna_lifecycle.adapters.s3.layout import object_key
from vna_lifecycle.adapters.s3.store import ENDED
from vna_lifecycle.adapters.s3.uploads import open_uploads
from vna_lifecycle.errors import ArchiveError, ArchiveReadOnly, ArchiveUnreachable
from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.ports import Archive, Fetched, Observation, Outcome, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.conformance.case import digests, manifest_of, read_back, study_of, written
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

FIRST = EXAMPLES[0]
STUDY = [spec for spec in EXAMPLES if spec.study_uid == FIRST.study_uid]
REF = study_of(FIRST)
MIB = 1 << 20
PARTS = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def place(seaweed: Server) -> tuple[str, str]:
    return seaweed.place()


def bucket_of(archive: Archive) -> Bucket:
    """The adapter's own bucket, so that a test can come between it and the server."""
    bucket = archive.stores._bucket  # type: ignore[union-attr]
    assert isinstance(bucket, Bucket)
    return bucket


def uid_of(item: Fetched) -> SOPInstanceUID:
    return item.record.sop_instance_uid


def store(archive: Archive, items: Sequence[Fetched]) -> list[str]:
    assert archive.stores is not None
    answers: list[Receipt | StoreFailure] = list(archive.stores.store(REF, items))
    return [answer.outcome.value if isinstance(answer, Receipt) else answer.code for answer in answers]


def inventory(archive: Archive) -> list[Any]:
    return [item for part in archive.reads.parts() for item in archive.reads.inventory(part)]


def large(folder: Path, size: int = 12 * MIB) -> Fetched:
    """An object with much in Data Set Trailing Padding (FFFC,FFFC)."""
    folder.mkdir()
    (item,) = written(folder, [evolve(FIRST, instance=50)])
    element = b"\xfc\xff\xfc\xff" + b"OB\0\0" + size.to_bytes(4, "little")
    with item.path.open("ab") as file:
        file.write(element + os.urandom(size))
    return item


def keys(server: Server, place: tuple[str, str], below: str = "") -> list[str]:
    listed = server.client().list_objects_v2(Bucket=place[0], Prefix=f"{place[1]}/{below}")
    return [item["Key"] for item in listed.get("Contents", ())]


def test_an_object_in_parts_has_its_checksums_and_comes_back(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    archive = open_place(seaweed, place, tmp_path, **PARTS)
    item = large(tmp_path / "in")
    assert store(archive, [item]) == ["stored"]
    (key,) = keys(seaweed, place, "objects/")
    head = seaweed.client().head_object(Bucket=place[0], Key=key, ChecksumMode="ENABLED")
    data = item.path.read_bytes()
    assert head["ChecksumSHA256"].endswith("-3"), "the server compared each of three parts"
    assert head["Metadata"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert read_back(archive, REF, tmp_path / "out") == digests([item])
    assert store(archive, [item]) == ["already-present"]


def test_an_object_whose_parts_differ_in_size_is_still_known_to_be_the_same(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    """The server's checksum then says nothing, so the bytes are compared."""
    item = large(tmp_path / "in")
    store(open_place(seaweed, place, tmp_path, **PARTS), [item])
    other = open_place(seaweed, place, tmp_path, **{**PARTS, "part_size": 6 * MIB})
    assert store(other, [item]) == ["already-present"]


def test_nothing_is_left_of_an_upload_that_fails(seaweed: Server, place: tuple[str, str], tmp_path: Path) -> None:
    archive = open_place(seaweed, place, tmp_path, **PARTS)
    bucket = bucket_of(archive)

    def fail(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://gone")

    bucket.client.meta.events.register("before-send.s3.UploadPart", fail)
    with pytest.raises(ArchiveUnreachable) as caught:
        store(archive, [large(tmp_path / "in")])
    assert caught.value.transient
    assert list(open_uploads(bucket)) == []
    assert keys(seaweed, place, "objects/") == []


def test_uploads_of_dead_writers_are_ended_and_told(
    seaweed: Server, place: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer that is alive keeps its upload; one that is dead left a note that nobody holds."""
    alive = open_place(seaweed, place, tmp_path, **PARTS)
    bucket = bucket_of(alive)
    item = large(tmp_path / "in")
    reached, go_on = threading.Event(), threading.Event()

    def wait(**_: Any) -> None:
        reached.set()
        go_on.wait(30)

    bucket.client.meta.events.register("before-send.s3.CompleteMultipartUpload", wait)
    outcomes: list[str] = []
    writer = threading.Thread(target=lambda: outcomes.extend(store(alive, [item])))
    writer.start()
    assert reached.wait(30)
    dead = "objects/ab/dead.dcm"
    seaweed.client().create_multipart_upload(Bucket=place[0], Key=f"{place[1]}/{dead}")
    (tmp_path / "workspace" / "uploads" / "left").write_text(dead)
    with caplog.at_level(logging.WARNING):
        other = open_place(seaweed, place, tmp_path)
        assert other.stores is not None
        (receipt,) = other.stores.store(REF, written(tmp_path / "more", [FIRST]))
        assert receipt == Receipt(
            sop_instance_uid=receipt.sop_instance_uid, outcome=Outcome.STORED, warnings=(ENDED,)
        ), "of the first object, where the one that was meant is not among those that are stored"
    assert "1 uploads that a crash had left unfinished were ended" in caplog.text
    assert [upload.key for upload in open_uploads(bucket)] != [dead]
    go_on.set()
    writer.join()
    assert outcomes == ["stored"]
    assert list(open_uploads(bucket)) == []


def test_uploads_that_another_machine_left_are_ended_when_they_are_a_day_old_and_told_once(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    """Of a younger one nobody can know whether its writer lives; ours is told of the object that was meant."""
    items = written(tmp_path / "in", STUDY[:2])
    left = [f"{place[1]}/objects/ab/of-somebody.dcm", f"{place[1]}/{object_key(REF.study_uid, uid_of(items[1]))}"]
    for key in left:
        seaweed.client().create_multipart_upload(Bucket=place[0], Key=key)

    def told(archive: Archive, study: StudyRef, given: Sequence[Fetched]) -> list[tuple[str, ...]]:
        assert archive.stores is not None
        return [answer.warnings for answer in archive.stores.store(study, given) if isinstance(answer, Receipt)]

    young = open_place(seaweed, place, tmp_path, ahead=dt.timedelta(hours=23))
    assert told(young, REF, items) == [(), ()]
    assert len(list(open_uploads(bucket_of(young)))) == 2
    old = open_place(seaweed, place, tmp_path, ahead=dt.timedelta(hours=25))
    assert told(old, REF, items) == [(), (ENDED,)]
    assert list(open_uploads(bucket_of(old))) == []
    assert told(old, REF, items) == [(), ()]


def test_a_stored_object_whose_reply_was_lost_is_not_stored_twice(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    archive = open_place(seaweed, place, tmp_path)
    lost: list[str] = []

    def lose(request: Any, **_: Any) -> None:
        if "/objects/" in request.url and not lost:
            lost.append(request.url)
            raise_after = archive_send(request)
            assert raise_after.status_code == 200
            raise EndpointConnectionError(endpoint_url="http://gone")

    def archive_send(request: Any) -> Any:
        return bucket_of(archive).client._endpoint.http_session.send(request)  # type: ignore[attr-defined]

    bucket_of(archive).client.meta.events.register("before-send.s3.PutObject", lose)
    items = written(tmp_path / "in", [FIRST])
    assert store(archive, items) == ["already-present"]
    assert lost
    assert len(keys(seaweed, place, "objects/")) == 1
    assert read_back(archive, REF, tmp_path / "out") == digests(items)


def test_a_server_that_ignores_conditions_is_noticed_and_guarded(
    seaweed: Server, place: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = open_place(seaweed, place, tmp_path)

    def strip(params: dict[str, Any], **_: Any) -> None:
        del params["IfNoneMatch"]

    bucket_of(archive).client.meta.events.register("before-parameter-build.s3.PutObject", strip)
    items = written(tmp_path / "in", [FIRST])
    with caplog.at_level(logging.WARNING):
        assert store(archive, items) == ["stored"]
    assert "ignores If-None-Match" in caplog.text
    other = written(tmp_path / "other", [evolve(FIRST, grey=200)])
    assert store(archive, other) == ["conflict"]
    assert read_back(archive, REF, tmp_path / "out") == digests(items)
    assert archive.probes is not None
    assert Observation(name="conditional-writes", value="ignored") in list(archive.probes.probe())


def test_a_prefix_that_holds_something_else_is_not_written_to(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    seaweed.client().put_object(Bucket=place[0], Key=f"{place[1]}/minutes.txt", Body=b"of a meeting")
    archive = open_place(seaweed, place, tmp_path)
    with pytest.raises(ArchiveReadOnly, match="other things"):
        store(archive, written(tmp_path / "in", [FIRST]))
    assert keys(seaweed, place) == [f"{place[1]}/minutes.txt"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"object_lock": "governance", "object_lock_days": 1}, "no Object Lock"),
        ({"legal_hold": True}, "no Object Lock"),
        ({"require_versions": True}, "no versioning"),
    ],
    ids=str,
)
def test_a_bucket_that_cannot_keep_what_the_settings_promise_is_not_written_to(
    seaweed: Server, place: tuple[str, str], tmp_path: Path, more: dict[str, Any], words: str
) -> None:
    archive = open_place(seaweed, place, tmp_path, **more)
    with pytest.raises(ArchiveError, match=words) as caught:
        store(archive, written(tmp_path / "in", [FIRST]))
    assert caught.value.hint
    assert keys(seaweed, place) == []


def test_what_is_stored_is_locked_as_the_settings_say(seaweed: Server, tmp_path: Path) -> None:
    place = seaweed.place(locked=True)
    more = {"object_lock": "compliance", "object_lock_days": 3, "legal_hold": True, "require_versions": True}
    archive = open_place(seaweed, place, tmp_path, **more)
    items = written(tmp_path / "in", [FIRST])
    assert store(archive, items) == ["stored"]
    (key,) = keys(seaweed, place, "objects/")
    client = seaweed.client()
    kept = client.get_object_retention(Bucket=place[0], Key=key)["Retention"]
    assert kept["Mode"] == "COMPLIANCE"
    assert (kept["RetainUntilDate"] - bucket_of(archive).site.clock()).total_seconds() > 2.9 * 86400
    assert client.get_object_legal_hold(Bucket=place[0], Key=key)["LegalHold"]["Status"] == "ON"
    assert archive.erases is not None
    (answer,) = archive.erases.erase(REF, manifest_of(items))
    assert isinstance(answer, StoreFailure)
    assert answer.code == "held"
    assert read_back(archive, REF, tmp_path / "out") == digests(items)


def test_an_object_over_the_size_limit_is_told_and_the_rest_is_stored(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    archive = open_place(seaweed, place, tmp_path, max_object_size=6 * MIB, **PARTS)
    items = [large(tmp_path / "large", 7 * MIB), *written(tmp_path / "in", [FIRST])]
    assert sorted(store(archive, items)) == ["stored", "too-large"]


def test_an_object_without_its_manifest_line_is_found_by_its_header_and_entered_when_stored_again(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    """A crash between the two hides nothing."""
    archive = open_place(seaweed, place, tmp_path)
    items = written(tmp_path / "in", STUDY)
    store(archive, items)
    for key in keys(seaweed, place, "manifests/"):
        seaweed.client().delete_object(Bucket=place[0], Key=key)
    found = [item for item in inventory(archive) if isinstance(item, InstanceRecord)]
    assert sorted(item.sop_instance_uid for item in found) == sorted(spec.sop_instance_uid for spec in STUDY)
    again = open_place(seaweed, place, tmp_path)
    assert store(again, items) == ["already-present"] * len(items)
    assert len(keys(seaweed, place, "manifests/")) == 1


def test_the_bucket_alone_tells_everything(seaweed: Server, place: tuple[str, str], tmp_path: Path) -> None:
    """On another machine, with nothing but the bucket, the archive is the same."""
    here = open_place(seaweed, place, tmp_path / "here")
    items = written(tmp_path / "in", STUDY)
    store(here, items)
    there = open_place(seaweed, place, tmp_path / "there")
    assert inventory(there) == inventory(here)
    assert read_back(there, REF, tmp_path / "out") == digests(items)


def test_a_missing_object_and_a_hidden_one_are_told_apart(seaweed: Server, tmp_path: Path) -> None:
    place = seaweed.place(locked=True)
    archive = open_place(seaweed, place, tmp_path)
    store(archive, written(tmp_path / "in", STUDY[:3]))
    client = seaweed.client()
    hidden, gone, _ = keys(seaweed, place, "objects/")
    client.delete_object(Bucket=place[0], Key=hidden)
    version = client.head_object(Bucket=place[0], Key=gone)["VersionId"]
    client.delete_object(Bucket=place[0], Key=gone, VersionId=version)
    told = {item.code for item in inventory(archive) if isinstance(item, Refused)}
    assert told == {"delete-marker", "missing-file"}


def test_an_object_that_was_replaced_is_read_as_it_is(seaweed: Server, place: tuple[str, str], tmp_path: Path) -> None:
    """What somebody else put there is fetched and told by its size; the read-back's digests find the rest."""
    archive = open_place(seaweed, place, tmp_path)
    items = written(tmp_path / "in", [FIRST])
    store(archive, items)
    listed = list(archive.reads.list_instances(REF))
    (key,) = keys(seaweed, place, "objects/")
    seaweed.client().put_object(Bucket=place[0], Key=key, Body=dicom_bytes(evolve(FIRST, patient_name="Longer^Name")))
    (failure,) = archive.reads.fetch(REF, listed, _NoSpool(tmp_path))  # type: ignore[arg-type]
    assert getattr(failure, "code", "") == "changed-since-listed"
    assert archive.withdraws is not None
    (answer,) = archive.withdraws.withdraw(REF, manifest_of(items))
    assert isinstance(answer, StoreFailure)
    assert answer.code == "conflict"


class _NoSpool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new_file(self, size: int | None = None) -> Path:
        return self.folder / os.urandom(4).hex()


def test_a_locator_cannot_lead_out_of_the_prefix(seaweed: Server, place: tuple[str, str], tmp_path: Path) -> None:
    archive = open_place(seaweed, place, tmp_path)
    (item,) = written(tmp_path / "in", [FIRST])
    wanted = [evolve(item.record, locator=locator) for locator in ("../secret", "", "a/../../b", "./x")]
    found = list(archive.reads.fetch(REF, wanted, _NoSpool(tmp_path)))  # type: ignore[arg-type]
    assert [getattr(failure, "code", "") for failure in found] == ["bad-locator"] * 4


def test_headers_in_many_places_are_read_without_a_request_for_each(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    """An encapsulated object of many fragments: its item headers are all over it."""
    from pydicom.uid import JPEGBaseline8Bit

    whole = dicom_bytes(ObjectSpec(transfer_syntax=JPEGBaseline8Bit))
    head = whole[: whole.index(b"\xe0\x7f\x10\x00OB")]
    fragment = b"\xfe\xff\x00\xe0" + (600_000).to_bytes(4, "little") + b"\xff\xd8" + bytes(599_996) + b"\xff\xd9"
    pixels = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" + fragment * 30
    data = head + pixels + b"\xfe\xff\xdd\xe0\0\0\0\0"
    seaweed.client().put_object(Bucket=place[0], Key=f"{place[1]}/IM", Body=data)
    archive = open_place(seaweed, place, tmp_path)
    asked: list[str] = []

    def count(request: Any, **_: Any) -> None:
        asked.extend([request.url] if request.url.endswith("/IM") else [])

    bucket_of(archive).client.meta.events.register("before-send.s3.GetObject", count)
    (record,) = [item for item in inventory(archive) if isinstance(item, InstanceRecord)]
    assert record.size == len(data)
    assert 1 < len(asked) < 20
    asked.clear()
    assert [item for item in inventory(archive) if isinstance(item, InstanceRecord)] == [record]
    assert asked == [], "what was read is remembered as long as it is the same object"


def test_what_is_remembered_answers_only_as_long_as_it_is_true(
    seaweed: Server, place: tuple[str, str], tmp_path: Path
) -> None:
    """Another machine adds to a study: whoever asks here is told so."""
    here, there = (open_place(seaweed, place, tmp_path / name) for name in ("here", "there"))
    items = written(tmp_path / "in", STUDY)
    query = StudyQuery(patient_id=FIRST.patient_id)
    store(here, items[:1])
    assert [study.instance_count for study in here.reads.find_studies(query)] == [1]
    store(there, items[1:])
    assert [study.instance_count for study in here.reads.find_studies(query)] == [len(items)]


def test_one_held_version_keeps_all_versions_of_an_instance(seaweed: Server, tmp_path: Path) -> None:
    place = seaweed.place(locked=True)
    archive = open_place(seaweed, place, tmp_path)
    items = written(tmp_path / "in", [FIRST])
    store(archive, items)
    (key,) = keys(seaweed, place, "objects/")
    client = seaweed.client()
    held = client.head_object(Bucket=place[0], Key=key)["VersionId"]
    client.put_object_legal_hold(Bucket=place[0], Key=key, VersionId=held, LegalHold={"Status": "ON"})
    client.put_object(Bucket=place[0], Key=key, Body=b"a later version")
    assert archive.erases is not None
    (answer,) = archive.erases.erase(REF, manifest_of(items))
    assert isinstance(answer, StoreFailure)
    assert answer.code == "held"
    assert len(list(archive.erases.probe(REF, manifest_of(items)))) == 3, "two versions, and the manifest's line"
