"""Looking again outside of an acceptance: what is new goes on record, and what is gone is settled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.engine.accepting import checks, equip, finding, run

from vna_lifecycle.model.finding import Finding, Severity
from vna_lifecycle.program.accepting import look_again_at
from vna_lifecycle.testing.objects import ObjectSpec

TWO = [ObjectSpec(study=s, patient_id=f"P{s}") for s in (1, 2)]


class Watch:
    """Says the words that it is told, of the wave or of the program's own case."""

    def __init__(self, *words: str) -> None:
        self.words, self.of_program, self.broken = list(words), list[str](), False

    def __call__(self, case: Any) -> Iterator[Finding]:
        if self.broken and case.wave:
            raise ValueError
        for word in self.words if case.wave else self.of_program:
            yield finding(word, Severity.BLOCKER)


def accepted(world: Any, watch: Watch) -> Any:
    w = world(TWO)
    equip(w, checks(wave={"watch": watch, "other": lambda case: [finding("other")] if case.wave else []}))
    with w.open() as program:
        program.take_inventory()
        program.plan()
        program.transfer("all")
        run(program)
    return w


def again(program: Any, wave: str = "all", *names: str) -> tuple[int, int, int, tuple[str, ...]]:
    with program.records.effects("cutover") as journal:
        looked = look_again_at(program, journal, wave, names or ("watch",))
    return looked.new, looked.still, looked.settled, looked.not_assessed


def opened(program: Any, wave: str = "all") -> list[str]:
    return sorted(line.kind for line in program.findings(wave))


def test_what_is_new_what_is_still_so_and_what_is_gone(world: Any) -> None:
    watch = Watch("stays", "goes")
    with accepted(world, watch).open() as program:
        assert opened(program) == ["goes", "other", "stays"]
        watch.words = ["stays", "comes"]
        assert again(program) == (1, 1, 1, ())
        assert opened(program) == ["comes", "other", "stays"]
        assert again(program) == (0, 2, 0, ())
        watch.words.append("goes")
        assert again(program) == (1, 2, 0, ())  # what was settled and is there again is found again
        assert opened(program) == ["comes", "goes", "other", "stays"]


def test_a_check_that_gives_no_result_settles_nothing(world: Any) -> None:
    watch = Watch("stays")
    with accepted(world, watch).open() as program:
        watch.broken = True
        assert again(program) == (1, 0, 0, ("watch",))
        assert opened(program) == ["check-failed", "other", "stays"]
        watch.broken = False
        assert again(program) == (0, 1, 1, ())
        assert opened(program) == ["other", "stays"]


def test_every_acceptance_looks_at_the_sources_too(world: Any) -> None:
    watch = Watch()
    with accepted(world, watch).open() as program:
        before = opened(program, "")
        watch.of_program = ["unreadable-folder"]
        run(program)
        assert opened(program, "") == sorted([*before, "unreadable-folder"])
        watch.of_program = []
        run(program)
        assert opened(program, "") == before
