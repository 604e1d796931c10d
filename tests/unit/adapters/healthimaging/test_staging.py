"""Staging looks at what is there and at what is handed over: nothing is imported twice or under a wrong name."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.retrieval import Retrieval
from vna_lifecycle.adapters.s3.upload import Refusal, Uploader
from vna_lifecycle.ports import Batch, ConflictClass, Done, Fetched, ImportsInBatches, Receipt, Staged, StoreFailure
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

pytestmark = pytest.mark.peer

SPEC = ObjectSpec(grey=1)
UID = SPEC.sop_instance_uid
BATCH = Batch(key="b", wave="w")


def imports_of(place: Place, server: Server, folder: Path) -> ImportsInBatches:
    archive = open_archive(settings_of(place, server), site_of(folder, place), pause=place.clock.advance)
    assert archive.imports is not None
    return archive.imports


def staged(imports: ImportsInBatches, folder: Path) -> Staged | StoreFailure:
    [item] = written(folder / "in", [SPEC])
    [answer] = imports.stage(BATCH, study_of(SPEC), [item])
    return answer


def settled(place: Place, imports: ImportsInBatches) -> Receipt | StoreFailure:
    """What became of what was staged, without a job: nothing was to be imported."""
    state = imports.poll(imports.submit(BATCH))
    assert isinstance(state, Done)
    assert place.store.jobs == {}
    [answer] = state.results
    return answer


def holds(place: Place, *held: tuple[ObjectSpec, bool]) -> None:
    """Each content in an image set of its own, primary or not."""
    for spec, _ in held:
        place.fake.put(place.store, [dicom_bytes(spec)])
    for image_set, (_, primary) in zip(place.store.present(), held, strict=True):
        image_set.versions[-1] = evolve(image_set.latest, primary=primary)


def test_a_file_of_another_instance_than_its_record_says_is_refused(
    place: Place, seaweed: Server, tmp_path: Path
) -> None:
    [item] = written(tmp_path / "in", [SPEC])
    item.path.write_bytes(dicom_bytes(evolve(SPEC, instance=2)))
    imports = imports_of(place, seaweed, tmp_path)
    [answer] = imports.stage(BATCH, study_of(SPEC), [Fetched(record=item.record, path=item.path)])
    assert isinstance(answer, StoreFailure)
    assert answer.code == "uid-mismatch"
    assert "Contents" not in place.s3.list_objects_v2(Bucket=place.bucket, Prefix=f"{place.root}stage/in/")


@pytest.mark.parametrize("first", ["primary", "aside"])
def test_what_readers_are_shown_is_there_whatever_else_lies_aside(
    place: Place, seaweed: Server, tmp_path: Path, first: str
) -> None:
    """The same instance in a primary and in a non-primary image set, whichever is listed first."""
    holds(place, (SPEC, first == "primary"), (evolve(SPEC, patient_id="P9"), first != "primary"))
    for image_set in place.store.present():  # both as they are staged
        image_set.versions[-1] = evolve(image_set.latest, instances=next(iter(place.store.present())).latest.instances)
    imports = imports_of(place, seaweed, tmp_path)
    assert isinstance(staged(imports, tmp_path), Staged)
    answer = settled(place, imports)
    assert isinstance(answer, Receipt), answer
    assert answer.outcome.value == "already-present"


def test_a_conflict_is_classed_by_what_readers_are_shown(place: Place, seaweed: Server, tmp_path: Path) -> None:
    holds(place, (evolve(SPEC, patient_name="Roe^Jane"), True), (evolve(SPEC, grey=9), False))
    imports = imports_of(place, seaweed, tmp_path)
    staged(imports, tmp_path)
    answer = settled(place, imports)
    assert isinstance(answer, StoreFailure)
    assert (answer.code, answer.conflict) == ("conflict", ConflictClass.DEMOGRAPHICS)


def test_what_is_there_and_cannot_be_read_is_not_imported_beside(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(place, (SPEC, True))

    def garbage(self: Retrieval, path: Path, **_: str) -> None:
        path.write_bytes(b"no DICOM at all")

    monkeypatch.setattr(Retrieval, "download", garbage)
    imports = imports_of(place, seaweed, tmp_path)
    staged(imports, tmp_path)
    answer = settled(place, imports)
    assert isinstance(answer, StoreFailure)
    assert (answer.code, answer.conflict) == ("conflict", ConflictClass.CONTENT)


def test_what_the_bucket_refuses_fails_alone(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise Refusal("EntityTooLarge")

    monkeypatch.setattr(Uploader, "put", refused)
    answer = staged(imports_of(place, seaweed, tmp_path), tmp_path)
    assert isinstance(answer, StoreFailure)
    assert answer.code == "not-staged"
    assert "EntityTooLarge" in answer.message
