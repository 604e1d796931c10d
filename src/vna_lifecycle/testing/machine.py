"""A Hypothesis state machine that does to a program what a hospital, its archives and its power supply may do to it.

After every step of the program the checker looks at what is left; at the end all faults cease, and the program has to
bring everything to where an undisturbed run over the same source comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

WAVES: Final = '[[waves]]\nname = "first"\nmax_studies = 2\n[[waves]]\nname = "rest"\n'
BY: Final = "mallory"
WHY: Final = "simulated"

specs = st.builds(
    lambda study, instance, grey: ObjectSpec(study=study, instance=instance, patient_id=f"P{study}", grey=grey),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0, 0, 0, 1]),
)
"""Few studies, instances and contents, so that UIDs meet."""

_nth = st.integers(1, 4)
_which = st.integers(0, 1)
_when = st.sampled_from(["before", "after"])

listing_faults = st.one_of(
    st.builds(Fail, on=st.sampled_from(["inventory", "parts"]), nth=_nth, transient=st.booleans()),
    st.builds(Crash, on=st.just("inventory"), nth=_nth, when=_when),
)
"""What befalls a source while it is listed. That it hides an object without a word is not here: nothing could tell."""

fetch_faults = st.one_of(
    st.builds(Fail, on=st.just("fetch"), nth=_nth, transient=st.booleans()),
    st.builds(Crash, on=st.just("fetch"), nth=_nth, when=_when),
    st.builds(Drop, on=st.just("fetch"), nth=_nth),
)
"""What befalls an archive that is read, source or target."""

store_faults = st.one_of(
    st.builds(Fail, on=st.just("store"), nth=_nth, transient=st.booleans()),
    st.builds(Crash, on=st.just("store"), nth=_nth, when=_when),
    st.builds(Drop, on=st.just("store"), nth=_nth),
    st.builds(Lose, on=st.just("store"), nth=_nth),
    st.builds(Corrupt, on=st.just("store"), nth=_nth),
    st.builds(Warn, nth=_nth, code=st.sampled_from(["B000", "B006", "B007"])),
)
"""What befalls a target that is written."""

withdraw_faults = st.one_of(
    st.builds(Fail, on=st.just("withdraw"), nth=_nth, transient=st.booleans()),
    st.builds(Crash, on=st.just("withdraw"), nth=_nth, when=_when),
    st.builds(Drop, on=st.just("withdraw"), nth=_nth),
    st.builds(Lose, on=st.just("withdraw"), nth=_nth),
)
"""What befalls a target that gives copies back."""

_crashes = st.builds(
    Point,
    at=st.sampled_from(["append", "project", "put_sealed", "record_part"]),
    nth=st.integers(1, 8),
    when=_when,
)
_usurpers = st.builds(Point, at=st.just("append"), nth=st.integers(2, 8), what=st.just("usurp"))
_lost_workers = st.builds(Point, at=st.just("task"), nth=st.integers(1, 6), when=_when, what=st.just("lose-worker"))

_points = st.lists(st.one_of(_crashes, _usurpers), max_size=1)
"""What befalls the coordinator and its workers."""


_TO_DO: Final = ("planned", "fetched", "storing", "stored", "failed", "incomplete")
_COPIED: Final = ("transferred", "incomplete", "failed", "withdrawing")


class ProgramMachine(RuleBasedStateMachine):
    """A program over archives in memory. Subclass it to simulate something else in place of `make`."""

    make: ClassVar[Callable[..., Simulation]] = Simulation

    @initialize(
        objects=st.lists(specs, min_size=4, max_size=9),
        foreign=st.lists(specs, max_size=2, unique_by=lambda spec: spec.sop_instance_uid),
        seed=st.integers(0, 1000),
        prepared=st.sampled_from([True, True, True, False]),
    )
    def begin(self, objects: list[ObjectSpec], foreign: list[ObjectSpec], seed: int, prepared: bool) -> None:
        """A source with some objects, and a target that may hold some already."""
        self.simulation = type(self).make(
            objects=[dicom_bytes(spec) for spec in objects],
            foreign=[dicom_bytes(spec) for spec in foreign],
            seed=seed,
            waves=WAVES,
        )
        self.planned = self.wild = self.edited = False
        if prepared:
            self.list_and_plan(some=[])

    # ------------------------------------------------------------------------------------------------ the program acts

    def act(self, verb: Callable[[Program], Any], some_points: Sequence[Point]) -> Any:
        """One step with what befalls it, and a look at what is left."""
        simulation = self.simulation
        simulation.points[:] = some_points
        result = simulation.step(verb)
        note(f"-> {result}")
        warned, receipts = [], []
        if not simulation.crashed and not isinstance(result, VnaLifecycleError):
            warned = simulation.warnings_given()
            lost = any(point.what == "lose-worker" for point in some_points)  # with what it was told
            receipts = [] if lost else simulation.receipts_given()
        for state in (simulation.source, simulation.target):
            state.plan.faults.clear()
        self.see(simulation.examine(warned, receipts))
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

    @rule(faults=st.lists(listing_faults, max_size=1), some=_points)
    def take_inventory(self, faults: list[Fault], some: list[Point]) -> None:
        """List the source."""
        self.simulation.source.plan.faults[:] = faults
        self.act(lambda program: program.take_inventory(), some)

    @rule(some=_points)
    def list_and_plan(self, some: list[Point]) -> None:
        """List the source and fill the waves."""
        self.take_inventory([], [])
        result = self.act(lambda program: program.plan(), some)
        self.planned |= result is not None and not isinstance(result, VnaLifecycleError)

    def waves_with(self, *states: str) -> list[str]:
        """Waves that have studies in these states, in order."""
        counts = self.simulation.checker.standing.counts()
        return sorted({wave for (wave, state), number in counts.items() if wave and state in states and number})

    def transfer(
        self,
        which: int,
        *,
        retry: bool = True,
        at_source: Sequence[Fault] = (),
        at_target: Sequence[Fault] = (),
        some: Sequence[Point] = (),
    ) -> None:
        """Move a wave that is not all moved."""
        waves = self.waves_with(*_TO_DO)
        wave = waves[which % len(waves)]
        self.simulation.source.plan.faults[:] = at_source
        self.simulation.target.plan.faults[:] = at_target
        self.act(lambda program: program.transfer(wave, retry=retry), some)

    @precondition(lambda self: self.waves_with(*_TO_DO))
    @rule(which=_which, retry=st.booleans())
    def transfer_undisturbed(self, which: int, retry: bool) -> None:
        """A good day."""
        self.transfer(which, retry=retry)

    @precondition(lambda self: self.waves_with(*_TO_DO))
    @rule(which=_which, faults=st.lists(fetch_faults, min_size=1, max_size=2), some=_points)
    def transfer_with_trouble_at_source(self, which: int, faults: list[Fault], some: list[Point]) -> None:
        """The source has trouble, and perhaps the coordinator."""
        self.transfer(which, at_source=faults, some=some)

    @precondition(lambda self: self.waves_with(*_TO_DO))
    @rule(which=_which, faults=st.lists(store_faults, min_size=1, max_size=2), some=_points)
    def transfer_with_trouble_at_target(self, which: int, faults: list[Fault], some: list[Point]) -> None:
        """The target has trouble when it is written, and perhaps the coordinator."""
        self.transfer(which, at_target=faults, some=some)

    @precondition(lambda self: self.waves_with(*_TO_DO))
    @rule(which=_which, faults=st.lists(fetch_faults, min_size=1, max_size=1))
    def transfer_with_trouble_in_reading_back(self, which: int, faults: list[Fault]) -> None:
        """The target has trouble when it is read."""
        self.transfer(which, at_target=faults)

    @precondition(lambda self: self.waves_with(*_TO_DO))
    @rule(which=_which, point=st.one_of(_crashes, _usurpers, _lost_workers))
    def transfer_with_trouble_of_our_own(self, which: int, point: Point) -> None:
        """The coordinator or a worker has trouble."""
        self.transfer(which, some=[point])

    @precondition(lambda self: self.planned and not self.waves_with(*_TO_DO, "withdrawing"))
    @rule(wave=st.sampled_from(["first", "rest"]))
    def transfer_again(self, wave: str) -> None:
        """Move a wave that is moved, or is not there: nothing happens."""
        effects = len(self.simulation.target.plan.log)
        self.act(lambda program: program.transfer(wave, retry=True), [])
        self.require(effects == len(self.simulation.target.plan.log), f"{wave} was moved, and moved again")

    @precondition(lambda self: self.waves_with(*_COPIED))
    @rule(
        which=_which,
        at_target=st.lists(st.one_of(withdraw_faults, withdraw_faults, fetch_faults), max_size=1),
        some=_points,
    )
    def withdraw(self, which: int, at_target: list[Fault], some: list[Point]) -> None:
        """Take a wave's copies back."""
        waves = self.waves_with(*_COPIED)
        wave = waves[which % len(waves)]
        self.simulation.target.plan.faults[:] = at_target
        self.act(lambda program: program.withdraw(wave, by=BY, reason=WHY), some)

    @precondition(lambda self: self.planned)
    @rule(
        sample=st.sampled_from([0, 20]),
        faults=st.lists(st.one_of(listing_faults, fetch_faults), max_size=1),
        some=_points,
    )
    def catch_up(self, sample: int, faults: list[Fault], some: list[Point]) -> None:
        """Ask the source again."""
        self.simulation.source.plan.faults[:] = faults
        self.act(lambda program: program.catch_up(sample=sample), some)

    # ------------------------------------------------------------------------------------------------ people act

    @precondition(lambda self: self.waves_with(*_TO_DO))
    @rule(which=_which)
    def pause_and_resume(self, which: int) -> None:
        """A pause that is lifted after somebody tried."""
        self.act(lambda program: program.pause(by=BY, reason=WHY), [])
        before = dict(self.simulation.target.files)
        self.transfer(which, retry=False)
        self.require(self.simulation.target.files == before, "I1: something was stored while all was paused")
        self.act(lambda program: program.resume(by=BY, reason=WHY), [])

    @precondition(lambda self: self.waves_with("incomplete", "planned"))
    @rule(which=st.integers(0, 5), some=_points)
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

    @rule(how=st.sampled_from(["clean", "killed", "catalog lost"]))
    def restart(self, how: str) -> None:
        """The process ends, and another begins; the catalog may be lost meanwhile: ledger and inventory have to do."""
        if how == "catalog lost":
            self.simulation.lose_catalog()
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
        """I7: nobody can tell from the target, or from where studies stand, that anything went wrong.

        But for what was damaged on its way: under its UID nothing is overwritten, so it stays until a person acts.
        """
        simulation = self.simulation
        there = simulation.target.files.values()
        damaged = {identity(data) for data in there if simulation.checker.damaged(data)}
        ended = fingerprint(data for data in there if identity(data) not in damaged)
        undisturbed = Simulation(
            objects=list(simulation.source.files.values()), foreign=simulation.foreign, waves=WAVES
        )
        try:
            undisturbed.chosen.update(simulation.chosen)
            undisturbed.settle(sample=None)
            calm = fingerprint(data for data in undisturbed.target.files.values() if identity(data) not in damaged)
            self.require(ended == calm, "I7: the target is not what it is after an undisturbed run")
        finally:
            undisturbed.close()


_EVERY: Final = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2, 3, 4) for i in (1, 2, 3)]
