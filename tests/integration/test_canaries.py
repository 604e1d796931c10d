"""Nobody learns an identifier from what a program leaves lying about: logs, progress, errors, ledger, process lists.

An archive of canaries goes through the whole line, with what goes wrong in real ones, in processes that log
all that anybody logs. Identifiers may be in results that list objects on purpose (`LISTS`), in the files
of a report, and in the catalog; nowhere else. What the vault holds is sealed.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from attrs import define, field, frozen
from tests.integration.canaries import CANARIES, EXPECTED, canaries_in, plant

LISTS: Final = frozenset({"findings", "remediate", "compare"})
"""Verbs whose result names objects: that is what they are asked for. What they log and tell of progress does not."""

OBSERVER: Final = """
import logging, os, pathlib

place = pathlib.Path(os.environ["OBSERVED"]) / f"{os.getpid()}.txt"
file = place.open("a", encoding="utf-8", errors="backslashreplace")

def keep(kind, text):
    file.write(f"{kind}: {text}\\n")

class Keeper(logging.Handler):
    def emit(self, record):
        told = [record.getMessage(), repr(record.args)]
        if record.exc_info:
            told.append(logging.Formatter().formatException(record.exc_info))
        keep(f"log {record.name}", " ".join(told))

logging.getLogger().addHandler(Keeper(0))
logging.getLogger().setLevel(1)

from vna_lifecycle import errors

plain = errors.VnaLifecycleError.__init__

def observed(self, message, *, hint=""):
    plain(self, message, hint=hint)
    keep(f"error {type(self).__name__}", f"{self} {hint}")

errors.VnaLifecycleError.__init__ = observed
keep("process", "began")
"""

PLUGIN: Final = """
from pathlib import Path
from attrs import frozen
from vna_lifecycle.plugin import impl

@frozen(kw_only=True)
class Nothing:
    pass

class RaisesAboutStudies:
    def __init__(self, settings): pass
    def examine(self, case):
        record = case.records[0]
        raise ValueError(f"{record.series.patient_name} {record.series.patient_id} {case.study.study_uid}")

class RaisesAboutWaves:
    def __init__(self, settings): pass
    def examine(self, case):
        for facts in case.studies():
            raise KeyError(facts.study.study_uid)

def open_broken(settings, site):
    words = Path(__file__).with_name("names.txt").read_text()
    try:
        raise ValueError(f"cannot read {words}")
    except ValueError as error:
        error.add_note(f"the value was {words}")
        raise RuntimeError(f"no patient {words}") from error

@impl
def vna_lifecycle_register(registry):
    registry.archive("broken", Nothing, open_broken)
    registry.check("raises-about-studies", Nothing, RaisesAboutStudies)
    registry.wave_check("raises-about-waves", Nothing, RaisesAboutWaves)
"""

PROGRAM: Final = """
[program]
name = "Canaries"
[archives.old]
plugin = "files"
path = "old"
[archives.new]
plugin = "files"
path = "new"
[archives.broken]
plugin = "broken"
[migration]
sources = ["old"]
target = "new"
[sources.old]
truth = "database.csv"
[[waves]]
name = "pilot"
modalities = ["CT"]
[[waves]]
name = "rest"
[people.emil]
role = "engineer"
[execution]
engine = "processes"
workers = 2
reserve_bytes = 0
"""


@frozen(kw_only=True)
class Said:
    """What one verb came to."""

    verb: str
    code: int
    out: str
    err: str


TELLER: Final = """
import json, os, sys
from vna_lifecycle.cli import main

answers = os.fdopen(os.dup(1), "w")
for asked in sys.stdin:
    argv, out, err = json.loads(asked)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    print(code, file=answers, flush=True)
"""


@define
class Line:
    """A program's folder, and verbs on it, in processes that log everything and are looked at from outside."""

    folder: Path
    observed: Path
    site: Path
    said: list[Said] = field(factory=list)
    titles: set[str] = field(factory=set)
    _teller: subprocess.Popen[str] | None = None

    def run(self, *argv: str, code: int = 0, alone: bool = False) -> Said:
        """Run a verb, in a process of its own if ``alone``; its exit code must be ``code``."""
        if argv[0] not in ("init", "compare"):
            argv = (*argv, "--program", str(self.folder), *(("--verbose",) if alone else ()))
        over = threading.Event()
        process = self._start(["-m", "vna_lifecycle", *argv]) if alone else self._telling()
        watch = threading.Thread(target=self._watch, args=(process.pid, set(argv), over))
        watch.start()
        try:
            ended, out, err = self._whole(process) if alone else self._ask(process, argv)
        finally:
            over.set()
            watch.join()
        assert ended == code, (argv, ended, out[-2000:], err[-2000:])
        said = Said(verb=argv[0], code=ended, out=out, err=err)
        self.said.append(said)
        return said

    def end(self) -> None:
        """End the process that tells the verbs."""
        if self._teller is not None:
            self._teller.communicate(timeout=30)

    def _start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, (str(self.site), os.environ.get("PYTHONPATH"))))
        seen = {"OBSERVED": str(self.observed), "PYTHONPATH": path, "PYTHONWARNINGS": "default"}
        command, pipe = [sys.executable, "-W", "default", *words], subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=os.environ | seen)

    def _whole(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return process.returncode, out, err

    def _telling(self) -> subprocess.Popen[str]:
        if self._teller is None:
            self._teller = self._start(["-c", TELLER])
        return self._teller

    def _ask(self, process: subprocess.Popen[str], argv: Sequence[str]) -> tuple[int, str, str]:
        out, err = (self.site.parent / f"{len(self.said)}.{name}" for name in ("out", "err"))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([argv, str(out), str(err)]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, process.communicate(timeout=30)
        return int(answer), out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")

    def _watch(self, pid: int, own: set[str], over: threading.Event) -> None:
        """Keep what anybody on the machine can see of the process, its children and threads."""
        while not over.wait(0.05):
            for each in (pid, *_children(pid)):
                told = _read(Path(f"/proc/{each}/cmdline")).split("\0")
                self.titles.update(word for word in told if word not in own)  # what somebody typed is theirs
                self.titles.update(_read(path) for path in Path(f"/proc/{each}/task").glob("*/comm"))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="backslashreplace")
    except OSError:
        return ""  # it ended meanwhile


def _children(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(path).split():
            yield int(child)
            yield from _children(int(child))


def write_truth(path: Path) -> None:
    """What the source's database says: mostly the same; of some studies something else, and one is there twice."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyDate", "Instances"))
        for study in [*CANARIES, CANARIES[9]]:
            other = CANARIES[(study.number + study.number % 7) % len(CANARIES)]
            words = (other.text("i"), f"{study.text('n')}^Grace", other.text("a"), study.date)
            rows.writerow((study.uid(0) if study.number != 11 else study.text("i"), *words, 2))


@pytest.fixture(scope="module", name="line")
def line_fixture(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The whole line, told once."""
    root = tmp_path_factory.mktemp("canaries")
    line = Line(folder=root / "program", observed=root / "observed", site=root / "site")
    line.observed.mkdir()
    info = line.site / "canary_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: canary-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vna_lifecycle]\ncanary = canary_plugin\n")
    (line.site / "canary_plugin.py").write_text(PLUGIN)
    (line.site / "sitecustomize.py").write_text(OBSERVER)
    line.run("init", str(line.folder), alone=True)
    try:
        tell(line)
    finally:
        line.end()
    return line


def tell(line: Line) -> None:
    """What becomes of an archive, with what goes wrong."""
    folder, toml = line.folder, line.folder / "program.toml"
    first, second, third = CANARIES[20:23]
    plant(folder / "old")
    (folder / "new").mkdir()
    (line.site / "names.txt").write_text(f"{first.text('n')} {first.uid(0)} {first.birth}")
    write_truth(folder / "database.csv")
    wrong = f"""
[[exclusions]]
reason = "stays"
patient_ids = [["{first.text("i")}"]]
studies = ["{first.uid(0)}x"]
"""
    toml.write_text(PROGRAM + wrong)
    line.run("check", code=2)
    toml.write_text(f'{PROGRAM}\n[[exclusions]]\nreason = "stays"\npatient_ids = ["{third.text("i")}"]\n')
    line.run("check", code=70, alone=True)  # the plug-in's archive has a defect
    line.run("inventory", "old")
    truth = (folder / "database.csv").read_text()
    (folder / "database.csv").write_text(truth.replace("StudyInstanceUID", first.text("n")))
    line.run("truth", code=2)
    (folder / "database.csv").write_text(truth)
    line.run("truth")
    line.run("profile", "old")
    line.run("plan")
    for path in sorted((folder / "old").rglob(f"{first.uid(2)}.dcm")):
        path.unlink()  # it is gone before it is fetched
    for path in sorted((folder / "old").rglob(f"{second.uid(2)}.dcm")):
        path.write_bytes(path.read_bytes()[:-40])
    line.run("transfer", "pilot", code=1, alone=True)
    toml.write_text(toml.read_text().replace('"processes"', '"threads"'))
    line.run("transfer", "rest", "--json", code=1)
    for path in sorted((folder / "new").rglob("*.dcm"))[:3]:
        path.write_bytes(path.read_bytes()[:-10] + b"0123456789")
    line.run("accept", "pilot", code=1)
    line.run("accept", "rest", "--json", code=1)
    line.run("status", "--json")
    line.run("findings")
    held = json.loads(line.run("remediate", "--json", code=1).out)["held"]
    chosen = f"{held[0]['sop_instance_uid']}={held[0]['content']}"
    line.run("remediate", "--choose", chosen, "--by", "emil", "--reason", "looked at")
    line.run("transfer", "--retry", code=1)
    line.run("waive", "pilot", "--finding", "check-failed", "--by", "emil", "--reason", "its author knows")
    line.run("waive", "pilot", "--finding", "nothing", "--study", first.uid(0), "--by", "emil", "--reason", "x", code=8)
    line.run("sign", "rest", "--by", "emil", code=8)
    line.run("withdraw", "pilot", "--by", "emil", "--reason", "not needed", "--study", CANARIES[4].uid(0))
    line.run("catch-up", code=1)
    line.run("cutover", "--by", "emil", "--reason", "it is time", code=1)
    line.run("report")
    line.run("compare", f"files:{folder / 'old'}", f"files:{folder / 'new'}", code=1)
    line.run("ledger", "show", "--json")
    line.run("ledger", "verify", "--deep")


def test_the_archive_has_a_thousand_canaries_and_results_show_them(line: Line) -> None:
    assert len(EXPECTED) >= 1_000
    catalog = canaries_in((line.folder / "catalog.db").read_bytes())
    assert len(catalog) > 700
    assert any(canaries_in(said.out) for said in line.said if said.verb == "findings")
    assert {said.verb for said in line.said} > {"init", "check", "inventory", "truth", "transfer", "accept", "cutover"}


def test_no_canary_is_on_standard_error(line: Line) -> None:
    told = {f"{said.verb}: {text}" for said in line.said for text in said.err.splitlines() if canaries_in(text)}
    assert told == set()


def test_no_canary_is_on_standard_output_but_where_objects_are_listed(line: Line) -> None:
    others = [said for said in line.said if said.verb not in LISTS]
    told = {f"{said.verb}: {text[:300]}" for said in others for text in said.out.splitlines() if canaries_in(text)}
    assert told == set()


def test_no_canary_is_in_any_log_record_or_message_of_an_error(line: Line) -> None:
    told = set()
    processes = 0
    for path in line.observed.iterdir():
        text = path.read_text(encoding="utf-8")
        processes += 1
        told |= {one[:300] for one in text.splitlines() if canaries_in(one)}
    assert processes >= 6  # workers too
    assert told == set()


def test_no_canary_is_in_the_ledger(line: Line) -> None:
    shown = next(said for said in line.said if said.verb == "ledger" and said.out.startswith(("[", "{")))
    assert len(shown.out.splitlines()) > 100
    assert canaries_in(shown.out) == set()
    for path in line.folder.glob("ledger.db*"):
        assert canaries_in(path.read_bytes()) == set()


def test_no_canary_lies_open_in_the_vault_or_beside_its_keys(line: Line) -> None:
    files = [*line.folder.glob("vault.db*"), *(path for path in (line.folder / "keys").rglob("*") if path.is_file())]
    assert len(files) >= 2
    for path in files:
        assert canaries_in(path.read_bytes()) == set(), path.name


def test_no_canary_is_in_what_the_machine_shows_of_processes(line: Line) -> None:
    assert any("multiprocessing" in title for title in line.titles)  # workers were seen
    assert {title for title in line.titles if canaries_in(title)} == set()


def test_a_page_that_may_hang_on_a_wall_has_no_canary_but_uids(line: Line) -> None:
    found = canaries_in((line.folder / "reports" / "index.html").read_bytes())
    assert {canary for canary in found if not canary.isdecimal()} == set()
    shutil.rmtree(line.observed)
