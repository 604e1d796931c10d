"""Any sequence of storing, withdrawing, reopening and rebuilding leaves a store as the archive in memory is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vna_lifecycle.adapters.files.holdings import Holdings
from vna_lifecycle.adapters.files.settings import FilesSettings
from vna_lifecycle.adapters.files.tree import Tree
from vna_lifecycle.builtin import open_files
from vna_lifecycle.model.inventory import InstanceRecord, Refused
from vna_lifecycle.ports import Archive, Receipt, StoreFailure, StudyQuery
from vna_lifecycle.testing.conformance.case import manifest_of, read_back, site, study_of, written
from vna_lifecycle.testing.memory import MemorySettings, forget, open_memory
from vna_lifecycle.testing.objects import ObjectSpec
from vna_lifecycle.testing.strategies import conflicts_of, object_specs

_specs = object_specs(studies=2, series=1, instances=3).map(lambda spec: evolve(spec, grey=spec.grey % 2))


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "store").mkdir()
        self.name = str(self.folder)
        self.model = open_memory(MemorySettings(name=self.name), site(self.folder))
        self.store = self._open()
        self.calls = 0
        self.patch = mock.patch.object(os, "fsync")  # durability is another test's
        self.patch.start()

    def teardown(self) -> None:
        self.patch.stop()
        self.store.reads.close()
        forget(self.name)
        shutil.rmtree(self.folder)

    def _open(self) -> Archive:
        return open_files(FilesSettings(path=self.folder / "store"), site(self.folder))

    def _place(self) -> Path:
        self.calls += 1
        return self.folder / f"call{self.calls}"

    @rule(specs=st.lists(_specs, min_size=1, max_size=4), data=st.data())
    def stores(self, specs: list[ObjectSpec], data: st.DataObject) -> None:
        other = data.draw(conflicts_of(specs[0]))
        specs = [evolve(spec, study=specs[0].study) for spec in [*specs, other]]
        items = written(self._place(), specs)
        answers = []
        for archive in (self.store, self.model):
            assert archive.stores is not None
            told = archive.stores.store(study_of(specs[0]), items)
            answers.append(sorted(map(_told, told)))
        assert answers[0] == answers[1]

    @rule(specs=st.lists(_specs, min_size=1, max_size=4, unique_by=lambda spec: spec.sop_instance_uid))
    def withdraws(self, specs: list[ObjectSpec]) -> None:
        specs = [spec for spec in specs if spec.study == specs[0].study]
        manifest = manifest_of(written(self._place(), specs))
        answers = []
        for archive in (self.store, self.model):
            assert archive.withdraws is not None
            answers.append(sorted(map(_told, archive.withdraws.withdraw(study_of(specs[0]), manifest))))
        assert answers[0] == answers[1]

    @rule()
    def opens_again(self) -> None:
        self.store.reads.close()
        self.store = self._open()

    @rule(lost=st.sets(st.sampled_from(["index.sqlite", "studies"])))
    def rebuilds(self, lost: set[str]) -> None:
        self.store.reads.close()
        for path in (self.folder / "store").iterdir():
            if path.name in lost:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        Holdings(Tree(self.folder / "store", archive="store")).rebuild()
        self.store = self._open()

    @invariant()
    def both_hold_the_same(self) -> None:
        found, expected = (list(archive.reads.find_studies(StudyQuery())) for archive in (self.store, self.model))
        counted = [(study.study_uid, study.instance_count, study.size) for study in found]
        assert counted == [(study.study_uid, study.instance_count, study.size) for study in expected]
        for study in found:
            place = self._place()
            ours = read_back(self.store, study.ref(), place / "ours")
            assert ours == read_back(self.model, study.ref(), place / "model")
        items = [item for part in self.store.reads.parts() for item in self.store.reads.inventory(part)]
        assert not [item for item in items if isinstance(item, Refused)]
        instances = [item for item in items if isinstance(item, InstanceRecord)]
        assert len(instances) == sum(study.instance_count or 0 for study in expected)


def _told(answer: Receipt | StoreFailure) -> tuple[str, str, str]:
    if isinstance(answer, Receipt):
        return answer.sop_instance_uid, answer.outcome.value, ""
    return answer.sop_instance_uid, answer.code, answer.conflict.value if answer.conflict else ""


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=15, stateful_step_count=8)
