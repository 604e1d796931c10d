"""Troubles that no server makes on demand: each is a named error or value, and nothing is acknowledged that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina

from peers.s3 import Script, Server, open_place
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable
from vna_lifecycle.model.inventory import InstanceRecord
from vna_lifecycle.ports import Archive, FetchFailure, Receipt, StoreFailure, Urgency
from vna_lifecycle.testing.conformance import EXAMPLES
from vna_lifecycle.testing.conformance.case import FolderSpool, manifest_of, study_of, written

FIRST = EXAMPLES[0]
REF = study_of(FIRST)
EMPTY = b"<ListBucketResult></ListBucketResult>"
OWNER = "111122223333"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def opened(scripted: Script, folder: Path, **more: Any) -> Archive:
    """An archive on a bucket that is there and empty."""
    scripted.say(200)
    scripted.say(404, "NoSuchKey")
    archive = open_place(Server(endpoint_url=scripted.endpoint_url), ("images", "p"), folder, **more)
    scripted.lines.clear()
    scripted.seen.clear()
    return archive


def begin_store(scripted: Script) -> None:
    """The answers up to the first object: no marker, nothing there, the marker written and then refused, no uploads."""
    scripted.say(404, "NoSuchKey")
    scripted.lines.append((200, {}, EMPTY))
    scripted.say(200)
    scripted.say(412, "PreconditionFailed")
    scripted.lines.append((200, {}, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"))


def test_a_bucket_of_somebody_else_is_told_from_one_that_refuses_us(scripted: Script, tmp_path: Path) -> None:
    scripted.say(403)
    scripted.say(200)
    with pytest.raises(ArchiveRefused, match=f"does not belong to the account {OWNER}"):
        opened(scripted, tmp_path, expected_bucket_owner=OWNER)
    owners = [headers.get("x-amz-expected-bucket-owner") for _, _, headers in scripted.seen]
    assert owners == [OWNER, None]
    scripted.lines.clear()
    scripted.say(403)
    with pytest.raises(ArchiveRefused, match="s3:ListBucket is denied"):
        open_place(Server(endpoint_url=scripted.endpoint_url), ("images", "p"), tmp_path, expected_bucket_owner=OWNER)


def test_a_bucket_that_is_not_there_is_said_when_it_is_opened(scripted: Script, tmp_path: Path) -> None:
    scripted.say(404)
    with pytest.raises(ArchiveUnreachable, match="images is not there"):
        open_place(Server(endpoint_url=scripted.endpoint_url), ("images", "p"), tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "kind", "words", "transient"),
    [
        (400, "ExpiredToken", ArchiveRefused, "have expired", False),
        (403, "AccessDenied", ArchiveRefused, "s3:PutObject is denied", False),
        (503, "SlowDown", ArchiveError, "slow down", True),
        (500, "InternalError", ArchiveUnreachable, "for the moment", True),
        (301, "PermanentRedirect", ArchiveRefused, "sent us elsewhere", False),
        (400, "InvalidStorageClass", ArchiveError, "InvalidStorageClass", False),
        (403, "KMS.DisabledException", ArchiveRefused, "encryption key", False),
    ],
)
def test_trouble_in_the_middle_of_a_study_acknowledges_nothing(
    scripted: Script, tmp_path: Path, status: int, code: str, kind: type[ArchiveError], words: str, transient: bool
) -> None:
    archive = opened(scripted, tmp_path)
    begin_store(scripted)
    scripted.say(200)  # the first object
    scripted.say(status, code)  # and whatever comes after it
    assert archive.stores is not None
    acknowledged = []
    with pytest.raises(kind, match=words) as caught:
        acknowledged += list(archive.stores.store(REF, written(tmp_path / "in", EXAMPLES[:3])))
    assert acknowledged == []
    assert caught.value.transient is transient
    assert not transient or caught.value.retry_after


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "BadDigest", ("checksum-mismatch", True)),
        (400, "EntityTooLarge", ("too-large", False)),
    ],
)
def test_an_object_that_the_server_refuses_is_a_failure_of_its_own(
    scripted: Script, tmp_path: Path, status: int, code: str, expected: tuple[str, bool]
) -> None:
    archive = opened(scripted, tmp_path, concurrency=1)
    begin_store(scripted)
    scripted.say(status, code)
    scripted.say(200)
    assert archive.stores is not None
    answers = list(archive.stores.store(REF, written(tmp_path / "in", EXAMPLES[:2])))
    failures = [answer for answer in answers if isinstance(answer, StoreFailure)]
    assert [(failure.code, failure.transient) for failure in failures] == [expected]
    assert len([answer for answer in answers if isinstance(answer, Receipt)]) == 1


def test_every_call_names_the_owner_that_the_bucket_must_have(scripted: Script, tmp_path: Path) -> None:
    archive = opened(scripted, tmp_path, expected_bucket_owner=OWNER)
    begin_store(scripted)
    scripted.say(200)
    assert archive.stores is not None
    list(archive.stores.store(REF, written(tmp_path / "in", [FIRST])))
    assert len(scripted.seen) == 7
    assert {headers.get("x-amz-expected-bucket-owner") for _, _, headers in scripted.seen} == {OWNER}


def test_what_the_settings_say_of_new_objects_is_in_each_request(scripted: Script, tmp_path: Path) -> None:
    archive = opened(
        scripted,
        tmp_path,
        storage_class="GLACIER_IR",
        tags=("origin=old pacs", "class=image"),
        encryption="aws:kms",
        kms_key_id="alias/images",
    )
    begin_store(scripted)
    scripted.say(200)
    assert archive.stores is not None
    list(archive.stores.store(REF, written(tmp_path / "in", [FIRST])))
    by_tree = {path.split("/")[3]: headers for method, path, headers in scripted.seen if method == "PUT"}
    objects = {name.lower(): value for name, value in by_tree["objects"].items()}
    manifests = {name.lower(): value for name, value in by_tree["manifests"].items()}
    assert objects["x-amz-storage-class"] == "GLACIER_IR"
    assert objects["x-amz-tagging"] == "origin=old+pacs&class=image"
    assert "x-amz-storage-class" not in manifests, "manifests stay readable at once"
    for headers in (objects, manifests):
        assert headers["if-none-match"] == "*"
        assert headers["x-amz-checksum-sha256"]
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/images"


def test_an_archived_object_is_not_served_and_says_so(scripted: Script, tmp_path: Path) -> None:
    archive = opened(scripted, tmp_path)
    scripted.say(404, "NoSuchKey")  # no marker
    scripted.say(403, "InvalidObjectState")
    (item,) = written(tmp_path / "in", [FIRST])
    record = InstanceRecord(locator="objects/a", sop_instance_uid=item.record.sop_instance_uid)
    (failure,) = archive.reads.fetch(REF, [record], FolderSpool(tmp_path / "spool"))
    assert isinstance(failure, FetchFailure)
    assert failure.code == "archived"


DEEP, COLD = ({"x-amz-storage-class": name} for name in ("DEEP_ARCHIVE", "GLACIER"))


@pytest.mark.parametrize(
    ("headers", "answer", "urgency", "expected"),
    [
        (DEEP, None, Urgency.EXPEDITED, ("urgency-unavailable", False)),
        (COLD, (503, "GlacierExpeditedRetrievalNotAvailable"), Urgency.EXPEDITED, ("urgency-unavailable", True)),
        (COLD, (409, "RestoreAlreadyInProgress"), Urgency.BULK, "stored"),
        (DEEP, (202, ""), Urgency.STANDARD, "stored"),
    ],
)
def test_a_recall_says_what_the_server_can_do(
    scripted: Script,
    tmp_path: Path,
    headers: dict[str, str],
    answer: tuple[int, str] | None,
    urgency: Urgency,
    expected: Any,
) -> None:
    archive = opened(scripted, tmp_path)
    scripted.say(200, headers=headers)
    if answer is not None:
        scripted.say(*answer)
    assert archive.recalls is not None
    manifest = manifest_of(written(tmp_path / "in", [FIRST]))
    (told,) = archive.recalls.recall(REF, manifest, days=2, urgency=urgency)
    if isinstance(told, Receipt):
        assert told.outcome.value == expected
    else:
        assert (told.code, told.transient) == expected
    assert any(method == "POST" for method, _, _ in scripted.seen) is (answer is not None)


Power = Callable[[Archive, Any], Any]


@pytest.mark.parametrize(
    "power",
    [
        lambda archive, manifest: archive.holds.holds(REF, manifest),
        lambda archive, manifest: archive.holds.place(REF, manifest),
        lambda archive, manifest: archive.erases.erase(REF, manifest),
        lambda archive, manifest: archive.erases.probe(REF, manifest),
    ],
    ids=["holds", "place", "erase", "probe"],
)
def test_a_question_about_holds_or_remnants_that_is_denied_is_never_answered_by_no(
    scripted: Script, tmp_path: Path, power: Power
) -> None:
    archive = opened(scripted, tmp_path)
    manifest = manifest_of(written(tmp_path / "in", [FIRST]))
    scripted.say(403, "AccessDenied")
    with pytest.raises(ArchiveRefused, match="is denied"):
        list(power(archive, manifest))
