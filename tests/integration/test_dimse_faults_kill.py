"""kill -9 of a program while a PACS misbehaves: the next run ends as if nothing had been, and stores nothing twice."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from peers.hasty import haste
from peers.misbehaving_program import FAULTS, Case, Outcome, Trial, command
from vna_lifecycle.model.finding import LASTING

__all__ = ["haste"]

WRAPPER = Path(__file__).with_name("killed_dimse_program.py")
CASES = {str(case): case for case in FAULTS}
TAKE = "vna_lifecycle.adapters.dimse.ticket:Ticket.take"
TOLD = "vna_lifecycle.adapters.dimse.retrieving:Retriever._failures"
KEPT = "vna_lifecycle.adapters.dimse.reception:Quarantine.keep"
ANSWERED = "vna_lifecycle.adapters.dimse.wire.storing:_answered"
CONFIRMED = "vna_lifecycle.adapters.dimse.storing:Store._confirmed"
NOTED = "vna_lifecycle.adapters.dimse.sent:Sent.note"
APPEND = "vna_lifecycle.ledger.store:Ledger.append"
READ_BACK = "vna_lifecycle.engine.tasks:read_back"
WARNED = "vna_lifecycle.adapters.dimse.sent:Sent.warned"
POINTS = [
    ("source-withheld", TAKE, 5, "after"),
    ("source-malformed-for-an-object", TOLD, 1, "before"),
    ("source-new-uids", KEPT, 4, "after"),
    ("source-final-early-no-counters", APPEND, 3, "after"),
    ("target-loses", ANSWERED, 5, "after"),
    ("target-coerces-and-says-so", READ_BACK, 2, "before"),
    ("target-drops-at-4", CONFIRMED, 2, "before"),
]
HEARD = [
    # where a program dies, and how many warnings are lost thereby
    ("target-warns-b000", ANSWERED, 2, "after", 1),
    ("target-warns-b000", WARNED, 2, "before", 1),
    ("target-warns-b000", WARNED, 2, "after", 0),
    ("target-warns-b006", CONFIRMED, 2, "before", 0),
    ("target-coerces-and-says-so", APPEND, 4, "before", 0),
]


def warnings(outcome: Outcome) -> Counter[tuple[str, str]]:
    """How often each warning about each object is told."""
    told = ((kind, uid) for kind, uids in outcome.subjects if kind.startswith(LASTING) for uid in uids)
    return Counter(told)


def without_warnings(outcome: Outcome) -> Outcome:
    return evolve(
        outcome,
        findings={kind: count for kind, count in outcome.findings.items() if not kind.startswith(LASTING)},
        subjects=frozenset(pair for pair in outcome.subjects if not pair[0].startswith(LASTING)),
    )


class Killed:
    """A case in a program that is planned: run to its end, and again from the same plan in processes that die."""

    def __init__(self, trial: Trial, *edits: tuple[str, str]) -> None:
        self.trial = trial
        trial.plan(*edits)
        self._planned = trial.folder.with_name("planned")
        shutil.copytree(trial.folder, self._planned)
        self.restart()
        self.undisturbed = self.finish()
        self.operations = len(trial.pacs.asked)
        self.restart()

    def restart(self) -> None:
        """Both archives and the program as they were when it was planned."""
        shutil.rmtree(self.trial.folder)
        shutil.copytree(self._planned, self.trial.folder)
        self._log.write_text("")
        self.trial.begin()
        self.trial.pacs.faults = self.trial.case.faults

    @property
    def _log(self) -> Path:
        return self.trial.folder.with_name("links.log")

    def start(self, point: str = "-", nth: int = 0, when: str = "before") -> subprocess.Popen[bytes]:
        wrapped = [sys.executable, str(WRAPPER), str(self._log), point, str(nth), when]
        return subprocess.Popen(
            [*wrapped, "transfer", "--program", str(self.trial.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def finish(self) -> Outcome:
        """Run until everything is done, and look at what is left: nothing half done, and nothing done twice."""
        told = command("transfer", folder=self.trial.folder)[1]
        assert "error" not in told, told
        assert list((self.trial.folder / "spool").iterdir()) == []
        assert command("ledger", "verify", "--deep", folder=self.trial.folder)[0] == 0
        taken = Counter(self.trial.pacs.holdings.taken)
        assert max(taken.values(), default=0) <= 1
        named = Counter[str]()
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            what, _, name = line.partition(" ")
            named[name] += 1 if what == "link" else -1
        assert max(named.values(), default=0) <= 1
        return self.trial.outcome()

    def noted(self) -> int:
        """How many warnings were heard and put on record by whoever heard them."""
        found = list(self.trial.folder.rglob("sent.sqlite"))
        if not found:
            return 0
        with closing(sqlite3.connect(found[0])) as record:
            (count,) = record.execute("SELECT count(*) FROM warned").fetchone()
            return int(count)

    def ends_like_undisturbed(self) -> None:
        """Only a warning that was answered and not yet noted may be lost, together with who had heard it.

        Nobody gives it twice. Whatever it was about, the object was read back and compared all the same.
        """
        ended, undisturbed = self.finish(), self.undisturbed
        assert without_warnings(ended) == without_warnings(undisturbed)
        told, all_of_them = warnings(ended), warnings(undisturbed)
        assert told <= all_of_them
        assert set(told.values()) <= {1}
        assert len(told) == self.noted()

    def kill_at_random(self, chance: random.Random, longest: float) -> bool:
        """Kill a run, mostly when it has asked so much of the PACS; False if it was done before."""
        asked = self.trial.pacs.asked
        until = len(asked) + chance.randrange(1, self.operations + 1)
        process = self.start()
        if chance.random() < 0.7:
            while len(asked) < until and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.05))
        else:
            time.sleep(chance.uniform(0.3, longest))
        process.kill()
        return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("name", "point", "nth", "when"), POINTS, ids=[point[0] for point in POINTS])
def test_a_kill_at_a_named_point_changes_no_outcome_of_a_fault(
    tmp_path: Path, name: str, point: str, nth: int, when: str
) -> None:
    with Trial(CASES[name], tmp_path / "program") as trial:
        killed = Killed(trial)
        assert killed.undisturbed.states == trial.case.states
        assert killed.start(point, nth, when).wait(120) == -signal.SIGKILL
        killed.ends_like_undisturbed()


@pytest.mark.parametrize(
    ("name", "point", "nth", "when", "unheard"),
    HEARD,
    ids=[f"{point[1].rpartition('.')[2]}-{point[3]}" for point in HEARD],
)
def test_a_warning_is_lost_only_between_the_answer_and_the_note_of_it(
    tmp_path: Path, name: str, point: str, nth: int, when: str, unheard: int
) -> None:
    with Trial(CASES[name], tmp_path / "program") as trial:
        killed = Killed(trial, ("workers = 2", "workers = 1"))  # another one might just have heard something too
        assert killed.start(point, nth, when).wait(120) == -signal.SIGKILL
        killed.ends_like_undisturbed()
        assert len(warnings(killed.undisturbed)) - killed.noted() == unheard


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", FAULTS, ids=str)
def test_kills_at_random_moments_change_no_outcome_of_any_fault(tmp_path: Path, case: Case, seed: int) -> None:
    chance = random.Random(f"{seed} {case}")
    with Trial(case, tmp_path / "program") as trial:
        killed = Killed(trial)
        for _ in range(3):
            if not killed.kill_at_random(chance, 3.0):
                break
        killed.ends_like_undisturbed()
