"""A program with archives in memory, a clock that nobody waits for, tasks in a drawn order, and death at any point.

Everything that happens follows from its arguments: no thread, no waiting, no chance that is not drawn from ``seed``.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch

from attrs import define, field

from vna_lifecycle import vault
from vna_lifecycle.catalog import Catalog
from vna_lifecycle.dicom.digest import dataset_sha256
from vna_lifecycle.engine import transfer
from vna_lifecycle.engine.transfer_result import TransferResult
from vna_lifecycle.errors import VnaLifecycleError
from vna_lifecycle.ledger import Draft, Ledger, load_key
from vna_lifecycle.model.event import LeaseTaken
from vna_lifecycle.plugin import Plugins, load_plugins
from vna_lifecycle.program import Program, running
from vna_lifecycle.program.layout import Layout
from vna_lifecycle.testing import memory
from vna_lifecycle.testing.checker import Change, Checker, Violation, contents
from vna_lifecycle.testing.faults import Drop, Effect, SimulatedCrash, Warn
from vna_lifecycle.testing.memory import MemoryState, fill, forget, memory_state
from vna_lifecycle.testing.receipts import Receipts
from vna_lifecycle.testing.schedule import Drawn, Hurried, Place, Point, Queue, Schedule, Tape

_T = TypeVar("_T")
_numbers = itertools.count()

_CONFIG: Final = """
[program]
name = "simulated"
[archives.old]
plugin = "memory"
name = "{old}"
[archives.new]
plugin = "memory"
name = "{new}"
[migration]
sources = ["old"]
target = "new"
[execution]
workers = 2
reserve_bytes = 0
{waves}
"""

_PLACES: Final[tuple[tuple[type, Place], ...]] = (
    (Ledger, "append"),
    (Catalog, "project"),
    (vault.Vault, "put_sealed"),
    (Catalog, "record_part"),
)


@define
class Simulation:
    """A program in a folder of its own, its two archives, and the checker that watches them. Close it when done.

    ``objects`` are the source's files, ``foreign`` what others had stored at the target. ``waves`` is TOML.
    """

    objects: Sequence[bytes]
    foreign: Sequence[bytes] = ()
    seed: int = 0
    waves: str = ""
    chosen: dict[str, str] = field(factory=dict, init=False)
    usurped: bool = field(default=False, init=False)
    now: dt.datetime = field(default=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), init=False)
    points: list[Point] = field(factory=list, init=False)
    checker: Checker = field(init=False)
    crashed: bool = field(default=False, init=False)
    folder: Path = field(init=False)
    _names: tuple[str, str] = field(init=False)
    _passed: dict[Place, int] = field(factory=dict, init=False)
    _changes: list[Change] = field(factory=list, init=False)
    _plugins: Plugins = field(factory=lambda: load_plugins(extra=[memory]), init=False)
    _program: Program | None = field(default=None, init=False)
    _patches: ExitStack = field(factory=ExitStack, init=False)
    _inside: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        number = next(_numbers)
        self._names = f"simulated-old-{number}", f"simulated-new-{number}"
        quick = Path("/dev/shm")  # noqa: S108 - what is simulated here does not depend on a disk
        self.folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=quick if quick.is_dir() else None))
        fill(self._names[0], self.objects)
        fill(self._names[1], self.foreign)
        files = self.target.files
        self.target.files = Tape(self._changed)
        dict.update(self.target.files, files)
        old, new = self._names
        config = _CONFIG.format(old=old, new=new, waves=self.waves)
        (self.folder / "program.toml").write_text(config, encoding="utf-8")
        # Labels follow from the vault's keys, and the order of studies from their labels.
        self._patches.enter_context(patch.object(vault, "os", Drawn(random.Random(self.seed))))  # noqa: S311
        Program.init(self.folder, clock=self.clock)
        opened = self.program.vault
        self.checker = Checker(
            label=opened.label,
            members=self._members,
            receipts=Receipts(self._manifest),
            digest=self._digest,
            foreign=frozenset(self.foreign),
        )
        self._watch()

    # ------------------------------------------------------------------------------------------------ the world

    @property
    def source(self) -> MemoryState:
        """What the source holds, with its faults."""
        return memory_state(self._names[0])

    @property
    def target(self) -> MemoryState:
        """What the target holds, with its faults."""
        return memory_state(self._names[1])

    @property
    def program(self) -> Program:
        """The program, opened."""
        if self._program is None:
            self._program = Program.open(self.folder, plugins=self._plugins, clock=self.clock)
            self._program.cancelled = Hurried(self._pass_time)
        return self._program

    def clock(self) -> dt.datetime:
        """The simulated time."""
        self._pass_time(0.001)
        return self.now

    def _pass_time(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def _digest(self, data: bytes) -> str:
        path = self.folder / "object"
        path.write_bytes(data)
        return dataset_sha256(path)[0]

    def _members(self, reference: str) -> Iterator[tuple[str, str]]:
        return self.program.records.journal().members(reference)

    def _manifest(self, reference: str) -> Iterator[tuple[str, str]]:
        for entry in self.program.records.journal().manifest(reference).entries:
            yield entry.sop_instance_uid, entry.digest.dataset_sha256

    def _changed(self, before: bytes | None, after: bytes | None) -> None:
        self._changes.append(Change(before=before, after=after, size=self.program.ledger.size()))

    # ------------------------------------------------------------------------------------------------ steps

    def step(self, verb: Callable[[Program], _T]) -> _T | VnaLifecycleError | None:
        """Let the program act. None if it died on the way, the error if it stopped with one of its own."""
        self._passed.clear()
        for state in (self.source, self.target):
            state.plan._calls.clear()
            state.plan._items.clear()
        self.crashed = self.usurped = False
        try:
            return verb(self.program)
        except SimulatedCrash:
            self.crashed = True
            self.restart(clean=False)
            return None
        except VnaLifecycleError as error:
            return error
        finally:
            self.points.clear()

    def examine(self, warned: Iterable[str] = (), receipts: Iterable[str] = ()) -> list[Violation]:
        """What the checker says now."""
        changes, self._changes = self._changes, []
        ledger = self.program.ledger
        found = self.checker.examine(
            list(ledger.read()),
            dict(self.source.files),
            dict(self.target.files),
            changes,
            warned=warned,
            receipts=receipts,
        )
        verified = ledger.verify(deep=True)
        if not verified.ok:
            found.append(Violation(invariant="I2", what=verified.reason, sequence=verified.first_bad))
        try:
            return found + self.checker.reported(self.program.status())
        except VnaLifecycleError as error:
            return [*found, Violation(invariant="I7", what=f"the program cannot go on: {error!r}")]

    def warnings_given(self) -> list[str]:
        """Codes of the warnings that the target's receipts carried in this step."""
        answers = self._answers()
        received = {"stored", "already-present"}
        warns = [fault for fault in self.target.plan.faults if isinstance(fault, Warn) and fault.nth in answers]
        return [warn.code for warn in warns if answers[warn.nth].outcome in received]

    def receipts_given(self) -> list[str]:
        """SOP Instance UIDs of what the target said in this step that it stored."""
        return [effect.sop_instance_uid for effect in self._answers().values() if effect.outcome == "stored"]

    def _answers(self) -> dict[int, Effect]:
        """What the target answered to each store in this step, by its number, as far as it was heard."""
        plan = self.target.plan
        stored = plan._items.get("store", 0)
        silent = {fault.nth for fault in plan.faults if isinstance(fault, Drop) and fault.on == "store"}
        taken = [effect for effect in plan.log if effect.method == "store"][-stored:] if stored else []
        return {number: effect for number, effect in enumerate(taken, 1) if number not in silent}

    def settle(self, *, sample: int | None = 0, rounds: int = 5) -> list[Violation]:
        """Let an undisturbed program bring everything to its end; what is wrong then.

        Sources are caught up with once, with that ``sample`` (None: not at all). Of contents that are held, the one of
        the lowest digest is chosen, unless one was chosen before.
        """
        found: list[Violation] = []
        self.step(Program.take_inventory)
        self.step(Program.plan)  # a catalog that was lost knows the studies again
        for wave in sorted({wave for wave, state in self.checker.standing.counts() if state == "withdrawing"}):
            self.step(partial(Program.withdraw, wave=wave, by="mallory", reason="settled"))
            found += self.examine()
        if sample is not None:
            self.step(partial(Program.catch_up, sample=sample))
            self.step(Program.plan)
        for _ in range(rounds):
            for wave in self.program.waves():
                result = self.step(partial(Program.transfer, wave=wave, retry=True))
                if not isinstance(result, TransferResult):
                    found.append(Violation(invariant="I7", what=f"without faults, {wave} ended with {result!r}"))
            found += self.examine()
            if not self._choose():
                break
        return found + list(self._unfinished())

    def _choose(self) -> bool:
        """Decide what is undecided; whether there was anything."""
        held: dict[str, list[str]] = {}
        for item in self.program.held():
            held.setdefault(item.sop_instance_uid, []).append(item.content)
        for uid, several in held.items():
            content = self.chosen[uid] if self.chosen.get(uid) in several else min(several)
            told = partial(Program.choose, sop_instance_uid=uid, content=content, by="mallory", reason="settled")
            self.step(told)
        return bool(held)

    def _unfinished(self) -> Iterator[Violation]:
        """I7: every study is moved whole, or a finding says why not."""
        told = {line.study for line in self.program.findings() if line.severity == "blocker"}
        states = self.checker.standing.states
        for study, uids in contents(self.source.files.values()).items():
            label = self.checker.label(study)
            if label not in told and (states.get(label) != "transferred" or set(uids) - self.checker.moved(label)):
                what = f"without faults, {label} is {states.get(label)}, and not all of it was moved"
                yield Violation(invariant="I7", what=what)

    def restart(self, *, clean: bool = True) -> None:
        """Close and open the program. Not clean: as after ``kill -9``, it writes nothing any more."""
        if self._program is not None:
            with ExitStack() as stack:
                if not clean:
                    stack.enter_context(patch.object(Ledger, "checkpoint"))
                self._program.close()
        self._program = None

    def lose_catalog(self) -> None:
        """Remove the catalog while the program is closed."""
        self.restart()
        for file in self.folder.glob("catalog.db*"):
            file.unlink()
        self.checker.forget_listing()

    def close(self) -> None:
        """Remove all of it."""
        self.restart()
        self._patches.close()
        for name in self._names:
            forget(name)
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------------------------------------------ points

    def _watch(self) -> None:
        schedule = Schedule(random.Random(self.seed), self._passing)  # noqa: S311 - drawn, not secret
        for owner, name in _PLACES:
            self._patches.enter_context(patch.object(owner, name, self._watched(getattr(owner, name), name)))
        self._patches.enter_context(patch.object(running, "make_executor", lambda engine, workers: Queue(schedule)))
        self._patches.enter_context(patch.object(transfer, "wait", schedule.wait))

    def _watched(self, real: Callable[..., Any], place: Place) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return real(*args, **kwargs)
            self._passing(place, "before")
            result = real(*args, **kwargs)
            if place == "append":
                self.checker.acknowledged(result, kwargs.get("epoch"))
            self._passing(place, "after")
            return result

        return call

    def _passing(self, place: Place, when: str) -> bool:
        """Whether a worker is lost here; a crash is raised, another coordinator takes over."""
        if when == "before":
            self._passed[place] = self._passed.get(place, 0) + 1
        for point in self.points:
            if (point.at, point.nth, point.when) == (place, self._passed[place], when):
                match point.what:
                    case "crash":
                        raise SimulatedCrash(f"{when} {place} {point.nth}")
                    case "usurp":
                        self._usurp()
                    case "lose-worker":
                        return place == "task"
        return False

    def _usurp(self) -> None:
        layout = Layout(self.folder)
        self._inside += 1
        self.usurped = True
        try:
            with Ledger.open(layout.ledger, clock=self.clock, signing_key=load_key(layout.signing_key)) as other:
                epoch = other.take_epoch()
                taken = LeaseTaken(epoch=epoch, verb="usurped", software="another", plugins=())
                draft = Draft(event=taken, key=f"lease/{epoch}", actor="another")
                self.checker.acknowledged(other.append([draft], epoch=epoch), epoch)
        finally:
            self._inside -= 1
