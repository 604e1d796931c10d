"""The policies in the documentation allow what each task really calls, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from peers.s3 import Server, open_place
from vna_lifecycle.ports import Archive, StudyQuery, Urgency
from vna_lifecycle.testing.conformance.case import EXAMPLES, FolderSpool, manifest_of, study_of, written

GUIDE = Path(__file__).parents[4] / "docs" / "how-to" / "store-in-s3.md"
BUCKET, OBJECTS = "arn:aws:s3:::hospital-images", "arn:aws:s3:::hospital-images/old-pacs/"
FIRST = EXAMPLES[0]
STUDY = [spec for spec in EXAMPLES if spec.study_uid == FIRST.study_uid]
REF = study_of(FIRST)
MIB = 1 << 20

ACTIONS: dict[str, tuple[str, ...]] = {
    # API operation: the permissions that it needs (Service Authorization Reference, Amazon S3)
    "AbortMultipartUpload": ("AbortMultipartUpload",),
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("GetObject", "GetObjectTagging", "PutObject", "PutObjectTagging"),
    "CreateMultipartUpload": ("PutObject",),
    "GetBucketEncryption": ("GetEncryptionConfiguration",),
    "GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration",),
    "GetBucketVersioning": ("GetBucketVersioning",),
    "GetObjectLegalHold": ("GetObjectLegalHold",),
    "GetObjectLockConfiguration": ("GetBucketObjectLockConfiguration",),
    "GetObjectRetention": ("GetObjectRetention",),
    "HeadBucket": ("ListBucket",),
    "HeadObject": ("GetObject",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListObjectsV2": ("ListBucket",),
    "PutObject": ("PutObject",),
    "PutObjectLegalHold": ("PutObjectLegalHold",),
    "PutObjectRetention": ("PutObjectRetention",),
    "RestoreObject": ("RestoreObject",),
    "UploadPart": ("PutObject",),
}
PARAMETERS = {
    # what a parameter needs beside the operation's own permission
    "Tagging": "PutObjectTagging",
    "ObjectLockMode": "PutObjectRetention",
    "ObjectLockLegalHoldStatus": "PutObjectLegalHold",
}


def policies() -> dict[str, dict[str, Any]]:
    """Each policy of the guide by its heading."""
    found = re.findall(r"^### (.*)$(?:(?!^### ).*\n)*?^```json\n((?:.*\n)*?)^```$", GUIDE.read_text(), re.MULTILINE)
    return {title: json.loads(text) for title, text in found}


def allowed(policy: dict[str, Any]) -> set[str]:
    actions: set[str] = set()
    for statement in policy["Statement"]:
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return {action.removeprefix("s3:") for action in actions}


@define
class Calls:
    """The permissions that an archive's calls needed."""

    needed: set[str] = field(factory=set)

    def listen(self, archive: Archive) -> Archive:
        events = archive.stores._bucket.client.meta.events  # type: ignore[union-attr]
        events.register("before-parameter-build.s3", self._note)
        return archive

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        match model.name:
            case "GetObject":
                self.needed.add("GetObjectVersion" if "VersionId" in params else "GetObject")
            case "DeleteObject":
                self.needed.add("DeleteObjectVersion" if "VersionId" in params else "DeleteObject")
            case name:
                self.needed.update(ACTIONS[name])
        self.needed.update(action for parameter, action in PARAMETERS.items() if parameter in params)


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_the_guide_has_a_policy_for_each_task() -> None:
    assert sorted(policies()) == [
        "Copying",
        "Erasing",
        "Holding",
        "Looking at the bucket",
        "Moving between storage classes",
        "Reading",
        "Withdrawing",
    ]


@pytest.mark.parametrize("title", sorted(policies()))
def test_a_policy_is_well_formed(title: str) -> None:
    """Bucket permissions are on the bucket, object permissions on its objects; no wild card grants anything."""
    policy = policies()[title]
    assert set(policy) == {"Version", "Statement"}
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert set(statement) == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert actions == sorted(actions)
        for action in actions:
            assert re.fullmatch(r"s3:[A-Z][A-Za-z]+", action)
            on_bucket = action.startswith("s3:ListBucket") or "Bucket" in action or "Configuration" in action
            assert (statement["Resource"] == BUCKET) is on_bucket, action
            assert on_bucket or statement["Resource"].startswith(OBJECTS)


def test_only_two_roles_can_take_anything_away_and_copying_is_none_of_them() -> None:
    deleting = {title for title, policy in policies().items() if any("Delete" in action for action in allowed(policy))}
    assert deleting == {"Withdrawing", "Erasing"}
    assert not any("Bypass" in action for policy in policies().values() for action in allowed(policy))


def large(folder: Path) -> Any:
    (item,) = written(folder, [evolve(FIRST, instance=50)])
    with item.path.open("ab") as file:
        file.write(b"\xfc\xff\xfc\xff" + b"OB\0\0" + (6 * MIB).to_bytes(4, "little") + bytes(6 * MIB))
    return item


def read(archive: Archive, folder: Path) -> None:
    list(archive.reads.find_studies(StudyQuery()))
    for part in archive.reads.parts():
        list(archive.reads.inventory(part))
    list(archive.reads.fetch(REF, list(archive.reads.list_instances(REF)), FolderSpool(folder)))


@pytest.fixture
def place(seaweed: Server) -> tuple[str, str]:
    return seaweed.place(locked=True)


@pytest.fixture
def filled(seaweed: Server, place: tuple[str, str], tmp_path: Path) -> Iterator[Callable[..., Archive]]:
    """Opens an archive that holds a study; what was called to fill it does not count."""
    archive = open_place(seaweed, place, tmp_path / "first")
    assert archive.stores is not None
    list(archive.stores.store(REF, written(tmp_path / "in", STUDY)))
    yield lambda **more: open_place(seaweed, place, tmp_path / "second", **more)


@pytest.mark.peer
def test_reading(
    seaweed: Server, place: tuple[str, str], filled: Callable[..., Archive], calls: Calls, tmp_path: Path
) -> None:
    client = seaweed.client()
    listed = client.list_objects_v2(Bucket=place[0], Prefix=f"{place[1]}/objects/")["Contents"]
    client.delete_object(Bucket=place[0], Key=listed[0]["Key"])
    read(calls.listen(filled()), tmp_path / "out")
    assert calls.needed == allowed(policies()["Reading"])


@pytest.mark.peer
def test_copying(seaweed: Server, place: tuple[str, str], calls: Calls, tmp_path: Path) -> None:
    """Storing, storing again, other bytes under the same UIDs, an object in parts, an upload to sweep, reading back."""
    more: dict[str, Any] = {"object_lock": "governance", "object_lock_days": 1, "require_versions": True}
    more |= {"tags": ("a=b",), "multipart_threshold": 5 * MIB, "part_size": 5 * MIB}
    dead = "objects/ab/dead.dcm"
    archive = calls.listen(open_place(seaweed, place, tmp_path, **more))
    seaweed.client().create_multipart_upload(Bucket=place[0], Key=f"{place[1]}/{dead}")
    (tmp_path / "workspace" / "uploads").mkdir()
    (tmp_path / "workspace" / "uploads" / "left").write_text(dead)
    assert archive.stores is not None
    items = [*written(tmp_path / "in", STUDY), large(tmp_path / "large")]
    for some in (items, items, written(tmp_path / "other", [evolve(FIRST, grey=99)])):
        list(archive.stores.store(REF, some))
    listed = seaweed.client().list_objects_v2(Bucket=place[0], Prefix=f"{place[1]}/objects/")["Contents"]
    seaweed.client().delete_object(Bucket=place[0], Key=listed[0]["Key"])
    read(archive, tmp_path / "out")
    assert calls.needed == allowed(policies()["Copying"])


@pytest.mark.peer
def test_withdrawing(filled: Callable[..., Archive], calls: Calls, tmp_path: Path) -> None:
    archive = calls.listen(filled())
    assert archive.withdraws is not None
    list(archive.withdraws.withdraw(REF, manifest_of(written(tmp_path / "in2", STUDY))))
    unseen = {"AbortMultipartUpload", "ListBucketVersions"}  # where a crash left an upload; where one looks afterwards
    assert calls.needed | unseen == allowed(policies()["Withdrawing"]) | {"ListBucket"}


@pytest.mark.peer
def test_holding(filled: Callable[..., Archive], calls: Calls, tmp_path: Path) -> None:
    archive = calls.listen(filled())
    manifest = manifest_of(written(tmp_path / "in2", STUDY))
    assert archive.holds is not None
    list(archive.holds.place(REF, manifest))
    list(archive.holds.release(REF, manifest))
    list(archive.holds.retain(REF, manifest, dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)))
    list(archive.holds.holds(REF, manifest))
    opened = {"ListBucket", "GetObject"}  # by which every archive is opened, before anybody listens here
    assert calls.needed | opened == allowed(policies()["Holding"])


@pytest.mark.peer
def test_moving_between_storage_classes(ministack: Server, calls: Calls, tmp_path: Path) -> None:
    place = ministack.place(locked=True)
    more: dict[str, Any] = {"object_lock": "governance", "object_lock_days": 1, "legal_hold": True, "tags": ("a=b",)}
    archive = open_place(ministack, place, tmp_path, **more)
    assert archive.stores is not None
    assert archive.tiers is not None
    assert archive.recalls is not None
    items = written(tmp_path / "in", [FIRST])
    list(archive.stores.store(REF, items))
    calls.listen(archive)
    list(archive.tiers.placements(REF, manifest_of(items)))
    list(archive.tiers.move(REF, manifest_of(items), "DEEP_ARCHIVE"))
    with pytest.raises(Exception, match="RestoreObject"):  # this server has no such call
        list(archive.recalls.recall(REF, manifest_of(items), days=1, urgency=Urgency.BULK))
    assert calls.needed | {"ListBucket"} == allowed(policies()["Moving between storage classes"])


@pytest.mark.peer
def test_erasing(
    seaweed: Server, place: tuple[str, str], filled: Callable[..., Archive], calls: Calls, tmp_path: Path
) -> None:
    archive = calls.listen(filled())
    manifest = manifest_of(written(tmp_path / "in2", STUDY))
    key = seaweed.client().list_objects_v2(Bucket=place[0], Prefix=f"{place[1]}/objects/")["Contents"][0]["Key"]
    seaweed.client().create_multipart_upload(Bucket=place[0], Key=key)
    assert archive.erases is not None
    list(archive.erases.erase(REF, evolve(manifest, entries=manifest.entries[:2])))
    list(archive.erases.erase(REF, manifest))
    assert list(archive.erases.probe(REF, manifest)) == []
    assert calls.needed == allowed(policies()["Erasing"])


@pytest.mark.peer
def test_looking_at_the_bucket(filled: Callable[..., Archive], calls: Calls) -> None:
    archive = calls.listen(filled())
    assert archive.probes is not None
    seen = {observation.name: observation.value for observation in archive.probes.probe()}
    assert seen["versioning"] == "Enabled"
    assert seen["object-lock"].startswith("on")
    assert seen["conditional-writes"] == "honoured"
    assert calls.needed | {"ListBucket", "GetObject"} == allowed(policies()["Looking at the bucket"])
