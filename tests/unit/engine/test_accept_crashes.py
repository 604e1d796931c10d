"""An acceptance that dies at any instruction goes on with its sample, and nothing is recorded twice."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.engine.accepting import checks, equip, finding, run

from vna_lifecycle.catalog import Catalog
from vna_lifecycle.engine.accept_result import Acceptance
from vna_lifecycle.errors import StateError
from vna_lifecycle.ledger import Ledger
from vna_lifecycle.model.event import FindingRecorded, RecordedEvent, SampleDrawn, WaveExamined
from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.program import Program
from vna_lifecycle.testing.faults import Crash, SimulatedCrash
from vna_lifecycle.testing.objects import ObjectSpec
from vna_lifecycle.vault import Vault

STUDIES = [ObjectSpec(study=s, patient_id=f"P{s}") for s in range(1, 9)]
TERMS = "[acceptance]\nmax_defect_rate = 0.4\nconfidence = 0.8\nattempts = 2\n"
SEED = "5e" * 32


class Rules:
    """What the checks say: ``bad`` are the studies that the sampled one blocks."""

    def __init__(self) -> None:
        self.bad: set[str] = set()

    def drawn(self, case: Any) -> Iterator[Finding]:
        if case.study.study_uid in self.bad:
            yield finding("bad")

    def whole(self, case: Any) -> Iterator[Finding]:
        yield finding("seen", Severity.NOTE)

    def wide(self, case: Any) -> Iterator[Finding]:
        for facts in case.studies():
            yield finding("counted", Severity.WARNING, study=facts.study)


class Copies:
    """A program whose wave was transferred, copied for each history."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.rules, self.folder, self.number = Rules(), folder, 0
        self.world = world(STUDIES, TERMS)
        plugin = checks(
            study={"whole": self.rules.whole}, sampled={"drawn": self.rules.drawn}, wave={"wide": self.rules.wide}
        )
        equip(self.world, plugin)
        with self.world.open() as program:
            program.take_inventory()
            program.plan()
            assert program.transfer("all").outcome == "complete"

    def fresh(self) -> Path:
        self.number += 1
        return shutil.copytree(self.world.folder, self.folder / f"copy-{self.number}")

    def open(self, folder: Path) -> Program:
        return Program.open(folder, plugins=self.world.plugins)


@pytest.fixture
def copies(world: Any, tmp_path: Path) -> Copies:
    return Copies(world, tmp_path)


def told(program: Program) -> list[RecordedEvent]:
    wanted = (SampleDrawn, WaveExamined, FindingRecorded)
    return [r for r in program.ledger.read() if isinstance(r.event, wanted) and r.key.startswith("accept/")]


def essence(program: Program) -> set[tuple[str, Any]]:
    """What acceptance put on record, without how long it took."""
    return {
        (r.key, evolve(r.event, result_ref="") if isinstance(r.event, WaveExamined) else r.event) for r in told(program)
    }


def timeless(result: Acceptance) -> Acceptance:
    return evolve(result, seconds=0.0, checks=tuple(evolve(line, seconds=0.0) for line in result.checks))


def die(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, nth: int, when: str) -> Callable[[], bool]:
    """Let the process die before or after the nth call; whether it did."""
    real, calls = getattr(owner, name), [0]

    def call(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth and when == "before":
            raise SimulatedCrash
        result = real(*args, **kwargs)
        if calls[0] == nth:
            raise SimulatedCrash
        return result

    monkeypatch.setattr(owner, name, call)
    return lambda: calls[0] >= nth


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), [(Ledger, "append"), (Catalog, "project"), (Vault, "put_sealed")])
def test_an_acceptance_that_dies_anywhere_ends_as_if_it_had_not(
    copies: Copies, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, when: str
) -> None:
    copies.rules.bad = {STUDIES[2].study_uid}
    folder = copies.fresh()
    with copies.open(folder) as program:
        expected, record = timeless(run(program, seed=SEED)), essence(program)
    struck, nth = True, 0
    while struck:
        nth += 1
        folder = copies.fresh()
        with monkeypatch.context() as patched, copies.open(folder) as program:
            fell = die(patched, owner, name, nth, when)
            with contextlib.suppress(SimulatedCrash):
                run(program, seed=SEED)
            struck = fell()
        with copies.open(folder) as program:
            ended = [r for r in told(program) if isinstance(r.event, WaveExamined)]
            if not ended:
                # a new seed is offered: it must not be taken where one was drawn before
                drawn = any(isinstance(r.event, SampleDrawn) for r in told(program))
                result = run(program, seed="77" * 32 if drawn else SEED)
                assert timeless(result) == expected
            assert essence(program) == record
            assert max(Counter(r.key for r in told(program)).values()) == 1
            assert program.verify_ledger(deep=True).ok
    assert nth > 2


def test_an_archive_whose_machine_dies_leaves_the_sample_as_it_was(copies: Copies) -> None:
    copies.world.target.plan.faults.append(Crash(on="fetch", nth=len(STUDIES) + 3))  # the read-back was one each
    folder = copies.fresh()
    with copies.open(folder) as program, pytest.raises(SimulatedCrash):
        run(program, seed=SEED)
    with copies.open(folder) as program:
        assert run(program).seed == SEED
        assert list((folder / "spool").iterdir()) == []


def test_the_order_in_which_checks_and_studies_come_makes_no_difference(
    copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vna_lifecycle.program import accepting

    copies.rules.bad = {STUDIES[2].study_uid}
    results = []
    for backwards, workers in ((False, 1), (True, 4)):
        folder = copies.fresh()
        config = folder / "program.toml"
        config.write_text(config.read_text().replace("workers = 2", f"workers = {workers}"))
        with monkeypatch.context() as patched, copies.open(folder) as program:
            made = accepting.checks_of(program)
            patched.setattr(accepting, "checks_of", lambda _, m=made, b=backwards: m[::-1] if b else m)
            result = timeless(run(program, seed=SEED))
            results.append(evolve(result, checks=tuple(sorted(result.checks, key=lambda line: line.name))))
    assert results[0] == results[1]


def test_what_an_attempt_found_before_it_was_cut_off_counts(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> Any:
        raise SimulatedCrash

    copies.rules.bad = {STUDIES[2].study_uid}
    folder = copies.fresh()
    with monkeypatch.context() as patched, copies.open(folder) as program, pytest.raises(SimulatedCrash):
        patched.setattr("vna_lifecycle.engine.accept.wave_verdict", dies)
        run(program, seed=SEED, census=True)
    copies.rules.bad.clear()
    with copies.open(folder) as program:
        result = run(program)
    assert result.verdict is not None
    assert (result.outcome, result.verdict.defective) == ("failed", 1)
    assert [(kind.kind, kind.count) for kind in result.findings if kind.check == "drawn"] == [("bad", 1)]


def test_an_attempt_whose_wave_changed_meanwhile_counts_like_a_failed_one(
    copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copies.fresh()
    with monkeypatch.context() as patched, copies.open(folder) as program:
        die(patched, Ledger, "append", 4, "before")
        with pytest.raises(SimulatedCrash):
            run(program, seed=SEED)
    config = folder / "program.toml"
    config.write_text(config.read_text().replace("max_defect_rate = 0.4", "max_defect_rate = 0.45"))
    with copies.open(folder) as program:
        result = run(program, seed="77" * 32)
        first, second = [r.event for r in told(program) if isinstance(r.event, WaveExamined)]
        assert (first.outcome, first.sampled, second.outcome) == ("unfinished", 0, "passed")
        assert (result.attempt, result.seed) == (2, "77" * 32)
        assert [attempt.number for attempt in result.verdict.attempts] == [1, 2]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.integers(1, 14)),  # dies at that append, if it comes so far
        st.tuples(st.just("census"), st.integers(1, 14)),
        st.tuples(st.just("break"), st.integers(0, 7)),
        st.tuples(st.just("mend"), st.just(0)),
    ),
    min_size=2,
    max_size=6,
)


def check_history(program: Program) -> None:
    """What holds after any history: attempts follow each other, each ended before the next, and seeds are new."""
    drawn = [r.event for r in told(program) if isinstance(r.event, SampleDrawn)]
    ended = {r.event.attempt: r.event for r in told(program) if isinstance(r.event, WaveExamined)}
    assert [event.attempt for event in drawn] == list(range(1, len(drawn) + 1))
    assert len({event.seed for event in drawn}) == len(drawn)
    assert set(ended) >= {event.attempt for event in drawn[:-1]}


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_whatever_happens_seeds_are_new_and_a_defect_in_the_sample_fails(copies: Copies, actions: Any) -> None:
    walk(copies, actions)


@pytest.mark.soak
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_whatever_happens_for_long(copies: Copies, actions: Any) -> None:
    walk(copies, actions)


def walk(copies: Copies, actions: Any) -> None:
    folder, copies.rules.bad = copies.fresh(), set()
    seeds, used = iter(range(1, 100)), 0
    for what, number in actions:
        if what == "break":
            copies.rules.bad.add(STUDIES[number].study_uid)
            continue
        if what == "mend":
            copies.rules.bad.clear()
            continue
        with pytest.MonkeyPatch.context() as patched, copies.open(folder) as program:
            before = told(program)
            open_ = [r.event for r in before if isinstance(r.event, SampleDrawn)]
            closed = [r.event for r in before if isinstance(r.event, WaveExamined)]
            die(patched, Ledger, "append", number, "after")
            offered = f"{next(seeds):064x}"
            try:
                result = run(program, seed=offered, census=what == "census")
            except SimulatedCrash:
                continue
            except StateError as refused:
                assert "samples of the wave failed" in str(refused)
                assert what == "accept"
                assert used >= 2
                continue
            assert result.seed == (open_[-1].seed if len(open_) > len(closed) else offered)
            sample = chosen(program, result)
            bad = {program.catalog.label(uid) for uid in copies.rules.bad}
            assert result.verdict is not None
            if bad & sample:
                assert result.outcome == "failed"
                assert result.verdict.defective >= len(bad & sample)
            used = 0 if result.passed else used + (result.verdict.defective > 0)
    with copies.open(folder) as program:
        check_history(program)


def chosen(program: Program, result: Acceptance) -> set[str]:
    """The sample, drawn again by somebody who has the seed and the population."""
    from vna_lifecycle.policy.sampling import draw_by_stratum

    assert result.verdict is not None
    [drawn] = [r.event for r in told(program) if isinstance(r.event, SampleDrawn) and r.event.attempt == result.attempt]
    members = ((stratum, label) for label, stratum in program.records.journal().members(drawn.population_ref))
    sizes = {stratum.stratum: stratum.size for stratum in result.verdict.strata}
    return {label for labels in draw_by_stratum(drawn.seed, members, sizes).values() for label in labels}
