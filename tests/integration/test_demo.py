"""The demo runs as it is told, once for all tests."""

import hashlib
import json
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
from vna_lifecycle.demo.ending import Facts, sentences
from vna_lifecycle.demo.settings import MARK
from vna_lifecycle.engine.decide import HeldContent
from vna_lifecycle.engine.progress import Tell
from vna_lifecycle.engine.status import Status, WaveLine
from vna_lifecycle.policy.cutover import CutoverDecision


@frozen
class Told:
    """A demo that was told once."""

    folder: Path
    out: str


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    command = [sys.executable, "-m", "vna_lifecycle", "demo", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return Told(folder, done.stdout)


def in_json(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert main([*argv, "--json"]) == code
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


def digests(folder: Path) -> Counter[str]:
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file())


def test_the_archive_has_every_file_that_pydicom_ships_with_its_contents(told: Told) -> None:
    shipped = Path(pydicom.__file__).parent / "data" / "test_files"
    assert digests(told.folder / "old") == digests(shipped)


def test_everything_is_moved_but_what_is_held_for_a_decision(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    status = in_json(capsys, "status", "--program", str(told.folder))
    held = in_json(capsys, "remediate", "--program", str(told.folder), code=1)["held"]
    assert [wave["name"] for wave in status["waves"]] == ["pilot", "rest"]
    studies, imported = (sum(wave[key] for wave in status["waves"]) for key in ("studies", "imported"))
    assert imported > 15
    assert studies - imported == len({item["study"] for item in held}) > 0
    assert not any(wave["ready"] for wave in status["waves"])
    assert status["cutover"]["allowed"] is False
    assert status["unplanned"] == 0
    assert list(status["excluded"].values()) == [1]


def test_the_ledger_of_the_demo_holds(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_json(capsys, "ledger", "verify", "--deep", "--program", str(told.folder))["ok"] is True


def test_an_independent_comparison_finds_nothing_else_in_the_new_archive(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = in_json(capsys, "compare", str(told.folder / "old"), str(told.folder / "new"), code=1)
    status = in_json(capsys, "status", "--program", str(told.folder))
    held = in_json(capsys, "remediate", "--program", str(told.folder), code=1)["held"]
    assert compared["extra"] == compared["differ"] == []
    assert compared["rungs"]["equivalent"] == 0
    excluded = status["excluded"]["phantom for quality assurance, no patient"]
    assert len(compared["missing"]) == len({item["sop_instance_uid"] for item in held}) + excluded


def test_the_story_says_what_was_moved_held_refused_and_excluded(told: Told) -> None:
    words = " ".join(told.out.split())
    for sentence in (
        "studies transferred: each of their instances was read back",
        "studies incomplete: the old archive has",
        "A person decides.",
        "files refused: they are no DICOM objects that can be trusted. They stay in the old archive",
        "are cut off: the file says that it goes on",
        "1 study excluded by the settings: phantom for quality assurance",
        "No wave is ready",
        "remediate rest --choose",
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
    for chapter in ("Inventory", "Transfer"):
        demo = Demo(tmp_path / "demo")
        audience = Interrupter(demo, chapter)
        demo.tell(audience)
        assert audience.chapters[-1] == chapter
        assert demo.to_dict()["complete"] is False
    demo = Demo(tmp_path / "demo")
    demo.tell(Interrupter(demo, ""))
    assert demo.exit_code == 0
    assert demo.to_dict()["complete"] is True


def facts(*, imported: int, withdrawn: int = 0, held: int = 0, refused: int = 0) -> Facts:
    wave = WaveLine(
        name="all",
        studies=5,
        instances=50,
        size=1,
        imported=imported,
        ready=False,
        blockers=(),
        states=(("transferred", imported), ("withdrawn", withdrawn)),
    )
    status = Status(
        program="Demo",
        waves=(wave,),
        cutover=CutoverDecision(allowed=False, reasons=()),
        sources=(),
        excluded=(),
        unplanned=0,
        findings=(),
        ledger_size=1,
        ledger_root="",
    )
    content = [
        HeldContent(
            wave="all",
            study=f"s{number}",
            sop_instance_uid=f"1.{number}",
            conflict="content",
            content=digest,
            archive="old",
            locator="x",
        )
        for number in range(held)
        for digest in "ab"
    ]
    return Facts(status=status, held=tuple(content), refused={"truncated": refused} if refused else {})


@pytest.mark.parametrize(
    ("told", "unexplained"),
    [
        (facts(imported=5), 0),
        (facts(imported=3, held=2), 0),
        (facts(imported=3, held=1), 1),
        (facts(imported=2, withdrawn=2, held=1), 0),
        (facts(imported=0), 5),
    ],
)
def test_a_study_that_is_neither_moved_nor_held_nor_withdrawn_is_a_defect_of_the_demo(
    told: Facts, unexplained: int
) -> None:
    assert told.unexplained == unexplained
    assert any("for another reason" in sentence for sentence in sentences(told)) is bool(unexplained)


def test_sentences_tell_only_what_happened() -> None:
    words = " ".join(sentences(facts(imported=5)))
    assert "incomplete" not in words
    assert "refused" not in words
    words = " ".join(sentences(facts(imported=3, held=2, refused=1)))
    assert "2 studies incomplete: the old archive has 4 different contents under 2 SOP Instance UIDs" in words
    assert "1 file refused" in words


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", str(tmp_path)]) == 8
    assert "something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
