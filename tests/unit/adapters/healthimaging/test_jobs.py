"""Jobs are started as the account allows, whoever else uses it, and found wherever the service lists them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peers.healthimaging import Place, settings_of, site_of
from peers.s3 import Server
from vna_lifecycle.adapters.healthimaging.archive import open_archive
from vna_lifecycle.ports import Batch, Done, ImportsInBatches, JobToken, Outcome, Pending, Receipt
from vna_lifecycle.testing.conformance.case import study_of, written
from vna_lifecycle.testing.healthimaging import Quotas, Timing
from vna_lifecycle.testing.objects import ObjectSpec

pytestmark = pytest.mark.peer

START = "StartDICOMImportJob"


def imports_of(place: Place, server: Server, folder: Path, **more: Any) -> ImportsInBatches:
    archive = open_archive(settings_of(place, server, **more), site_of(folder, place), pause=place.clock.advance)
    assert archive.imports is not None
    return archive.imports


def submitted(imports: ImportsInBatches, folder: Path, number: int = 1) -> JobToken:
    """A batch of one study of one instance."""
    spec = ObjectSpec(study=number)
    batch = Batch(key=f"b{number}", wave="w")
    list(imports.stage(batch, study_of(spec), written(folder / f"in{number}", [spec])))
    return imports.submit(batch)


def stored(place: Place, imports: ImportsInBatches, token: JobToken) -> bool:
    """Poll until the end."""
    while isinstance(state := imports.poll(token), Pending):
        place.clock.advance(state.poll_after)
    assert isinstance(state, Done)
    [answer] = state.results
    return isinstance(answer, Receipt) and answer.outcome is Outcome.STORED


def test_an_account_that_takes_fewer_jobs_than_the_settings_say_is_waited_for(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    """Others may use the quota: the service's word counts."""
    place = make_place(quotas=Quotas(jobs=1), timing=Timing(running=60))
    imports = imports_of(place, seaweed, tmp_path, concurrent_jobs=100)
    first, second = (submitted(imports, tmp_path, number) for number in (1, 2))
    place.clock.advance(10)
    assert isinstance(imports.poll(second), Pending)
    assert len(place.store.jobs) == 1
    assert stored(place, imports, first)
    assert stored(place, imports, second)


def test_a_job_that_was_just_started_counts_before_the_service_is_asked_again(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    place = make_place(timing=Timing(running=60))
    imports = imports_of(place, seaweed, tmp_path, concurrent_jobs=1, job_starts_per_second=1000)
    submitted(imports, tmp_path, 1)
    place.clock.advance(1)
    submitted(imports, tmp_path, 2)
    assert place.fake.service.seen[START] == 1


def test_a_service_that_throttles_is_left_alone_for_as_long_as_it_says(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    place = make_place()
    place.fake.faults.throttle[START] = 1
    imports = imports_of(place, seaweed, tmp_path, job_starts_per_second=1000)
    token = submitted(imports, tmp_path)
    state = imports.poll(token)
    assert isinstance(state, Pending)
    place.clock.advance(state.poll_after / 2)
    imports.poll(token)
    assert place.fake.service.seen[START] == 1
    assert stored(place, imports, token)


@pytest.mark.parametrize("own_folder", [False, True], ids=["as it was given", "with the job's own folder"])
def test_results_are_found_whichever_output_uri_the_service_tells(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, own_folder: bool
) -> None:
    place = make_place(folder_in_output_uri=own_folder)
    imports = imports_of(place, seaweed, tmp_path, results_patience=60)
    assert stored(place, imports, submitted(imports, tmp_path))


def test_a_job_is_found_by_its_name_beyond_the_first_page(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    """It was started by a process that died before it could note the ID; the service has forgotten its token."""
    place = make_place(timing=Timing(running=60))
    token = submitted(imports_of(place, seaweed, tmp_path), tmp_path)
    [job] = place.store.jobs.values()
    job.token = "forgotten"
    place.s3.delete_object(Bucket=place.bucket, Key=f"{place.root}stage/batches/{token.job}/job.json")
    for number in range(60):
        place.clock.advance(1)
        place.start(f"other-{number}", prefix="others/")
    again = imports_of(place, seaweed, tmp_path / "elsewhere")
    assert stored(place, again, token)
    assert [other.name for other in place.store.jobs.values()].count(token.job) == 1


def test_old_jobs_are_looked_at_no_more_rarely_than_the_settings_say(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path
) -> None:
    place = make_place(timing=Timing(running=3_000))
    imports = imports_of(place, seaweed, tmp_path, max_poll_seconds=60)
    token = submitted(imports, tmp_path)
    waits = []
    while isinstance(state := imports.poll(token), Pending):
        waits.append(state.poll_after)
        place.clock.advance(state.poll_after)
    assert max(waits) == 60


@pytest.mark.parametrize("account", ["", "123456789012"])
def test_the_account_of_a_staging_bucket_of_others_is_named(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place()
    asked: list[dict[str, Any]] = []
    start = place.fake._operations[START]
    monkeypatch.setitem(place.fake._operations, START, lambda request: asked.append(request) or start(request))
    submitted(imports_of(place, seaweed, tmp_path, input_owner_account_id=account), tmp_path)
    assert [request.get("inputOwnerAccountId", "") for request in asked] == [account]
