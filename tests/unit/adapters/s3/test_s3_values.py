"""Settings, keys, manifests, parts and restore states: what needs no server."""

from __future__ import annotations

import datetime as dt

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.adapters.s3 import manifest
from vna_lifecycle.adapters.s3.cut import cut, range_of
from vna_lifecycle.adapters.s3.layout import object_key, segment_key, segment_number, study_digest_of
from vna_lifecycle.adapters.s3.manifest import StoredInstance
from vna_lifecycle.adapters.s3.settings import S3Settings, s3_from_url
from vna_lifecycle.adapters.s3.tiers import standing
from vna_lifecycle.dicom.scan import scan_bytes
from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.model.identity import SOPInstanceUID
from vna_lifecycle.ports import Part
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes


@pytest.mark.parametrize(("given", "kept"), [("", ""), ("/", ""), ("ct", "ct/"), ("/a/b/", "a/b/"), ("a//", "a/")])
def test_a_prefix_ends_with_one_slash_so_that_it_takes_in_no_neighbour(given: str, kept: str) -> None:
    assert S3Settings(bucket="images", prefix=given).prefix == kept


def test_a_url_names_bucket_and_prefix() -> None:
    assert s3_from_url("s3://images/old%20pacs") == S3Settings(bucket="images", prefix="old pacs")
    assert s3_from_url("s3://images").prefix == ""


@pytest.mark.parametrize(
    "url", ["s3:images", "s3://", "s3://key:secret@images/x", "s3://images/x?region=y", "http://x"]
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET/PREFIX"):
        s3_from_url(url)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"object_lock": "compliance"}, "go together"),
        ({"object_lock_days": 10}, "go together"),
        ({"kms_key_id": "k"}, "encryption"),
        ({"tags": ("novalue",)}, "key=value"),
        ({"tags": tuple(f"k{number}=v" for number in range(11))}, "at most 10"),
        ({"expected_bucket_owner": "12"}, "12 digits"),
        ({"part_size": 1024}, "at least"),
        ({"max_attempts": 0}, "greater than 0"),
        ({"bucket": "no spaces"}, "name"),
        ({"region": "Frankfurt am Main"}, "region"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        S3Settings(**{"bucket": "images", **more})  # type: ignore[arg-type]


def test_no_identifier_is_in_a_key() -> None:
    key = object_key("1.2.3", "../../4.5.6")
    assert "1.2.3" not in key
    assert ".." not in key
    assert study_digest_of(key) == study_digest_of(segment_key(study_digest_of(key), 1)) != ""
    assert segment_number(segment_key(study_digest_of(key), 17)) == 17
    assert study_digest_of("vna-store.json") == ""


def stored(number: int, **more: object) -> StoredInstance:
    record = scan_bytes(dicom_bytes(ObjectSpec(instance=number, patient_name="M\u00fcller^J\u00f6rg", **more)))  # type: ignore[arg-type]
    return StoredInstance(record=record, dataset_sha256="ab" * 32, dataset_size=7, sha256="cd" * 32)


def test_a_manifest_tells_what_was_written_to_it() -> None:
    items = [stored(1), evolve(stored(2), dataset_size=9)]
    contents = manifest.read([(1, manifest.to_bytes(items))])
    assert list(contents.instances.values()) == items
    assert (contents.damaged, contents.last) == (0, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=12), st.integers(1, 5))
def test_the_last_word_on_an_instance_counts(words: list[tuple[bool, int]], per_segment: int) -> None:
    items = {number: stored(number) for number in range(1, 5)}
    expected: dict[str, int] = {}
    lines = []
    for place, (put, number) in enumerate(words):
        uid = items[number].record.sop_instance_uid
        if put:
            expected[uid] = place
            lines.append(manifest.to_bytes([evolve(items[number], dataset_size=place)]))
        else:
            expected.pop(uid, None)
            lines.append(manifest.to_bytes(withdrawn=[uid]))
    cuts = range(0, len(lines), per_segment)
    segments = [(number + 1, b"".join(lines[at : at + per_segment])) for number, at in enumerate(cuts)]
    found = manifest.read(segments)
    assert {uid: item.dataset_size for uid, item in found.instances.items()} == expected


@pytest.mark.parametrize("damage", [b"{", b"[]\n", b'{"record": 3}\n', b"\xff\n", b'{"record": {}, "sha256": 1}\n'])
def test_a_damaged_line_is_counted_and_hides_no_other(damage: bytes) -> None:
    contents = manifest.read([(1, manifest.to_bytes([stored(1)]) + damage), (2, manifest.to_bytes([stored(2)]))])
    assert (len(contents.instances), contents.damaged) == (2, 1)


def test_a_segment_names_whoever_is_in_it() -> None:
    data = manifest.to_bytes([stored(1)], [SOPInstanceUID("1.2")]) + b"{damaged\n"
    assert manifest.named(data) == {stored(1).record.sop_instance_uid, "1.2"}


@given(st.sets(st.text(st.characters(codec="utf-8"), min_size=1), max_size=30), st.integers(1, 6), st.text(min_size=1))
def test_parts_hold_every_name_once_even_one_that_came_since(names: set[str], limit: int, late: str) -> None:
    parts = cut([(name, 1) for name in sorted(names)], "objects", limit)
    for name in {*names, late} if names else names:
        holding = [part for part in parts if _holds(part, name)]
        assert len(holding) == 1


def _holds(part: Part, name: str) -> bool:
    after, last = range_of(part)
    return name > after and (last is None or name <= last)


def test_where_a_server_lists_in_an_order_of_its_own_there_is_one_part() -> None:
    """Ranges would leave names out."""
    (part,) = cut([("a/c", 1), ("a-b", 1), ("b", 1)], "objects", 1)
    assert range_of(part) == ("", None)


@pytest.mark.parametrize("key", ["", "x", "[]", '["a"]', '[1, "b"]', '["a", 2]', "null"])
def test_a_part_of_another_archive_is_refused(key: str) -> None:
    with pytest.raises(ArchiveError, match="not issued"):
        range_of(Part(key=key))


UNTIL = dt.datetime(2027, 1, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("said", "archived", "recalling", "until"),
    [
        ({}, False, False, None),
        ({"StorageClass": "GLACIER_IR"}, False, False, None),
        ({"StorageClass": "GLACIER"}, True, False, None),
        ({"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'}, True, True, None),
        (
            {
                "StorageClass": "GLACIER",
                "Restore": 'ongoing-request="false", expiry-date="Sat, 02 Jan 2027 00:00:00 GMT"',
            },
            False,
            False,
            UNTIL,
        ),
        ({"StorageClass": "INTELLIGENT_TIERING"}, False, False, None),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "DEEP_ARCHIVE_ACCESS"}, True, False, None),
    ],
    ids=str,
)
def test_a_restore_is_read_as_s3_tells_it(
    said: dict[str, str], archived: bool, recalling: bool, until: dt.datetime | None
) -> None:
    found = standing(said)  # type: ignore[arg-type]
    assert (found.archived, found.recalling, found.available_until) == (archived, recalling, until)
