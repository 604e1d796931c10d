"""Defects, each put into one component on purpose, with the history that shows it and the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest
from attrs import evolve, frozen

from vna_lifecycle.catalog import Catalog, folding, passes
from vna_lifecycle.engine import own_copies, steps, tasks, withdraw
from vna_lifecycle.engine import transfer as transfer_module
from vna_lifecycle.engine.reconcile import ReadBack, Reconciliation
from vna_lifecycle.engine.transfer import Transfer
from vna_lifecycle.errors import VnaLifecycleError
from vna_lifecycle.ledger import Ledger, store
from vna_lifecycle.model.event import StoreIntended, StudyStored
from vna_lifecycle.model.inventory import Rung
from vna_lifecycle.program import Program
from vna_lifecycle.testing.checker import Violation
from vna_lifecycle.testing.faults import Corrupt, Crash, Drop, Fault, Lose, Warn
from vna_lifecycle.testing.memory import MemoryState
from vna_lifecycle.testing.objects import ObjectSpec, dicom_bytes
from vna_lifecycle.testing.schedule import Point
from vna_lifecycle.testing.simulation import Simulation

Patch = pytest.MonkeyPatch
Verb = Callable[[Program], Any]

OBJECTS: Final = [ObjectSpec(study=s, instance=i, patient_id=f"P{s}") for s in (1, 2) for i in (1, 2)]
OTHER: Final = ObjectSpec(study=1, instance=1, patient_id="P1", grey=7)
"""Another content under the UID of the first object."""


def inventory(program: Program) -> Any:
    return program.take_inventory()


def plan(program: Program) -> Any:
    return program.plan()


def transfer(program: Program) -> Any:
    return program.transfer("all")


def take_back(program: Program) -> Any:
    return program.withdraw("all", by="mallory", reason="test")


@frozen(kw_only=True)
class History:
    """What happens: verbs in order, and what befalls the last of them (or ``befalls`` the one of that number)."""

    verbs: tuple[Verb, ...] = (inventory, plan, transfer)
    at_source: tuple[Fault, ...] = ()
    at_target: tuple[Fault, ...] = ()
    points: tuple[Point, ...] = ()
    befalls: int = 2
    foreign: tuple[ObjectSpec, ...] = ()
    more: tuple[ObjectSpec, ...] = ()
    added: tuple[tuple[int, ObjectSpec], ...] = ()
    settled: bool = False


def violations(history: History) -> list[Violation]:
    """Let it happen, and look."""
    simulation = Simulation(
        objects=[dicom_bytes(spec) for spec in (*OBJECTS, *history.more)],
        foreign=[dicom_bytes(spec) for spec in history.foreign],
    )
    found: list[Violation] = []
    try:
        for number, verb in enumerate(history.verbs):
            for before, spec in history.added:
                if before == number:
                    simulation.source.add(dicom_bytes(spec))
            if number == history.befalls:
                simulation.source.plan.faults[:] = history.at_source
                simulation.target.plan.faults[:] = history.at_target
                simulation.points[:] = history.points
            ended = not isinstance(simulation.step(verb), VnaLifecycleError)
            warned = [] if simulation.crashed else simulation.warnings_given()
            receipts = simulation.receipts_given() if ended and not simulation.crashed else []
            simulation.source.plan.faults.clear()
            simulation.target.plan.faults.clear()
            found += simulation.examine(warned, receipts)
        if history.settled:
            found += simulation.settle(sample=0)
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - a program that cannot go on is what some defects lead to
        found.append(Violation(invariant="I7", what=f"the program cannot go on: {error!r}"))
    finally:
        simulation.close()
    return found


@frozen(kw_only=True)
class Defect:
    """A defect: ``seed`` puts it in, ``history`` shows it, ``breaks`` is the invariant that must be told."""

    name: str
    where: str
    seed: Callable[[Patch], None]
    history: History
    breaks: str


def _wrap(patch: Patch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Replace a function by ``change(real, *arguments)``."""
    real = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: change(real, *args, **kwargs))


def claim_without_reading(patch: Patch) -> None:
    patch.setattr(tasks, "read_back", lambda bench, study, archive, expected, *_: ReadBack(manifest=expected))


def take_answers_for_proof(patch: Patch) -> None:
    def trusting(real: Any, expected: Any, seen: Any, *, required: Rung) -> Reconciliation:
        uids = tuple(entry.sop_instance_uid for entry in expected.entries)
        said: Reconciliation = real(expected, seen, required=required)
        nothing = dict.fromkeys(("differ", "missing", "indeterminate", "extra", "below", "undecided"), ())
        return evolve(said, match=uids, rung=Rung.HASHED, **nothing)

    _wrap(patch, steps, "reconcile", trusting)


def hide_warnings(patch: Patch) -> None:
    _wrap(patch, steps, "store_findings", lambda real, study, summary: real(study, evolve(summary, warned=())))


def hide_what_is_lacking(patch: Patch) -> None:
    patch.setattr(steps, "verify_findings", lambda study, result: ())


def believe_silence(patch: Patch) -> None:
    def forgetful(real: Any, *args: Any) -> Any:
        fetched = real(*args)
        return evolve(fetched, failures=tuple(f for f in fetched.failures if f.code != "not-delivered"))

    _wrap(patch, tasks, "fetch_study", forgetful)


def store_what_is_held(patch: Patch) -> None:
    patch.setattr(tasks, "_settle", lambda uid, found, chosen: found[0])


def overwrite(patch: Patch) -> None:
    def careless(real: Any, state: MemoryState, uid: Any, data: bytes) -> Any:
        if (present := state.find(uid)) is not None:
            state.files[present[0]] = data
        return real(state, uid, data)

    _wrap(patch, MemoryState, "put", careless)


def store_again_and_again(patch: Patch) -> None:
    def doubling(real: Any, state: MemoryState, uid: Any, data: bytes) -> Any:
        answer = real(state, uid, data)
        if answer.outcome.value == "already-present":
            state.add(data)
        return answer

    _wrap(patch, MemoryState, "put", doubling)


def forget_the_survey(patch: Patch) -> None:
    patch.setattr(own_copies, "present_before", lambda journal, work: frozenset())


def forget_what_was_damaged(patch: Patch) -> None:
    patch.setattr(own_copies, "_damaged", lambda journal, attempts: ())


def drop_receipts_before_a_retry(patch: Patch) -> None:
    def forgetful(real: Any, *args: Any) -> Any:
        step = real(*args)
        kept = tuple(pair for pair in step.events if not isinstance(pair[1], StudyStored))
        return evolve(step, events=kept) if step.then is steps.Then.RETRY else step

    _wrap(patch, transfer_module, "after_store", forgetful)


def believe_that_copies_are_gone(patch: Patch) -> None:
    def blind(bench: Any, study: Any, archive: str, expected: Any) -> ReadBack:
        return ReadBack(manifest=evolve(expected, entries=()))

    patch.setattr(withdraw, "read_back", blind)


def _without_intent(real: Any, *args: Any) -> Any:
    step = real(*args)
    kept = tuple(pair for pair in step.events if not isinstance(pair[1], StoreIntended))
    return evolve(step, events=kept)


def skip_the_intent(patch: Patch) -> None:
    _wrap(patch, transfer_module, "after_fetch", _without_intent)


def intend_afterwards(patch: Patch) -> None:
    late: dict[str, Any] = {}

    def before(real: Any, journal: Any, policy: Any, flight: Any, fetched: Any) -> Any:
        step = real(journal, policy, flight, fetched)
        late[flight.attempt.study.label] = [pair for pair in step.events if isinstance(pair[1], StoreIntended)]
        return evolve(step, events=tuple(pair for pair in step.events if not isinstance(pair[1], StoreIntended)))

    def after(real: Any, journal: Any, policy: Any, flight: Any, answers: Any) -> Any:
        step = real(journal, policy, flight, answers)
        return evolve(step, events=(*late[flight.attempt.study.label], *step.events))

    _wrap(patch, transfer_module, "after_fetch", before)
    _wrap(patch, transfer_module, "after_store", after)


def new_token_at_each_retry(patch: Patch) -> None:
    def renewing(real: Any, journal: Any, policy: Any, flight: Any, fetched: Any) -> Any:
        step = real(journal, policy, flight, fetched)
        renewed = [
            (key, evolve(event, token=f"{event.token}/{event.attempt}") if isinstance(event, StoreIntended) else event)
            for key, event in step.events
        ]
        return evolve(step, events=tuple(renewed))

    _wrap(patch, transfer_module, "after_fetch", renewing)


def ignore_the_epoch(patch: Patch) -> None:
    _wrap(patch, Ledger, "_append", lambda real, ledger, drafts, epoch, size: real(ledger, drafts, None, size))


def acknowledge_before_commit(patch: Patch) -> None:
    count = 0

    @contextmanager
    def lossy(engine: Any) -> Any:
        nonlocal count
        count += 1
        if count % 9:
            with real(engine) as connection:
                yield connection
            return
        with engine.connect() as connection:  # ends without a commit, and nobody is told
            connection.execution_options(writing=True)
            connection.begin()
            yield connection

    real = store.writing
    patch.setattr(store, "writing", lossy)


def fold_without_the_size(patch: Patch) -> None:
    """The size follows in a transaction of its own: whoever dies between the two folds the same events again."""

    def apart(real: Any, catalog: Catalog, events: Sequence[Any], members: Any, root: str) -> None:
        from vna_lifecycle.catalog import projection

        reach = projection.reach
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(projection, "reach", lambda connection, size, root: None)
            real(catalog, events, members, root)
        if not any(event.event.kind == "study-transferred" for event in events):  # that one dies in between
            with store.writing(catalog._engine) as connection:
                reach(connection, events[-1].sequence + 1, root)

    _wrap(patch, Catalog, "project", apart)


def ignore_pauses(patch: Patch) -> None:
    patch.setattr(Transfer, "_held_up", lambda transfer, wave: "")


def miscount(patch: Patch) -> None:
    _wrap(patch, folding.Studies, "_count", lambda real, studies, row, sign: sign > 0 and real(studies, row, sign))


def compare_the_last_two_passes(patch: Patch) -> None:
    def shortsighted(real: Any, connection: Any, archive: str, wanted: int) -> int | None:
        latest = passes.latest(connection, archive)
        numbers = [n for n in range(1, latest or 0) if real(connection, archive, n) == n]
        return max(numbers, default=None)

    _wrap(patch, passes, "earlier", shortsighted)


NEW: Final = ObjectSpec(study=1, instance=3, patient_id="P1")

DEFECTS: Final = (
    Defect(
        name="the read-back is skipped, and what was expected is claimed",
        where="engine/tasks.py",
        seed=claim_without_reading,
        history=History(at_target=(Lose(on="store", nth=1),)),
        breaks="I1",
    ),
    Defect(
        name="the target's answer is taken for proof",
        where="engine/reconcile.py",
        seed=take_answers_for_proof,
        history=History(at_target=(Corrupt(on="store", nth=2),)),
        breaks="I1",
    ),
    Defect(
        name="other bytes under the same UID are overwritten",
        where="a target",
        seed=overwrite,
        history=History(foreign=(OTHER,)),
        breaks="I1",
    ),
    Defect(
        name="what is already present is stored once more",
        where="a target",
        seed=store_again_and_again,
        history=History(
            verbs=(inventory, plan, transfer, transfer), at_target=(Crash(on="store", nth=2, when="after"),)
        ),
        breaks="I1",
    ),
    Defect(
        name="a withdrawal is believed without a look at the target",
        where="engine/withdraw.py",
        seed=believe_that_copies_are_gone,
        history=History(
            verbs=(inventory, plan, transfer, take_back), at_target=(Lose(on="withdraw", nth=1),), befalls=3
        ),
        breaks="I1",
    ),
    Defect(
        name="a withdrawal takes what was damaged on its way for another's",
        where="engine/own_copies.py",
        seed=forget_what_was_damaged,
        history=History(verbs=(inventory, plan, transfer, take_back), at_target=(Corrupt(on="store", nth=1),)),
        breaks="I1",
    ),
    Defect(
        name="an append is acknowledged and not committed",
        where="ledger/store.py",
        seed=acknowledge_before_commit,
        history=History(),
        breaks="I2",
    ),
    Defect(
        name="a warning of the target is accepted without a finding",
        where="engine/outcomes.py",
        seed=hide_warnings,
        history=History(at_target=(Warn(nth=1, code="B006"),)),
        breaks="I4",
    ),
    Defect(
        name="what is missing at the target is not told",
        where="engine/outcomes.py",
        seed=hide_what_is_lacking,
        history=History(at_target=(Lose(on="store", nth=1),)),
        breaks="I4",
    ),
    Defect(
        name="receipts are forgotten where a study is tried again",
        where="engine/steps.py",
        seed=drop_receipts_before_a_retry,
        history=History(at_target=(Drop(on="store", nth=2),)),
        breaks="I4",
    ),
    Defect(
        name="a source that ends its answer early is believed",
        where="engine/tasks.py",
        seed=believe_silence,
        history=History(at_source=(Drop(on="fetch", nth=1),)),
        breaks="I5",
    ),
    Defect(
        name="studies stay counted in the state that they left",
        where="catalog/folding.py",
        seed=miscount,
        history=History(),
        breaks="I5",
    ),
    Defect(
        name="a coordinator goes on after another took over",
        where="ledger/store.py",
        seed=ignore_the_epoch,
        history=History(points=(Point(at="append", nth=4, what="usurp"),)),
        breaks="I6",
    ),
    Defect(
        name="the projection's size is kept in a transaction of its own",
        where="catalog/projection.py",
        seed=fold_without_the_size,
        history=History(verbs=(inventory, plan, transfer, transfer), settled=True),
        breaks="I7",
    ),
    Defect(
        name="catch-up compares only the last two inventories",
        where="catalog/passes.py",
        seed=compare_the_last_two_passes,
        history=History(verbs=(inventory, plan, transfer, inventory), added=((3, NEW),), settled=True),
        breaks="I7",
    ),
    Defect(
        name="the intent to store is not on record",
        where="engine/steps.py",
        seed=skip_the_intent,
        history=History(),
        breaks="intent",
    ),
    Defect(
        name="the intent to store is put on record after the effect",
        where="engine/steps.py",
        seed=intend_afterwards,
        history=History(),
        breaks="intent",
    ),
    Defect(
        name="a retry has another token",
        where="engine/steps.py",
        seed=new_token_at_each_retry,
        history=History(at_target=(Drop(on="store", nth=1),)),
        breaks="intent",
    ),
    Defect(
        name="one of several contents is stored without a decision",
        where="engine/tasks.py",
        seed=store_what_is_held,
        history=History(more=(OTHER,)),
        breaks="held",
    ),
    Defect(
        name="a withdrawal takes copies that were there before",
        where="engine/own_copies.py",
        seed=forget_the_survey,
        history=History(verbs=(inventory, plan, transfer, take_back), foreign=(OBJECTS[0],)),
        breaks="foreign",
    ),
)
