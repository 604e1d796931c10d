"""A Hypothesis state machine that does to a program what a hospital, its archives and its power supply may do to it.

After every step the checker looks at what is left; at the end all faults cease, and the program has to bring everything
to where an undisturbed run over the same source comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from attrs import evolve
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from vna_lifecycle.errors import LeaseLost, VnaLifecycleError
from vna_lifecycle.program import Program
from vna_lifecycle.testing.checker import Violation, fingerprint, identity
from vna_lifecycle.testing.faults import Corrupt, Crash, Drop, Fail, Fault, Lose, Warn
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes
from vna_lifecycle.testing.schedule import Point
from vna_lifecycle.testing.simulation import Simulation

WAVES: Final = '[[waves]]\nname = "first"\nmax_studies = 1\n[[waves]]\nname = "rest"\n'
BY: Final = "mallory"
WHY: Final = "simulated"

specs = st.builds(
    lambda study, instance, grey: ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=grey),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2),
)
"""Few studies, instances and contents, so that UIDs meet."""

_nth = st.integers(1, 6)
_when = st.sampled_from(["before", "after"])

source_faults = st.one_of(
    st.builds(Fail, on=st.sampled_from(["fetch", "inventory", "parts"]), nth=_nth, transient=st.booleans()),
    st.builds(Crash, on=st.sampled_from(["fetch", "inventory"]), nth=_nth, when=_when),
    st.builds(Drop, on=st.just("fetch"), nth=_nth),
)
"""What befalls a source. A listing that lacks an object without a word is not among them: nothing could tell."""

target_faults = st.one_of(
    st.builds(Fail, on=st.sampled_from(["store", "fetch", "withdraw"]), nth=_nth, transient=st.booleans()),
    st.builds(Crash, on=st.sampled_from(["store", "fetch", "withdraw"]), nth=_nth, when=_when),
    st.builds(Drop, on=st.sampled_from(["store", "fetch", "withdraw"]), nth=_nth),
    st.builds(Lose, on=st.sampled_from(["store", "withdraw"]), nth=_nth),
    st.builds(Corrupt, on=st.just("store"), nth=_nth),
    st.builds(Warn, nth=_nth, code=st.sampled_from(["B000", "B006", "B007"])),
)
"""What befalls a target."""

points = st.one_of(
    st.builds(
        Point,
        at=st.sampled_from(["append", "project", "put_sealed", "record_part"]),
        nth=st.integers(1, 10),
        when=_when,
    ),
    st.builds(Point, at=st.just("append"), nth=st.integers(2, 10), what=st.just("usurp")),
    st.builds(Point, at=st.just("task"), nth=_nth, when=_when, what=st.just("lose-worker")),
)
"""What befalls the coordinator and its workers."""

_some_points = st.lists(points, max_size=1)


class ProgramMachine(RuleBasedStateMachine):
    """A program over archives in memory. Subclass it to simulate something else in place of `make`."""

    make: ClassVar[Callable[..., Simulation]] = Simulation

    @initialize(
        objects=st.lists(specs, min_size=1, max_size=7),
        foreign=st.lists(specs, max_size=2, unique_by=lambda spec: spec.sop_instance_uid),
        seed=st.integers(0, 1000),
        prepared=st.booleans(),
    )
    def begin(self, objects: list[ObjectSpec], foreign: list[ObjectSpec], seed: int, prepared: bool) -> None:
        """A source with some objects, and a target that may hold some already."""
        self.simulation = type(self).make(
            objects=[dicom_bytes(spec) for spec in objects],
            foreign=[dicom_bytes(spec) for spec in foreign],
            seed=seed,
            waves=WAVES,
        )
        self.listed = self.planned = self.wild = self.edited = False
        if prepared:
            self.take_inventory(faults=[], some=[])
            self.plan(some=[])

    # ------------------------------------------------------------------------------------------------ the program acts

    def act(self, verb: Callable[[Program], Any], some_points: list[Point]) -> Any:
        """One step with what befalls it, and a look at what is left."""
        simulation = self.simulation
        simulation.points[:] = some_points
        result = simulation.step(verb)
        note(f"-> {result}")
        warned = []
        if not simulation.crashed and not isinstance(result, VnaLifecycleError):
            warned = simulation.warnings_given()
        for state in (simulation.source, simulation.target):
            state.plan.faults.clear()
        self.see(simulation.examine(warned))
        usurped = any(point.what == "usurp" for point in some_points) and simulation.usurped
        if usurped and not simulation.crashed:
            self.require(isinstance(result, LeaseLost), f"another coordinator took over, and this one said {result}")
        return result

    def see(self, violations: list[Violation]) -> None:
        """Fail if there are any."""
        if violations:
            raise AssertionError("\n".join(map(str, violations)))

    def require(self, holds: bool, what: str) -> None:
        """Fail if it does not hold."""
        if not holds:
            raise AssertionError(what)

    @rule(faults=st.lists(source_faults, max_size=1), some=_some_points)
    def take_inventory(self, faults: list[Fault], some: list[Point]) -> None:
        """List the source."""
        self.simulation.source.plan.faults[:] = faults
        result = self.act(lambda program: program.take_inventory(), some)
        self.listed |= isinstance(result, list)

    @precondition(lambda self: self.listed)
    @rule(some=_some_points)
    def plan(self, some: list[Point]) -> None:
        """Fill the waves."""
        result = self.act(lambda program: program.plan(), some)
        self.planned |= result is not None and not isinstance(result, VnaLifecycleError)

    @precondition(lambda self: self.planned)
    @rule(
        wave=st.sampled_from(["first", "rest"]),
        retry=st.booleans(),
        at_source=st.lists(source_faults, max_size=1),
        at_target=st.lists(target_faults, max_size=2),
        some=_some_points,
    )
    def transfer(
        self, wave: str, retry: bool, at_source: list[Fault], at_target: list[Fault], some: list[Point]
    ) -> None:
        """Move a wave."""
        if wave not in self.simulation.program.waves():
            return
        self.simulation.source.plan.faults[:] = at_source
        self.simulation.target.plan.faults[:] = at_target
        self.act(lambda program: program.transfer(wave, retry=retry), some)

    @precondition(lambda self: self.planned)
    @rule(wave=st.sampled_from(["first", "rest"]), at_target=st.lists(target_faults, max_size=1), some=_some_points)
    def withdraw(self, wave: str, at_target: list[Fault], some: list[Point]) -> None:
        """Take a wave's copies back."""
        if wave not in self.simulation.program.waves():
            return
        self.simulation.target.plan.faults[:] = at_target
        self.act(lambda program: program.withdraw(wave, by=BY, reason=WHY), some)

    @precondition(lambda self: self.planned)
    @rule(sample=st.sampled_from([0, 20]), faults=st.lists(source_faults, max_size=1), some=_some_points)
    def catch_up(self, sample: int, faults: list[Fault], some: list[Point]) -> None:
        """Ask the source again."""
        self.simulation.source.plan.faults[:] = faults
        self.act(lambda program: program.catch_up(sample=sample), some)

    # ------------------------------------------------------------------------------------------------ people act

    @rule()
    def pause_and_resume(self) -> None:
        """A pause that is lifted after somebody tried."""
        self.act(lambda program: program.pause(by=BY, reason=WHY), [])
        if self.planned and "rest" in self.simulation.program.waves():
            before = dict(self.simulation.target.files)
            self.act(lambda program: program.transfer("rest"), [])
            self.require(self.simulation.target.files == before, "I1: something was stored while all was paused")
        self.act(lambda program: program.resume(by=BY, reason=WHY), [])

    @precondition(lambda self: self.planned)
    @rule(which=st.integers(0, 5), some=_some_points)
    def choose(self, which: int, some: list[Point]) -> None:
        """Decide for one of the contents that are held."""
        held = self.simulation.program.held()
        if held:
            item = held[which % len(held)]
            self.simulation.chosen[item.sop_instance_uid] = item.content
            self.act(lambda program: program.choose(item.sop_instance_uid, item.content, by=BY, reason=WHY), some)

    # ------------------------------------------------------------------------------------------------ the world goes on

    @rule(spec=specs)
    def add_at_source(self, spec: ObjectSpec) -> None:
        """A new object, perhaps under a UID that is known."""
        source, data = self.simulation.source, dicom_bytes(spec)
        self.wild |= self.planned and identity(data) in map(identity, source.files.values())
        source.add(data)
        self.see(self.simulation.examine())

    @rule(which=st.integers(0, 20), how=st.sampled_from(["remove", "edit", "edit unseen"]))
    def change_at_source(self, which: int, how: str) -> None:
        """An object is deleted, or has other content; unseen is an edit in place that a listing does not show."""
        files = self.simulation.source.files
        place = sorted(files)[which % len(files)]
        if how == "remove" and len(files) > 1:
            del files[place]
        else:
            spec = next(spec for spec in _EVERY if identity(files[place]) == (spec.study_uid, spec.sop_instance_uid))
            description = "edited" if how == "edit" else spec.study_description
            files[place] = dicom_bytes(evolve(spec, grey=9, study_description=description))
        self.wild = True
        self.edited |= how == "edit unseen"
        self.see(self.simulation.examine())

    @rule(how=st.sampled_from(["clean", "killed", "catalog lost"]))
    def restart(self, how: str) -> None:
        """The process ends, and another begins; the catalog may be lost meanwhile: ledger and inventory have to do."""
        if how == "catalog lost":
            self.simulation.lose_catalog()
            self.listed = False
        else:
            self.simulation.restart(clean=how == "clean")
        self.see(self.simulation.examine())

    def teardown(self) -> None:
        """All faults have ceased."""
        if not hasattr(self, "simulation"):
            return
        try:
            self.see(self.simulation.settle(sample=20 if self.edited else 0))
            if not self.wild:
                self.compare()
        finally:
            self.simulation.close()

    def compare(self) -> None:
        """I7: nobody can tell from the target, or from where studies stand, that anything went wrong."""
        simulation = self.simulation
        ended = fingerprint(simulation.target.files.values())
        undisturbed = Simulation(
            objects=list(simulation.source.files.values()), foreign=simulation.foreign, waves=WAVES
        )
        try:
            undisturbed.chosen.update(simulation.chosen)
            undisturbed.settle(sample=None)
            calm = fingerprint(undisturbed.target.files.values())
            self.require(ended == calm, "I7: the target is not what it is after an undisturbed run")
        finally:
            undisturbed.close()


_EVERY = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2, 3) for i in (1, 2, 3)]
