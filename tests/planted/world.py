"""A program over archives in memory, and every registered check run on it directly."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, field, frozen

from planted import claiming
from planted.claiming import Claims, claims_of
from vna_lifecycle.engine.accept_cases import study_cases, transferred
from vna_lifecycle.engine.accept_served import release, serve_study
from vna_lifecycle.engine.case import wave_case
from vna_lifecycle.engine.journal import Journal
from vna_lifecycle.engine.sources import candidates_of, choices_of
from vna_lifecycle.engine.tasks import Workbench
from vna_lifecycle.model.finding import Finding
from vna_lifecycle.plugin import load_plugins
from vna_lifecycle.ports import AcceptanceCheck, StudyCase, WaveCase, WaveCheck
from vna_lifecycle.program import Program
from vna_lifecycle.program.running import Pacing, local_bench
from vna_lifecycle.testing import memory
from vna_lifecycle.testing.memory import MemoryState, forget, memory_state

_numbers = itertools.count()
_CONFIG = """
[program]
name = "planted"
[archives.old]
plugin = "claiming"
name = "{old}"
[archives.older]
plugin = "memory"
name = "{older}"
[archives.new]
plugin = "claiming"
name = "{new}"
[archives.view]
plugin = "memory"
name = "{view}"
[migration]
sources = ["old", "older"]
target = "new"
readers = ["view"]
[execution]
workers = 1
reserve_bytes = 0
"""


@frozen(kw_only=True)
class PlantedWorld:
    """A program and its archives: two sources, of which ``old`` comes first, the target, and a reader's own copy."""

    program: Program
    old: MemoryState
    older: MemoryState
    new: MemoryState
    view: MemoryState
    claims: Claims
    unserved: list[str]
    """Locators of objects that the target lists and does not serve."""
    shown: dict[str, Callable[[StudyCase], StudyCase]] = field(factory=dict)
    """By Study Instance UID: what archives in memory cannot do, done to the case that the checks are shown."""
    settings: dict[str, object] = field(factory=dict)
    """By name: the settings of a check, in place of its defaults."""

    def move(self, waves: Sequence[str]) -> None:
        """Inventory, plan, transfer; then the reader gets its copy of the target."""
        self.program.take_inventory()
        self.program.plan()
        for wave in waves:
            self.program.transfer(wave)
        self.view.files.update(self.new.files)

    def run_checks(self) -> list[Finding]:
        """What all registered checks find, of the wave and of the program."""
        return [*self.examine(""), *self.examine("all")]

    def examine(self, wave: str) -> Iterator[Finding]:
        """What the checks find of one wave, or of the program itself."""
        journal, bench, case = self.case(wave)
        program = self.program
        registry, settings = program.plugins.registry, {**program.config.checks, **self.settings}
        for name, on_waves in registry.wave_checks.items():
            wave_check: WaveCheck = on_waves.factory(settings[name])
            yield from wave_check.examine(case)
        for shown, sampled in _study_cases(journal, bench, wave) if wave else ():
            change = self.shown.get(shown.study.study_uid, _as_it_is)
            for name, on_studies in registry.checks.items():
                check: AcceptanceCheck = on_studies.factory(settings[name])
                yield from check.examine(change(sampled if on_studies.sampled else shown))

    def case(
        self, wave: str, executor: Callable[[], Executor] | None = None, workers: int = 1
    ) -> tuple[Journal, Workbench, WaveCase]:
        """What checks are shown of a wave, and what it is made with."""
        program, sources = self.program, self.program.config.migration.sources
        journal = Journal(program.ledger, program.catalog, program.vault, actor="test")
        journal.sync()
        journal.catalog.refresh_studies(sources)
        bench = local_bench(program, Pacing(program.config.execution, program.clock))
        case = wave_case(journal, bench, wave, sources=sources, target="new", executor=executor, workers=workers)
        return journal, bench, case


def _as_it_is(case: StudyCase) -> StudyCase:
    return case


def _study_cases(journal: Journal, bench: Workbench, wave: str) -> Iterator[tuple[StudyCase, StudyCase]]:
    for page in transferred(journal, wave):
        for case in study_cases(journal, page):
            assert isinstance(case, StudyCase)
            candidates = candidates_of(journal.catalog, case.study.study_uid)
            chosen = choices_of(journal.catalog, case.study, candidates)
            served = serve_study(bench, case.study, candidates, chosen, "new", ["view"])
            yield case, evolve(case, originals=served.originals, retrieved=served.retrieved)
            release(bench, case.study, ["view"])


@contextmanager
def planted_world(
    folder: Path, prepare: Callable[[PlantedWorld], object], *, waves: Sequence[str] = ("all",), more: str = ""
) -> Iterator[PlantedWorld]:
    """A program whose sources ``prepare`` fills, and whose waves have then moved; ``more`` configures them."""
    number = next(_numbers)
    names = {name: f"planted-{name}-{number}" for name in ("old", "older", "new", "view")}
    folder.mkdir(parents=True)
    (folder / "program.toml").write_text(_CONFIG.format(**names) + more)
    Program.init(folder)
    states = {name: memory_state(given) for name, given in names.items()}
    try:
        with Program.open(folder, plugins=load_plugins(extra=[memory, claiming])) as program:
            claims, unserved = claims_of(names["old"]), claims_of(names["new"]).unserved
            world = PlantedWorld(program=program, claims=claims, unserved=unserved, **states)
            prepare(world)
            world.move(waves)
            yield world
    finally:
        for given in names.values():
            forget(given)
