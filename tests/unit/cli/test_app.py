"""What happens around every verb."""

import json
import os
import subprocess
import sys
import warnings

import pytest
from cyclopts import App

from vna_lifecycle.cli import app as app_module
from vna_lifecycle.cli import main
from vna_lifecycle.cli.app import app
from vna_lifecycle.errors import ArchiveUnreachable


def commands(parent: App, prefix: str = "") -> dict[str, App]:
    """Every command of the app by its words, groups of commands left out."""
    found: dict[str, App] = {}
    for name in parent:
        if name.startswith("-"):
            continue
        below = commands(parent[name], f"{prefix}{name} ")
        found |= below or {f"{prefix}{name}": parent[name]}
    return found


@pytest.mark.parametrize("verb", sorted(commands(app)))
def test_every_verb_explains_itself_and_knows_json(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert verb in out
    assert "--json" in out
    assert "[default" not in out  # the words say what nothing, or no value, means


def test_help_loads_neither_the_program_nor_any_archive() -> None:
    code = (
        "import sys; from vna_lifecycle.cli import main; main(['--help']);"
        "heavy = {'sqlalchemy', 'pydicom', 'boto3', 'pynetdicom', 'cryptography', 'vna_lifecycle.program',"
        " 'vna_lifecycle.engine'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["wat"], 'Unknown command "wat"'),
        (["transfer", "--nope"], "Unknown option"),
        (["catch-up", "--sample", "many"], "many"),
        (["withdraw", "pilot"], "--by"),
        (["compare", "only-one"], "B"),
    ],
)
def test_arguments_that_cannot_be_understood_are_told_with_exit_code_2(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert told in streams.err
    assert "what to do next: vna-lifecycle" in streams.err
    assert main([*argv, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)
    assert told.strip('"') in error["message"]


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def verb(*args: object, **kwargs: object) -> int:
        raise error

    monkeypatch.setattr(app_module, "app", verb)


def test_an_error_of_ours_ends_with_the_exit_code_of_its_class_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ArchiveUnreachable("old: the folder is gone", archive="old", hint="mount it"), monkeypatch)
    assert main(["status"]) == 3
    assert capsys.readouterr().err == "error: old: the folder is gone\nwhat to do next: mount it\n"


def test_a_defect_ends_with_70_and_shows_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ZeroDivisionError("oops"), monkeypatch)
    assert main(["status"]) == 70
    told = capsys.readouterr().err
    assert f'File "{__file__}"' in told
    assert "in verb\n" in told
    assert "ZeroDivisionError: (its text is left out" in told


def test_a_defect_shows_all_that_it_came_from_and_what_only_our_own_errors_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ValueError("patient Doe^Jane")
    first.add_note("born 1970")
    second = ArchiveUnreachable("old: the folder is gone", archive="old")
    second.__cause__ = first
    last = RuntimeError("Doe^Jane")
    last.__context__ = second
    raising(last, monkeypatch)
    assert main(["status"]) == 70
    told = capsys.readouterr().err
    assert [line.split(":")[0] for line in told.splitlines() if line[0].isalpha()] == [
        "Traceback (most recent call last)",
        "ValueError",
        "Traceback (most recent call last)",
        "ArchiveUnreachable",
        "Traceback (most recent call last)",
        "RuntimeError",
        "This is a defect. Nothing that was acknowledged is lost; the same command may be repeated.",
    ]
    assert "ArchiveUnreachable: old: the folder is gone\n" in told
    assert "Doe" not in told
    assert "1970" not in told


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    assert main(["status"]) == 130
    assert "goes on from there" in capsys.readouterr().err


def test_a_reader_who_has_seen_enough_gets_no_complaint() -> None:
    command = f"{sys.executable} -m vna_lifecycle plugins --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # it may have written all before the reader went away


def test_verbose_writes_our_log_and_no_other_librarys_to_standard_error() -> None:
    code = (
        "import logging; from vna_lifecycle.cli import main; main(['plugins', '--verbose']);"
        "logging.getLogger('vna_lifecycle.x').info('seen'); logging.getLogger('pydicom').warning('Doe^Jane')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "INFO vna_lifecycle.x: seen" in done.stderr
    assert "seen" not in done.stdout
    assert "INFO" not in done.stdout


def test_what_pydicom_warns_of_is_not_shown_because_it_quotes_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb(*args: object, **kwargs: object) -> int:
        warnings.warn_explicit("Invalid value for VR PN: 'Doe^Jane'", UserWarning, "valuerep.py", 1, "pydicom.valuerep")
        return 0

    monkeypatch.setattr(app_module, "app", verb)
    assert main(["status"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("logger", "told"), [("stamina", False), ("urllib3.connectionpool", False), ("vna_lifecycle.x", True)]
)
def test_what_other_libraries_log_is_not_written_over_the_output(logger: str, told: bool) -> None:
    """In a process of its own: pytest has handlers, and Python writes warnings to standard error only without any."""
    code = (
        "import logging; from vna_lifecycle.cli import main; main(['--version']);"
        f"logging.getLogger({logger!r}).warning('trying again')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("trying again" in done.stderr) is told
