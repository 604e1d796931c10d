"""What goes wrong in a hospital's night, and what the command line makes of it."""

import ctypes
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vna_lifecycle.cli import main
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

STUDIES = 6


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A program whose only wave is planned."""
    make_program(tmp_path)
    capsys.readouterr()
    return tmp_path


def make_program(folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "new").mkdir()
    for number in range(STUDIES):
        spec = ObjectSpec(study=number, patient_id=f"P{number}")
        (folder / "old" / f"IM{number}").write_bytes(dicom_bytes(spec))
    assert main(["init", str(folder)]) == 0
    with (folder / "program.toml").open("a") as config:
        config.write("\n[execution]\nreserve_bytes = 0\n")
    assert run(folder, "inventory") == 0
    assert run(folder, "plan") == 0


def run(folder: Path, *argv: str) -> int:
    return main([*argv, "--program", str(folder)])


def test_every_problem_of_program_toml_is_told_at_once_with_its_path(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "program.toml").write_text(
        '[program]\nname = ""\n[archives.old]\nplugin = "fils"\n[archives.new]\nplugin = "files"\npaht = "new"\n'
        '[migration]\nsources = ["odl"]\ntarget = "new"\n[[waves]]\nname = "a"\nmodalities = ["ct"]\n[wave]\n'
    )
    paths = ["program.name", "archives.old.plugin", "archives.new.paht", "migration.sources[0]", "wave", "waves[0]"]
    assert run(folder, "check") == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    for path in paths:
        assert f"\n  {path}" in streams.err
    assert run(folder, "check", "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "ConfigurationError"
    told = [problem["path"] for problem in error["problems"]]
    assert all(any(found.startswith(path) for found in told) for path in paths)


def test_a_folder_without_a_program_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "status") == 2
    assert "vna-lifecycle init" in capsys.readouterr().err
    assert run(tmp_path, "ledger", "verify") == 8
    (tmp_path / "program.toml").write_text(
        '[program]\nname = "x"\n[archives.a]\nplugin = "files"\npath = "a"\n[archives.b]\nplugin = "files"\n'
        'path = "b"\n[migration]\nsources = ["a"]\ntarget = "b"\n'
    )
    assert run(tmp_path, "status") == 8


def test_a_second_program_in_the_same_folder_is_refused(folder: Path) -> None:
    assert main(["init", str(folder)]) == 8


def test_an_unknown_archive_is_told_with_those_there_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "inventory", "odl") == 2
    assert "It has: old, new" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["transfer", "nope"],
        ["transfer", "nope", "--dry-run"],
        ["findings", "nope"],
        ["remediate", "nope"],
        ["pause", "nope", "--by", "me"],
        ["withdraw", "nope", "--by", "me", "--reason", "why"],
    ],
    ids=" ".join,
)
def test_an_unknown_wave_is_told_with_those_there_are(
    folder: Path, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, *argv) == 8
    assert "Planned are: all" in capsys.readouterr().err


def test_a_transfer_before_any_plan_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", str(tmp_path)])
    assert run(tmp_path, "transfer") == 8
    assert "what to do next: vna-lifecycle plan" in capsys.readouterr().err


def test_a_source_that_has_vanished_ends_with_3_and_all_goes_on_once_it_is_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "old").rename(folder / "unmounted")
    assert run(folder, "inventory") == 3
    told = capsys.readouterr().err
    assert told.startswith("error: old: ")
    assert "what to do next: " in told
    assert run(folder, "check", "--json") == 3
    old, new = json.loads(capsys.readouterr().out)["archives"]
    assert (old["reachable"], old["error"]["type"]) == (False, "ArchiveUnreachable")
    assert (new["reachable"], new["error"]) == (True, None)
    assert run(folder, "transfer") == 3
    (folder / "unmounted").rename(folder / "old")
    assert run(folder, "transfer") == 0


def test_a_damaged_catalog_ends_with_4_and_the_command_of_its_hint_mends_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "transfer") == 0
    for path in folder.glob("catalog.db*"):
        path.write_bytes(b"\x00garbage" * 1000)
    capsys.readouterr()
    assert run(folder, "status", "--json") == 4
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "CatalogCorrupt"
    assert "vna-lifecycle inventory" in error["hint"]
    assert run(folder, "inventory") == 0
    capsys.readouterr()
    assert run(folder, "status", "--json") == 0
    (wave,) = json.loads(capsys.readouterr().out)["waves"]
    assert (wave["studies"], wave["imported"]) == (STUDIES, STUDIES)


def test_one_flipped_byte_in_the_ledger_ends_with_5(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "ledger", "verify", "--deep") == 0
    with sqlite3.connect(folder / "ledger.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        (body,) = database.execute("SELECT body FROM events WHERE sequence = 2").fetchone()
        database.execute("UPDATE events SET body = ? WHERE sequence = 2", (body.replace(b'"', b"'", 1),))
    database.close()
    capsys.readouterr()
    assert run(folder, "ledger", "verify", "--json") == 5
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["first_bad"], found["size"]) == (False, 2, 2)
    assert run(folder, "ledger", "verify") == 5
    assert "THE LEDGER DOES NOT HOLD: event 2" in capsys.readouterr().out
    assert run(folder, "ledger", "show") == 5


def test_a_ledger_whose_last_event_was_removed_is_found_out_and_not_added_to(folder: Path) -> None:
    with sqlite3.connect(folder / "ledger.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)")
    database.close()
    for verb in (["ledger", "verify"], ["transfer"]):
        assert run(folder, *verb) == 5


def test_a_ledger_is_verified_although_the_settings_and_the_catalog_are_broken(folder: Path) -> None:
    (folder / "program.toml").write_text("[[[")
    (folder / "catalog.db").write_bytes(b"garbage")
    assert run(folder, "ledger", "verify", "--deep") == 0


def test_a_ledger_signed_with_another_key_is_found_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "program.pub").write_text("qXGoxVBISJVG2dUqDtsePwqSb1mTCSZL9rhYcEhHxD0=\n")
    assert run(folder, "ledger", "verify") == 5


def start(folder: Path, *argv: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vna_lifecycle", *argv, "--program", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def slow_down(folder: Path) -> None:
    """A study takes about half a second: its objects have about 1 kB."""
    config = folder / "program.toml"
    config.write_text(config.read_text() + "workers = 1\nmax_bytes_per_second = 2_000\n")


def wait_for_a_store(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not any(path.is_file() for path in (folder / "new").rglob("*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_interrupt_stops_cleanly_and_the_same_command_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow_down(folder)
    with start(folder, "transfer") as process:
        wait_for_a_store(folder, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "(cancelled)" in out
    assert "stopping: what is in flight is finished first" in err
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    (folder / "program.toml").write_text((folder / "program.toml").read_text().replace("= 2_000", "= 2_000_000"))
    capsys.readouterr()
    assert run(folder, "transfer", "--json") == 0
    (wave,) = json.loads(capsys.readouterr().out)["waves"]
    assert (wave["outcome"], wave["transferred"]) == ("complete", STUDIES)


def test_a_second_coordinator_ends_with_6_and_names_the_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow_down(folder)
    with start(folder, "transfer") as process:
        wait_for_a_store(folder, process)
        assert run(folder, "transfer") == 6
        told = capsys.readouterr().err
        assert run(folder, "status") == 0  # looking is always possible
        process.kill()
        process.communicate()
    assert f"transfer (process {process.pid} on " in told
    assert run(folder, "inventory") == 0  # the lock dies with its process


def obey_permissions() -> None:
    """Permissions do not bind root, unless it gives up the capability to override them."""
    drop_from_bounding_set, override_permissions = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(drop_from_bounding_set, override_permissions):
        raise OSError(ctypes.get_errno(), "prctl")


def test_a_target_that_cannot_be_written_stops_the_wave_with_3(folder: Path) -> None:
    (folder / "new").chmod(0o555)
    command = [sys.executable, "-m", "vna_lifecycle", "transfer", "--json", "--program", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=obey_permissions)
    (folder / "new").chmod(0o755)
    assert done.returncode == 3, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "ArchiveReadOnly"
    assert error["hint"]
    assert list((folder / "new").iterdir()) == []
    assert run(folder, "transfer") == 0


def test_a_target_that_is_a_foreign_folder_is_never_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "new" / "family.jpg").write_bytes(b"not ours")
    assert run(folder, "transfer") == 3
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in (folder / "new").iterdir()] == ["family.jpg"]
