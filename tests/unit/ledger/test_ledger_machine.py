"""A ledger behaves as a list with unique keys, through reopening, other writers, retries and crashes."""

import datetime as dt
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vna_lifecycle.errors import IntegrityError
from vna_lifecycle.ledger import Draft, Ledger, keys, verify_checkpoint
from vna_lifecycle.model.event import PlanDropped

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
numbers = st.lists(st.integers(0, 60), max_size=12)


def _draft(number: int, reason: str = "") -> Draft:
    return Draft(event=PlanDropped(plan=number, reason=reason), key=f"k{number}", actor="a")


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def create(self) -> None:
        self.short_runs = patch.object(keys, "_RUN", 7)  # so that keys are moved into the index now and then
        self.short_runs.start()
        self.directory = Path(tempfile.mkdtemp(prefix="ledger-machine-"))
        self.path = self.directory / "ledger.db"
        self.ledger = Ledger.create(self.path, origin="o", clock=lambda: NOW, signing_key=KEY)
        self.model: list[int] = []
        self.notes: list[str] = []

    def _open(self) -> Ledger:
        return Ledger.open(self.path, clock=lambda: NOW, signing_key=KEY)

    def _append(self, ledger: Ledger, batch: list[int]) -> None:
        recorded = ledger.append([_draft(number) for number in batch])
        self.model.extend(dict.fromkeys(number for number in batch if number not in self.model))
        assert [event.sequence for event in recorded] == [self.model.index(number) for number in batch]

    @rule(batch=numbers)
    def append(self, batch: list[int]) -> None:
        self._append(self.ledger, batch)

    @rule(batch=numbers)
    def append_by_another(self, batch: list[int]) -> None:
        with self._open() as other:
            self._append(other, batch)

    @rule(batch=numbers)
    def refuse_another_event_under_a_known_key(self, batch: list[int]) -> None:
        if self.model:
            try:
                self.ledger.append([*map(_draft, batch), _draft(self.model[0], "another")])
            except IntegrityError:
                return
            raise AssertionError("it was not refused")

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = self._open()

    @rule()
    def crash(self) -> None:
        """Go on with the files as they are now, as after the death of the process."""
        crashed = self.directory / "crashed"
        crashed.mkdir()
        for file in self.directory.glob("ledger*"):
            if not file.name.endswith("-shm"):  # shared memory does not survive
                shutil.copy(file, crashed)
        self.ledger.close()
        for file in self.directory.glob("ledger*"):
            file.unlink()
        for file in crashed.iterdir():
            shutil.move(file, self.directory)
        crashed.rmdir()
        self.ledger = self._open()

    @rule()
    def keep_a_checkpoint(self) -> None:
        self.notes.append(self.ledger.checkpoint())

    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        if self.model:
            proof = self.ledger.prove(data.draw(st.integers(0, len(self.model) - 1)))
            assert proof.holds()
            assert proof.root == self.ledger.root()
        for note in self.notes:
            old = verify_checkpoint(note, self.ledger.public_key)
            consistency = self.ledger.prove_consistency(old.size)
            assert consistency.holds()
            assert consistency.old_root == old.root

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if hasattr(self, "ledger"):
            assert [event.event.plan for event in self.ledger.read()] == self.model
            found = self.ledger.verify(deep=True, checkpoint=self.notes[-1] if self.notes else None)
            assert found.ok, found
            assert found.size == len(self.model)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            shutil.rmtree(self.directory)
            self.short_runs.stop()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=12, stateful_step_count=20)
