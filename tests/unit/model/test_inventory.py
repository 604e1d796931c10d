"""Manifests are values with one canonical form."""

from __future__ import annotations

import pytest
from attrs import fields
from hypothesis import given
from hypothesis import strategies as st

from vna_lifecycle.errors import DiskFull, LedgerCorrupt, UnexpectedSize
from vna_lifecycle.model.encoding import Encoding
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Digest, Manifest, ManifestEntry

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
ENTRY = st.builds(
    ManifestEntry,
    sop_instance_uid=TEXT.map(SOPInstanceUID),
    series_uid=TEXT.map(SeriesUID),
    sop_class_uid=TEXT,
    transfer_syntax=TEXT,
    size=st.integers(0, 2**40),
    digest=st.builds(
        Digest,
        dataset_sha256=TEXT,
        header_sha256=TEXT,
        pixel_sha256=TEXT,
        dataset_size=st.integers(0),
        encoding=st.none() | st.builds(Encoding, **{each.name: TEXT for each in fields(Encoding)}),
    ),
)


@given(st.lists(ENTRY, max_size=5), st.randoms())
def test_a_manifest_is_read_back_as_it_was_written_whatever_the_order_of_its_entries(entries, random) -> None:  # type: ignore[no-untyped-def]  # Hypothesis
    manifest = Manifest(study_uid=StudyUID("1.2"), entries=entries)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    by_uid = {entry.sop_instance_uid: entry for entry in entries}
    unique = list(by_uid.values())
    shuffled = random.sample(unique, len(unique))
    one, other = (Manifest(study_uid=StudyUID("1.2"), entries=items) for items in (unique, shuffled))
    assert one.to_bytes() == other.to_bytes()


def test_a_manifest_of_before_encodings_were_kept_is_read_and_written_as_the_same_bytes() -> None:
    kept = (
        b'{"entries":[{"digest":{"dataset_sha256":"a","dataset_size":1,"decoded_sha256":"","header_sha256":"b",'
        b'"pixel_sha256":""},"series_uid":"1.2.3","size":2,"sop_class_uid":"1.2.5","sop_instance_uid":"1.2.4",'
        b'"transfer_syntax":"1.2.6"}],"study_uid":"1.2"}'
    )
    assert Manifest.from_bytes(kept).to_bytes() == kept


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"study_uid":"1","entries":[{}]}', b"\xff", b"null"])
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # json's own ValueErrors count
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    "error",
    [
        DiskFull("full", path="/spool", hint="make room"),
        LedgerCorrupt("bad", sequence=7),
        UnexpectedSize("others", expected=1, actual=2),
    ],
)
def test_an_error_keeps_its_fields_on_the_way_from_another_process(error: Exception) -> None:
    import pickle

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)
