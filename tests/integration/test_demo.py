"""The demo runs as it is told, once for all tests."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pydicom
import pytest
from attrs import frozen

from vna_lifecycle.cli import main
from vna_lifecycle.demo import Demo
from vna_lifecycle.demo.defects import DEFECTS
from vna_lifecycle.demo.settings import MARK
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.engine.status import Status


@frozen
class Told:
    """A demo that was told once."""

    folder: Path
    out: str


def is_only_progress(text: str) -> bool:
    """Nothing, or on a slow machine how far it is."""
    return all(
        re.match(r"[a-z][\w -]*: [\d,]+(/[\d,]+)? (studies|instances|checks)\b", line) for line in text.splitlines()
    )


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    command = [sys.executable, "-m", "vna_lifecycle", "demo", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert is_only_progress(done.stderr), done.stderr
    return Told(folder, done.stdout)


def in_json(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert main([*argv, "--json"]) == code
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


def digests(folder: Path) -> Counter[str]:
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file())


def test_the_archive_has_every_file_that_pydicom_ships_with_its_contents(told: Told) -> None:
    shipped = digests(Path(pydicom.__file__).parent / "data" / "test_files")
    assert shipped <= digests(told.folder / "old")


def test_the_pilot_may_be_used_and_the_rest_may_not_because_an_object_was_edited(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    status = in_json(capsys, "status", "--program", str(told.folder))
    pilot, rest = status["waves"]
    assert pilot["imported"] == pilot["studies"] == 5
    assert rest["imported"] == rest["studies"] > 20
    assert (pilot["ready"], rest["ready"]) == (True, False)
    assert any("changed-at-target" in blocker for blocker in rest["blockers"])
    assert status["cutover"]["allowed"] is False
    assert status["unplanned"] == 0
    assert in_json(capsys, "remediate", "--program", str(told.folder))["held"] == []


def test_the_gate_was_refused_then_allowed_then_refused(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    ended = in_json(capsys, "demo", str(told.folder))
    assert [allowed for allowed, _ in ended["gate"]] == [False, True, False]
    assert ended["report"] == str(told.folder / "reports" / "index.html")


def test_the_commands_that_are_told_last_put_the_edited_object_right(told: Told, tmp_path: Path) -> None:
    folder = tmp_path / "the demo"
    shutil.copytree(told.folder, folder)
    printed = subprocess.run(
        [sys.executable, "-m", "vna_lifecycle", "demo", folder], capture_output=True, text=True, check=True
    ).stdout
    chapter = printed[printed.index("Try next\n") :].split("\n\n")[0]
    commands = [line for line in chapter.splitlines()[1:] if not line.startswith("#")]
    said: dict[str, subprocess.CompletedProcess[str]] = {}
    for command in commands:
        script = f"{commands[0]}\n{command}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert "error" not in done.stderr, command  # progress may be told there
        verb = re.sub(r"^\S*vna-lifecycle |^\S+ -m vna_lifecycle ", "", command).split()[0]
        said[verb] = done
    assert list(said) == ["cd", "findings", "waivers", "cp", "accept", "sign", "cutover", "ledger", "compare", "--help"]
    assert "changed-at-target" in said["findings"].stdout
    assert "changed-at-target" not in said["accept"].stdout
    assert said["sign"].stdout.splitlines()[-1] == "wave rest is ready"
    assert "reading may be switched to the target" in said["cutover"].stdout
    differences = {"accept", "compare"}  # not signed yet; what was excluded is missing
    assert {verb: done.returncode for verb, done in said.items()} == {verb: int(verb in differences) for verb in said}


def test_each_moment_has_its_report_and_the_last_one_is_printed_last(told: Told) -> None:
    reports = told.folder / "reports"
    ready = []
    for page in (reports / "1-imported-not-ready", reports / "2-cutover-allowed", reports):
        assert (page / "index.html").exists()
        facts = json.loads((page / "report.json").read_text())
        ready.append({wave["name"]: wave["ready"] for wave in facts["waves"]})
    assert ready == [
        {"pilot": False, "rest": False},
        {"pilot": True, "rest": True},
        {"pilot": True, "rest": False},
    ]
    assert told.out.splitlines()[-1] == str(reports / "index.html")


def test_the_ledger_of_the_demo_holds(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_json(capsys, "ledger", "verify", "--deep", "--program", str(told.folder))["ok"] is True


def test_the_story_says_what_was_found_and_decided(told: Told) -> None:
    words = " ".join(told.out.split())
    for sentence in (
        *DEFECTS,
        "pilot: 6 of 6 studies transferred (complete)",
        "pilot: not ready",
        "1 finding of kind truth-patient-differs blocks the wave",
        "signed off by rosa; wave pilot is ready",
        "signed off by rosa; wave rest is ready",
        "Cutover: refused",
        "Cutover: reading may be switched to the target",
        "are cut off: the file says that it goes on",
        "1 study excluded: phantom for quality assurance",
        "Wave pilot may be used for care.",
        "Wave rest may not be used for care.",
    ):
        assert sentence in words, sentence


def test_told_again_it_says_that_it_is_there_and_how_to_start_over(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(told.folder / "new")
    assert main(["demo", str(told.folder)]) == 0
    out = capsys.readouterr().out
    assert "already" in out
    assert f"rm -r {told.folder}" in out
    assert digests(told.folder / "new") == before
    again = in_json(capsys, "demo", str(told.folder))
    assert again["complete"] is True
    assert again["status"]["waves"]


def test_a_demo_that_was_interrupted_while_it_was_made_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / "program.toml").write_text(MARK)
    (tmp_path / "old.partial").mkdir()
    assert main(["demo", str(tmp_path)]) == 0
    assert not (tmp_path / "old.partial").exists()


class Interrupter:
    """An audience that has seen enough when a chapter begins."""

    def __init__(self, demo: Demo, chapter: str) -> None:
        self.chapters: list[str] = []
        self._demo = demo
        self._enough = chapter

    def chapter(self, title: str, why: str, command: str = "") -> None:
        self.chapters.append(title)
        if title == self._enough:
            self._demo.cancel()

    def say(self, text: str) -> None:
        pass

    def command(self, command: str, what: str) -> None:
        pass

    def watching(self) -> AbstractContextManager[Tell]:
        return nullcontext(lambda progress: None)

    def status(self, status: Status) -> None:
        pass


def test_a_demo_that_was_interrupted_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for chapter in ("Inventory", "Transfer", "The rest becomes ready", "Cutover is allowed"):
        demo = Demo(tmp_path / "demo")
        audience = Interrupter(demo, chapter)
        demo.tell(audience)
        assert audience.chapters[-1] == chapter
        assert demo.to_dict()["complete"] is False
    demo = Demo(tmp_path / "demo")
    demo.tell(Interrupter(demo, ""))
    assert demo.exit_code == 0
    assert demo.to_dict()["complete"] is True


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", str(tmp_path)]) == 8
    assert "something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
