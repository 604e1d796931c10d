"""Reconciling: every expected instance is in one class, and what nobody knows is never called complete."""

from __future__ import annotations

import pytest
from attrs import evolve

from vna_lifecycle.engine.reconcile import ReadBack, Reconciliation, reconcile
from vna_lifecycle.model.identity import SeriesUID, SOPInstanceUID, StudyUID
from vna_lifecycle.model.inventory import Digest, Manifest, ManifestEntry, Rung

UID = SOPInstanceUID("1.2.3")
RLE, JPEG, PLAIN = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"
STORED = ManifestEntry(
    sop_instance_uid=UID,
    series_uid=SeriesUID("1.2.9"),
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    size=1,
    transfer_syntax=PLAIN,
    digest=Digest(dataset_sha256="a", dataset_size=1, header_sha256="h", pixel_sha256="p", decoded_sha256="d"),
)


def served(
    data: str = "b", header: str = "h", pixels: str = "q", decoded: str = "d", syntax: str = RLE
) -> ManifestEntry:
    digest = evolve(
        STORED.digest, dataset_sha256=data, header_sha256=header, pixel_sha256=pixels, decoded_sha256=decoded
    )
    return evolve(STORED, digest=digest, transfer_syntax=syntax)


def result(
    entry: ManifestEntry | None, required: Rung = Rung.EQUIVALENT, expected: ManifestEntry = STORED
) -> Reconciliation:
    study = StudyUID("1.2")
    seen = ReadBack(manifest=Manifest(study_uid=study, entries=(entry,) if entry else ()))
    return reconcile(Manifest(study_uid=study, entries=(expected,)), seen, required=required)


@pytest.mark.parametrize(
    ("entry", "required", "rung"),
    [
        (served(data="a", syntax=PLAIN), Rung.HASHED, Rung.HASHED),
        (served(pixels="p"), Rung.EQUIVALENT, Rung.EQUIVALENT),
        (served(), Rung.EQUIVALENT, Rung.EQUIVALENT),
    ],
)
def test_what_is_the_same_at_the_required_rung_matches(entry: ManifestEntry, required: Rung, rung: Rung) -> None:
    found = result(entry, required)
    assert (found.match, found.rung, found.complete) == ((UID,), rung, True)


def test_what_was_re_encoded_is_below_where_the_same_bytes_are_required() -> None:
    found = result(served(), Rung.HASHED)
    assert (found.differ, found.below, found.undecided, found.complete) == ((UID,), (UID,), (), False)


@pytest.mark.parametrize(
    ("entry", "undecided"),
    [
        (served(decoded=""), True),
        (served(decoded="", syntax=JPEG), False),  # lossy: other pixels for sure
        (served(decoded="", pixels=""), False),  # no pixels any more
        (served(decoded="e"), False),  # both were decoded, and differ
    ],
)
def test_only_what_was_re_encoded_without_loss_and_is_not_decoded_is_undecided(
    entry: ManifestEntry, undecided: bool
) -> None:
    found = result(entry)
    assert (found.differ, found.undecided, found.complete) == ((UID,), (UID,) if undecided else (), False)


def test_an_expected_object_that_nobody_decoded_leaves_it_undecided_too() -> None:
    expected = evolve(STORED, digest=evolve(STORED.digest, decoded_sha256=""))
    assert result(served(), expected=expected).undecided == (UID,)
    assert result(served(), Rung.HASHED, expected).undecided == ()


def test_pixels_that_came_from_nowhere_are_a_difference() -> None:
    expected = evolve(STORED, digest=evolve(STORED.digest, pixel_sha256="", decoded_sha256=""))
    assert result(served(), expected=expected).undecided == ()


def test_what_is_not_listed_is_missing() -> None:
    found = result(None)
    assert (found.missing, found.rung, found.complete) == ((UID,), None, False)


@pytest.mark.parametrize("transient", [True, False])
def test_what_cannot_be_read_is_never_complete(transient: bool) -> None:
    study = StudyUID("1.2")
    seen = ReadBack(manifest=Manifest(study_uid=study, entries=()), unreadable=((UID, "gone", transient),))
    found = reconcile(Manifest(study_uid=study, entries=(STORED,)), seen, required=Rung.EQUIVALENT)
    assert (found.indeterminate, found.differ) == (((UID,), ()) if transient else ((), (UID,)))
    assert not found.complete
    assert found.missing == ()


def test_the_rung_of_a_study_is_its_weakest() -> None:
    study, other = StudyUID("1.2"), SOPInstanceUID("1.2.4")
    expected = Manifest(study_uid=study, entries=(STORED, evolve(STORED, sop_instance_uid=other)))
    for entries in ((STORED, evolve(served(), sop_instance_uid=other)), (served(), expected.entries[1])):
        seen = ReadBack(manifest=Manifest(study_uid=study, entries=entries))
        assert reconcile(expected, seen, required=Rung.EQUIVALENT).rung is Rung.EQUIVALENT


def test_of_several_contents_under_one_uid_the_worst_decides() -> None:
    same, other = served(data="a", syntax=PLAIN), served(data="c", header="x", syntax=PLAIN)
    for entries in ((same, other), (other, same)):
        seen = ReadBack(manifest=Manifest(study_uid=StudyUID("1.2"), entries=entries))
        expected = Manifest(study_uid=StudyUID("1.2"), entries=(STORED,))
        found = reconcile(expected, seen, required=Rung.EQUIVALENT)
        assert (found.match, found.differ, found.complete) == ((), (UID,), False)
