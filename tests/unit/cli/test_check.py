"""What ``check`` tells of archives."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from vna_lifecycle.cli import main
from vna_lifecycle.cli.check import POWERS
from vna_lifecycle.errors import ArchiveUnreachable, ConfigurationError
from vna_lifecycle.ports import Archive, Observation, Part, StudyQuery
from vna_lifecycle.program import Program


class Reads:
    """An archive's reading side, of which only the parts are asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def parts(self) -> Iterator[Part]:
        if self._error is not None:
            raise self._error
        yield Part(key="1")
        raise AssertionError("one part is enough to see that an archive answers")

    def find_studies(self, query: StudyQuery) -> None:
        raise AssertionError("a query may scan a whole archive")

    def close(self) -> None:
        """Nothing is held open."""


class Probes:
    def probe(self) -> Iterator[Observation]:
        yield Observation(name="longest-answer", value="12\x1b[2J", unit="s")


@pytest.fixture
def checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, object], str]]:
    """Checks a program whose archives are given; exit code, JSON, and text."""
    assert main(["init", str(tmp_path)]) == 0

    def check(**archives: Archive | Exception) -> tuple[int, dict[str, object], str]:
        def archive(self: Program, name: str) -> Archive:
            found = archives[name]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(Program, "archive", archive)
        capsys.readouterr()
        code = main(["check", "--json", "--program", str(tmp_path)])
        told = json.loads(capsys.readouterr().out)
        assert main(["check", "--program", str(tmp_path)]) == code
        return code, told, capsys.readouterr().out

    return check


WRITABLE = Archive(reads=Reads(), stores=object())  # type: ignore[arg-type]  # never called


def test_an_archive_that_opens_and_does_not_answer_is_unreachable(
    checked: Callable[..., tuple[int, dict[str, object], str]],
) -> None:
    silent = Archive(reads=Reads(ArchiveUnreachable("old: no answer", archive="old", hint="call the vendor")))
    code, told, text = checked(old=silent, new=WRITABLE)
    assert (code, told["ok"]) == (3, False)
    assert [item["reachable"] for item in told["archives"]] == [False, True]
    assert "error: old: no answer" in text
    assert "what to do next: call the vendor" in text
    assert "new (files, target and reader)\n    answers; can be read, can be written" in text


def test_a_target_that_cannot_be_written_is_a_problem_of_the_configuration(
    checked: Callable[..., tuple[int, dict[str, object], str]],
) -> None:
    code, told, text = checked(old=WRITABLE, new=Archive(reads=Reads()))
    assert code == 2
    assert told["archives"][1]["error"]["problems"][0]["path"] == "migration.target"
    assert "migration.target: this kind of archive cannot be written" in text


class Hindered:
    def probe(self) -> Iterator[Observation]:
        yield Observation(name="versioning", value="off")
        yield Observation(name="cannot-store", value="it keeps no versions")


@pytest.mark.parametrize("target", [True, False], ids=["target", "source"])
def test_what_would_store_nothing_cannot_be_the_target_and_may_be_a_source(
    checked: Callable[..., tuple[int, dict[str, object], str]], target: bool
) -> None:
    hindered = attrs.evolve(WRITABLE, probes=Hindered())
    code, told, text = checked(**({"old": WRITABLE, "new": hindered} if target else {"old": hindered, "new": WRITABLE}))
    assert (code, told["ok"]) == ((2, False) if target else (0, True))
    assert text.count("it keeps no versions") == target
    assert ("migration.target: it keeps no versions" in text) is target
    assert "versioning: off" in text


def test_a_wrong_configuration_counts_before_an_archive_that_does_not_answer(
    checked: Callable[..., tuple[int, dict[str, object], str]],
) -> None:
    code, _, _ = checked(old=ArchiveUnreachable("old: gone"), new=ConfigurationError("no such secret"))
    assert code == 2


def test_what_probing_shows_is_told_without_its_control_characters(
    checked: Callable[..., tuple[int, dict[str, object], str]],
) -> None:
    probed = Archive(reads=Reads(), probes=Probes())
    code, told, text = checked(old=probed, new=WRITABLE)
    assert code == 0
    assert told["archives"][0]["powers"] == ["reads", "probes"]
    assert told["archives"][0]["observations"] == [{"name": "longest-answer", "value": "12\x1b[2J", "unit": "s"}]
    assert "longest answer: 12\\x1b[2J s" in text


def test_every_power_that_an_archive_may_have_has_words() -> None:
    assert {power.name for power in attrs.fields(Archive)} == POWERS.keys()
