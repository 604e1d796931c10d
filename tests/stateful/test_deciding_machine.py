"""Whatever people decide, and whenever: what blocks is exactly what no waiver that holds today covers."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from pathlib import Path

from attrs import define
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.unit.catalog.updating import fold_anew

from vna_lifecycle.errors import ConfigurationError, StateError
from vna_lifecycle.ledger import generate_key, public_key_text
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.program import Program
from vna_lifecycle.testing import memory
from vna_lifecycle.testing.memory import fill, forget
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes

CONFIG = """
[program]
name = "decided"
[archives.old]
plugin = "memory"
name = "deciding-old"
[archives.new]
plugin = "memory"
name = "deciding-new"
[migration]
sources = ["old"]
target = "new"
[execution]
reserve_bytes = 0
[people.mallory]
role = "{role}"
{key}
[people.alice]
role = "engineer"
"""
DAY_ONE = dt.datetime(2030, 1, 1, 12, 0, tzinfo=dt.UTC)
PLACES = ("all", "")
KINDS = ("odd", "even")


@define
class Given:
    """What the test knows of a waiver."""

    place: str
    covers: set[tuple[str, int]]
    by: str
    expires: dt.date | None
    role: str
    key: str
    withdrawn: bool = False


@define
class Said:
    """What program.toml says of mallory."""

    role: str = "radiologist"
    key: str = ""
    revoked: dt.date | None = None


class DecidingMachine(RuleBasedStateMachine):
    """Findings come and are settled, people waive and withdraw, days pass, roles and keys change."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.now = DAY_ONE
        self.said = Said()
        self.open: dict[str, set[tuple[str, int]]] = {place: set() for place in PLACES}
        self.given: dict[str, Given] = {}
        for name in ("one", "two"):
            (self.place / f"{name}.pub").write_text(public_key_text(generate_key(self.place / name)))
        fill("deciding-old", [dicom_bytes(ObjectSpec())])
        self.plugins = load_plugins(extra=[memory])
        self.configure()
        Program.init(self.place)
        self.program = self.opened()
        self.program.take_inventory()
        self.program.plan()
        for line in self.program.findings():
            self.program.waive(line.kind, by="alice", reason="not what this is about")
        self.told = {item.waiver for item in self.program.waivers()}

    def configure(self) -> None:
        lines = [f'key = "file:{self.said.key}.pub"'] if self.said.key else []
        lines += [f"revoked = {self.said.revoked.isoformat()}"] if self.said.revoked else []
        text = CONFIG.format(role=self.said.role, key="\n".join(lines))
        (self.place / "program.toml").write_text(text)

    def opened(self) -> Program:
        return Program.open(self.place, plugins=self.plugins, clock=lambda: self.now)

    def again(self) -> None:
        self.program.close()
        self.program = self.opened()

    @rule(place=st.sampled_from(PLACES), kind=st.sampled_from(KINDS), number=st.integers(1, 3))
    def find(self, place: str, kind: str, number: int) -> None:
        finding = Finding(kind=kind, severity=Severity.BLOCKER, message=f"number {number}", check="odd")
        journal = self.program.records.journal()
        journal.record([journal.finding(finding, wave=place)])
        self.open[place].add((kind, number))

    @rule(
        place=st.sampled_from(PLACES),
        kind=st.sampled_from(KINDS),
        by=st.sampled_from(["mallory", "mallory", "alice"]),
        days=st.none() | st.integers(-1, 3),
        key=st.sampled_from(["right", "right", "right", "one", "two", ""]),
    )
    def waive(self, place: str, kind: str, by: str, days: int | None, key: str) -> None:
        today = self.now.date()
        own = self.said.key if by == "mallory" else ""
        key = own if key == "right" else key
        expires = None if days is None else today + dt.timedelta(days=days)
        covers = {each for each in self.open[place] - self.covered(place) if each[0] == kind}
        may = key == own and (days is None or days >= 0) and not (by == "mallory" and self.revoked())
        reference = f"file:{self.place / key}" if key else ""
        try:
            item = self.program.waive(kind, wave=place, by=by, reason="known", expires=expires, key=reference)
        except (ConfigurationError, StateError) as error:
            assert isinstance(error, StateError if may else ConfigurationError)
            assert not (may and covers)
            return
        assert may
        assert item.findings == len(covers) > 0
        role = self.said.role if by == "mallory" else "engineer"
        self.given[item.waiver] = Given(place=place, covers=covers, by=by, expires=expires, role=role, key=key)

    @precondition(lambda self: self.given)
    @rule(which=st.integers(0, 20))
    def withdraw_waiver(self, which: int) -> None:
        name = sorted(self.given)[which % len(self.given)]
        try:
            self.program.withdraw_waiver(name, by="alice", reason="wrong")
        except StateError:
            assert self.given[name].withdrawn
        self.given[name].withdrawn = True

    @rule(days=st.integers(1, 2))
    def days_pass(self, days: int) -> None:
        self.now += dt.timedelta(days=days)

    @rule(
        role=st.sampled_from(["radiologist", "radiologist", "physicist"]),
        key=st.sampled_from(["", "one", "one", "two"]),
    )
    def edit_program_toml(self, role: str, key: str) -> None:
        self.said.role, self.said.key = role, key
        self.configure()
        self.again()

    @rule(days=st.none() | st.integers(-1, 2))
    def revoke(self, days: int | None) -> None:
        self.said.revoked = None if days is None else self.now.date() + dt.timedelta(days=days)
        self.configure()
        self.again()

    @rule()
    def fold_again(self) -> None:
        fold_anew(self.program.catalog)
        self.again()

    def revoked(self) -> bool:
        return self.said.revoked is not None and self.said.revoked <= self.now.date()

    def holds(self, given: Given) -> bool:
        if given.withdrawn or (given.expires is not None and given.expires < self.now.date()):
            return False
        if given.by == "alice":
            return True
        return given.role == self.said.role and given.key == self.said.key and not self.revoked()

    def covered(self, place: str) -> set[tuple[str, int]]:
        holding = [given.covers for given in self.given.values() if given.place == place and self.holds(given)]
        return set().union(*holding)

    @invariant()
    def what_blocks_is_what_no_waiver_that_holds_covers(self) -> None:
        status = self.program.status()
        reasons = {"all": status.waves[0].blockers, "": status.cutover.reasons}
        assert status.waves[0].blockers == self.program.readiness("all").blockers
        for place, what in (("all", "wave"), ("", "program")):
            left = self.open[place] - self.covered(place)
            for kind in KINDS:
                count = sum(each[0] == kind for each in left)
                words = "1 finding of kind {} blocks the {}" if count == 1 else "{2} findings of kind {0} block the {1}"
                told = [
                    reason.split(";")[0]
                    for reason in reasons[place]
                    if f"kind {kind} " in reason and not reason.startswith("wave")
                ]
                assert told == ([words.format(kind, what, count)] if count else [])

    @invariant()
    def each_waiver_tells_whether_it_holds(self) -> None:
        told = {item.waiver: not item.void for item in self.program.waivers() if item.waiver not in self.told}
        assert told == {name: self.holds(given) for name, given in self.given.items()}

    def teardown(self) -> None:
        self.program.close()
        forget("deciding-old")
        forget("deciding-new")
        shutil.rmtree(self.place)


def test_whatever_people_decide_only_what_holds_today_counts() -> None:
    quick = settings(
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        max_examples=10,
        stateful_step_count=15,
        derandomize=True,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(DecidingMachine, settings=quick)
