"""Archives with one defect each, given to the suites. `test_defects` runs them; they are not collected otherwise.

The docstring of a class names the tests that must fail for it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
from attrs import evolve
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from vna_lifecycle.errors import ArchiveError
from vna_lifecycle.ledger import Draft, Ledger
from vna_lifecycle.model.event import RecordedEvent
from vna_lifecycle.model.identity import StudyRef
from vna_lifecycle.model.inventory import InstanceRecord, Manifest, Refused, StudyRecord
from vna_lifecycle.ports import (
    Archive,
    Batch,
    CommitsStorage,
    Done,
    Fetched,
    FetchFailure,
    JobToken,
    Outcome,
    Part,
    Pending,
    Receipt,
    Spool,
    Staged,
    StoreFailure,
    StudyQuery,
)
from vna_lifecycle.testing.conformance import (
    BatchImporterSuite,
    CommitmentSuite,
    LedgerSuite,
    SourceSuite,
    StoreSuite,
    WithdrawSuite,
    site,
)
from vna_lifecycle.testing.faults import Corrupt, Drop, Fault, Lose
from vna_lifecycle.testing.memory import MemorySettings, MemoryState, fill, memory_state, open_memory


def _memory(folder: Path, *, imports: bool = False) -> tuple[Archive, MemoryState]:
    name = str(folder)
    return open_memory(MemorySettings(name=name, imports=imports), site(folder)), memory_state(name)


class Wrapped:
    """An adapter of the archive in memory; a subclass puts a defect over one method."""

    def __init__(self, archive: Archive, state: MemoryState) -> None:
        self.inner = archive
        self.state = state

    def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
        return self.inner.reads.find_studies(query)

    def parts(self) -> Iterator[Part]:
        return self.inner.reads.parts()

    def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
        return self.inner.reads.inventory(part)

    def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
        return self.inner.reads.list_instances(study)

    def fetch(
        self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
    ) -> Iterator[Fetched | FetchFailure]:
        return self.inner.reads.fetch(study, wanted, spool)

    def close(self) -> None:
        self.inner.reads.close()

    def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
        assert self.inner.stores is not None
        return self.inner.stores.store(study, instances)

    def stage(self, batch: Batch, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Staged | StoreFailure]:
        assert self.inner.imports is not None
        return self.inner.imports.stage(batch, study, instances)

    def submit(self, batch: Batch) -> JobToken:
        assert self.inner.imports is not None
        return self.inner.imports.submit(batch)

    def poll(self, token: JobToken) -> Pending | Done:
        assert self.inner.imports is not None
        return self.inner.imports.poll(token)

    def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
        assert self.inner.withdraws is not None
        return self.inner.withdraws.withdraw(study, manifest)


class _Source(SourceSuite):
    defect: type[Wrapped] = Wrapped
    faults: tuple[Fault, ...] = ()

    def open_source(self, folder: Path, objects: Sequence[bytes]) -> Archive:
        fill(str(folder), objects).plan.faults[:] = self.faults
        archive, state = _memory(folder)
        return evolve(archive, reads=self.defect(archive, state))


class _Target:
    defect: type[Wrapped] = Wrapped
    faults: tuple[Fault, ...] = ()
    imports = False

    def open_target(self, folder: Path) -> Archive:
        archive, state = _memory(folder, imports=self.imports)
        state.plan.faults[:] = self.faults
        wrapped = self.defect(archive, state)
        return evolve(
            archive,
            reads=wrapped,
            stores=None if self.imports else wrapped,
            imports=wrapped if self.imports else None,
            withdraws=wrapped,
        )


# Sources


class TestSound(_Source):
    """"""


class TestInventoryDropsAnInstance(_Source):
    """test_parts_hold_every_instance_once"""

    faults = (Drop(on="inventory", nth=4),)


class TestListDropsAnInstance(_Source):
    """test_a_study_lists_its_instances_once test_fetched_bytes_are_the_archives"""

    faults = (Drop(on="list_instances", nth=1),)


class TestFetchDropsAnInstance(_Source):
    """test_each_wanted_instance_comes_once test_fetched_bytes_are_the_archives"""

    faults = (Drop(on="fetch", nth=1),)


class TestFetchServesWrongBytes(_Source):
    """test_fetched_bytes_are_the_archives"""

    faults = (Corrupt(on="fetch", nth=1),)


class TestListsTwice(_Source):
    """test_a_study_lists_its_instances_once"""

    class defect(Wrapped):  # noqa: N801
        def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
            for record in super().list_instances(study):
                yield record
                yield record


class TestInventoriesTwice(_Source):
    """test_parts_hold_every_instance_once"""

    class defect(Wrapped):  # noqa: N801
        def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
            return itertools.chain(super().inventory(part), super().inventory(part))


class TestFetchesAnotherInstance(_Source):
    """test_each_wanted_instance_comes_once"""

    class defect(Wrapped):  # noqa: N801
        def fetch(
            self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
        ) -> Iterator[Fetched | FetchFailure]:
            for record in wanted:
                other = evolve(record, locator="1")
                yield from (evolve(item, record=record) for item in super().fetch(study, [other], spool))


class TestFetchesByUID(_Source):
    """test_several_contents_of_one_uid_are_told_apart"""

    class defect(Wrapped):  # noqa: N801
        def fetch(
            self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
        ) -> Iterator[Fetched | FetchFailure]:
            first = {record.sop_instance_uid: record for record in reversed(list(self.list_instances(study)))}
            for record in wanted:
                other = first[record.sop_instance_uid]
                yield from (evolve(item, record=record) for item in super().fetch(study, [other], spool))


class TestUnstableParts(_Source):
    """test_parts_are_stable"""

    class defect(Wrapped):  # noqa: N801
        calls = itertools.count()

        def parts(self) -> Iterator[Part]:
            return iter(list(super().parts())[:: 1 if next(self.calls) % 2 else -1])


class TestStopsAtWhatIsGone(_Source):
    """test_what_is_gone_does_not_stop_the_rest"""

    class defect(Wrapped):  # noqa: N801
        def fetch(
            self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
        ) -> Iterator[Fetched | FetchFailure]:
            for item in super().fetch(study, wanted, spool):
                yield item
                if isinstance(item, FetchFailure):
                    return


class TestRaisesForUnknownStudy(_Source):
    """test_an_unknown_study_has_no_instances"""

    class defect(Wrapped):  # noqa: N801
        def list_instances(self, study: StudyRef) -> Iterator[InstanceRecord]:
            found = list(super().list_instances(study))
            if not found:
                raise ArchiveError("no such study")
            return iter(found)


class TestHidesRefusals(_Source):
    """test_what_is_no_object_is_reported"""

    class defect(Wrapped):  # noqa: N801
        def inventory(self, part: Part) -> Iterator[StudyRecord | InstanceRecord | Refused]:
            return (item for item in super().inventory(part) if not isinstance(item, Refused))


class TestIgnoresTheIssuer(_Source):
    """test_conditions_hold"""

    class defect(Wrapped):  # noqa: N801
        def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
            return super().find_studies(evolve(query, issuer_of_patient_id=""))


class TestShowsUndatedStudies(_Source):
    """test_conditions_hold"""

    class defect(Wrapped):  # noqa: N801
        def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
            undated = [s for s in super().find_studies(evolve(query, studied=None)) if not s.study_date]
            return itertools.chain(super().find_studies(query), undated if query.studied else [])


class TestFindsStudiesTwice(_Source):
    """test_every_study_is_found_once"""

    class defect(Wrapped):  # noqa: N801
        def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
            return itertools.chain(super().find_studies(query), super().find_studies(query))


class TestCountsWrong(_Source):
    """test_study_counts_are_true"""

    class defect(Wrapped):  # noqa: N801
        def find_studies(self, query: StudyQuery) -> Iterator[StudyRecord]:
            return (evolve(study, instance_count=99) for study in super().find_studies(query))


# Stores


class TestSoundStore(_Target, StoreSuite):
    """"""


class TestOverwrites(_Target, StoreSuite):
    """test_other_bytes_never_overwrite test_a_conflict_does_not_stop_the_rest test_one_content_wins_a_race_for_a_uid"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                present = self.state.find(item.record.sop_instance_uid)
                if present is not None:
                    del self.state.files[present[0]]
                yield from super().store(study, [item])


class TestOverwritesAndSaysConflict(_Target, StoreSuite):
    """test_other_bytes_never_overwrite"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                answers = list(super().store(study, [item]))
                if isinstance(answers[0], StoreFailure) and answers[0].conflict:
                    present = self.state.find(item.record.sop_instance_uid)
                    assert present is not None
                    self.state.files[present[0]] = item.path.read_bytes()
                yield from answers


class TestSkipsTheDigest(_Target, StoreSuite):
    """test_other_bytes_never_overwrite test_a_conflict_does_not_stop_the_rest"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                if self.state.find(item.record.sop_instance_uid):
                    yield Receipt(sop_instance_uid=item.record.sop_instance_uid, outcome=Outcome.ALREADY_PRESENT)
                else:
                    yield from super().store(study, [item])


class TestEveryConflictIsContent(_Target, StoreSuite):
    """test_other_bytes_never_overwrite"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            from vna_lifecycle.ports import ConflictClass

            for answer in super().store(study, instances):
                is_conflict = isinstance(answer, StoreFailure) and answer.conflict
                yield evolve(answer, conflict=ConflictClass.CONTENT) if is_conflict else answer


class TestAcknowledgesTooEarly(_Target, StoreSuite):
    """test_what_is_acknowledged_is_there test_an_abandoned_call_leaves_what_it_acknowledged"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                if not self.state.find(item.record.sop_instance_uid):
                    yield Receipt(sop_instance_uid=item.record.sop_instance_uid, outcome=Outcome.STORED)
                    list(super().store(study, [item]))
                else:
                    yield from super().store(study, [item])


class TestAcknowledgesThenLoses(_Target, StoreSuite):
    """test_what_is_stored_is_read_back test_what_is_acknowledged_is_there"""

    faults = (Lose(nth=2),)


class TestGivesNoAnswer(_Target, StoreSuite):
    """test_what_is_stored_is_read_back"""

    faults = (Drop(on="store", nth=2),)


class TestStoresOtherBytes(_Target, StoreSuite):
    """test_what_is_stored_is_read_back"""

    faults = (Corrupt(on="store", nth=2),)


class TestReencodes(_Target, StoreSuite):
    """test_what_is_stored_is_read_back"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                path = item.path
                if item.record.transfer_syntax == ExplicitVRLittleEndian:
                    dataset = pydicom.dcmread(path, force=True)
                    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
                    path = path.with_suffix(".implicit")
                    dataset.save_as(path)
                yield from super().store(study, [evolve(item, path=path)])


class TestKeepsALinkToTheSpool(_Target, StoreSuite):
    """test_what_was_given_may_go"""

    class defect(Wrapped):  # noqa: N801
        links: dict[str, Path] = {}  # noqa: RUF012

        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                for answer in super().store(study, [item]):
                    if isinstance(answer, Receipt) and answer.outcome is Outcome.STORED:
                        present = self.state.find(item.record.sop_instance_uid)
                        assert present is not None
                        self.links[f"{id(self.state)}/{present[0]}"] = item.path
                    yield answer

        def fetch(
            self, study: StudyRef, wanted: Sequence[InstanceRecord], spool: Spool
        ) -> Iterator[Fetched | FetchFailure]:
            for record in wanted:
                yield Fetched(record=record, path=self.links[f"{id(self.state)}/{record.locator}"])


class TestStoresTheSameTwice(_Target, StoreSuite):
    """test_the_same_again_is_already_present test_the_same_twice_in_one_call_is_stored_once"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                answers = list(super().store(study, [item]))
                if isinstance(answers[0], Receipt) and answers[0].outcome is Outcome.ALREADY_PRESENT:
                    self.state.add(item.path.read_bytes())
                yield from answers


class TestStopsAtAFailure(_Target, StoreSuite):
    """test_a_conflict_does_not_stop_the_rest test_what_is_no_object_is_not_stored"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for answer in super().store(study, instances):
                yield answer
                if isinstance(answer, StoreFailure):
                    return


class TestTakesAnything(_Target, StoreSuite):
    """test_what_is_no_object_is_not_stored"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for answer in super().store(study, instances):
                is_refusal = isinstance(answer, StoreFailure) and not answer.conflict
                uid = answer.sop_instance_uid
                yield Receipt(sop_instance_uid=uid, outcome=Outcome.STORED) if is_refusal else answer


class TestLooksBeforeItLeaps(_Target, StoreSuite):
    """test_one_content_wins_a_race_for_a_uid"""

    class defect(Wrapped):  # noqa: N801
        def store(self, study: StudyRef, instances: Sequence[Fetched]) -> Iterator[Receipt | StoreFailure]:
            for item in instances:
                if self.state.find(item.record.sop_instance_uid):
                    yield from super().store(study, [item])
                else:
                    time.sleep(0.05)
                    self.state.add(item.path.read_bytes())
                    yield Receipt(sop_instance_uid=item.record.sop_instance_uid, outcome=Outcome.STORED)


class TestForgetsWhenClosed(_Target, StoreSuite):
    """test_it_is_there_when_opened_again test_an_abandoned_call_leaves_what_it_acknowledged"""

    class defect(Wrapped):  # noqa: N801
        def close(self) -> None:
            self.state.files.clear()


# Withdrawals


class TestSoundWithdrawal(_Target, WithdrawSuite):
    """"""


class TestWithdrawsWhateverIsThere(_Target, WithdrawSuite):
    """test_other_bytes_stay"""

    class defect(Wrapped):  # noqa: N801
        def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
            for answer in super().withdraw(study, manifest):
                if isinstance(answer, StoreFailure):
                    present = self.state.find(answer.sop_instance_uid)
                    assert present is not None
                    del self.state.files[present[0]]
                    yield Receipt(sop_instance_uid=answer.sop_instance_uid, outcome=Outcome.STORED)
                else:
                    yield answer


class TestWithdrawsNothing(_Target, WithdrawSuite):
    """test_what_is_withdrawn_is_gone test_the_uid_is_free_again"""

    faults = tuple(Lose(on="withdraw", nth=number) for number in range(1, 9))


class TestWithdrawsTheWholeStudy(_Target, WithdrawSuite):
    """test_only_what_is_named_goes"""

    class defect(Wrapped):  # noqa: N801
        def withdraw(self, study: StudyRef, manifest: Manifest) -> Iterator[Receipt | StoreFailure]:
            answers = list(super().withdraw(study, manifest))
            if not any(isinstance(answer, StoreFailure) for answer in answers):
                self.state.files.clear()
            return iter(answers)


# Importers


class TestSoundImporter(_Target, BatchImporterSuite):
    """"""

    imports = True


class TestNewJobAtEverySubmission(_Target, BatchImporterSuite):
    """test_submitting_again_is_the_same_job test_a_job_outlives_who_submitted_it"""

    imports = True

    class defect(Wrapped):  # noqa: N801
        numbers = itertools.count()

        def submit(self, batch: Batch) -> JobToken:
            return evolve(super().submit(batch), job=f"job-{next(self.numbers)}")


class TestJobLosesAnInstance(_Target, BatchImporterSuite):
    """test_what_is_imported_is_read_back"""

    imports = True
    faults = (Lose(on="stage", nth=2),)


class TestJobHidesAFailure(_Target, BatchImporterSuite):
    """test_other_bytes_never_overwrite test_what_is_no_object_does_not_stop_the_rest"""

    imports = True

    class defect(Wrapped):  # noqa: N801
        def poll(self, token: JobToken) -> Pending | Done:
            state = super().poll(token)
            if isinstance(state, Pending):
                return state
            return Done(results=tuple(result for result in state.results if isinstance(result, Receipt)))


class TestJobRunsAtEveryPoll(_Target, BatchImporterSuite):
    """test_done_stays_done"""

    imports = True

    class defect(Wrapped):  # noqa: N801
        def poll(self, token: JobToken) -> Pending | Done:
            state = super().poll(token)
            if isinstance(state, Done):
                again = [evolve(r, outcome=Outcome.ALREADY_PRESENT) for r in state.results if isinstance(r, Receipt)]
                self.state.jobs[token.batch] = [*again]
            return state


class TestJobImportsOtherBytes(_Target, BatchImporterSuite):
    """test_what_is_imported_is_read_back"""

    imports = True
    faults = (Corrupt(on="stage", nth=2),)


# Ledgers


class _Ledger(LedgerSuite):
    ledger: type[Ledger] = Ledger

    def open_ledger(self, folder: Path) -> Ledger:
        path = folder / "ledger.sqlite"
        if path.exists():
            return self.ledger.open(path, clock=_now)
        return self.ledger.create(path, origin="example", clock=_now)


def _now() -> dt.datetime:
    return dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


class TestSoundLedger(_Ledger):
    """"""


class TestLosesTheLastEvent(_Ledger):
    """test_what_is_appended_is_read_in_order test_it_is_there_when_opened_again"""

    class ledger(Ledger):  # noqa: N801
        def append(self, drafts: Sequence[Draft], **options: int | None) -> tuple[RecordedEvent, ...]:
            recorded = super().append([*drafts][:-1], **options)
            return (*recorded, *recorded[-1:])


class TestIgnoresIdempotencyKeys(_Ledger):
    """test_a_key_is_appended_once test_a_retry_may_repeat_its_expected_size test_an_event_is_found_by_its_key"""

    class ledger(Ledger):  # noqa: N801
        calls = itertools.count()

        def append(self, drafts: Sequence[Draft], **options: int | None) -> tuple[RecordedEvent, ...]:
            return super().append([evolve(draft, key=f"{draft.key}/{next(self.calls)}") for draft in drafts], **options)


class TestIgnoresTheExpectedSize(_Ledger):
    """test_an_outdated_decision_is_refused"""

    class ledger(Ledger):  # noqa: N801
        def append(self, drafts: Sequence[Draft], **options: int | None) -> tuple[RecordedEvent, ...]:
            return super().append(drafts, epoch=options.get("epoch"))


class TestIgnoresTheEpoch(_Ledger):
    """test_a_fenced_coordinator_appends_nothing"""

    class ledger(Ledger):  # noqa: N801
        def append(self, drafts: Sequence[Draft], **options: int | None) -> tuple[RecordedEvent, ...]:
            return super().append(drafts, expected_size=options.get("expected_size"))


class TestAppendsPartly(_Ledger):
    """test_a_key_never_means_two_events"""

    class ledger(Ledger):  # noqa: N801
        def append(self, drafts: Sequence[Draft], **options: int | None) -> tuple[RecordedEvent, ...]:
            return tuple(event for draft in drafts for event in super(type(self), self).append([draft]))


class TestForgetsCursors(_Ledger):
    """test_subscribers_keep_their_place"""

    class ledger(Ledger):  # noqa: N801
        def move_cursor(self, name: str, position: int) -> None:
            pass


class _Commits(CommitmentSuite):
    def open_target(self, folder: Path) -> Archive:
        archive = open_memory(MemorySettings(name=str(folder), commits=True), site(folder))
        return evolve(archive, commits=self.defective(archive, memory_state(str(folder))))

    def defective(self, archive: Archive, state: MemoryState) -> CommitsStorage:
        raise NotImplementedError


class _Careless:
    """Storage commitment that says yes to everything that is asked, and to what was not asked."""

    patience = 1.0

    def __init__(self, asked: bool) -> None:
        self._asked = asked
        self._known: set[str] = set()

    def ask(self, transaction: str, manifest: Manifest) -> None:
        self._known.add(transaction)

    def poll(self, transaction: str, manifest: Manifest) -> Pending | Done:
        if self._asked and transaction not in self._known:
            return Pending(poll_after=0.0)
        uids = [entry.sop_instance_uid for entry in manifest.entries]
        return Done(results=tuple(Receipt(sop_instance_uid=uid, outcome=Outcome.STORED) for uid in uids))


class TestCommitmentIsTakenForGranted(_Commits):
    """test_what_is_not_there_is_refused_by_name test_what_nobody_asked_for_is_not_answered"""

    def defective(self, archive: Archive, state: MemoryState) -> CommitsStorage:
        return _Careless(asked=False)


class TestAnswersAreForgotten(_Commits):
    """test_an_answer_outlives_who_asked"""

    def defective(self, archive: Archive, state: MemoryState) -> CommitsStorage:
        return _Careless(asked=True)

    def wait(self) -> None:
        """Do not wait for what never comes."""
