"""A program moves studies from a folder into a HealthImaging data store: jobs are awaited, and what they did is proved.

One study is of a lossy syntax, whose codestreams the service keeps as they are; the others it transcodes without loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.healthimaging import Place, make_place, place
from peers.healthimaging_program import SPECS, UIDS, held, make_program
from peers.s3 import Server
from vna_lifecycle.cli import main
from vna_lifecycle.errors import ConfigurationError
from vna_lifecycle.program import Program
from vna_lifecycle.testing.healthimaging import Faults, Timing

__all__ = ["make_place", "place"]

pytestmark = pytest.mark.peer


def test_a_wave_is_imported_awaited_and_read_back(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place(wall=True, timing=Timing(waiting=0.1, running=0.3), faults=Faults(lag=0.3))
    with Program.open(make_program(place, seaweed, tmp_path, monkeypatch, SPECS)) as program:
        result = program.transfer("all")
        assert (result.outcome, result.transferred) == ("complete", 3), str(result)
    assert held(place) == {True: UIDS, False: []}


def test_what_a_completed_job_did_not_import_leaves_its_studies_incomplete(
    make_place: Callable[..., Place], seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three studies, one has a failed file, one a file in a non-primary set, and only the third is transferred."""
    faults = Faults(fail={SPECS[0].sop_instance_uid: "ValidationException"}, conflict={SPECS[3].sop_instance_uid})
    place = make_place(wall=True, timing=Timing(running=0.2), faults=faults)
    with Program.open(make_program(place, seaweed, tmp_path, monkeypatch, SPECS)) as program:
        result = program.transfer("all")
        assert (result.transferred, result.incomplete + result.failed) == (1, 2), str(result)


def test_the_service_gives_its_reasons_for_what_a_job_did_not_take(
    make_place: Callable[..., Place],
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = Faults(fail={SPECS[0].sop_instance_uid: "ValidationException"})
    place = make_place(wall=True, timing=Timing(running=0.2), faults=faults)
    with Program.open(make_program(place, seaweed, tmp_path, monkeypatch, SPECS)) as program:
        program.transfer("all")
        line = next(line for line in program.catalog.batches() if line.refused)
    show = ["jobs", "show", line.batch, "--program", str(tmp_path)]
    capsys.readouterr()
    assert main(show) == 0
    offline = capsys.readouterr().out
    assert SPECS[0].sop_instance_uid in offline
    assert "the target says" not in offline
    assert main([*show, "--ask"]) == 0
    assert "the target says: completed" in capsys.readouterr().out
    assert main([*show, "--ask", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["told"]
    assert (told["name"], told["status"], len(told["problems"])) == (line.job, "completed", 1)
    assert told["problems"][0]["message"]


@pytest.mark.parametrize("setting", ["staging", "results"])
def test_an_s3_folder_that_lacks_its_slash_is_named_before_anything_is_asked(
    place: Place,
    seaweed: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
) -> None:
    """A job imports all that begins alike: a neighbour, ``stage-old``, would be taken in."""
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS)
    text = (folder / "program.toml").read_text()
    [line] = [line for line in text.splitlines() if line.startswith(f"{setting} = ")]
    (folder / "program.toml").write_text(text.replace(line, line.replace('/"', '"')))
    asked = dict(place.fake.service.seen)
    for verb in ("check", "transfer"):
        assert main([verb, "--program", str(folder)]) == ConfigurationError.exit_code
        told = " ".join(capsys.readouterr().err.split())
        assert f"archives.aws.{setting}: must end in '/'" in told
        assert "Traceback" not in told
    assert place.fake.service.seen == asked
    (folder / "program.toml").write_text(text)
    assert main(["check", "--program", str(folder)]) == 0


def test_check_refuses_a_data_store_into_which_nothing_could_be_imported(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both reasons at once: it is not there yet, and no job could write its results."""
    folder = make_program(place, seaweed, tmp_path, monkeypatch, SPECS)
    text = (folder / "program.toml").read_text()
    results = f"s3://{place.bucket}/{place.root}results/"
    (folder / "program.toml").write_text(text.replace(results, f"s3://{place.bucket}-missing/results/"))
    place.store.status = "CREATING"
    assert main(["check", "--program", str(folder)]) == ConfigurationError.exit_code
    told = " ".join(capsys.readouterr().out.split())
    assert "migration.target: aws: the data store is CREATING" in told
    assert f"migration.target: results: aws: the bucket {place.bucket}-missing is not there" in told
    assert "migration.target: staging" not in told
    place.store.status = "ACTIVE"
    (folder / "program.toml").write_text(text)
    assert main(["check", "--program", str(folder)]) == 0


def test_check_lets_a_source_be_read_whose_buckets_are_gone(
    place: Place, seaweed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_program(place, seaweed, tmp_path, monkeypatch, into=False)
    path = folder / "program.toml"
    path.write_text(path.read_text().replace(f"s3://{place.bucket}/", f"s3://{place.bucket}-missing/"))
    assert main(["check", "--program", str(folder)]) == 0
