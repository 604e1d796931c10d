"""Imports by jobs: nothing that was staged is lost, nothing is imported twice, and trouble has a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Script, Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.adapters.healthimaging.settings import HealthImagingSettings
from vna_lifecycle.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.ports import (
    Archive,
    Batch,
    Done,
    Fetched,
    ImportsInBatches,
    JobToken,
    Pending,
    Receipt,
    Staged,
    StoreFailure,
)
from vna_lifecycle.testing.conformance import site
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.healthimaging import AWS_RATES, Faults, Quotas, Timing
from vna_lifecycle.testing.objects import ObjectSpec

pytestmark = pytest.mark.peer

SPECS = [ObjectSpec(instance=number, grey=number) for number in range(1, 6)]
STUDY = study_of(SPECS[0])
BATCH = Batch(key="b1", wave="pilot")


@pytest.fixture
def items(tmp_path: Path) -> list[Fetched]:
    return written(tmp_path / "in", SPECS)


def opened(place: Place, server: Server, folder: Path, **more: Any) -> Archive:
    return open_archive(settings_of(place, server, **more), site_of(folder, place), pause=place.clock.advance)


def imports_of(archive: Archive) -> ImportsInBatches:
    assert archive.imports is not None
    return archive.imports


def finished(place: Place, imports: ImportsInBatches, token: JobToken, polls: int = 1000) -> Done:
    for _ in range(polls):
        state = imports.poll(token)
        if isinstance(state, Done):
            return state
        place.clock.advance(state.poll_after)
    raise AssertionError("the job is not done")


def imported(place: Place, imports: ImportsInBatches, items: Sequence[Fetched], batch: Batch = BATCH) -> Done:
    assert all(isinstance(answer, Staged) for answer in imports.stage(batch, STUDY, items))
    return finished(place, imports, imports.submit(batch))


def told(done: Done) -> dict[str, str]:
    codes = {
        result.sop_instance_uid: result.code if isinstance(result, StoreFailure) else result.outcome.value
        for result in done.results
    }
    assert len(codes) == len(done.results)
    return codes


def stored_instances(place: Place) -> list[str]:
    return sorted(uid for found in place.store.present() for uid in found.latest.instances)


def uid(number: int) -> str:
    return SPECS[number - 1].sop_instance_uid


def test_a_job_that_completes_with_failures_says_of_each_file_what_became_of_it(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    specs = [ObjectSpec(instance=number) for number in range(1, 9)]
    names = [spec.sop_instance_uid for spec in specs]
    faults = Faults(
        lag=120,
        fail={names[0]: "ValidationException", names[1]: "ValidationException", names[2]: "InternalServerException"},
        warn={names[3]: "COERCION_OF_DATA_ELEMENTS"},
        conflict={names[4]},
    )
    place = make_place(faults=faults)
    imports = imports_of(opened(place, seaweed, tmp_path))
    done = imported(place, imports, written(tmp_path / "in", specs))
    assert told(done) == {
        names[0]: "import-validation",
        names[1]: "import-validation",
        names[2]: "import-internal-server",
        names[3]: "stored",
        names[4]: "non-primary",
        **dict.fromkeys(names[5:], "stored"),
    }
    warned = {answer.sop_instance_uid: answer.warnings for answer in done.results if isinstance(answer, Receipt)}
    assert warned == {names[3]: ("coercion-of-data-elements",), **dict.fromkeys(names[5:], ())}
    transient = [answer for answer in done.results if isinstance(answer, StoreFailure) and answer.transient]
    assert [answer.sop_instance_uid for answer in transient] == [names[2]]


def test_results_that_lag_are_waited_for_and_then_given_up(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    place = make_place(faults=Faults(lag=10_000))
    imports = imports_of(opened(place, seaweed, tmp_path, results_patience=600))
    done = imported(place, imports, items)
    assert set(told(done).values()) == {"unaccounted"}
    assert 600 <= (place.clock() - place.store.created).total_seconds() < 700


def test_results_may_lag_behind_a_job_however_long_that_took(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    """Patience begins with the end of the job, not with its start."""
    place = make_place(timing=Timing(running=10_000), faults=Faults(lag=120))
    imports = imports_of(opened(place, seaweed, tmp_path, results_patience=3_600))
    assert set(told(imported(place, imports, items)).values()) == {"stored"}


def test_what_is_unaccounted_is_not_imported_twice(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    """A retry in a new batch finds what the first job imported without saying so, and imports only the rest."""
    place = make_place(faults=Faults(lose={uid(1): True, uid(2): False}))
    imports = imports_of(opened(place, seaweed, tmp_path, results_patience=10))
    first = told(imported(place, imports, items))
    assert (first[uid(1)], first[uid(2)], first[uid(3)]) == ("unaccounted", "unaccounted", "stored")
    place.fake.faults.lose.clear()
    again = told(imported(place, imports, items[:2], Batch(key="b2", wave="pilot")))
    assert again == {uid(1): "already-present", uid(2): "stored"}
    assert stored_instances(place) == [spec.sop_instance_uid for spec in SPECS]


@pytest.mark.parametrize("fault", ["truncate", "garble"])
def test_result_files_that_are_cut_off_leave_files_unaccounted(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched], fault: str
) -> None:
    place = make_place(faults=Faults(**{fault: 9}))  # type: ignore[arg-type]  # either fault takes a number
    imports = imports_of(opened(place, seaweed, tmp_path, results_patience=60))
    codes = sorted(told(imported(place, imports, items)).values())
    assert codes == ["stored"] * 4 + ["unaccounted"]


def test_lines_that_come_after_the_manifest_are_waited_for(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    place = make_place(faults=Faults(truncate=9))
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items))
    token = imports.submit(BATCH)
    for _ in range(3):
        assert isinstance(imports.poll(token), Pending)
        place.clock.advance(10)
    [job] = place.store.jobs.values()
    key = f"{place.root}results/{place.store.id}-DicomImport-{job.id}/SUCCESS/success.ndjson"
    cut = place.s3.get_object(Bucket=place.bucket, Key=key)["Body"].read()
    whole = cut + b'": true}}\n'[-9:]
    place.s3.put_object(Bucket=place.bucket, Key=key, Body=whole)
    assert set(told(finished(place, imports, token)).values()) == {"stored"}


def test_a_job_that_fails_as_a_whole_fails_every_file_and_can_be_tried_again(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    place = make_place(faults=Faults(fail_jobs=1))
    imports = imports_of(opened(place, seaweed, tmp_path))
    assert set(told(imported(place, imports, items)).values()) == {"job-failed"}
    assert set(told(imported(place, imports, items, Batch(key="b2", wave="pilot"))).values()) == {"stored"}


def test_a_job_that_fails_as_a_whole_fails_only_what_it_was_to_import(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    imported(place, imports, items[:2])
    place.fake.faults.fail_jobs = 1
    done = imported(place, imports, items, Batch(key="b2", wave="pilot"))
    assert told(done) == {uid(1): "already-present", uid(2): "already-present"} | {
        uid(number): "job-failed" for number in (3, 4, 5)
    }


def test_an_hour_of_throttling_loses_nothing_and_starts_one_job(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    place = make_place(faults=Faults(throttle={"StartDICOMImportJob": -1}))
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items))
    token = imports.submit(BATCH)
    for _ in range(120):
        state = imports.poll(token)
        assert isinstance(state, Pending)
        assert state.poll_after > 0
        place.clock.advance(30)
    assert place.fake.service.seen["StartDICOMImportJob"] <= 122
    place.fake.faults.throttle.clear()
    assert set(told(finished(place, imports, token)).values()) == {"stored"}
    assert len(place.store.jobs) == 1


def test_jobs_keep_to_the_pace_and_the_number_that_the_service_allows(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    """No call is throttled, none over the quota of concurrent jobs is made, and every batch gets its job."""
    place = make_place(quotas=Quotas(jobs=2, rates=AWS_RATES), timing=Timing(running=100))
    imports = imports_of(opened(place, seaweed, tmp_path, concurrent_jobs=2))
    tokens = []
    for number in range(5):
        spec = ObjectSpec(study=number + 1)
        batch = Batch(key=f"b{number}", wave="pilot")
        list(imports.stage(batch, study_of(spec), written(tmp_path / f"in{number}", [spec])))
        tokens.append(imports.submit(batch))
    waiting = list(tokens)
    while waiting:
        for token in list(waiting):
            state = imports.poll(token)
            if isinstance(state, Done):
                assert list(told(state).values()) == ["stored"]
                waiting.remove(token)
        place.clock.advance(5)
    assert place.fake.service.seen["StartDICOMImportJob"] == 5
    assert len({token.job for token in tokens}) == 5
    times = sorted(job.submitted for job in place.store.jobs.values())
    assert all((later - earlier).total_seconds() >= 4 for earlier, later in pairwise(times))


def test_many_jobs_are_followed_by_few_calls(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    place = make_place(timing=Timing(running=1000))
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items))
    token = imports.submit(BATCH)
    waits = []
    while isinstance(state := imports.poll(token), Pending):
        waits.append(state.poll_after)
        place.clock.advance(state.poll_after)
    assert waits[0] == 10
    assert max(waits) > 60
    assert len(waits) < 45


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not-noted"])
def test_a_job_is_found_again_after_a_crash(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    items: list[Fetched],
    noted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the ID that was noted, or else by its name, and although the service forgot its client token."""
    place = make_place(timing=Timing(running=60))
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items))
    token = imports.submit(BATCH)
    [job] = place.store.jobs.values()
    job.token = "forgotten"
    if noted:
        job.name = "renamed"
    else:
        place.s3.delete_object(Bucket=place.bucket, Key=f"{place.root}stage/batches/{token.job}/job.json")
    again = imports_of(opened(place, seaweed, tmp_path / "elsewhere"))
    assert again.submit(BATCH) == token
    assert set(told(finished(place, again, token)).values()) == {"stored"}
    assert len(place.store.jobs) == 1


def test_staging_that_was_interrupted_leaves_nothing_to_be_imported(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    """A file that lies in the folder without being on record is ours, is taken out, and is staged by who comes next."""
    imports = imports_of(opened(place, seaweed, tmp_path, max_files_per_job=2))  # what is taken out does not count
    token = imports.submit(Batch(key="other", wave="pilot")).job
    list(imports.stage(BATCH, STUDY, items[:2]))
    staged = place.s3.list_objects_v2(Bucket=place.bucket, Prefix=f"{place.root}stage/in/")["Contents"]
    folder = staged[0]["Key"].rpartition("/")[0]
    leftover = f"{folder}/{'0' * 24}-{'1' * 32}.dcm"
    place.s3.put_object(Bucket=place.bucket, Key=leftover, Body=items[2].path.read_bytes())
    begun = place.s3.create_multipart_upload(Bucket=place.bucket, Key=f"{folder}/part.dcm")["UploadId"]
    done = finished(place, imports, imports.submit(BATCH))
    assert told(done) == {uid(1): "stored", uid(2): "stored"}
    assert stored_instances(place) == [uid(1), uid(2)]
    uploads = place.s3.list_multipart_uploads(Bucket=place.bucket).get("Uploads", [])
    assert begun not in [upload["UploadId"] for upload in uploads]
    assert token


def test_a_batch_with_files_of_others_is_refused(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items))
    staged = place.s3.list_objects_v2(Bucket=place.bucket, Prefix=f"{place.root}stage/in/")["Contents"]
    stranger = f"{staged[0]['Key'].rpartition('/')[0]}/stranger.dcm"
    place.s3.put_object(Bucket=place.bucket, Key=stranger, Body=b"x")
    with pytest.raises(ArchiveError, match="nobody staged"):
        imports.submit(BATCH)
    assert place.store.jobs == {}
    assert place.s3.head_object(Bucket=place.bucket, Key=stranger)
    place.s3.delete_object(Bucket=place.bucket, Key=stranger)
    assert set(told(finished(place, imports, imports.submit(BATCH))).values()) == {"stored"}


def test_neighbouring_batches_are_not_taken_in(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    other = Batch(key="b11", wave="pilot")
    list(imports.stage(other, STUDY, items[3:]))
    assert told(imported(place, imports, items[:3])) == {uid(number): "stored" for number in (1, 2, 3)}
    assert stored_instances(place) == [uid(1), uid(2), uid(3)]


@pytest.mark.parametrize(
    ("more", "message"), [({"max_files_per_job": 4}, "5 files"), ({"max_bytes_per_job": 3000}, "bytes")]
)
def test_a_batch_over_a_quota_is_refused_before_its_job(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched], more: dict[str, int], message: str
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path, **more))
    list(imports.stage(BATCH, STUDY, items))
    with pytest.raises(ArchiveError, match=message) as caught:
        imports.submit(BATCH)
    assert "limits" in caught.value.hint
    assert place.store.jobs == {}


def test_a_file_over_the_size_limit_does_not_stop_the_rest(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    big = written(tmp_path / "big", [ObjectSpec(instance=9, study_description="x" * 60)])
    limit = max(item.path.stat().st_size for item in items)
    imports = imports_of(opened(place, seaweed, tmp_path, max_bytes_per_file=limit))
    answers = list(imports.stage(BATCH, STUDY, [*big, *items]))
    assert [answer.code for answer in answers if isinstance(answer, StoreFailure)] == ["too-large"]
    assert set(told(finished(place, imports, imports.submit(BATCH))).values()) == {"stored"}


def test_a_large_file_is_staged_in_parts(place: Place, seaweed: Server, tmp_path: Path) -> None:
    import numpy as np
    import pydicom

    [item] = written(tmp_path / "in", [SPECS[0]])
    dataset = pydicom.dcmread(item.path)
    dataset.Rows = dataset.Columns = 4200
    dataset.PixelData = np.zeros((4200, 4200), np.uint8).tobytes()
    dataset.save_as(item.path)
    imports = imports_of(opened(place, seaweed, tmp_path))
    assert told(imported(place, imports, [item])) == {uid(1): "stored"}


def test_the_same_bytes_staged_under_a_new_content_replace_the_old(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    """Staged twice with other bytes before the batch was submitted: what was staged last is imported, alone."""
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items))
    changed = written(tmp_path / "changed", [evolve(SPECS[0], grey=99)])
    list(imports.stage(BATCH, STUDY, changed))
    assert len(told(finished(place, imports, imports.submit(BATCH)))) == 5
    held = [found.latest.instances[uid(1)] for found in place.store.present()]
    assert len(held) == 1
    assert held[0].frames[0].largest == 99


def test_nothing_is_added_to_a_batch_that_was_submitted(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    list(imports.stage(BATCH, STUDY, items[:4]))
    token = imports.submit(BATCH)
    answers = list(imports.stage(BATCH, STUDY, items))
    assert [isinstance(answer, Staged) for answer in answers] == [True] * 4 + [False]
    assert len(told(finished(place, imports, token))) == 4


def test_a_batch_of_what_is_there_needs_no_job(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    imported(place, imports, items)
    again = imported(place, imports, items, Batch(key="b2", wave="pilot"))
    assert set(told(again).values()) == {"already-present"}
    assert len(place.store.jobs) == 1


def test_what_lies_in_a_non_primary_set_stays_a_failure_and_is_not_imported_again(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    place = make_place(faults=Faults(conflict={uid(1)}))
    imports = imports_of(opened(place, seaweed, tmp_path))
    imported(place, imports, items)
    place.fake.faults.conflict.clear()
    again = told(imported(place, imports, items[:1], Batch(key="b2", wave="pilot")))
    assert again == {uid(1): "non-primary"}
    assert len(stored_instances(place)) == 5


def test_waves_and_data_stores_have_jobs_of_their_own(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    tokens = {imports.submit(Batch(key="b1", wave=wave)).job for wave in ("pilot", "all")}
    other = evolve(place, store=place.fake.create_datastore())
    tokens.add(imports_of(opened(other, seaweed, tmp_path)).submit(BATCH).job)
    assert len(tokens) == 3
    assert all(len(token) <= 64 for token in tokens)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"expired": True}, ArchiveRefused, "expired"),
        ({"deny": {"StartDICOMImportJob"}}, ArchiveRefused, "medical-imaging:StartDICOMImportJob is denied"),
        ({"deny": {"SearchImageSets"}}, ArchiveRefused, "medical-imaging:SearchImageSets is denied"),
    ],
)
def test_what_the_service_refuses_has_a_name_and_is_mended_in_the_middle_of_a_wave(
    place: Place,
    seaweed: Server,
    tmp_path: Path,
    items: list[Fetched],
    change: dict[str, Any],
    error: type[ArchiveError],
    message: str,
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path))
    for name, value in change.items():
        setattr(place.fake.faults, name, value)
    with pytest.raises(error, match=message) as caught:
        list(imports.stage(BATCH, STUDY, items))
        imports.submit(BATCH)
    assert place.fake.keys.secret_access_key not in str(caught.value) + caught.value.hint
    place.fake.faults.expired = False
    place.fake.faults.deny.clear()
    assert set(told(imported(place, imports, items)).values()) == {"stored"}
    assert len(place.store.jobs) == 1


def test_a_data_store_that_is_not_there_is_told(place: Place, seaweed: Server, tmp_path: Path) -> None:
    archive = opened(place, seaweed, tmp_path, datastore_id="0" * 32)
    with pytest.raises(ArchiveUnreachable, match="the data store is not there"):
        list(archive.reads.list_instances(STUDY))


def test_a_bucket_that_is_not_there_is_told(
    place: Place, seaweed: Server, tmp_path: Path, items: list[Fetched]
) -> None:
    imports = imports_of(opened(place, seaweed, tmp_path, staging="s3://no-such-bucket/x/"))
    with pytest.raises(ArchiveError, match="no-such-bucket"):
        list(imports.stage(BATCH, STUDY, items))


def test_a_token_of_nobody_is_told(place: Place, seaweed: Server, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="knows no batch"):
        imports_of(opened(place, seaweed, tmp_path)).poll(JobToken(batch="b", job="vna-none"))


def test_a_peer_that_redirects_elsewhere_is_not_followed(scripted: Script, tmp_path: Path) -> None:
    scripted.lines.append((307, {"Location": "http://127.0.0.1:1/"}, b""))
    settings = HealthImagingSettings(
        datastore_id="0" * 32,
        data_access_role_arn="arn:aws:iam::123456789012:role/import",
        staging="s3://bucket/a/",
        results="s3://bucket/b/",
        endpoint_url=scripted.endpoint_url,
        access_key_id="key",  # type: ignore[arg-type]  # the site gives it back as it is
        secret_access_key="secret",  # type: ignore[arg-type]
        max_attempts=1,
    )
    archive = open_archive(settings, site(tmp_path))
    with pytest.raises(ArchiveError):
        list(archive.reads.list_instances(StudyRef(study_uid=STUDY.study_uid)))
    record = evolve(written(tmp_path / "in", [SPECS[0]])[0].record, locator=f"{'a' * 32}/1.2/1.2.3")
    from vna_lifecycle.testing.conformance.case import FolderSpool

    with pytest.raises(ArchiveRefused, match="elsewhere"):
        list(archive.reads.fetch(STUDY, [record], FolderSpool(tmp_path / "spool")))
    assert all(path.startswith("/datastore") for _, path, _ in scripted.seen)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"staging": "s3://bucket/stage"}, "must end in '/'"),
        ({"results": "s3://bucket"}, "S3 URI"),
        ({"datastore_id": "store"}, "32 lower-case"),
        ({"data_access_role_arn": "import"}, "role's ARN"),
        ({"concurrent_jobs": 0}, "greater than 0"),
        ({"input_owner_account_id": "me"}, "12 digits"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {
        "datastore_id": "0" * 32,
        "data_access_role_arn": "arn:aws:iam::123456789012:role/import",
        "staging": "s3://bucket/stage/",
        "results": "s3://bucket/results/",
    }
    HealthImagingSettings(**right)
    with pytest.raises(ValueError, match=message):
        HealthImagingSettings(**{**right, **wrong})
