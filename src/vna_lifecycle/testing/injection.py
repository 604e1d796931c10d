"""Applying a plan of faults to an archive. An archive without faults planned behaves as before, and is logged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from attrs import evolve, frozen

from vna_lifecycle.model.identity import SOPInstanceUID, StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.ports import (
    Archive,
    Batch,
    BatchLimits,
    Done,
    Fetched,
    FetchFailure,
    ImportsInBatches,
    JobToken,
    Outcome,
    Part,
    Pending,
    Receipt,
    SourceAdapter,
    Spool,
    Staged,
    StoreFailure,
    StudyQuery,
    TargetStore,
    Withdraws,
)
from vna_lifecycle.testing.faults import Corrupt, Drop, Effect, Lose, Method, Plan

T = TypeVar("T")


def inject(archive: Archive, plan: Plan) -> Archive:
    """The archive with the faults of ``plan`` around every power. Instances are stored one by one."""
    return evolve(
        archive,
        reads=_Reads(archive.reads, plan),
        stores=archive.stores and _Stores(archive.stores, plan),
        imports=archive.imports and _Imports(archive.imports, plan),
        withdraws=archive.withdraws and _Withdraws(archive.withdraws, plan),
    )


def _passed(plan: Plan, method: Method, items: Iterator[T]) -> Iterator[T]:
    for item in items:
        number = plan.item(method)
        plan.crash(method, number, "before")
        if not plan.strikes(Drop, method, number):
            yield item
        plan.crash(method, number, "after")


@frozen
class _Reads:
    _inner: SourceAdapter
    _plan: Plan

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        self._plan.call("find_studies")
        yield from _passed(self._plan, "find_studies", self._inner.find_studies(query))

    def parts(self) -> Iterator[Part]:
        self._plan.call("parts")
        yield from _passed(self._plan, "parts", self._inner.parts())

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        self._plan.call("inventory")
        yield from _passed(self._plan, "inventory", self._inner.inventory(part))

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        self._plan.call("list_instances")
        yield from _passed(self._plan, "list_instances", self._inner.list_instances(study))

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        plan = self._plan
        plan.call("fetch")
        for item in self._inner.fetch(study, wanted, spool):
            number = plan.item("fetch")
            plan.crash("fetch", number, "before")
            if isinstance(item, Fetched) and plan.strikes(Corrupt, "fetch", number):
                path = spool.new_file(item.path.stat().st_size)
                path.write_bytes(_corrupted(item.path.read_bytes()))
                yield evolve(item, path=path)
            elif not plan.strikes(Drop, "fetch", number):
                yield item
            plan.crash("fetch", number, "after")

    def close(self) -> None:
        self._inner.close()


@frozen
class _Stores:
    _inner: TargetStore
    _plan: Plan

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
        plan = self._plan
        plan.call("store")
        for item in instances:
            number = plan.item("store")
            plan.crash("store", number, "before")
            answers = self._store(study, item, number)
            for answer in answers:
                plan.log.append(_effect("store", answer))
            plan.crash("store", number, "after")
            if not plan.strikes(Drop, "store", number):
                yield from (_warned(answer, plan.warning(number)) for answer in answers)

    def _store(self, study: StudyRef, item: Fetched, number: int) -> list[Receipt | StoreFailure]:
        if self._plan.strikes(Lose, "store", number):
            return [Receipt(sop_instance_uid=item.record.sop_instance_uid, outcome=Outcome.STORED)]
        if not self._plan.strikes(Corrupt, "store", number):
            return list(self._inner.store(study, [item]))
        with TemporaryDirectory() as folder:
            return list(self._inner.store(study, [_corrupted_copy(item, Path(folder))]))


@frozen
class _Imports:
    _inner: ImportsInBatches
    _plan: Plan

    @property
    def limits(self) -> BatchLimits:
        return self._inner.limits

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Staged | StoreFailure]:
        plan = self._plan
        plan.call("stage")
        for item in instances:
            number = plan.item("stage")
            plan.crash("stage", number, "before")
            answers = self._stage(batch, study, item, number)
            for answer in answers:
                plan.log.append(_effect("stage", answer))
            plan.crash("stage", number, "after")
            if not plan.strikes(Drop, "stage", number):
                yield from answers

    def _stage(self, batch: Batch, study: StudyRef, item: Fetched, number: int) -> list[Staged | StoreFailure]:
        if self._plan.strikes(Lose, "stage", number):
            return [Staged(sop_instance_uid=item.record.sop_instance_uid, location="")]
        if not self._plan.strikes(Corrupt, "stage", number):
            return list(self._inner.stage(batch, study, [item]))
        with TemporaryDirectory() as folder:
            return list(self._inner.stage(batch, study, [_corrupted_copy(item, Path(folder))]))

    def submit(self, batch: Batch) -> JobToken:
        self._plan.call("submit")
        number = self._plan.item("submit")
        self._plan.crash("submit", number, "before")
        token = self._inner.submit(batch)
        self._plan.crash("submit", number, "after")
        return token

    def poll(self, token: JobToken) -> Pending | Done:
        self._plan.call("poll")
        number = self._plan.item("poll")
        self._plan.crash("poll", number, "before")
        state = self._inner.poll(token)
        self._plan.crash("poll", number, "after")
        return state


@frozen
class _Withdraws:
    _inner: Withdraws
    _plan: Plan

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        plan = self._plan
        plan.call("withdraw")
        for entry in manifest.entries:
            number = plan.item("withdraw")
            plan.crash("withdraw", number, "before")
            if plan.strikes(Lose, "withdraw", number):
                answers: list[Receipt | StoreFailure] = [
                    Receipt(sop_instance_uid=entry.sop_instance_uid, outcome=Outcome.STORED)
                ]
            else:
                answers = list(self._inner.withdraw(study, evolve(manifest, entries=(entry,))))
            for answer in answers:
                plan.log.append(_effect("withdraw", answer))
            plan.crash("withdraw", number, "after")
            if not plan.strikes(Drop, "withdraw", number):
                yield from answers


def _effect(method: Method, answer: Receipt | Staged | StoreFailure) -> Effect:
    uid = SOPInstanceUID(answer.sop_instance_uid)
    if isinstance(answer, Receipt):
        return Effect(method=method, sop_instance_uid=uid, outcome=answer.outcome.value)
    outcome = "staged" if isinstance(answer, Staged) else answer.code
    return Effect(method=method, sop_instance_uid=uid, outcome=outcome)


def _warned(answer: Receipt | StoreFailure, warnings: tuple[str, ...]) -> Receipt | StoreFailure:
    return evolve(answer, warnings=answer.warnings + warnings) if isinstance(answer, Receipt) and warnings else answer


def _corrupted(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _corrupted_copy(item: Fetched, folder: Path) -> Fetched:
    path = folder / "object.dcm"
    path.write_bytes(_corrupted(item.path.read_bytes()))
    return evolve(item, path=path)
